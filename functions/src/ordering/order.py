"""An order, named as in TM Forum TMF622 Product Ordering: with states.py, events.py and refusals.py.
Pure.
"""

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal

from ordering.events import INTERNAL, Event, EventKind, FieldChange
from ordering.pricing import Price
from ordering.refusals import (
    AnswerMissingError,
    CredentialsTooEarlyError,
    NotByHandError,
    OrderError,
    StaleVersionError,
    TransitionRefusedError,
)
from ordering.states import CUSTOMER, FLEET, TERMINAL, TRANSITIONS, Actor, Role, State, Transition

__all__ = [
    "CUSTOMER", "FLEET", "INTERNAL", "TERMINAL", "TRANSITIONS", "Action", "Actor", "CredentialsTooEarlyError", "Detail",
    "Event", "EventKind", "FieldChange", "NotByHandError", "Order", "OrderError", "RelatedParty", "Role", "SipServer",
    "StaleVersionError", "State", "Suspicion", "Transition", "TransitionRefusedError",
]  # fmt: skip


@dataclass(frozen=True)
class RelatedParty:
    """Who ordered. What a form may leave open may be empty; `kvk` is a KvK number or, when `country` is BE, a Belgian
    enterprise number (KBO); `telephone` is E.164.
    """

    company: str
    kvk: str
    name: str
    email: str
    telephone: str = ""
    country: str = "NL"


class Action(StrEnum):
    """TMF622's action of an order's item: what is to become of a product."""

    ADD = "add"
    MODIFY = "modify"
    DELETE = "delete"


@dataclass(frozen=True)
class Detail:
    """A field of one kind of order: its name, its normalised value, and both as a person reads them."""

    name: str
    value: str
    label: str
    text: str


@dataclass(frozen=True)
class Suspicion:
    """One reason to look twice at an order, and how much it weighs."""

    code: str
    text: str
    points: int


@dataclass(frozen=True)
class SipServer:
    """Where the customer's phones register: the media node that serves the order."""

    node_id: str
    host: str
    port: int


Credentials = Literal["later", "available", "issued"]

SRTP = "srtp"
"""The category of the orders that a media node serves."""

CORRECTABLE = ("company", "kvk", "name", "email", "telephone")
"""What sales may correct of who ordered."""


@dataclass(frozen=True)
class Order:
    """An order as it is after `version` changes; `last` is the newest of them.

    `token_sha256` is the hash of the customer's token, `request_sha256` that of what was asked for: the same again is
    no second order.
    """

    id: str
    category: str
    state: State
    version: int
    order_date: datetime
    customer_id: str
    related_party: RelatedParty
    note: str
    price: Price
    token_sha256: str
    request_sha256: str
    last: Event
    completion_date: datetime | None = None
    sip: SipServer | None = None
    credentials_issued_at: datetime | None = None
    """When they were handed out last."""
    action: Action = Action.ADD
    language: str = "nl"
    """The language that the customer ordered in: of mails and of the order's page."""
    signed_in: bool = False
    """Whether a signed-in customer ordered, so that `customer_id` is that customer's."""
    address_proven_at: datetime | None = None
    """When the customer followed the link in our mail."""
    known_customer_id: str = ""
    """The customer for whom the proven address orders; empty for a new one, or when nobody can tell."""
    details: tuple[Detail, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()
    changed: Event | None = None
    """The newest change of state, when something that is none came after it."""
    news: tuple[Event, ...] = field(default=(), compare=False, repr=False)
    """What happened since the order was read: the events that are yet to be written, oldest first."""

    @property
    def delivered_to(self) -> str:
        """The customer that gets what is ordered: one that we know, or else the new one that this order makes."""
        return self.known_customer_id or self.customer_id

    @property
    def quantity(self) -> int:
        """For how many phones the order is; 0 when it is for none."""
        return self.price.items[0].quantity if self.needs_node else 0

    @property
    def last_change(self) -> Event:
        """How the order came into its state."""
        return self.changed or self.last

    @property
    def needs_node(self) -> bool:
        """Whether a media node must serve it; all else is done by sales."""
        return self.category == SRTP

    @property
    def spam_score(self) -> int:
        """0 (nothing odd) to 100, for sales to weigh."""
        return min(100, sum(suspicion.points for suspicion in self.suspicions))

    @property
    def credentials(self) -> Credentials:
        """Whether the phones' credentials can be handed out, or were; new ones can always be asked for."""
        if self.credentials_issued_at is not None:
            return "issued"
        return "available" if self.state is State.COMPLETED and self.needs_node else "later"

    def expect(self, version: int | None) -> None:
        """Raise StaleVersionError unless the caller has seen this version, or does not say."""
        if version is not None and version != self.version:
            raise StaleVersionError(self, version)


def place(
    *,
    order_id: str,
    category: str,
    customer_id: str,
    related_party: RelatedParty,
    note: str,
    price: Price,
    token_sha256: str,
    now: datetime,
    request_sha256: str = "",
    details: tuple[Detail, ...] = (),
    suspicions: tuple[Suspicion, ...] = (),
    action: Action = Action.ADD,
    language: str = "nl",
    signed_in: bool = False,
    address_proven_at: datetime | None = None,
) -> Order:
    """A new order, acknowledged, at version 1; the address of a signed-in customer is proven already."""
    event = placing(now)
    return Order(
        id=order_id,
        category=category,
        state=State.ACKNOWLEDGED,
        version=1,
        order_date=now,
        customer_id=customer_id,
        related_party=related_party,
        note=note,
        price=price,
        token_sha256=token_sha256,
        request_sha256=request_sha256,
        last=event,
        details=details,
        suspicions=suspicions,
        action=action,
        language=language,
        signed_in=signed_in,
        address_proven_at=address_proven_at,
        news=(event,),
    )


def placing(at: datetime) -> Event:
    """The first event of an order that was placed at this moment: the same for all, so that the order itself is the
    record of it.
    """
    return Event(1, at, None, State.ACKNOWLEDGED, CUSTOMER)


def move(order: Order, target: State, who: Actor, now: datetime, why: str = "", note: str = "") -> Order:
    """The order after one transition, whose event is its `last`; raises TransitionRefusedError.

    `why` is what the customer reads, `note` what only sales does.
    """
    transition = TRANSITIONS.get((order.state, target))
    if transition is None or who.role not in transition.roles:
        raise TransitionRefusedError(order, target)
    return _after(replace(order, state=target), Event(order.version + 1, now, order.state, target, who, why, note=note))


def resume(order: Order, who: Actor, now: datetime, why: str = "", note: str = "") -> Order:
    """The order as it goes on; a cancellation that was asked for is refused with a reason, or AnswerMissingError is raised."""
    if order.state is State.ASSESSING_CANCELLATION and not why:
        raise AnswerMissingError(order)
    return move(order, State.IN_PROGRESS, who, now, why, note)


def complete(order: Order, sip: SipServer, now: datetime) -> Order:
    """The order in service at `sip`; raises TransitionRefusedError."""
    return replace(move(order, State.COMPLETED, FLEET, now), completion_date=now, sip=sip)


def complete_by_hand(order: Order, who: Actor, now: datetime, why: str = "") -> Order:
    """The order done by sales; raises NotByHandError when a media node must serve it, or TransitionRefusedError."""
    if order.needs_node:
        raise NotByHandError(order)
    return replace(move(order, State.COMPLETED, who, now, why), completion_date=now)


def cancel(order: Order, who: Actor, now: datetime, why: str = "", note: str = "") -> Order:
    """The order on its way to its end, as far as this role may bring it; raises TransitionRefusedError.

    Not approved yet: withdrawn at once. Approved: the customer asks, sales grants, and the fleet ends it when its place
    is free; an order without a place sales ends itself.
    """
    if order.state in (State.ACKNOWLEDGED, State.PENDING):
        return move(order, State.CANCELLED, who, now, why, note)
    if order.state in (State.IN_PROGRESS, State.HELD):
        order = move(order, State.ASSESSING_CANCELLATION, who, now, why)
        if who.role is Role.CUSTOMER:
            return order
    order = move(order, State.PENDING_CANCELLATION, who, now, why, note)
    return order if order.needs_node else move(order, State.CANCELLED, who, now, why)


def add_note(order: Order, text: str, who: Actor, now: datetime) -> Order:
    """The order with something that sales wrote down for itself."""
    return _after(order, replace(_beside(order, EventKind.NOTE, who, now), note=text))


def issue_credentials(order: Order, now: datetime) -> Order:
    """The order after credentials were handed out, for the first time or anew; raises CredentialsTooEarlyError."""
    if order.state is not State.COMPLETED or not order.needs_node:
        raise CredentialsTooEarlyError(order)
    event = Event(order.version + 1, now, order.state, order.state, CUSTOMER, kind=EventKind.CREDENTIALS)
    return replace(_after(order, event), credentials_issued_at=now)


def offer_credentials(order: Order, who: Actor, now: datetime) -> Order:
    """The order after sales had its customer mailed where to make new credentials; raises CredentialsTooEarlyError."""
    if order.credentials == "later":
        raise CredentialsTooEarlyError(order)
    return _after(order, _beside(order, EventKind.CREDENTIALS_OFFERED, who, now))


def send_mail_again(order: Order, who: Actor, now: datetime) -> Order:
    """The order after sales had the mail about its state sent again."""
    return _after(order, _beside(order, EventKind.MAIL, who, now))


def prove_address(order: Order, now: datetime, known_customer_id: str = "") -> Order:
    """The order whose customer followed the link in our mail, and is `known_customer_id` if we know it; again changes nothing.

    What was approved already is delivered as it was approved.
    """
    if order.address_proven_at is not None:
        return order
    known = known_customer_id if order.state in (State.ACKNOWLEDGED, State.PENDING) else ""
    proven = _after(order, _beside(order, EventKind.ADDRESS_PROVEN, CUSTOMER, now))
    return replace(proven, address_proven_at=now, known_customer_id=known)


def correct(order: Order, party: RelatedParty, who: Actor, now: datetime) -> Order:
    """The order with a typing error in its related party corrected; the same again changes nothing.

    Another mail address is proven anew, and another company is no customer that we know by this one.
    """
    before, after = asdict(order.related_party), asdict(party)
    changes = tuple(FieldChange(name, before[name], after[name]) for name in before if before[name] != after[name])
    if not changes:
        return order
    proven = order.address_proven_at if party.email == order.related_party.email else None
    same = (party.company, party.kvk, party.country) == tuple(before[name] for name in ("company", "kvk", "country"))
    known = order.known_customer_id if proven and same else ""
    event = replace(_beside(order, EventKind.CORRECTION, who, now), changes=changes)
    return replace(_after(order, event), related_party=party, address_proven_at=proven, known_customer_id=known)


def _beside(order: Order, kind: EventKind, who: Actor, now: datetime) -> Event:
    """An event that is no change of state."""
    return Event(order.version + 1, now, order.state, order.state, who, kind=kind)


def _after(order: Order, event: Event) -> Order:
    changed = None if event.kind is EventKind.CHANGE else order.last_change
    return replace(order, version=event.version, last=event, changed=changed, news=(*order.news, event))
