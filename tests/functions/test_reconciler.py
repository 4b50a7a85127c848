"""fleet.reconciler with a fleet around it: an EC2 with EC2's rules, nodes that boot and report, and a ledger.

The ledger and the orders exist twice, in memory and on AWS's DynamoDB Local; the same stories are told to both.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from moto import mock_aws

from fleet import ec2
from fleet.ec2 import LaunchRefusedError
from fleet.node import OCCUPYING, Node, NodeState, Offer, Refusal
from fleet.plan import Allocation, Demand, Heartbeat, HoldReason, Instance, Limits, Proof
from fleet.reconciler import Reconciler
from fleet.store import ChangedMeanwhileError, FleetStore
from ordering import order as orders
from ordering.catalogue import Offering
from ordering.order import Actor, Order, RelatedParty, Role, State
from ordering.pricing import OrderItem, Price
from ordering.store import OrderStore, UnknownOrderError
from shared import dynamodb, settings
from shared.dynamodb import Write

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SALES = Actor(Role.SALES, "verkoop@example.nl")
LIMITS = Limits("test", ("subnet-a", "subnet-b"), (), capacity_calls=20, max_nodes=3)
SRTP = Offering("srtp", 1, date(2026, 1, 1), "SRTP", "phone", "month", 200)
IDS = [f"0RDER0000{letter}" for letter in "ABCDEFGHJK"]


class Crash(BaseException):
    """The process is killed: nothing catches this."""


class FakeEc2:
    """EC2 as its documentation has it: a token gives one instance, once and for all.

    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.all: dict[str, Instance] = {}
        self.full_zones: set[str] = set()
        self.quota = 99
        self.crash_after_launch = False
        self.served: set[str] = set()
        self._now = now
        self._tokens: dict[str, tuple[tuple[str, Offer], str]] = {}

    def instances(self) -> tuple[Instance, ...]:
        return tuple(self.all.values())

    def launch(self, node_id: str, offer: Offer, client_token: str) -> Instance:
        known = self._tokens.get(client_token)
        if known:
            parameters, instance_id = known
            if parameters != (node_id, offer) or self.all[instance_id].ended:
                raise LaunchRefusedError(Refusal.SPENT)
            return self.all[instance_id]
        if sum(instance.alive for instance in self.all.values()) >= self.quota:
            raise LaunchRefusedError(Refusal.QUOTA)
        if offer.subnet_id in self.full_zones:
            raise LaunchRefusedError(Refusal.NO_CAPACITY)
        instance_id = f"i-{len(self.all) + 1:04d}"
        arn = f"arn:aws:ec2:eu-central-1:123456789012:instance/{instance_id}"
        self.all[instance_id] = Instance(instance_id, arn, node_id, "pending", self._now())
        self._tokens[client_token] = ((node_id, offer), instance_id)
        if self.crash_after_launch:
            self.crash_after_launch = False
            raise Crash
        return self.all[instance_id]

    def terminate(self, instance_id: str) -> None:
        assert instance_id not in self.served, "an instance that served calls was ended"
        self.end(instance_id)

    def end(self, instance_id: str) -> None:
        self.all[instance_id] = replace(self.all[instance_id], state="terminated")


@dataclass(frozen=True)
class MemoryCheck(Write):
    """A condition of the memory ledger inside a transaction of the memory orders."""

    holds: Callable[[], bool] = lambda: True


class MemoryOrders:
    """OrderStore in memory."""

    def __init__(self) -> None:
        self.all: dict[str, Order] = {}

    def place(self, order: Order) -> None:
        self.all[order.id] = order

    def get(self, order_id: str) -> Order:
        if order_id not in self.all:
            raise UnknownOrderError(order_id)
        return self.all[order_id]

    def in_states(self, *states: State) -> Iterable[Order]:
        return [order for order in self.all.values() if order.state in states]

    def change(self, order_id: str, change: Callable[[Order], Order], *also: Write) -> Order:
        after = change(self.get(order_id))
        for check in also:
            if isinstance(check, MemoryCheck) and not check.holds():
                raise ChangedMeanwhileError
        self.all[order_id] = after
        return after


class MemoryLedger:
    """FleetStore in memory; `writes_left` writes until the process is killed."""

    def __init__(self, orders: MemoryOrders) -> None:
        self.rows: dict[str, Node] = {}
        self.places: dict[str, Allocation] = {}
        self.beats: dict[str, Heartbeat] = {}
        self.reports: dict[str, dict[str, Proof]] = {}
        self.assignments: dict[str, dict[str, int]] = {}
        self.writes_left: int | None = None
        self._orders = orders

    def nodes(self) -> tuple[Node, ...]:
        return tuple(self.rows[name] for name in sorted(self.rows))

    def add(self, node: Node) -> None:
        self._write(node.id not in self.rows)
        self.rows[node.id] = node

    def replace(self, before: Node, after: Node) -> None:
        self._write(self.rows.get(before.id) == before)
        self.rows[after.id] = after

    def allocations(self, order_ids: Iterable[str]) -> dict[str, Allocation]:
        return {order_id: self.places[order_id] for order_id in order_ids if order_id in self.places}

    def allocate(self, demand: Demand, node: Node, after: Node, calls: int, now: datetime) -> None:
        approved = self._orders.get(demand.order_id).state is State.IN_PROGRESS
        self._write(approved and demand.order_id not in self.places and self.rows[node.id] == node)
        self.places[demand.order_id] = Allocation(demand.order_id, node.id, node.instance_arn, calls, now)
        self.assignments.setdefault(node.instance_arn, {})[demand.order_id] = demand.phones
        self.rows[node.id] = after

    def release(self, allocation: Allocation, node: Node, after: Node) -> None:
        self._write(self.places.get(allocation.order_id) == allocation and self.rows[node.id] == node)
        del self.places[allocation.order_id]
        del self.assignments[allocation.instance_arn][allocation.order_id]
        self.rows[node.id] = after

    def still_on(self, allocation: Allocation) -> Write:
        return MemoryCheck(
            {}, lambda _: ChangedMeanwhileError(), lambda: self.places.get(allocation.order_id) == allocation
        )

    def heartbeat(self, instance_arn: str) -> Heartbeat | None:
        return self.beats.get(instance_arn)

    def report(self, instance_arn: str) -> dict[str, Proof]:
        return self.reports.get(instance_arn, {})

    def beat(self, arn: str, now: datetime) -> None:
        self.beats[arn] = Heartbeat(now, "ready", f"192.0.2.{int(arn[-4:])}", 5061)

    def load(self, arn: str, probe_ok: bool) -> None:
        self.reports[arn] = {
            order_id: Proof(1, phones, probe_ok) for order_id, phones in self.assignments.get(arn, {}).items()
        }

    def _write(self, condition: bool) -> None:
        if self.writes_left is not None:
            if self.writes_left == 0:
                self.writes_left = None
                raise Crash
            self.writes_left -= 1
        if not condition:
            raise ChangedMeanwhileError


class DynamoLedger(FleetStore):
    """FleetStore on DynamoDB Local, with the items that a node writes."""

    def beat(self, arn: str, now: datetime) -> None:
        at = int(now.timestamp() * 1000)
        item = {
            "state": "ready",
            "address": f"192.0.2.{int(arn[-4:])}",
            "sipPort": 5061,
            "calls": 0,
            "registrations": 0,
        }
        self._node_writes({"pk": arn, "sk": "HEARTBEAT", "at": at, **item})

    def load(self, arn: str, probe_ok: bool) -> None:
        probe = {
            "ok": probe_ok,
            "at": 0,
            "suites": ["AES_CM_128_HMAC_SHA1_80"] * 2,
            "packets": 50,
            "plaintextPackets": 0,
        }
        loaded = {
            item["orderId"]: {"version": item["version"], "phones": len(item["phones"]), "probe": probe}
            for item in dynamodb.partition(settings.fleet_table(), arn, "ASSIGNMENT#")
        }
        self._node_writes({"pk": arn, "sk": "REPORT", "at": 0, "assignments": loaded})

    def _node_writes(self, item: dict[str, Any]) -> None:
        dynamodb.client().put_item(TableName=settings.fleet_table(), Item=dynamodb.marshal(item))


@dataclass
class World:
    """A fleet, its customers, its cloud and its clock."""

    orders: Any
    ledger: Any
    now: datetime = NOON
    ec2: FakeEc2 = field(init=False)
    reconciler: Reconciler = field(init=False)

    def __post_init__(self) -> None:
        self.ec2 = FakeEc2(lambda: self.now)
        self.reconciler = Reconciler(self.ledger, self.orders, self.ec2, LIMITS, lambda: self.now)

    def approve(self, order_id: str, phones: int) -> None:
        placed = orders.place(
            order_id=order_id,
            category="srtp",
            customer_id=order_id.lower()[-6:],
            related_party=RelatedParty("Bakkerij Jansen", "", "A. Jansen", f"{order_id}@example.nl", "+31851234567"),
            note="",
            price=Price((OrderItem(phones, SRTP),), 21),
            token_sha256="0" * 64,
            now=self.now,
        )
        self.orders.place(placed)
        self.orders.change(order_id, lambda order: orders.move(order, State.IN_PROGRESS, SALES, self.now))

    def boot(self, beat: bool = True) -> None:
        """All pending instances run, and their nodes send heartbeats."""
        for instance in self.ec2.instances():
            if instance.state == "pending":
                self.ec2.all[instance.id] = replace(instance, state="running")
        if beat:
            self.beat()

    def beat(self) -> None:
        for instance in self.ec2.instances():
            if instance.state == "running":
                self.ledger.beat(instance.arn, self.now)

    def load(self, probe_ok: bool = True) -> None:
        for instance in self.ec2.instances():
            if instance.state == "running":
                self.ledger.load(instance.arn, probe_ok)

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def state(self, order_id: str) -> State:
        state: State = self.orders.get(order_id).state
        return state

    def nodes(self, state: NodeState) -> list[Node]:
        return [node for node in self.ledger.nodes() if node.state is state]


def in_memory() -> World:
    order_store = MemoryOrders()
    return World(order_store, MemoryLedger(order_store))


@pytest.fixture(params=["memory", pytest.param("dynamodb", marks=pytest.mark.needs("java"))])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return in_memory()
    request.getfixturevalue("environment")
    tables = settings.orders_table(), settings.fleet_table()
    return World(OrderStore(*tables), DynamoLedger(tables[1], tables[0]))


# --- the stories


def test_from_approval_to_completion(world: World) -> None:
    world.approve(IDS[0], 5)
    world.reconciler.run()
    (node,) = world.ledger.nodes()
    assert (node.state, node.instance_id, node.zone) == (NodeState.BOOTING, "i-0001", "subnet-b")
    world.boot()
    world.reconciler.run()
    (node,) = world.ledger.nodes()
    assert (node.state, node.address, node.allocated) == (NodeState.READY, "192.0.2.1", 5)
    assert world.state(IDS[0]) is State.IN_PROGRESS
    world.load()
    world.reconciler.run()
    order = world.orders.get(IDS[0])
    assert (order.state, order.sip, order.completion_date) == (
        State.COMPLETED,
        orders.SipServer("n0001", "192.0.2.1", 5061),
        NOON,
    )


def test_reconciling_again_changes_nothing(world: World) -> None:
    world.approve(IDS[0], 5)
    for step in (world.boot, world.load, world.beat):
        world.reconciler.run()
        before = world.ledger.nodes(), world.orders.get(IDS[0])
        assert world.reconciler.run() == 0
        assert (world.ledger.nodes(), world.orders.get(IDS[0])) == before
        step()


def test_applying_every_action_twice_does_no_harm(world: World) -> None:
    world.approve(IDS[0], 5)
    world.approve(IDS[1], 10)
    steps: list[Callable[[], None] | None] = [None, None, world.boot, None, world.load, None]
    for step in steps:
        if step:
            step()
        for action in world.reconciler.plan():
            world.reconciler.apply(action)
            with pytest.raises((ChangedMeanwhileError, orders.OrderError)):
                world.reconciler.apply(action)
    assert [world.state(order_id) for order_id in IDS[:2]] == [State.COMPLETED] * 2
    assert [node.allocated for node in world.ledger.nodes()] == [5 + 6]
    assert len(world.ec2.all) == 1


def test_a_crash_between_launch_and_ledger_leaves_one_instance(world: World) -> None:
    world.approve(IDS[0], 5)
    world.ec2.crash_after_launch = True
    with pytest.raises(Crash):
        world.reconciler.run()
    world.reconciler.run()
    assert [node.instance_id for node in world.ledger.nodes()] == ["i-0001"]
    assert len(world.ec2.all) == 1


def test_a_full_zone_falls_back_to_the_next(world: World) -> None:
    world.ec2.full_zones = {"subnet-b"}
    world.approve(IDS[0], 5)
    world.reconciler.run()
    (node,) = world.ledger.nodes()
    assert (node.state, node.zone, node.attempt) == (NodeState.BOOTING, "subnet-a", 1)
    assert world.state(IDS[0]) is State.IN_PROGRESS


def test_no_capacity_anywhere_holds_the_order_until_there_is(world: World) -> None:
    world.ec2.full_zones = {"subnet-a", "subnet-b"}
    world.approve(IDS[0], 5)
    world.reconciler.run()
    held = world.orders.get(IDS[0])
    assert (held.state, held.last.why, held.last.who.role) == (State.HELD, HoldReason.NO_CAPACITY, Role.FLEET)
    assert len(world.ec2.all) == 0
    world.ec2.full_zones = set()
    world.later(minutes=1)
    world.reconciler.run()
    world.boot()
    world.reconciler.run()
    world.load()
    world.reconciler.run()
    assert world.state(IDS[0]) is State.COMPLETED


def test_a_quota_is_not_tried_again_and_again(world: World) -> None:
    world.ec2.quota = 0
    world.approve(IDS[0], 5)
    world.reconciler.run()
    assert (world.state(IDS[0]), world.ledger.nodes()[0].attempt) == (State.HELD, 1)
    world.later(minutes=14)
    world.reconciler.run()
    assert world.ledger.nodes()[0].attempt == 1


def test_what_sales_holds_stays_held(world: World) -> None:
    world.approve(IDS[0], 5)
    world.orders.change(IDS[0], lambda order: orders.move(order, State.HELD, SALES, NOON, "Eerst bellen"))
    assert world.reconciler.run() == 0
    assert world.state(IDS[0]) is State.HELD


def test_a_node_is_shared_and_a_second_comes_when_it_is_full(world: World) -> None:
    for order_id in IDS[:3]:
        world.approve(order_id, 20)  # 8 calls each on nodes of 20
    world.reconciler.run()
    assert len(world.ec2.all) == 2
    world.boot()
    world.reconciler.run()
    assert sorted(node.allocated for node in world.ledger.nodes()) == [8, 16]


def test_a_probe_that_fails_holds_the_order_and_one_that_passes_later_completes_it(world: World) -> None:
    world.approve(IDS[0], 5)
    world.reconciler.run()
    world.boot()
    world.reconciler.run()
    world.load(probe_ok=False)
    world.later(minutes=4)
    world.beat()
    world.reconciler.run()
    assert (world.state(IDS[0]), world.orders.get(IDS[0]).last.why) == (State.HELD, HoldReason.NOT_PROVEN)
    world.load(probe_ok=True)
    world.reconciler.run()
    assert world.state(IDS[0]) is State.COMPLETED


def test_an_order_moves_when_its_node_dies_before_completion(world: World) -> None:
    world.approve(IDS[0], 5)
    world.reconciler.run()
    world.boot()
    world.reconciler.run()
    world.ec2.end("i-0001")
    world.reconciler.run()
    assert [(node.state, node.allocated) for node in world.ledger.nodes()] == [
        (NodeState.LOST, 0),
        (NodeState.BOOTING, 0),
    ]
    world.boot()
    world.reconciler.run()
    world.load()
    world.reconciler.run()
    assert world.orders.get(IDS[0]).sip.node_id == "n0002"


def test_a_node_that_never_boots_is_replaced_but_not_for_ever(world: World) -> None:
    world.approve(IDS[0], 5)
    for _ in range(5):  # within the hour
        world.reconciler.run()
        world.boot(beat=False)
        world.later(minutes=11)
    world.reconciler.run()
    assert len(world.ec2.all) == 3
    assert not any(instance.alive for instance in world.ec2.instances())
    assert world.orders.get(IDS[0]).last.why == HoldReason.BOOT


def test_a_cancelled_order_gives_its_place_back(world: World) -> None:
    for order_id in IDS[:2]:
        world.approve(order_id, 5)
    for step in (world.boot, world.load):
        world.reconciler.run()
        if step == world.boot:
            step()
    assert [node.allocated for node in world.ledger.nodes()] == [10]
    world.orders.change(IDS[0], lambda found: orders.cancel(found, SALES, NOON, "Dubbel"))
    world.reconciler.run()
    cancelled = world.orders.get(IDS[0])
    assert (cancelled.state, cancelled.last.who.role) == (State.CANCELLED, Role.FLEET)
    assert [node.allocated for node in world.ledger.nodes()] == [5]
    assert list(world.ledger.allocations(IDS[:2])) == [IDS[1]]


def test_an_order_that_never_had_a_place_is_cancelled_too(world: World) -> None:
    world.ec2.quota = 0
    world.approve(IDS[0], 5)
    world.reconciler.run()
    world.orders.change(IDS[0], lambda found: orders.cancel(found, SALES, NOON))
    world.reconciler.run()
    assert world.state(IDS[0]) is State.CANCELLED


def test_a_note_does_not_make_an_order_that_the_fleet_holds_one_that_sales_holds(world: World) -> None:
    world.ec2.quota = 0
    world.approve(IDS[0], 5)
    world.reconciler.run()
    world.orders.change(IDS[0], lambda found: orders.note(found, "Klant belt", SALES, NOON))
    world.ec2.quota = 9
    world.later(minutes=16)
    for step in (world.boot, world.load, world.beat):
        world.reconciler.run()
        step()
    world.reconciler.run()
    assert world.state(IDS[0]) is State.COMPLETED


def test_a_silent_node_that_serves_nobody_is_ended_after_an_hour(world: World) -> None:
    world.approve(IDS[0], 5)
    world.reconciler.run()
    world.boot()
    world.reconciler.run()
    world.orders.change(IDS[0], lambda found: orders.cancel(found, SALES, NOON))
    world.reconciler.run()
    world.later(minutes=59)
    world.reconciler.run()
    assert [node.state for node in world.ledger.nodes()] == [NodeState.QUARANTINED]
    world.later(minutes=2)
    world.reconciler.run()
    assert [(node.state, node.ended_at) for node in world.ledger.nodes()] == [(NodeState.TERMINATED, world.now)]
    assert [instance.state for instance in world.ec2.instances()] == ["terminated"]


def test_a_silent_node_that_serves_an_order_is_never_ended(world: World) -> None:
    world.approve(IDS[0], 5)
    world.reconciler.run()
    world.boot()
    world.reconciler.run()
    world.load()
    world.reconciler.run()
    world.later(hours=5)
    world.reconciler.run()
    assert [node.state for node in world.ledger.nodes()] == [NodeState.QUARANTINED]
    assert [instance.state for instance in world.ec2.instances()] == ["running"]


@pytest.mark.needs("java")
def test_the_row_of_a_node_that_ended_goes_after_a_while(environment: None) -> None:
    ledger = FleetStore(settings.fleet_table(), settings.orders_table())
    node = Node("n0001", NodeState.TERMINATED, version=3, capacity=20, allocated=0, requested_at=NOON, ended_at=NOON)
    ledger.add(node)
    assert ledger.nodes() == (node,)
    row = dynamodb.get(settings.fleet_table(), "NODES", "n0001")
    assert row is not None
    assert row["expiresAt"] == int((NOON + timedelta(days=30)).timestamp())


def test_an_orphan_is_ended(world: World) -> None:
    world.ec2.launch("n0099", Offer("subnet-a", ""), "launched by a reconciler whose ledger was restored from a backup")
    world.reconciler.run()
    assert [instance.state for instance in world.ec2.instances()] == ["terminated"]


# --- the function as it is deployed


@pytest.mark.needs("java")
def test_the_handler_serves_an_order_with_ec2_and_dynamodb(environment, context, monkeypatch, log) -> None:
    from fleet import reconciler

    ec2.client.cache_clear()
    with mock_aws():
        client = boto3.client("ec2", "eu-central-1")
        image = client.describe_images()["Images"][0]["ImageId"]
        data: Any = {"ImageId": image, "InstanceType": "c7g.medium"}
        template = client.create_launch_template(LaunchTemplateName="node", LaunchTemplateData=data)
        monkeypatch.setenv("LAUNCH_TEMPLATE_ID", template["LaunchTemplate"]["LaunchTemplateId"])
        monkeypatch.setenv("SUBNET_IDS", client.describe_subnets()["Subnets"][0]["SubnetId"])
        tables = settings.orders_table(), settings.fleet_table()
        world = World(OrderStore(*tables), DynamoLedger(tables[1], tables[0]), now=datetime.now(UTC))
        world.approve(IDS[0], 5)
        event = json.loads((Path(__file__).parent / "events" / "orders_stream.json").read_text())

        assert reconciler.handler(event, context) == {"actions": 2}
        (instance,) = [one for group in client.describe_instances()["Reservations"] for one in group["Instances"]]
        tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        assert (tags["callvoip:fleet"], tags["callvoip:node"]) == ("test", "n0001")

        (node,) = world.ledger.nodes()
        dynamodb.client().put_item(
            TableName=tables[1],
            Item=dynamodb.marshal(
                {
                    "pk": node.instance_arn,
                    "sk": "HEARTBEAT",
                    "at": int(datetime.now(UTC).timestamp() * 1000),
                    "state": "ready",
                    "address": "192.0.2.9",
                    "sipPort": 5061,
                    "calls": 0,
                    "registrations": 0,
                }
            ),
        )
        assert reconciler.handler({"source": "aws.ec2"}, context) == {"actions": 2}
        world.ledger.load(node.instance_arn, probe_ok=True)
        assert reconciler.handler({"source": "aws.scheduler"}, context) == {"actions": 1}
        assert reconciler.handler({"source": "aws.scheduler"}, context) == {"actions": 0}
    ec2.client.cache_clear()
    order = world.orders.get(IDS[0])
    assert (order.state, order.sip) == (State.COMPLETED, orders.SipServer("n0001", "192.0.2.9", 5061))
    done = [json.loads(line)["action"] for line in log.getvalue().splitlines()]
    assert done == ["RequestNode", "Launch", "MarkReady", "Allocate", "Complete"]


# --- any story


class Fleet(RuleBasedStateMachine):
    """Visitors, nodes, EC2 and crashes in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = in_memory()
        self.proven: set[str] = set()

    @precondition(lambda self: len(self.world.orders.all) < len(IDS))
    @rule(phones=st.sampled_from([1, 5, 20, 50, 100, 500]))
    def approve(self, phones: int) -> None:
        self.world.approve(IDS[len(self.world.orders.all)], phones)

    @rule()
    def reconcile(self) -> None:
        self.world.reconciler.run()

    @rule(writes=st.integers(0, 6))
    def reconcile_and_be_killed(self, writes: int) -> None:
        self.world.ledger.writes_left = writes
        with suppress(Crash):
            self.world.reconciler.run()
        self.world.ledger.writes_left = None

    @rule()
    def launch_and_be_killed(self) -> None:
        self.world.ec2.crash_after_launch = True
        with suppress(Crash):
            self.world.reconciler.run()
        self.world.ec2.crash_after_launch = False

    @rule(beat=st.booleans())
    def boot(self, beat: bool) -> None:
        self.world.boot(beat)

    @rule()
    def beat(self) -> None:
        self.world.beat()

    @rule(probe_ok=st.booleans())
    def load(self, probe_ok: bool) -> None:
        self.world.load(probe_ok)
        if probe_ok:
            self.proven |= {order_id for report in self.world.ledger.reports.values() for order_id in report}

    @rule(seconds=st.sampled_from([5, 20, 40, 120, 700, 4000]))
    def wait(self, seconds: int) -> None:
        self.world.later(seconds=seconds)

    @rule(zones=st.sets(st.sampled_from(LIMITS.subnet_ids)), quota=st.sampled_from([0, 1, 99]))
    def change_the_market(self, zones: set[str], quota: int) -> None:
        self.world.ec2.full_zones, self.world.ec2.quota = zones, quota

    @precondition(lambda self: self.world.ec2.all)
    @rule(data=st.data())
    def end_an_instance(self, data: st.DataObject) -> None:
        self.world.ec2.end(data.draw(st.sampled_from(sorted(self.world.ec2.all))))

    @invariant()
    def what_serves_is_never_ended(self) -> None:
        """FakeEc2.terminate asserts it for the instances noted here."""
        self.world.ec2.served |= {
            node.instance_id
            for node in self.world.ledger.nodes()
            if node.ready_at and self.world.ec2.all[node.instance_id].alive
        }

    @invariant()
    def capacity_is_never_given_twice(self) -> None:
        for node in self.world.ledger.nodes():
            given = sum(place.calls for place in self.world.ledger.places.values() if place.node_id == node.id)
            assert given == node.allocated <= node.capacity

    @invariant()
    def no_order_is_completed_without_a_probe(self) -> None:
        completed = {order.id for order in self.world.orders.all.values() if order.state is State.COMPLETED}
        assert completed <= self.proven

    @invariant()
    def the_ceiling_holds(self) -> None:
        nodes = self.world.ledger.nodes()
        assert sum(node.state in OCCUPYING for node in nodes) <= LIMITS.max_nodes
        names = [instance.node_id for instance in self.world.ec2.instances() if instance.alive]
        assert len(names) == len(set(names)), "a node has two instances"

    def teardown(self) -> None:
        """Left alone, every story comes to rest; and when all is well again, every order that fits is served."""
        self.world.reconciler.run()
        assert self.world.reconciler.run() == 0
        self.world.ec2.full_zones, self.world.ec2.quota = set(), 99
        for _ in range(12):
            self.world.later(minutes=70)
            self.world.boot()
            self.world.load()
            self.proven |= {order_id for report in self.world.ledger.reports.values() for order_id in report}
            self.world.reconciler.run()
        self.no_order_is_completed_without_a_probe()
        for order in self.world.orders.all.values():
            if order.state is State.HELD:
                assert order.last.why in (
                    HoldReason.TOO_LARGE,
                    HoldReason.CEILING,
                    HoldReason.NOT_PROVEN,
                    HoldReason.BOOT,
                )
            else:
                assert order.state is State.COMPLETED


TestFleet = Fleet.TestCase
TestFleet.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
