"""Everything that one customer has, as one unit of change: customer, products, environment, and the event that tells what changed. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from customers import product as products
from customers.customer import Customer
from customers.documents import Item, present
from customers.environment import Destination, Environment, Limits, Phone
from customers.product import RUNNING, SRTP, Product, State
from customers.states import Actor, Role
from shared.clock import from_iso, local_day, to_iso

MOST_PHONES = 500
"""So many phones an environment may have; for more we set up something of their own."""


NO_SITE = (
    "Vul in Mijn omgeving, bij Uw gegevens, het adres in waar uw telefoons staan. Zonder adres weet 112 niet waar u bent; "
    "zodra het er is, gaat uw omgeving aan."
)
"""Why an environment waits whose proof call passed: its customer and sales read it."""


class EventKind(StrEnum):
    """What an event tells; bills are made from those of products."""

    CUSTOMER_CREATED = "customerCreated"
    CUSTOMER_CHANGED = "customerChanged"
    CONTACT_ADDED = "contactAdded"
    CONTACT_CHANGED = "contactChanged"
    CONTACT_REMOVED = "contactRemoved"
    LOOK_ALIKE_FOUND = "lookAlikeFound"
    LOOK_ALIKE_REFUTED = "lookAlikeRefuted"
    JOINED = "joined"
    PRODUCT_CREATED = "productCreated"
    PRODUCT_ACTIVATED = "productActivated"
    PRODUCT_CANCELLED = "productCancelled"
    QUANTITY_CHANGED = "quantityChanged"
    PRODUCT_SUSPENDED = "productSuspended"
    PRODUCT_RESUMED = "productResumed"
    NOTICE_GIVEN = "noticeGiven"
    NOTICE_TAKEN_BACK = "noticeTakenBack"
    PRODUCT_ENDED = "productEnded"
    PRODUCT_WITHDRAWN = "productWithdrawn"
    HELD = "held"
    PROVEN = "proven"
    LIMIT_REACHED = "limitReached"
    EMERGENCY_CHECK_FAILED = "emergencyCheckFailed"
    PHONES_ADDED = "phonesAdded"
    PHONE_CHANGED = "phoneChanged"
    PHONE_LEAVES = "phoneLeaves"
    PHONE_STAYS = "phoneStays"
    PHONES_GONE = "phonesGone"
    PHONE_REVOKED = "phoneRevoked"
    PASSWORDS_HANDED_OUT = "passwordsHandedOut"
    PROVISIONING_ISSUED = "provisioningIssued"
    PROVISIONING_REVOKED = "provisioningRevoked"
    NUMBER_ASSIGNED = "numberAssigned"
    NUMBER_ENDED = "numberEnded"
    LINE_CHANGED = "lineChanged"
    LIMITS_CHANGED = "limitsChanged"
    CALL_HISTORY_CHANGED = "callHistoryChanged"
    DEDICATED_CHANGED = "dedicatedChanged"
    MAIL_SENT = "mailSent"
    PURGED = "purged"


@dataclass(frozen=True)
class Event:
    """One thing that happened to a customer, append-only; `version` is the account's after it, `facts` are plain JSON values, no secret."""

    version: int
    at: datetime
    kind: EventKind
    who: Actor
    why: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Account:
    """A customer's state after `version` events; `news` are those that are yet to be written, oldest first.

    `proven_version` is the newest version of the environment whose proof call passed, on the node `proven_by`; `untold_orders` are
    those that are done here and that ordering is yet to be told of, `modified` the ids of `modify` orders that were carried out.
    `notices` has the last day of each kind (notices.py).
    """

    customer: Customer
    environment: Environment
    products: tuple[Product, ...] = ()
    version: int = 0
    proven_version: int = 0
    proven_by: str = ""
    held_because: str = ""
    notices: Mapping[str, str] = field(default_factory=dict)
    untold_orders: frozenset[str] = frozenset()
    modified: frozenset[str] = frozenset()
    news: tuple[Event, ...] = field(default=(), compare=False, repr=False)

    @property
    def id(self) -> str:
        """The customer's id."""
        return self.customer.id

    def product(self, product_id: str) -> Product:
        """The product with this id; raises UnknownProductError."""
        for found in self.products:
            if found.id == product_id:
                return found
        raise UnknownProductError(product_id)

    def of_order(self, order_id: str) -> tuple[Product, ...]:
        """The products that an order brought."""
        return tuple(found for found in self.products if found.order_id == order_id)

    @property
    def srtp(self) -> Product | None:
        """The product that encrypts, unless it was terminated; there is one at most."""
        return next((found for found in self.products if found.offering_id == SRTP and found.served), None)

    @property
    def monthly_cents(self) -> int:
        """What it all costs a month now, excluding VAT."""
        return sum(found.monthly_cents for found in self.products if found.state in RUNNING)


class UnknownProductError(LookupError):
    """The customer has no product with this id."""


def add_event(account: Account, kind: EventKind, who: Actor, now: datetime, why: str = "", **facts: Any) -> Account:
    """The account with one more event."""
    event = Event(account.version + 1, now, kind, who, why, present(facts))
    return replace(account, version=event.version, news=(*account.news, event))


def with_product(account: Account, changed: Product) -> Account:
    """The account with one product as it is now, or one more."""
    if any(found.id == changed.id for found in account.products):
        return replace(
            account, products=tuple(changed if found.id == changed.id else found for found in account.products)
        )
    return replace(account, products=(*account.products, changed))


def because(before: Account, after: Account, why: str) -> Account:
    """The account after a change, each of whose events says why where it did not yet."""
    told = len(before.news)
    return replace(
        after, news=(*after.news[:told], *(replace(each, why=each.why or why) for each in after.news[told:]))
    )


def settle(before: Account | None, after: Account) -> Account:
    """The account after a change, with what follows from it: what the environment is served for, its limits, and its new version.

    The version grows by one if a node must know of the change. An environment that is not served any more has no passwords: they are
    void for good.
    """
    live = [found for found in after.products if found.served]
    environment = replace(
        after.environment,
        served=bool(live),
        encrypted=any(found.offering_id == SRTP for found in live),
        suspended=any(found.state is State.SUSPENDED for found in live),
        awaits_proof=any(found.state is State.CREATED and found.since_version > after.proven_version for found in live),
        limits=after.customer.limits or limits(after.products, len(after.environment.phones)),
        sites=after.customer.sites,
    )
    if not environment.served:
        environment = replace(environment, phones=tuple(map(_without_password, environment.phones)))
    then = before.environment if before else replace(environment, version=0)
    # What only we must know is no new version; a product that waits for its proof call is one in any case.
    same = replace(environment, version=0, awaits_proof=False) == replace(then, version=0, awaits_proof=False)
    waits = any(found.state is State.CREATED and found.since_version > then.version for found in live)
    environment = replace(environment, version=then.version if before and same and not waits else then.version + 1)
    return replace(after, environment=environment)


def _without_password(phone: Phone) -> Phone:
    return replace(phone, ha1=None, previous_ha1=None, previous_until=None, leaves_on=None)


def limits(products: Iterable[Product], phones: int) -> Limits:
    """What the products allow: a plan for Europe calls Europe; everybody calls the Netherlands or Belgium, and nobody premium numbers."""
    plans = [found for found in products if found.served and found.unit == "number"]
    allowed = [Destination.NATIONAL, Destination.MOBILE, Destination.FREEPHONE]
    if not plans or any(found.offering_id == "unlimited-eu" for found in plans):
        allowed.append(Destination.EUROPE)
    return Limits(
        concurrent_calls=max(2, phones),
        forwarded_calls=2,
        calls_per_minute=max(10, 2 * phones),
        minutes_per_day=max(600, 240 * phones),
        destinations=tuple(allowed),
    )


def activate_ready(account: Account, who: Actor, now: datetime) -> Account:
    """The account with all products active whose proof call passed and that have the number that they need."""
    if not account.customer.sites:
        return _wait_for_a_site(account, who, now)
    if account.held_because == NO_SITE:
        account = add_event(replace(account, held_because=""), EventKind.HELD, who, now)
    for found in account.products:
        if found.state is not State.CREATED or found.since_version > account.proven_version:
            continue
        if found.unit == "number" and not _has_number(account, found):
            continue
        active = replace(products.move(found, State.ACTIVE, who), started_on=local_day(now))
        account = activated(with_product(account, active), active, who, now)
        if all(each.state is not State.CREATED for each in account.of_order(found.order_id)):
            account = replace(account, untold_orders=account.untold_orders | {found.order_id})
    return account


def _wait_for_a_site(account: Account, who: Actor, now: datetime) -> Account:
    """112 could not be told where the phones stand (EECC article 109): nothing becomes active."""
    waits = any(
        each.state is State.CREATED and each.since_version <= account.proven_version for each in account.products
    )
    if not waits or account.held_because == NO_SITE:
        return account
    return add_event(replace(account, held_because=NO_SITE), EventKind.HELD, who, now, NO_SITE)


def activated(account: Account, product: Product, who: Actor, now: datetime, why: str = "") -> Account:
    """The account with the event from which bills begin."""
    return add_event(
        account,
        EventKind.PRODUCT_ACTIVATED,
        who,
        now,
        why,
        **product_facts(product),
        startedOn=str(product.started_on),
        fees=[
            {"offeringId": fee.offering_id, "name": fee.name, "quantity": fee.quantity, "unitCents": fee.unit_cents}
            for fee in product.fees
        ],
    )


def product_facts(product: Product) -> Item:
    """What an event says of a product."""
    return {
        "productId": product.id,
        "orderId": product.order_id,
        "offeringId": product.offering_id,
        "name": product.name,
        "quantity": product.quantity,
        "unitCents": product.unit_cents,
    }


def _has_number(account: Account, wanted: Product) -> bool:
    served = sum(found.quantity for found in account.products if found.unit == "number" and found.state in RUNNING)
    return len(account.environment.lines) >= served + wanted.quantity


Change = Callable[[Account], Account]


def told(account: Account, order_id: str) -> Account:
    """The account after ordering was told of an order: no event, as nothing happened to the customer."""
    if order_id not in account.untold_orders:
        return account
    return replace(account, untold_orders=account.untold_orders - {order_id}, version=account.version + 1)


def event_to_item(event: Event) -> Item:
    """The attributes of an event, without its keys."""
    return present(
        {
            "version": event.version,
            "at": to_iso(event.at),
            "kind": event.kind.value,
            "who": present({"role": event.who.role.value, "name": event.who.name}),
            "why": event.why,
            "facts": dict(event.facts),
        }
    )


def event_from_item(item: Mapping[str, Any]) -> Event:
    """The event that `event_to_item` wrote; raises KeyError or ValueError when it is none."""
    return Event(
        version=item["version"],
        at=from_iso(item["at"]),
        kind=EventKind(item["kind"]),
        who=Actor(Role(item["who"]["role"]), item["who"].get("name", "")),
        why=item.get("why", ""),
        facts=item.get("facts", {}),
    )
