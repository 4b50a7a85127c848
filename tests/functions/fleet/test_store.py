"""fleet.store on DynamoDB Local: what many do at once, and what nodes are told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from fleet import items, placement
from fleet.demand import Demand
from fleet.node import Node, NodeState
from fleet.placement import Placement, Role
from fleet.store import ChangedMeanwhileError, FleetStore
from shared import dynamodb, settings
from shared.dynamodb import BusyError

pytestmark = pytest.mark.needs("java")

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
ARN = "arn:aws:ec2:eu-central-1:123456789012:instance/i-0001"
DOCUMENT = {"environmentId": "x", "customerId": "x", "version": 1, "phones": [{"username": "x-201"}], "encrypted": True}


def node(name: str = "n0001", capacity: int = 20) -> Node:
    return Node(name, NodeState.READY, 1, capacity, NOW, instance_arn=ARN[:-1] + name[-1])


def allocate(number: int) -> bool:
    """One of many that want five calls of a node with room for four of them; tries until it is told no."""
    store = FleetStore(settings.fleet_table())
    for _ in range(40):
        row = store.node("n0001")
        assert row
        before = Placement(f"env{number:03}")
        after = placement.assign(before, row, Role.PRIMARY, 5, 1, NOW)
        try:
            placement.settle({"n0001": row}, before, after, NOW)
        except placement.NoRoomError:
            return False
        try:
            store.rearrange(before, after, DOCUMENT, NOW)
        except (ChangedMeanwhileError, BusyError):
            continue
        return True
    return False


def test_fifty_at_once_never_overbook_a_node(
    environment: None, side_by_side: Callable[[list[Callable[[], Any]]], list[Any]]
) -> None:
    store = FleetStore(settings.fleet_table())
    store.add(node())
    got = side_by_side([partial(allocate, number) for number in range(50)])
    row = store.node("n0001")
    assert row and row.primary == 5 * sum(got) <= row.capacity
    assert sum(got) == len(store.placements()) == 4


def test_a_node_is_told_the_document_its_role_and_its_epoch(environment: None) -> None:
    store = FleetStore(settings.fleet_table())
    store.add(node())
    before = Placement("abc234")
    written = store.rearrange(before, placement.assign(before, node(), Role.PRIMARY, 5, 1, NOW), DOCUMENT, NOW)
    told = dynamodb.get(settings.fleet_table(), ARN, "ASSIGNMENT#abc234")
    assert told and told.items() >= DOCUMENT.items()
    assert (told["role"], told["epoch"], told["calls"]) == ("primary", written.epoch, 5)
    # Ended: the role changes, what the node was told of the environment stays.
    store.rearrange(written, placement.give(written, "n0001", Role.STANDBY, NOW), None, NOW)
    told = dynamodb.get(settings.fleet_table(), ARN, "ASSIGNMENT#abc234")
    assert told and told["role"] == "standby" and told["phones"] == DOCUMENT["phones"]


def test_who_read_something_older_writes_nothing(environment: None) -> None:
    store = FleetStore(settings.fleet_table())
    store.add(node())
    before = Placement("abc234")
    after = placement.assign(before, node(), Role.PRIMARY, 5, 1, NOW)
    store.rearrange(before, after, DOCUMENT, NOW)
    with pytest.raises(ChangedMeanwhileError):
        store.rearrange(before, after, DOCUMENT, NOW)
    with pytest.raises(ChangedMeanwhileError):
        store.note(replace(before, version=7), after)
    row = store.node("n0001")
    assert row and row.primary == 5


def test_rows_are_read_as_they_were_written() -> None:
    full = replace(
        node(), reserve={"": 3, "n0002": 4}, dedicated_to="abc234", silent_since=NOW, silent_beat=NOW, ended_at=NOW
    )
    assert items.to_node(items.from_node(full)) == full
    placed = placement.assign(Placement("abc234", leaves="n0001"), full, Role.STANDBY, 5, 1, NOW)
    placed = placement.give(placed, "n0001", Role.STANDBY, NOW)
    for one in (
        placed,
        replace(placed, names=(), spreading=("/change/C1",), aliases=("def567",), named=("def567",)),
        replace(placed, names=("n0001 192.0.2.1 5061",), dedicated=True),
    ):
        assert items.to_placement(items.from_placement(one)) == one


HEARTBEAT = {"at": 1_795_000_000_000, "state": "ready", "address": "192.0.2.1", "sipPort": 5061}
REPORT = {"version": 1, "epoch": 1, "phones": 2, "probe": {"ok": True, "at": 1_795_000_000_000}}


@pytest.mark.parametrize(
    "odd", [{}, {"at": "now"}, {"at": 10**30}, {"at": None}, {"sipPort": "x"}, {"calls": {}}, {"registrations": "many"}]
)
def test_an_odd_heartbeat_hides_no_other(environment: None, odd: dict[str, Any]) -> None:
    write("odd", "HEARTBEAT", {**HEARTBEAT, **odd} if odd else {})
    write("good", "HEARTBEAT", HEARTBEAT)
    assert list(FleetStore(settings.fleet_table()).heartbeats(["odd", "good"])) == ["good"]


@pytest.mark.parametrize(
    "odd",
    ["text", [1], None, {}, {**REPORT, "version": "x"}, {**REPORT, "phones": []}, {**REPORT, "probe": "ok"},
     {**REPORT, "probe": {"ok": True, "at": 10**30}}],
)  # fmt: skip
def test_an_odd_report_hides_no_other(environment: None, odd: object) -> None:
    write("node", "REPORT", {"assignments": {"odd": odd, "good": REPORT}})
    write("other", "REPORT", {"assignments": odd})
    told = FleetStore(settings.fleet_table()).reports(["node", "other"])
    assert list(told["node"]) == ["good"]


def test_an_odd_environment_keeps_no_other_from_being_served(environment: None) -> None:
    row = {"sk": "ENVIRONMENT", "list": "WANTED#0", "listKey": "x", "phoneCount": 2, "version": 1}
    for name, odd in (("good", {}), ("odd", {"phoneCount": "many"}), ("older", {"version": None})):
        item = {**row, "pk": f"CUSTOMER#{name}", "environmentId": name, "listKey": name, **odd}
        dynamodb.client().put_item(TableName=settings.customers_table(), Item=dynamodb.marshal(item))
    assert list(Demand().wanted()) == ["good"]


def write(arn: str, kind: str, values: dict[str, Any]) -> None:
    """As a node writes in its own partition, whatever it writes."""
    item = dynamodb.marshal({"pk": arn, "sk": kind, **values})
    dynamodb.client().put_item(TableName=settings.fleet_table(), Item=item)
