"""An order and its states, named as in TM Forum TMF622 Product Ordering.

Pure; `python -m ordering.order` prints the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from ordering.pricing import Price


class State(StrEnum):
    """TMF622's states of a product order (partial is left out: an order of ours has one item that is delivered
    whole).
    """

    ACKNOWLEDGED = "acknowledged"
    PENDING = "pending"
    IN_PROGRESS = "inProgress"
    HELD = "held"
    ASSESSING_CANCELLATION = "assessingCancellation"
    PENDING_CANCELLATION = "pendingCancellation"
    COMPLETED = "completed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Role(StrEnum):
    """Who may make a change."""

    CUSTOMER = "customer"
    SALES = "sales"
    FLEET = "fleet"


@dataclass(frozen=True)
class Actor:
    """Somebody or something that changes orders; `name` is shown to sales, never to the customer."""

    role: Role
    name: str


CUSTOMER = Actor(Role.CUSTOMER, "klant")
FLEET = Actor(Role.FLEET, "fleet")


@dataclass(frozen=True)
class Transition:
    """A change that an order may make: what it is called and which roles may make it."""

    name: str
    roles: frozenset[Role]


def _by(name: str, *roles: Role) -> Transition:
    return Transition(name, frozenset(roles))


_CUSTOMER, _SALES, _FLEET = Role.CUSTOMER, Role.SALES, Role.FLEET

TRANSITIONS: Mapping[tuple[State, State], Transition] = {
    (State.ACKNOWLEDGED, State.IN_PROGRESS): _by("approve", _SALES),
    (State.ACKNOWLEDGED, State.REJECTED): _by("reject", _SALES),
    (State.ACKNOWLEDGED, State.PENDING): _by("ask", _SALES),
    (State.ACKNOWLEDGED, State.CANCELLED): _by("withdraw", _CUSTOMER, _SALES),
    (State.ACKNOWLEDGED, State.FAILED): _by("fail", _FLEET),
    (State.PENDING, State.ACKNOWLEDGED): _by("answer", _CUSTOMER, _SALES),
    (State.PENDING, State.REJECTED): _by("reject", _SALES),
    (State.PENDING, State.CANCELLED): _by("withdraw", _CUSTOMER, _SALES),
    (State.IN_PROGRESS, State.COMPLETED): _by("complete", _FLEET, _SALES),
    (State.IN_PROGRESS, State.HELD): _by("hold", _FLEET, _SALES),
    (State.IN_PROGRESS, State.FAILED): _by("fail", _FLEET),
    (State.IN_PROGRESS, State.ASSESSING_CANCELLATION): _by("request cancellation", _CUSTOMER, _SALES),
    (State.HELD, State.IN_PROGRESS): _by("resume", _FLEET, _SALES),
    (State.HELD, State.FAILED): _by("fail", _FLEET),
    (State.HELD, State.ASSESSING_CANCELLATION): _by("request cancellation", _CUSTOMER, _SALES),
    (State.ASSESSING_CANCELLATION, State.IN_PROGRESS): _by("refuse cancellation", _SALES),
    (State.ASSESSING_CANCELLATION, State.PENDING_CANCELLATION): _by("grant cancellation", _SALES),
    (State.PENDING_CANCELLATION, State.CANCELLED): _by("cancel", _FLEET, _SALES),
}
"""Every change that exists; a pair that is not here is refused."""

TERMINAL = frozenset(State) - {source for source, _ in TRANSITIONS}


class OrderError(Exception):
    """A change that the order does not allow; the order is as it was.

    `since` is what happened after the version that the caller has seen, where that is known; `told_to` says who may
    hear of it, and only sales hears names and notes.
    """

    def __init__(self, order: "Order", wanted: str) -> None:
        super().__init__(f"order {order.id} is {order.state} (version {order.version}): {wanted}")
        self.order = order
        self.since: Sequence[Event] = ()
        self.told_to = Role.CUSTOMER


class TransitionRefusedError(OrderError):
    """The pair of states is not in the table, or not for this role."""

    def __init__(self, order: "Order", target: State) -> None:
        super().__init__(order, f"cannot become {target}")
        self.target = target


class StaleVersionError(OrderError):
    """The caller has seen another version of the order than there is."""

    def __init__(self, order: "Order", seen: int) -> None:
        super().__init__(order, f"the caller has seen version {seen}")
        self.seen = seen


class NotByHandError(OrderError):
    """The fleet completes this kind of order, when a call has proven it; nobody else does."""

    def __init__(self, order: "Order") -> None:
        super().__init__(order, "cannot be completed by hand")


class CredentialsTooEarlyError(OrderError):
    """The phones' credentials exist only from the moment the order is completed."""

    def __init__(self, order: "Order") -> None:
        super().__init__(order, "no credentials yet")


class CredentialsIssuedError(OrderError):
    """The phones' credentials were handed out already, which happens once."""

    def __init__(self, order: "Order") -> None:
        super().__init__(order, "credentials were issued")


@dataclass(frozen=True)
class RelatedParty:
    """Who ordered. What a form may leave open may be empty; `kvk` is a KvK number or, when `country` is BE, a Belgian
    enterprise number (KBO); `telephone` is E.164.
    """

    company: str
    name: str
    email: str
    kvk: str = ""
    telephone: str = ""
    country: str = "NL"


class EventKind(StrEnum):
    """What an event tells."""

    CHANGE = "change"
    """Another state; the first has no state before it."""
    CREDENTIALS = "credentials"
    """The phones' credentials were handed out."""
    NOTE = "note"
    """Something sales wrote down for itself; the customer never sees it."""


@dataclass(frozen=True)
class Event:
    """One thing that happened to an order, append-only; `version` is the order's after it, `source` is None when it was
    placed.
    """

    version: int
    at: datetime
    source: State | None
    target: State
    who: Actor
    why: str = ""
    kind: EventKind = EventKind.CHANGE


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


@dataclass(frozen=True)
class ServingNode:
    """The media node on which the order has its place; `probe` is what its newest proof call came to, as the node
    reports it.
    """

    id: str
    state: str
    address: str
    probe: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class NodeOverview:
    """A media node as sales sees it: concurrent calls it can carry, calls that are allocated, and what it said of
    itself last.
    """

    id: str
    state: str
    address: str
    capacity: int
    allocated: int
    calls: int | None
    registrations: int | None
    heartbeat_at: datetime | None


Credentials = Literal["later", "available", "issued"]

SRTP = "srtp"
"""The category of the orders that a media node serves."""


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
    details: tuple[Detail, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()
    changed: Event | None = None
    """The newest change of state, when something that is none came after it."""
    news: tuple[Event, ...] = field(default=(), compare=False, repr=False)
    """What happened since the order was read: the events that are yet to be written, oldest first."""

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
        """Whether the phones' credentials can be handed out."""
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
) -> Order:
    """A new order, acknowledged, at version 1."""
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
        news=(event,),
    )


def placing(at: datetime) -> Event:
    """The first event of an order that was placed at this moment: the same for all, so that the order itself is the
    record of it.
    """
    return Event(1, at, None, State.ACKNOWLEDGED, CUSTOMER)


def move(order: Order, target: State, who: Actor, now: datetime, why: str = "") -> Order:
    """The order after one transition, whose event is its `last`; raises TransitionRefusedError."""
    transition = TRANSITIONS.get((order.state, target))
    if transition is None or who.role not in transition.roles:
        raise TransitionRefusedError(order, target)
    return _after(replace(order, state=target), Event(order.version + 1, now, order.state, target, who, why))


def complete(order: Order, sip: SipServer, now: datetime) -> Order:
    """The order in service at `sip`; raises TransitionRefusedError."""
    return replace(move(order, State.COMPLETED, FLEET, now), completion_date=now, sip=sip)


def complete_by_hand(order: Order, who: Actor, now: datetime, why: str = "") -> Order:
    """The order done by sales; raises NotByHandError when a media node must serve it, or TransitionRefusedError."""
    if order.needs_node:
        raise NotByHandError(order)
    return replace(move(order, State.COMPLETED, who, now, why), completion_date=now)


def cancel(order: Order, who: Actor, now: datetime, why: str = "") -> Order:
    """The order on its way to its end, as far as this role may bring it; raises TransitionRefusedError.

    Not approved yet: withdrawn at once. Approved: the customer asks, sales grants, and the fleet ends it when its place
    is free; an order without a place sales ends itself.
    """
    if order.state in (State.ACKNOWLEDGED, State.PENDING):
        return move(order, State.CANCELLED, who, now, why)
    if order.state in (State.IN_PROGRESS, State.HELD):
        order = move(order, State.ASSESSING_CANCELLATION, who, now, why)
        if who.role is Role.CUSTOMER:
            return order
    order = move(order, State.PENDING_CANCELLATION, who, now, why)
    return order if order.needs_node else move(order, State.CANCELLED, who, now, why)


def note(order: Order, text: str, who: Actor, now: datetime) -> Order:
    """The order with something that sales wrote down for itself."""
    return _after(order, Event(order.version + 1, now, order.state, order.state, who, text, EventKind.NOTE))


def issue_credentials(order: Order, now: datetime) -> Order:
    """The order after its credentials were handed out; raises CredentialsTooEarlyError or CredentialsIssuedError."""
    if order.credentials_issued_at is not None:
        raise CredentialsIssuedError(order)
    if order.state is not State.COMPLETED or order.sip is None:
        raise CredentialsTooEarlyError(order)
    event = Event(order.version + 1, now, order.state, order.state, CUSTOMER, kind=EventKind.CREDENTIALS)
    return replace(_after(order, event), credentials_issued_at=now)


def _after(order: Order, event: Event) -> Order:
    changed = None if event.kind is EventKind.CHANGE else order.last_change
    return replace(order, version=event.version, last=event, changed=changed, news=(*order.news, event))


def table() -> str:
    """The transitions as a Markdown table, for the documentation."""
    rows = ["| from | to | change | by |", "| --- | --- | --- | --- |"]
    for (source, target), transition in TRANSITIONS.items():
        rows.append(f"| {source} | {target} | {transition.name} | {', '.join(sorted(transition.roles))} |")
    rows.append("")
    rows.append(
        f"Terminal: {', '.join(state for state in State if state in TERMINAL)}. A pair that is not in the table is refused."
    )
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
