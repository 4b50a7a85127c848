"""fleet.node: the states of a node."""

from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from fleet import node as nodes
from fleet.node import Node, NodeState, NodeTransitionRefusedError, Refusal

NOW = datetime(2026, 11, 21, 17, 5, tzinfo=UTC)


def in_state(state: NodeState) -> Node:
    return Node("n0001", state, version=3, capacity=100, requested_at=NOW)


@pytest.mark.parametrize(("source", "target"), list(product(NodeState, NodeState)))
def test_exactly_the_pairs_of_the_table_are_allowed(source: NodeState, target: NodeState) -> None:
    node = in_state(source)
    if (source, target) in nodes.TRANSITIONS:
        moved = nodes.move(node, target, NOW, "why")
        assert (moved.state, moved.version, moved.reason) == (target, 4, "why")
    else:
        with pytest.raises(NodeTransitionRefusedError):
            nodes.move(node, target, NOW)


def test_every_state_can_be_reached_and_only_the_end_is_final() -> None:
    assert {target for _, target in nodes.TRANSITIONS} == set(NodeState) - {NodeState.REQUESTED}
    assert set(NodeState) - {source for source, _ in nodes.TRANSITIONS} == {NodeState.TERMINATED}


def test_a_refused_launch_tries_the_next_offer_at_once_and_pauses_when_all_were_tried() -> None:
    first = nodes.refused(in_state(NodeState.REQUESTED), Refusal.NO_CAPACITY, offers=2, now=NOW)
    second = nodes.refused(first, Refusal.NO_CAPACITY, offers=2, now=NOW)
    assert (first.attempt, first.waits(NOW)) == (1, False)
    assert (second.attempt, second.retry_at) == (2, NOW + timedelta(minutes=1))
    assert second.waits(NOW)
    assert not second.waits(NOW + timedelta(minutes=1))


def test_a_quota_is_asked_again_after_a_quarter_of_an_hour() -> None:
    assert nodes.refused(in_state(NodeState.REQUESTED), Refusal.QUOTA, offers=9, now=NOW).retry_at == NOW + timedelta(
        minutes=15
    )


def test_the_page_of_the_states_is_what_the_code_says() -> None:
    page = (Path(__file__).parents[3] / "docs/node-states.md").read_text()
    told = f"{nodes.table()}\n\n```mermaid\n{nodes.diagram()}\n```"
    assert told in page, "run: python -m fleet.node, and put what it prints into docs/node-states.md"


def test_silence_is_noted_in_every_state_of_service_and_being_heard_ends_it() -> None:
    for state in nodes.IN_SERVICE - {NodeState.QUARANTINED}:
        silent = nodes.silent(in_state(state), NOW, NOW + timedelta(seconds=40))
        assert silent.silent_beat == NOW
        assert silent.state is (NodeState.QUARANTINED if state is NodeState.READY else state)
        heard = nodes.ready(silent, address="192.0.2.1", sip_port=5061, now=NOW)
        assert (heard.state, heard.silent_since) == (state, None)
