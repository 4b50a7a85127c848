"""Draws the node's state machines from the tables that the code runs on: `python -m media_node.state_diagrams`.

Prints docs/state-machines.md; a test holds the page against the tables.
"""

from __future__ import annotations

from collections.abc import Iterable

from media_node.media import latch
from media_node.sip import reliable_tables as reliable
from media_node.sip import transaction_tables as tables

_MACHINES = (
    ("INVITE client transaction", "calling", tables.INVITE_CLIENT, "RFC 3261 figure 5, RFC 6026 section 7.2"),
    ("Non-INVITE client transaction", "trying", tables.NON_INVITE_CLIENT, "RFC 3261 figure 6"),
    ("INVITE server transaction", "proceeding", tables.INVITE_SERVER, "RFC 3261 figure 7, RFC 6026 section 7.1"),
    ("Non-INVITE server transaction", "trying", tables.NON_INVITE_SERVER, "RFC 3261 figure 8"),
)

Edge = tuple[str, str, str]
"""From, to, label."""


def edges(table: tables.Table) -> list[Edge]:
    """The rows of a transaction table."""
    rows = []
    for (state, cause), row in table.items():
        effects = list(map(str, row.effects)) + [f"start {timer.value}" for timer in row.start]
        if row.again is not None:
            effects.append(f"{row.again[0].value} again: {row.again[1].value}")
        rows.append((state.value, row.to.value, cause.value + (f" / {', '.join(effects)}" if effects else "")))
    return rows


def reliable_edges(table: reliable.AnyTable) -> list[Edge]:
    """The rows of one side of RFC 3262."""
    return [
        (state.name.lower(), row.to.name.lower(), cause.value + (f" / {', '.join(row.effects)}" if row.effects else ""))
        for (state, cause), row in table.items()
    ]


def latch_edges() -> list[Edge]:
    """The rows of the latch."""
    return [(state.value, to.value, cause.value) for (state, cause), to in latch.TRANSITIONS.items()]


def diagram(start: str, rows: Iterable[Edge]) -> str:
    """A mermaid state diagram (https://mermaid.js.org/syntax/stateDiagram.html)."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {start}"]
    for before, after, label in rows:
        target = "[*]" if after == tables.TransactionState.TERMINATED else after
        lines.append(f"    {before} --> {target}: {label.replace(':', '#58;')}")
    return "\n".join([*lines, "```"])


def page() -> str:
    """The whole page."""
    parts = [
        "# State machines of the media node",
        "From `python -m media_node.state_diagrams`; a test holds this page against the tables that the code runs on\n"
        "(`sip/transaction_tables.py`, `sip/reliable_tables.py`, `media/latch.py`). An event that is not in a diagram\n"
        "changes nothing. TU is the transaction user. Over a reliable transport timers A, E and G do not start, and\n"
        "D, I, J and K fire at once.",
    ]
    for title, start, table, source in _MACHINES:
        parts += [f"## {title}", f"{source}.", diagram(start, edges(table))]
    parts += [
        "## Reliable provisional responses, sent",
        "RFC 3262 section 3: how the node answers an INVITE that requires or supports 100rel.",
        diagram(reliable.SenderState.QUIET.name.lower(), reliable_edges(reliable.SENDER)),
        "## Reliable provisional responses, received",
        "RFC 3262 section 4: in one early dialog of an INVITE of the node.",
        diagram(reliable.ReceiverState.NONE_YET.name.lower(), reliable_edges(reliable.RECEIVER)),
        "## Latch",
        "Which address a leg's media comes from and goes to (docs/decisions/0024). Packets from an address that is\n"
        "not the accepted one; all others change nothing.",
        diagram(latch.LatchState.PENDING.value, latch_edges()),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")
