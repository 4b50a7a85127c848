"""A state machine as one table of data, on which the code runs and which draws itself. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from shared.state_table import markdown

__all__ = ["CLOCK", "FLEET", "Actor", "Role", "Transition", "by", "markdown"]


class Role(StrEnum):
    """Who may make a change."""

    CUSTOMER = "customer"
    SALES = "sales"
    OPERATOR = "operator"
    FLEET = "fleet"
    CLOCK = "clock"
    """The scheduled function: what was agreed comes on its date."""


@dataclass(frozen=True)
class Actor:
    """Somebody or something that changes what a customer has; `name` is shown to sales, never to the customer."""

    role: Role
    name: str


FLEET = Actor(Role.FLEET, "fleet")
CLOCK = Actor(Role.CLOCK, "clock")


@dataclass(frozen=True)
class Transition:
    """A change that may be made: what it is called and by which roles."""

    name: str
    roles: frozenset[Role]


def by(name: str, *roles: Role) -> Transition:
    """A row of a table."""
    return Transition(name, frozenset(roles))
