"""What to do about the fleet: a pure function of what is wanted, what is written down and what is seen.

Level-triggered: it looks at how things are and not at what happened, so doing it twice, late or after a crash does no
harm.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from fleet import placement
from fleet.node import OCCUPYING, Node, NodeState, Offer, Refusal
from fleet.placement import Room

FRESH = timedelta(seconds=15)
"""A heartbeat comes every 5 seconds; one as young as this says that the node lives."""

STALE = timedelta(seconds=30)
"""A heartbeat as old as this is missing. Between fresh and stale nothing changes."""

BOOT_DEADLINE = timedelta(minutes=10)
PROOF_DEADLINE = timedelta(minutes=3)

ABANDONED_AFTER = timedelta(hours=1)
"""So long a node may be silent while it serves no order; then its instance costs money for nothing."""

BOOT_FAILED = "boot deadline passed"
MOST_BOOT_FAILURES = 3
BOOT_FAILURES_COUNT_FOR = timedelta(hours=1)


class HoldReason(StrEnum):
    """Why an approved order has to wait, in the words that the customer reads."""

    CEILING = "Alle plaatsen op onze media-nodes zijn bezet. Wij breiden uit en gaan daarna verder."
    NO_CAPACITY = (
        "Er is op dit moment geen server vrij bij onze cloudleverancier. Wij proberen het elke minuut opnieuw."
    )
    QUOTA = "Onze cloudleverancier staat nu niet meer servers toe. Wij lossen dit op en gaan daarna verder."
    BOOT = "Nieuwe media-nodes starten op dit moment niet goed. Wij onderzoeken dit en gaan daarna verder."
    TOO_LARGE = "Voor dit aantal telefoons richten wij een eigen omgeving in. Wij nemen contact met u op."
    NOT_PROVEN = "Het proefgesprek over uw omgeving is nog niet gelukt. Wij onderzoeken dit en gaan daarna verder."


_HOLD_FOR = {
    Refusal.NO_CAPACITY: HoldReason.NO_CAPACITY,
    Refusal.SPENT: HoldReason.NO_CAPACITY,
    Refusal.QUOTA: HoldReason.QUOTA,
}


@dataclass(frozen=True)
class Demand:
    """An approved order that waits for its place; `held` when the fleet put it on hold."""

    order_id: str
    customer_id: str
    phones: int
    ordered_at: datetime
    held: bool


@dataclass(frozen=True)
class Cancellation:
    """An order that is to be cancelled as soon as it has no place any more."""

    order_id: str


@dataclass(frozen=True)
class Allocation:
    """The place of an order on a node."""

    order_id: str
    node_id: str
    instance_arn: str
    calls: int
    assigned_at: datetime


@dataclass(frozen=True)
class Ledger:
    """What is written down: all nodes, and the allocations of the orders that are in demand or to be cancelled."""

    nodes: tuple[Node, ...]
    allocations: Mapping[str, Allocation]


@dataclass(frozen=True)
class Instance:
    """What EC2 says of an instance that carries our fleet's tag; `node_id` is its other tag."""

    id: str
    arn: str
    node_id: str
    state: str
    launched_at: datetime

    @property
    def alive(self) -> bool:
        """Whether it runs or is about to
        (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html).
        """
        return self.state in ("pending", "running")

    @property
    def ended(self) -> bool:
        """Whether it can do nothing for us any more."""
        return self.state in ("shutting-down", "terminated", "stopping", "stopped")


@dataclass(frozen=True)
class Heartbeat:
    """The newest sign of life of a node."""

    at: datetime
    state: str
    address: str
    sip_port: int


@dataclass(frozen=True)
class Proof:
    """What a node reports of one assignment: which version and how many phones it loaded, and whether the probe's call
    passed.
    """

    version: int
    phones: int
    probe_ok: bool

    def serves(self, phones: int) -> bool:
        """Whether so many phones are loaded and a call over TLS and SRTP has passed through them."""
        return self.probe_ok and self.version >= 1 and self.phones >= phones


@dataclass(frozen=True)
class Observed:
    """What is seen: EC2's instances, and heartbeats and reports by instance ARN."""

    instances: tuple[Instance, ...]
    heartbeats: Mapping[str, Heartbeat]
    reports: Mapping[str, Mapping[str, Proof]]


@dataclass(frozen=True)
class Limits:
    """Where nodes may be launched, how many there may be, and how many calls each carries."""

    fleet: str
    subnet_ids: tuple[str, ...]
    instance_types: tuple[str, ...]
    capacity_calls: int
    max_nodes: int

    @property
    def offers(self) -> int:
        """How many different launches there are to try."""
        return len(self.subnet_ids) * max(1, len(self.instance_types))

    def offer(self, node: Node) -> Offer:
        """What the node's next launch asks for: all zones for the preferred type first, nodes spread over the zones."""
        zone = (ordinal(node.id) + node.attempt) % len(self.subnet_ids)
        types = self.instance_types or ("",)
        return Offer(self.subnet_ids[zone], types[node.attempt // len(self.subnet_ids) % len(types)])

    def client_token(self, node: Node) -> str:
        """The same for the same launch, another for any other: at most 64 ASCII characters, as EC2 wants."""
        offer = self.offer(node)
        parts = (self.fleet, node.id, str(node.attempt), offer.instance_type, offer.subnet_id)
        return hashlib.sha256("/".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class RequestNode:
    """Write a new node into the ledger; it is launched only after that."""

    node_id: str


@dataclass(frozen=True)
class Launch:
    """Ask EC2 for the node's instance."""

    node: Node
    offer: Offer
    client_token: str


@dataclass(frozen=True)
class Adopt:
    """Write down an instance that was launched for the node without our having heard of it."""

    node: Node
    instance: Instance


@dataclass(frozen=True)
class MarkReady:
    """The node lives: it may serve, again or for the first time."""

    node: Node
    heartbeat: Heartbeat


@dataclass(frozen=True)
class Mark:
    """Write down another state of the node."""

    node: Node
    state: NodeState
    reason: str


@dataclass(frozen=True)
class Terminate:
    """End an instance that is ours and that nobody needs."""

    instance_id: str
    reason: str


@dataclass(frozen=True)
class Allocate:
    """Give the order its place on the node."""

    demand: Demand
    node: Node
    calls: int


@dataclass(frozen=True)
class Release:
    """Take the order off a node that will not serve it."""

    allocation: Allocation


@dataclass(frozen=True)
class Complete:
    """The order is in service."""

    demand: Demand
    node: Node


@dataclass(frozen=True)
class Hold:
    """The order has to wait for us."""

    demand: Demand
    reason: HoldReason


@dataclass(frozen=True)
class Resume:
    """The order need not wait any longer."""

    demand: Demand


@dataclass(frozen=True)
class Cancel:
    """The order has no place; it is cancelled."""

    cancellation: Cancellation


Action = (
    RequestNode | Launch | Adopt | MarkReady | Mark | Terminate | Allocate | Release | Complete | Hold | Resume | Cancel
)


def plan(
    demands: Sequence[Demand],
    ledger: Ledger,
    observed: Observed,
    limits: Limits,
    now: datetime,
    cancellations: Sequence[Cancellation] = (),
) -> list[Action]:
    """What to do next; an empty list when everything is as it should be. What follows from an action comes in the next
    plan.
    """
    return [
        *_nodes(ledger, observed, limits, now),
        *_instances(ledger, observed),
        # First what gives room, then who takes it.
        *_cancelled(cancellations, ledger),
        *_orders(demands, ledger, observed, limits, now),
    ]


def _nodes(ledger: Ledger, observed: Observed, limits: Limits, now: datetime) -> Iterable[Action]:
    for node in ledger.nodes:
        match node.state:
            case NodeState.REQUESTED:
                yield from _requested(node, observed, limits, now)
            case NodeState.BOOTING:
                yield from _booting(node, observed, now)
            case NodeState.TERMINATED:
                pass
            case _:
                yield from _in_service(node, observed, now)


def _requested(node: Node, observed: Observed, limits: Limits, now: datetime) -> Iterable[Action]:
    # The look before the leap: a launch whose answer was lost is found by its tag.
    launched = [instance for instance in observed.instances if instance.node_id == node.id and instance.alive]
    if launched:
        yield Adopt(node, min(launched, key=lambda instance: (instance.launched_at, instance.id)))
    elif not node.waits(now):
        yield Launch(node, limits.offer(node), limits.client_token(node))


def _booting(node: Node, observed: Observed, now: datetime) -> Iterable[Action]:
    instance = _instance(node, observed)
    heartbeat = observed.heartbeats.get(node.instance_arn)
    if instance and instance.ended:
        yield Mark(node, NodeState.TERMINATED, f"the instance is {instance.state}")
    elif _fresh(heartbeat, now) and heartbeat:
        yield MarkReady(node, heartbeat)
    elif node.launched_at and now - node.launched_at > BOOT_DEADLINE:
        yield Mark(node, NodeState.TERMINATED, BOOT_FAILED)


def _in_service(node: Node, observed: Observed, now: datetime) -> Iterable[Action]:
    """A missing heartbeat only keeps new orders away: what may be serving calls is never ended for a metric that is
    missing.
    """
    instance = _instance(node, observed)
    heartbeat = observed.heartbeats.get(node.instance_arn)
    missing = heartbeat is None or now - heartbeat.at > STALE
    back = node.state in (NodeState.QUARANTINED, NodeState.LOST)
    since = heartbeat.at if heartbeat else node.ready_at
    if back and not node.allocated and since and now - since > ABANDONED_AFTER:
        yield Mark(node, NodeState.TERMINATED, "it is silent and serves no order")
    elif (instance and instance.ended) or (instance is None and missing):
        if node.state is not NodeState.LOST:
            yield Mark(node, NodeState.LOST, f"the instance is {instance.state if instance else 'gone'}")
    elif back and heartbeat and _fresh(heartbeat, now):
        yield MarkReady(node, heartbeat)
    elif node.state is NodeState.READY and missing:
        yield Mark(node, NodeState.QUARANTINED, "its heartbeat is missing")


def _instances(ledger: Ledger, observed: Observed) -> Iterable[Action]:
    nodes = {node.id: node for node in ledger.nodes}
    for instance in observed.instances:
        if not instance.alive:
            continue
        node = nodes.get(instance.node_id)
        if node is None:
            # The row is written before the launch, so this is a leftover. But what serves orders is kept: then the
            # ledger is at fault.
            if not observed.reports.get(instance.arn):
                yield Terminate(instance.id, "no node in the ledger")
        elif node.state is NodeState.TERMINATED:
            yield Terminate(instance.id, node.reason)
        elif node.instance_id and node.instance_id != instance.id:
            yield Terminate(instance.id, f"node {node.id} has another instance")


def _orders(
    demands: Sequence[Demand], ledger: Ledger, observed: Observed, limits: Limits, now: datetime
) -> Iterable[Action]:
    nodes = {node.id: node for node in ledger.nodes}
    waiting = []
    for demand in sorted(demands, key=lambda demand: (demand.ordered_at, demand.order_id)):
        allocation = ledger.allocations.get(demand.order_id)
        if allocation is None:
            waiting.append(demand)
        else:
            yield from _allocated(demand, allocation, nodes[allocation.node_id], observed, now)
    yield from _place(waiting, ledger, limits, now)


def _cancelled(cancellations: Sequence[Cancellation], ledger: Ledger) -> Iterable[Action]:
    for cancellation in cancellations:
        allocation = ledger.allocations.get(cancellation.order_id)
        yield Release(allocation) if allocation else Cancel(cancellation)


def _allocated(
    demand: Demand, allocation: Allocation, node: Node, observed: Observed, now: datetime
) -> Iterable[Action]:
    proof = observed.reports.get(allocation.instance_arn, {}).get(demand.order_id)
    if node.state in (NodeState.LOST, NodeState.TERMINATED):
        yield Release(allocation)
    elif (
        node.state in (NodeState.READY, NodeState.CORDONED)
        and proof
        and proof.probe_ok
        and proof.version >= 1
        and proof.phones >= demand.phones
    ):
        yield Resume(demand) if demand.held else Complete(demand, node)
    elif not demand.held and now - allocation.assigned_at > PROOF_DEADLINE:
        yield Hold(demand, HoldReason.NOT_PROVEN)


def _place(waiting: Sequence[Demand], ledger: Ledger, limits: Limits, now: datetime) -> Iterable[Action]:
    """First come, first served; who finds no room makes room: on a node that is coming, or on a new one."""
    nodes = {node.id: node for node in ledger.nodes}
    rooms = {node.id: node.free for node in ledger.nodes if node.state is NodeState.READY}
    coming = {node.id: node.free for node in ledger.nodes if node.state in (NodeState.REQUESTED, NodeState.BOOTING)}
    occupying = sum(node.state in OCCUPYING for node in ledger.nodes)
    last = max((ordinal(node.id) for node in ledger.nodes), default=0)
    for demand in waiting:
        calls = placement.calls_needed(demand.phones)
        hold = None
        if calls > limits.capacity_calls:
            hold = HoldReason.TOO_LARGE
        elif room := _take(rooms, calls):
            yield Resume(demand) if demand.held else Allocate(demand, nodes[room.node_id], calls)
        elif room := _take(coming, calls):
            node = nodes.get(room.node_id)
            if node and node.refusal and node.waits(now):
                hold = _HOLD_FOR[node.refusal]
        elif _boot_failures(ledger, now) >= MOST_BOOT_FAILURES:
            hold = HoldReason.BOOT
        elif occupying >= limits.max_nodes:
            hold = HoldReason.CEILING
        else:
            last += 1
            occupying += 1
            coming[node_id(last)] = limits.capacity_calls - calls
            yield RequestNode(node_id(last))
        if hold and not demand.held:
            yield Hold(demand, hold)


def _take(rooms: dict[str, int], calls: int) -> Room | None:
    room = placement.choose((Room(name, free) for name, free in rooms.items()), calls)
    if room:
        rooms[room.node_id] -= calls
    return room


def _boot_failures(ledger: Ledger, now: datetime) -> int:
    """How many nodes did not come up of late: an image that does not boot must not be paid for again and again."""
    return sum(
        node.reason == BOOT_FAILED and node.launched_at is not None and now - node.launched_at < BOOT_FAILURES_COUNT_FOR
        for node in ledger.nodes
        if node.state is NodeState.TERMINATED
    )


def _instance(node: Node, observed: Observed) -> Instance | None:
    return next((instance for instance in observed.instances if instance.id == node.instance_id), None)


def _fresh(heartbeat: Heartbeat | None, now: datetime) -> bool:
    return heartbeat is not None and heartbeat.state == "ready" and now - heartbeat.at <= FRESH


def node_id(number: int) -> str:
    """The name of the n-th node: n0001."""
    return f"n{number:04d}"


def ordinal(name: str) -> int:
    """The number in a node's name."""
    return int(name[1:])
