"""The states of an order, named as in TM Forum TMF622, and who may change them. Pure; `python -m ordering.states` prints the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.state_table import markdown


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


def table() -> str:
    """The transitions as a Markdown table and as a diagram, for the documentation."""
    return markdown(TRANSITIONS, State)


if __name__ == "__main__":
    print(table())
