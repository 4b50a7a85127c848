"""How orders and the catalogue stand in DynamoDB: TMF622's names in camelCase, days and times as ISO 8601 text.
Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from ordering.catalogue import Catalogue, Offering, Promotion, VatRate
from ordering.order import (
    Action,
    Actor,
    Detail,
    Event,
    EventKind,
    FieldChange,
    Order,
    RelatedParty,
    Role,
    SipServer,
    State,
    Suspicion,
    placing,
)
from ordering.pricing import OrderItem, Price
from ordering.queue import Entry, search_text
from shared.clock import from_iso, to_iso

Item = dict[str, Any]

FEED = "ORDER"
"""The partition key of the index by-change: all orders in one, by when they changed last."""


@dataclass(frozen=True)
class Unreadable:
    """An order's item that cannot be read, as far as it tells."""

    id: str
    state: str
    order_date: str

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Unreadable":
        """What an item tells without being read."""
        return cls(
            str(item.get("pk", "")).removeprefix("ORDER#"), str(item.get("state", "")), str(item.get("orderDate", ""))
        )


def from_order(order: Order) -> Item:
    """The attributes of an order, without its keys, which tell its id.

    Each kilobyte that is begun costs: what can be told from the rest is left out, but never anything of the price.
    """
    sip = order.sip
    return _present(
        {
            "category": order.category,
            "state": order.state.value,
            "version": order.version,
            "orderDate": to_iso(order.order_date),
            "feed": FEED,
            "changedAt": to_iso(order.last.at),
            "customerId": order.customer_id,
            "relatedParty": _from_party(order.related_party),
            "note": order.note,
            "productOrderItem": [_from_order_item(entry) for entry in order.price.items],
            "vatRatePercent": order.price.vat_rate_percent,
            "action": order.action.value if order.action is not Action.ADD else None,
            "language": order.language if order.language != "nl" else None,
            "signedIn": order.signed_in or None,
            "addressProvenAt": to_iso(order.address_proven_at) if order.address_proven_at else None,
            "knownCustomerId": order.known_customer_id or None,
            "details": [vars(detail) for detail in order.details] or None,
            "suspicions": [vars(suspicion) for suspicion in order.suspicions] or None,
            **_queue_keys(order),
            "tokenSha256": order.token_sha256,
            "requestSha256": order.request_sha256,
            "last": from_event(order.last) if order.version > 1 else None,
            "changed": from_event(order.changed) if order.changed else None,
            "completionDate": to_iso(order.completion_date) if order.completion_date else None,
            "sip": {"nodeId": sip.node_id, "host": sip.host, "port": sip.port} if sip else None,
            "credentialsIssuedAt": to_iso(order.credentials_issued_at) if order.credentials_issued_at else None,
        }
    )


def to_order(item: Mapping[str, Any]) -> Order:
    """The order that `from_order` wrote, with its keys."""
    sip = item.get("sip")
    order_date = from_iso(item["orderDate"])
    return Order(
        id=item["pk"].removeprefix("ORDER#"),
        category=item["category"],
        state=State(item["state"]),
        version=item["version"],
        order_date=order_date,
        customer_id=item["customerId"],
        related_party=RelatedParty(**{"kvk": "", **item["relatedParty"]}),
        note=item.get("note", ""),
        price=Price(tuple(_to_order_item(entry) for entry in item["productOrderItem"]), item["vatRatePercent"]),
        action=Action(item.get("action", Action.ADD)),
        language=item.get("language", "nl"),
        signed_in=item.get("signedIn", False),
        address_proven_at=from_iso(item["addressProvenAt"]) if "addressProvenAt" in item else None,
        known_customer_id=item.get("knownCustomerId", ""),
        details=tuple(Detail(**detail) for detail in item.get("details", [])),
        suspicions=tuple(Suspicion(**suspicion) for suspicion in item.get("suspicions", [])),
        token_sha256=item["tokenSha256"],
        request_sha256=item.get("requestSha256", ""),
        last=to_event(item["last"]) if "last" in item else placing(order_date),
        changed=to_event(item["changed"]) if "changed" in item else None,
        completion_date=from_iso(item["completionDate"]) if "completionDate" in item else None,
        sip=SipServer(sip["nodeId"], sip["host"], sip["port"]) if sip else None,
        credentials_issued_at=from_iso(item["credentialsIssuedAt"]) if "credentialsIssuedAt" in item else None,
    )


def _from_party(party: RelatedParty) -> Item:
    present = _present(vars(party))
    return present if party.country != RelatedParty.country else {k: v for k, v in present.items() if k != "country"}


def from_event(event: Event) -> Item:
    """The attributes of an event, without its keys."""
    return _present(
        {
            "version": event.version,
            "at": to_iso(event.at),
            "from": event.source.value if event.source else None,
            "to": event.target.value,
            "who": {"role": event.who.role.value, "name": event.who.name},
            "why": event.why,
            "kind": event.kind.value if event.kind is not EventKind.CHANGE else None,
            "note": event.note,
            "changes": [vars(change) for change in event.changes] or None,
        }
    )


def to_event(item: Mapping[str, Any]) -> Event:
    """The event that `from_event` wrote."""
    return Event(
        version=item["version"],
        at=from_iso(item["at"]),
        source=State(item["from"]) if "from" in item else None,
        target=State(item["to"]),
        who=Actor(Role(item["who"]["role"]), item["who"]["name"]),
        why=item.get("why", ""),
        kind=EventKind(item.get("kind", EventKind.CHANGE)),
        note=item.get("note", ""),
        changes=tuple(FieldChange(**change) for change in item.get("changes", [])),
    )


def to_entry(item: Mapping[str, Any]) -> Entry:
    """An order's entry in the index by state."""
    return Entry(
        order_id=item["pk"].removeprefix("ORDER#"),
        state=State(item["state"]),
        order_date=from_iso(item["orderDate"]),
        category=item["category"],
        search=item["search"],
        phones=item["phones"],
        monthly_total_cents=item["monthlyTotalCents"],
    )


def _queue_keys(order: Order) -> Item:
    """What the index by state holds besides its key, so that sales can search, filter, sort and add up without reading
    orders.
    """
    return {
        "search": search_text(order),
        "phones": order.quantity,
        "monthlyTotalCents": order.price.monthly_total_cents,
    }


def from_catalogue(catalogue: Catalogue) -> dict[str, Item]:
    """The attributes of everything in the catalogue, by sort key."""
    found: dict[str, Item] = {}
    for offering in catalogue.offerings:
        found[f"OFFERING#{offering.id}#{offering.version:04d}"] = {
            **from_offering(offering),
            "currency": catalogue.currency,
        }
    for rate in catalogue.vat:
        found[f"VAT#{rate.valid_from}"] = {"ratePercent": rate.rate_percent, "validFrom": str(rate.valid_from)}
    for promotion in catalogue.promotions:
        found[f"PROMOTION#{promotion.id}"] = from_promotion(promotion)
    return found


def to_catalogue(items: Iterable[Mapping[str, Any]]) -> Catalogue:
    """The catalogue that `from_catalogue` wrote; each item has its sort key as `sk`. Raises LookupError when it is
    empty.
    """
    offerings, promotions, vat, currency = [], [], [], ""
    for item in items:
        kind = item["sk"].partition("#")[0]
        if kind == "OFFERING":
            offerings.append(to_offering(item))
            currency = item["currency"]
        elif kind == "PROMOTION":
            promotions.append(to_promotion(item))
        elif kind == "VAT":
            vat.append(VatRate(item["ratePercent"], date.fromisoformat(item["validFrom"])))
    if not offerings:
        raise LookupError("the catalogue is empty: the loader has not run")
    return Catalogue(currency, tuple(offerings), tuple(promotions), tuple(vat))


def from_offering(offering: Offering) -> Item:
    """The attributes of one version of an offering."""
    return {
        "id": offering.id,
        "version": offering.version,
        "validFrom": str(offering.valid_from),
        "name": offering.name,
        "unit": offering.unit,
        "period": offering.period,
        "unitPriceCents": offering.unit_price_cents,
    }


def to_offering(item: Mapping[str, Any]) -> Offering:
    """The offering that `from_offering` wrote."""
    return Offering(
        id=item["id"],
        version=item["version"],
        valid_from=date.fromisoformat(item["validFrom"]),
        name=item["name"],
        unit=item["unit"],
        period=item["period"],
        unit_price_cents=item["unitPriceCents"],
    )


def from_promotion(promotion: Promotion) -> Item:
    """The attributes of a promotion."""
    return {
        "id": promotion.id,
        "offering": promotion.offering,
        "discountPercent": promotion.discount_percent,
        "validFrom": str(promotion.valid_from),
        "validUntil": str(promotion.valid_until),
    }


def to_promotion(item: Mapping[str, Any]) -> Promotion:
    """The promotion that `from_promotion` wrote."""
    return Promotion(
        id=item["id"],
        offering=item["offering"],
        discount_percent=item["discountPercent"],
        valid_from=date.fromisoformat(item["validFrom"]),
        valid_until=date.fromisoformat(item["validUntil"]),
    )


def _present(attributes: Mapping[str, Any]) -> Item:
    """Without what is absent or empty: an attribute that is not there costs nothing, and DynamoDB Local refuses empty
    text.
    """
    return {name: value for name, value in attributes.items() if value not in (None, "")}


def _from_order_item(entry: OrderItem) -> Item:
    item: Item = {"quantity": entry.quantity, "productOffering": from_offering(entry.offering)}
    if entry.promotion:
        item["promotion"] = from_promotion(entry.promotion)
    return item


def _to_order_item(item: Mapping[str, Any]) -> OrderItem:
    promotion = item.get("promotion")
    return OrderItem(
        item["quantity"], to_offering(item["productOffering"]), to_promotion(promotion) if promotion else None
    )
