"""fleet.node: the states of a node."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from fleet import node as nodes
from fleet.node import Node, NodeState, NodeTransitionRefusedError, Refusal

NOW = datetime(2026, 11, 21, 17, 5, tzinfo=UTC)


def in_state(state: NodeState) -> Node:
    return Node("n0001", state, version=3, capacity=100, allocated=0, requested_at=NOW)


@pytest.mark.parametrize(("source", "target"), list(product(NodeState, NodeState)))
def test_exactly_the_pairs_of_the_table_are_allowed(source: NodeState, target: NodeState) -> None:
    node = in_state(source)
    if (source, target) in nodes.TRANSITIONS:
        moved = nodes.move(node, target, "why")
        assert (moved.state, moved.version, moved.reason) == (target, 4, "why")
    else:
        with pytest.raises(NodeTransitionRefusedError):
            nodes.move(node, target)


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


def test_the_table_is_markdown() -> None:
    lines = nodes.table().splitlines()
    assert len(lines) == 2 + len(nodes.TRANSITIONS)
    assert all(line.count("|") == 4 for line in lines)
