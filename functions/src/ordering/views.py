"""What the outside sees: orders, prices and credentials as JSON, for the customer and for sales. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from ordering.catalogue import Catalogue, Offering, Promotion
from ordering.credentials import PhoneCredentials
from ordering.items import Unreadable
from ordering.order import INTERNAL, Event, EventKind, Order, SipServer
from ordering.phone_files import files
from ordering.pricing import OrderItem, Price, discounted
from ordering.queue import attention
from shared.clock import to_iso

if TYPE_CHECKING:
    from fleet.observed import Metrics
    from fleet.whereabouts import NodeSeen, Serving

View = dict[str, Any]


def prices(catalogue: Catalogue, day: date) -> View:
    """What is on sale on `day`, in cents excluding VAT."""
    return {
        "currency": catalogue.currency,
        "vatRatePercent": catalogue.vat_rate_percent(day),
        "offerings": [
            _offering_price(offering, catalogue.promotion(offering.id, day)) for offering in catalogue.on_sale(day)
        ],
    }


def order(order: Order, events: Iterable[Event], sip_domain: str) -> View:
    """An order as its customer sees it: not who of ours did what."""
    return {**_order(order, sip_domain), "details": _details(order), "events": customer_events(events)}


def sales_summary(order: Order | Unreadable, sip_domain: str) -> View:
    """An order as sales sees it in the queue: without note, events and node; of one that cannot be read its id."""
    if isinstance(order, Unreadable):
        return {"id": order.id, "unreadable": True, "state": order.state or None, "orderDate": order.order_date or None}
    return {
        **_order(order, sip_domain),
        "action": order.action.value,
        "customerId": order.delivered_to,
        "knownCustomer": bool(order.known_customer_id),
        "signedIn": order.signed_in,
        "relatedParty": asdict(order.related_party),
        "addressProvenAt": to_iso(order.address_proven_at) if order.address_proven_at else None,
        "attention": attention(order),
        "language": order.language,
        "spam": {"score": order.spam_score, "reasons": [asdict(suspicion) for suspicion in order.suspicions]},
    }


def sales_order(order: Order, events: Sequence[Event], node: "Serving | None", sip_domain: str) -> View:
    """All that is known of an order."""
    view = {
        **sales_summary(order, sip_domain),
        "note": order.note,
        "details": _details(order),
        "events": sales_events(events),
    }
    if node:
        view["node"] = {"id": node.node_id, "state": node.state, "address": node.address, "standby": node.standby}
        if node.probe:
            view["node"]["probe"] = dict(node.probe)
    return view


def customer_events(events: Iterable[Event]) -> list[View]:
    """What happened to an order, without what sales wrote down for itself."""
    return [_event(event) for event in events if event.kind not in INTERNAL]


def sales_events(events: Iterable[Event]) -> list[View]:
    """What happened to an order, who did it, and what is for sales only."""
    return [_sales_event(event) for event in events]


def _sales_event(event: Event) -> View:
    view = {**_event(event), "who": event.who.name}
    if event.note:
        view["note"] = event.note
    if event.changes:
        view["changes"] = [asdict(change) for change in event.changes]
    return view


def fleet_node(node: "NodeSeen") -> View:
    """A node as the fleet view shows it; what it has not said of itself is null."""
    return {
        "id": node.id,
        "state": node.state,
        "address": node.address,
        "capacity": node.capacity,
        "allocated": node.allocated,
        "calls": node.calls,
        "registrations": node.registrations,
        "heartbeatAt": to_iso(node.heartbeat_at) if node.heartbeat_at else None,
    }


def node_metrics(samples: "Iterable[Metrics]") -> View:
    """What a node measured, for charts."""
    return {"samples": [{"at": to_iso(sample.at), "values": dict(sample.values)} for sample in samples]}


def credentials(order: Order, sip_domain: str, phones: Sequence[PhoneCredentials]) -> View:
    """What the customer of a completed order puts into the phones; it is told once."""
    view: View = {"phones": [asdict(phone) for phone in phones]}
    if order.sip:
        view["sip"] = _sip(order.sip, sip_domain)
        view["files"] = [asdict(file) for file in files(order.sip, sip_domain, phones)]
    return view


def price(price: Price) -> View:
    """What an order costs, in cents."""
    return {
        "productOrderItem": [_order_item(entry) for entry in price.items],
        "monthlyTotalCents": price.monthly_total_cents,
        "vatRatePercent": price.vat_rate_percent,
        "monthlyTotalInclVatCents": price.monthly_total_incl_vat_cents,
        "oneTimeTotalCents": price.one_time_total_cents,
        "oneTimeTotalInclVatCents": price.one_time_total_incl_vat_cents,
    }


def _order(order: Order, sip_domain: str) -> View:
    view: View = {
        "id": order.id,
        "state": order.state.value,
        "version": order.version,
        "orderDate": to_iso(order.order_date),
        "category": order.category,
        **price(order.price),
        "credentials": order.credentials,
    }
    if order.completion_date:
        view["completionDate"] = to_iso(order.completion_date)
    if order.credentials_issued_at:
        view["credentialsIssuedAt"] = to_iso(order.credentials_issued_at)
    if order.sip:
        view["sip"] = _sip(order.sip, sip_domain)
    return view


def _details(order: Order) -> list[View]:
    return [asdict(detail) for detail in order.details]


def _sip(sip: SipServer, sip_domain: str) -> View:
    return {"domain": sip_domain, "host": sip.host, "port": sip.port, "transport": "tls"}


def _order_item(entry: OrderItem) -> View:
    offering = entry.offering
    view: View = {
        "quantity": entry.quantity,
        "productOffering": {
            "id": offering.id,
            "version": offering.version,
            "name": offering.name,
            "unit": offering.unit,
            "period": offering.period,
        },
        "unitPriceCents": entry.unit_price_cents,
        "totalCents": entry.total_cents,
    }
    if entry.promotion:
        view["promotion"] = _promotion(offering, entry.promotion)
    return view


def _offering_price(offering: Offering, promotion: Promotion | None) -> View:
    view: View = {
        "id": offering.id,
        "version": offering.version,
        "name": offering.name,
        "unit": offering.unit,
        "period": offering.period,
        "unitPriceCents": offering.unit_price_cents,
    }
    if promotion:
        view["promotion"] = _promotion(offering, promotion)
    return view


def _promotion(offering: Offering, promotion: Promotion) -> View:
    return {
        "id": promotion.id,
        "discountPercent": promotion.discount_percent,
        "validUntil": str(promotion.valid_until),
        "unitPriceCents": discounted(offering.unit_price_cents, promotion),
    }


def _event(event: Event) -> View:
    view: View = {
        "at": to_iso(event.at),
        "from": event.source.value if event.source else None,
        "to": event.target.value,
    }
    if event.why:
        view["why"] = event.why
    if event.kind is not EventKind.CHANGE:
        view["kind"] = event.kind.value
    return view
