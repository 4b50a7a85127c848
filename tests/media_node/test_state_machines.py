"""The tables that the node's state machines run on, and the page that is drawn from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_node import state_diagrams
from media_node.media.latch import TRANSITIONS, LatchInput, LatchState
from media_node.sip import transaction_tables as tables
from media_node.sip.transaction_tables import TransactionState

MACHINES = [tables.INVITE_CLIENT, tables.NON_INVITE_CLIENT, tables.INVITE_SERVER, tables.NON_INVITE_SERVER]


def test_the_page_is_drawn_from_the_tables() -> None:
    page = (Path(__file__).parents[2] / "docs/state-machines.md").read_text()
    assert page == state_diagrams.page(), "run: python -m media_node.state_diagrams > docs/state-machines.md"


@pytest.mark.parametrize("table", MACHINES)
def test_every_state_has_a_way_out_that_time_or_the_transport_opens(table: tables.Table) -> None:
    """No transaction outlives its timers; Proceeding of an INVITE waits for a user, who is told when to give up."""
    states = {state for state, _ in table}
    for state in states:
        inputs = {cause for before, cause in table if before is state}
        waits_for_user = state in (TransactionState.TRYING, TransactionState.PROCEEDING)
        assert waits_for_user or any(cause.value.startswith("timer") for cause in inputs), state
        assert all(row.to in states | {TransactionState.TERMINATED} for (before, _), row in table.items())


@pytest.mark.parametrize("table", MACHINES)
def test_a_timer_that_starts_has_a_row_for_when_it_fires(table: tables.Table) -> None:
    for row in table.values():
        for timer in row.start:
            assert (row.to, tables.Input(f"timer {timer.value}")) in table


def test_the_latch_knows_what_to_do_in_every_state() -> None:
    assert set(TRANSITIONS) == {(state, cause) for state in LatchState for cause in LatchInput}
