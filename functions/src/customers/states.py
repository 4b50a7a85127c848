"""A state machine as one table of data, on which the code runs and which draws itself. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


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


def markdown(table: Mapping[tuple[StrEnum, StrEnum], Transition], states: Iterable[StrEnum]) -> str:
    """The table as Markdown, and the diagram that it draws (Mermaid)."""
    rows = ["| from | to | change | by |", "| --- | --- | --- | --- |"]
    drawing = ["```mermaid", "stateDiagram-v2"]
    for (source, target), transition in table.items():
        rows.append(f"| {source} | {target} | {transition.name} | {', '.join(sorted(transition.roles))} |")
        drawing.append(f"    {source} --> {target}: {transition.name}")
    ends = [state for state in states if not any(source is state for source, _ in table)]
    drawing += [f"    {state} --> [*]" for state in ends]
    return "\n".join(
        [
            *rows,
            "",
            *drawing,
            "```",
            "",
            f"Terminal: {', '.join(ends) or 'none'}. A pair that is not in the table is refused.",
        ]
    )
