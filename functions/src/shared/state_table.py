"""A state machine as one table of data, on which the code runs and which draws its own page of the documentation. Pure."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Protocol


class Transition(Protocol):
    """A change that may be made: what it is called, and by whom."""

    @property
    def name(self) -> str: ...
    @property
    def roles(self) -> Iterable[str]: ...


def markdown(table: Mapping[tuple[Any, Any], Transition], states: Iterable[StrEnum]) -> str:
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
