"""fleet.plan: what is to be done, row by row. The fleet as a whole lives in test_reconciler.py."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet import plan as plans
from fleet.node import Node, NodeState, Offer, Refusal
from fleet.plan import (
    Action,
    Adopt,
    Allocate,
    Allocation,
    Complete,
    Demand,
    Heartbeat,
    Hold,
    HoldReason,
    Instance,
    Launch,
    Ledger,
    Limits,
    Mark,
    MarkReady,
    Observed,
    Proof,
    Release,
    RequestNode,
    Resume,
    Terminate,
)

NOW = datetime(2026, 11, 21, 17, 5, tzinfo=UTC)
LIMITS = Limits("test", ("subnet-a", "subnet-b"), (), capacity_calls=20, max_nodes=2)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def arn(number: int) -> str:
    return f"arn:aws:ec2:eu-central-1:123456789012:instance/i-{number}"


def node(number: int = 1, state: NodeState = NodeState.READY, **changes: object) -> Node:
    launched = state is not NodeState.REQUESTED
    made = Node(
        plans.node_id(number),
        state,
        version=2,
        capacity=20,
        allocated=0,
        requested_at=ago(hours=1),
        instance_id=f"i-{number}" if launched else "",
        instance_arn=arn(number) if launched else "",
        launched_at=ago(minutes=1) if launched else None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def instance(number: int = 1, state: str = "running", node_id: str | None = None) -> Instance:
    return Instance(
        f"i-{number}", arn(number), node_id if node_id is not None else plans.node_id(number), state, ago(minutes=1)
    )


def beat(seconds_ago: float = 1, state: str = "ready") -> Heartbeat:
    return Heartbeat(ago(seconds=seconds_ago), state, "192.0.2.1", 5061)


def demand(order_id: str = "A", phones: int = 5, held: bool = False, minutes_ago: float = 1) -> Demand:
    return Demand(order_id, f"customer-{order_id}", phones, ago(minutes=minutes_ago), held)


def place(order_id: str = "A", number: int = 1, seconds_ago: float = 5) -> Allocation:
    return Allocation(order_id, plans.node_id(number), arn(number), 5, ago(seconds=seconds_ago))


def planned(
    demands: list[Demand] | None = None,
    nodes: list[Node] | None = None,
    instances: list[Instance] | None = None,
    beats: dict[int, Heartbeat] | None = None,
    places: list[Allocation] | None = None,
    proofs: dict[int, dict[str, Proof]] | None = None,
    limits: Limits = LIMITS,
) -> list[Action]:
    ledger = Ledger(tuple(nodes or ()), {place.order_id: place for place in places or ()})
    observed = Observed(
        tuple(instances or ()),
        {arn(number): heartbeat for number, heartbeat in (beats or {}).items()},
        {arn(number): proof for number, proof in (proofs or {}).items()},
    )
    return plans.plan(demands or [], ledger, observed, limits, NOW)


SERVING: dict[str, Any] = {"nodes": [node()], "instances": [instance()], "beats": {1: beat()}}
READY = Proof(version=1, phones=5, probe_ok=True)


def test_an_empty_fleet_without_orders_costs_nothing() -> None:
    assert planned() == []


def test_a_fleet_in_order_is_left_alone() -> None:
    assert planned(**SERVING) == []


# --- a node comes up


def test_the_first_order_requests_a_node() -> None:
    assert planned([demand()]) == [RequestNode("n0001")]


def test_a_requested_node_is_launched_and_the_orders_wait_for_it() -> None:
    requested = node(1, NodeState.REQUESTED)
    assert planned([demand("A"), demand("B")], [requested]) == [
        Launch(requested, Offer("subnet-b", ""), LIMITS.client_token(requested))
    ]


def test_one_order_more_than_the_coming_node_holds_requests_another() -> None:
    actions = planned([demand("A", 50), demand("B", 50)], [node(1, NodeState.BOOTING)], [instance()])
    assert actions == [RequestNode("n0002")]


def test_a_launch_whose_answer_was_lost_is_found_by_its_tag() -> None:
    requested = node(1, NodeState.REQUESTED)
    assert planned([demand()], [requested], [instance(state="pending")]) == [
        Adopt(requested, instance(state="pending"))
    ]


def test_a_booting_node_is_ready_at_its_first_fresh_heartbeat() -> None:
    booting = node(1, NodeState.BOOTING)
    assert planned(nodes=[booting], instances=[instance()], beats={1: beat()}) == [MarkReady(booting, beat())]
    assert planned(nodes=[booting], instances=[instance()], beats={1: beat(seconds_ago=20)}) == []
    assert planned(nodes=[booting], instances=[instance()], beats={1: beat(state="starting")}) == []


def test_a_node_that_does_not_come_up_is_given_up_and_then_ended() -> None:
    late = node(1, NodeState.BOOTING, launched_at=ago(minutes=11))
    assert planned(nodes=[late], instances=[instance()]) == [Mark(late, NodeState.TERMINATED, plans.BOOT_FAILED)]
    given_up = replace(late, state=NodeState.TERMINATED, reason=plans.BOOT_FAILED)
    assert planned(nodes=[given_up], instances=[instance()]) == [Terminate("i-1", plans.BOOT_FAILED)]


def test_an_instance_that_ends_while_booting_is_given_up_at_once() -> None:
    booting = node(1, NodeState.BOOTING)
    actions = planned([demand()], [booting], [instance(state="terminated")])
    assert Mark(booting, NodeState.TERMINATED, "the instance is terminated") in actions


def test_three_nodes_that_do_not_boot_are_enough() -> None:
    failed = [
        node(n, NodeState.TERMINATED, reason=plans.BOOT_FAILED, launched_at=ago(minutes=15 * n)) for n in (1, 2, 3)
    ]
    assert planned([demand()], failed) == [Hold(demand(), HoldReason.BOOT)]
    assert planned([demand()], failed[:2]) == [RequestNode("n0003")]
    long_ago = [replace(each, launched_at=ago(hours=2)) for each in failed]
    assert planned([demand()], long_ago) == [RequestNode("n0004")]


# --- EC2 says no


def test_the_next_attempt_goes_to_another_zone_and_then_to_another_type() -> None:
    limits = replace(LIMITS, instance_types=("c8g.medium", "c7g.medium"))
    offers = [limits.offer(node(2, NodeState.REQUESTED, attempt=attempt)) for attempt in range(4)]
    assert [(offer.instance_type, offer.subnet_id) for offer in offers] == [
        ("c8g.medium", "subnet-a"),
        ("c8g.medium", "subnet-b"),
        ("c7g.medium", "subnet-a"),
        ("c7g.medium", "subnet-b"),
    ]


def test_nodes_are_spread_over_the_zones() -> None:
    assert [LIMITS.offer(node(number, NodeState.REQUESTED)).subnet_id for number in (1, 2)] == ["subnet-b", "subnet-a"]


def test_each_attempt_has_a_token_of_its_own_and_the_same_attempt_the_same() -> None:
    tokens = [
        LIMITS.client_token(node(number, NodeState.REQUESTED, attempt=attempt))
        for number in (1, 2)
        for attempt in (0, 1)
    ]
    assert len(set(tokens)) == 4
    assert LIMITS.client_token(node(1, NodeState.REQUESTED)) == tokens[0]
    assert all(len(token) <= 64 and token.isascii() for token in tokens)


@pytest.mark.parametrize(
    ("refusal", "reason"), [(Refusal.NO_CAPACITY, HoldReason.NO_CAPACITY), (Refusal.QUOTA, HoldReason.QUOTA)]
)
def test_an_order_that_waits_for_ec2_is_held_with_the_reason(refusal: Refusal, reason: HoldReason) -> None:
    waiting = node(1, NodeState.REQUESTED, attempt=2, retry_at=NOW + timedelta(seconds=30), refusal=refusal)
    assert planned([demand()], [waiting]) == [Hold(demand(), reason)]
    assert planned([demand(held=True)], [waiting]) == []
    again = replace(waiting, retry_at=NOW)
    assert [type(action) for action in planned([demand(held=True)], [again])] == [Launch]


def test_there_is_a_ceiling() -> None:
    full = [node(1, allocated=20), node(2, NodeState.QUARANTINED, allocated=20)]
    actions = planned([demand()], full, [instance(1), instance(2)], {1: beat()})
    assert actions == [Hold(demand(), HoldReason.CEILING)]


def test_an_order_larger_than_a_node_is_held_and_launches_nothing() -> None:
    assert planned([demand(phones=500)]) == [Hold(demand(phones=500), HoldReason.TOO_LARGE)]


# --- an order gets its place


def test_an_order_is_allocated_to_the_fullest_node_with_room() -> None:
    nodes = [node(1, allocated=5), node(2, allocated=14)]
    actions = planned([demand()], nodes, [instance(1), instance(2)], {1: beat(), 2: beat()})
    assert actions == [Allocate(demand(), nodes[1], 5)]


def test_the_oldest_order_comes_first_and_what_is_left_goes_to_a_new_node() -> None:
    old, new = demand("B", 20, minutes_ago=9), demand("A", 20, minutes_ago=1)
    actions = planned([new, old], [node(allocated=8)], [instance()], {1: beat()})
    assert actions == [Allocate(old, node(allocated=8), 8), RequestNode("n0002")]


@pytest.mark.parametrize("state", sorted(set(NodeState) - {NodeState.READY}))
def test_nothing_is_allocated_to_a_node_that_is_not_ready(state: NodeState) -> None:
    actions = planned([demand()], [node(1, state)], [instance()] if state is not NodeState.REQUESTED else [])
    assert not any(isinstance(action, Allocate) for action in actions)


def test_a_held_order_goes_on_when_there_is_room() -> None:
    assert planned([demand(held=True)], **SERVING) == [Resume(demand(held=True))]


def test_an_order_on_a_lost_node_gets_another_place() -> None:
    lost = node(1, NodeState.LOST, allocated=5)
    assert planned([demand()], [lost], [instance(state="terminated")], places=[place()]) == [Release(place())]


# --- an order is completed by proof only


@pytest.mark.promise("testgesprek")
def test_an_order_is_completed_when_its_phones_are_loaded_and_the_probe_has_passed() -> None:
    assert planned([demand()], **SERVING, places=[place()], proofs={1: {"A": READY}}) == [Complete(demand(), node())]


@pytest.mark.parametrize(
    "proof",
    [
        {},
        {"B": READY},
        {"A": replace(READY, probe_ok=False)},
        {"A": replace(READY, version=0)},
        {"A": replace(READY, phones=4)},
    ],
    ids=["nothing", "another order", "probe failed", "not loaded", "too few phones"],
)
@pytest.mark.promise("testgesprek")
def test_without_proof_it_is_not(proof: dict[str, Proof]) -> None:
    assert planned([demand()], **SERVING, places=[place()], proofs={1: proof}) == []


def test_nor_by_the_report_of_another_node() -> None:
    assert planned([demand()], **SERVING, places=[place()], proofs={2: {"A": READY}}) == []


def test_nor_on_a_node_that_is_silent() -> None:
    actions = planned(
        [demand()], [node(state=NodeState.QUARANTINED)], [instance()], places=[place()], proofs={1: {"A": READY}}
    )
    assert actions == []


def test_a_proof_that_does_not_come_holds_the_order_and_one_that_comes_late_resumes_it() -> None:
    late = place(seconds_ago=181)
    assert planned([demand()], **SERVING, places=[late]) == [Hold(demand(), HoldReason.NOT_PROVEN)]
    assert planned([demand(held=True)], **SERVING, places=[late]) == []
    assert planned([demand(held=True)], **SERVING, places=[late], proofs={1: {"A": READY}}) == [
        Resume(demand(held=True))
    ]


# --- what other fleets get wrong


def test_missing_heartbeats_quarantine_and_never_end_a_node() -> None:
    for beats in ({}, {1: beat(seconds_ago=31)}):
        actions = planned(nodes=[node(allocated=5)], instances=[instance()], beats=beats)
        assert actions == [Mark(node(allocated=5), NodeState.QUARANTINED, "its heartbeat is missing")]
    assert planned(nodes=[node(state=NodeState.QUARANTINED)], instances=[instance()]) == []


def test_between_fresh_and_stale_nothing_changes() -> None:
    for state in (NodeState.READY, NodeState.QUARANTINED, NodeState.BOOTING):
        assert planned(nodes=[node(state=state)], instances=[instance()], beats={1: beat(seconds_ago=20)}) == []


def test_a_heartbeat_that_is_back_makes_the_node_ready_again() -> None:
    for state in (NodeState.QUARANTINED, NodeState.LOST):
        silent = node(state=state)
        assert planned(nodes=[silent], instances=[instance()], beats={1: beat()}) == [MarkReady(silent, beat())]


@pytest.mark.parametrize("state", ["shutting-down", "terminated", "stopping", "stopped"])
def test_a_node_whose_instance_ended_is_lost(state: str) -> None:
    actions = planned(nodes=[node()], instances=[instance(state=state)], beats={1: beat()})
    assert actions == [Mark(node(), NodeState.LOST, f"the instance is {state}")]


def test_a_node_that_ec2_does_not_tell_of_is_lost_only_when_it_is_silent_too() -> None:
    assert planned(nodes=[node()], beats={1: beat()}) == []
    assert planned(nodes=[node()], beats={1: beat(seconds_ago=31)}) == [
        Mark(node(), NodeState.LOST, "the instance is gone")
    ]


def test_an_instance_of_ours_without_a_node_is_ended() -> None:
    assert planned(instances=[instance(9)]) == [Terminate("i-9", "no node in the ledger")]


def test_a_second_instance_of_a_node_is_ended() -> None:
    actions = planned(**{**SERVING, "instances": [instance(), instance(9, node_id="n0001")]})
    assert actions == [Terminate("i-9", "node n0001 has another instance")]


def test_a_ledger_that_was_lost_does_not_end_nodes_that_serve() -> None:
    assert planned(instances=[instance(9)], beats={9: beat()}, proofs={9: {"A": READY}}) == []
