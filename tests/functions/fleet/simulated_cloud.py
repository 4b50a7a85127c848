"""A cloud for the fleet that does to it what clouds do, on a clock of its own.

EC2 keeps its documented word on client tokens, and besides runs out of capacity, throttles, loses its answers, tells what was true a
minute ago and ends instances. Nodes boot or do not, lose DynamoDB, hang, fail their probe calls and have clocks that are wrong. The
control plane is killed before or after any of its writes. What must hold at every moment is `Cloud.check`; what must hold once the cloud
is well again, `Cloud.check_healed`.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.limits import Limits
from fleet.node import GONE, OCCUPYING, NodeState
from fleet.observed import LEASE, Heartbeat, Instance, Proof
from fleet.part import WHOLE
from fleet.placement import HoldReason, Role
from fleet.reconciler import Reconciler
from shared.telemetry import metrics
from tests.functions.fleet.memory_store import Killed, MemoryStore, Writes
from tests.functions.fleet.simulated_services import Customers, Dns, Ec2, Records

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
TICK = timedelta(seconds=5)
COARSE_TICK = timedelta(seconds=30)
"""Where nothing more happens and only time has to pass."""
ZONES = ("subnet-a", "subnet-b", "subnet-c")
LIMITS = Limits("test", ZONES, (), capacity_calls=20, max_nodes=6)
NAMES_FOLLOW_WITHIN = timedelta(seconds=90)
"""So long a name may point to an ended instance while nothing else is wrong: EC2's answers may be a minute old."""


@dataclass
class MediaNode:
    """A node as it behaves: it serves what it read last, for as long as its lease lasts."""

    arn: str
    instance_id: str
    zone: str
    boots_at: datetime
    address: str
    boots: bool = True
    reaches_dynamodb: bool = True
    hangs: bool = False
    probe_passes: bool = True
    clock: timedelta = timedelta(0)
    calls: int = 0
    renewed_at: datetime | None = None
    loaded: dict[str, tuple[Role, int, int, int]] = field(default_factory=dict)
    reported: tuple[dict[str, tuple[Role, int, int, int]], bool] | None = None
    """What it loaded and whether its probe passes, as it last told."""

    def is_primary_of(self, environment_id: str, now: datetime) -> bool:
        """Whether it would accept a phone's registration."""
        if self.hangs or self.renewed_at is None or now - self.renewed_at >= LEASE:
            return False
        return self.loaded.get(environment_id, (Role.STANDBY,))[0] is Role.PRIMARY


class Cloud:
    """All of it, and the control plane that is being tried."""

    def __init__(self, limits: Limits = LIMITS, store: Any = None) -> None:
        self.now = NOON
        self.limits = limits
        self.store = store or MemoryStore()
        self.reads_are_cheap = store is None
        self.writes: Writes = self.store.writes
        self.dns = Dns(self)
        self.customers = Customers(self.writes, self.dns)
        self.records = Records(self.writes)
        self.ec2 = Ec2(self)
        self.machines: dict[str, MediaNode] = {}
        self.next_boots = True
        self.next_passes = True
        self.control_plane_runs = True
        self.wrong_since: dict[str, datetime] = {}
        self.unwell_at = NOON
        self.most_primaries = 0
        self.reconcile_every = 1
        self.parts = [WHOLE]
        self._ticks = 0
        self._looks_at = NOON
        self._checked = -1

    @property
    def reconciler(self) -> Reconciler:
        """A new process each time: it remembers nothing."""
        return Reconciler(self.store, self.customers, self.ec2, self.dns, self.records, self.limits, lambda: self.now)

    def boot(self, instance: Instance, number: int) -> None:
        address = f"192.0.2.{number}"
        node = MediaNode(
            instance.arn, instance.id, instance.subnet_id, self.now + timedelta(seconds=20), address, self.next_boots
        )
        node.probe_passes = self.next_passes
        self.machines[instance.arn] = node

    # What passes with time.

    def pass_time(self, span: timedelta, tick: timedelta = TICK) -> None:
        """Let time pass: nodes poll and beat, the control plane looks."""
        end = self.now + span
        while self.now < end:
            self.now += tick
            self._ticks += 1
            self.ec2.remember()
            changed = False
            # Each node polls when it likes: whoever gains comes before who loses, or after.
            for node in list(self.machines.values())[:: 1 if self._ticks % 2 else -1]:
                changed |= self._tick(node)
            self._check_names()
            if self.now >= self._looks_at or (changed and self._ticks % self.reconcile_every == 0):
                if self.now >= self._looks_at:
                    self._looks_at = self.now + timedelta(minutes=1)
                self.look()

    def look(self) -> None:
        """One run of the control plane, which may be killed in the middle."""
        if not self.control_plane_runs:
            return
        try:
            for part in self.parts:
                self.reconciler.run(part=part)
        except (Killed, ConnectionError):
            pass
        finally:
            metrics.clear_metrics()
        self.check()

    def _tick(self, node: MediaNode) -> bool:
        """What a node does in a tick; whether it wrote something new."""
        if node.boots and self.ec2.all[node.instance_id].state == "pending":
            self.ec2.all[node.instance_id] = replace(self.ec2.all[node.instance_id], state="running")
        if not node.boots or node.hangs or self.now < node.boots_at or not node.reaches_dynamodb:
            return False
        own = self.store.assignments.get(node.arn, {})
        lapsed = node.renewed_at is None or self.now - node.renewed_at >= LEASE
        gains = lapsed or node.loaded != own
        if gains:
            node.loaded = dict(own)
        first = node.renewed_at is None
        if first:
            self.records.running[node.arn] = self.now
        node.renewed_at = self.now
        self.store.beat(node.arn, Heartbeat(self.now + node.clock, "ready", node.address, 5061, node.calls))
        said = node.loaded, node.probe_passes
        news = said != node.reported
        if news or self._ticks % 720 == 0:
            node.reported = said
            self.store.report(
                node.arn,
                {
                    name: Proof(version, epoch, phones, node.probe_passes, self.now)
                    for name, (_, epoch, version, phones) in node.loaded.items()
                },
            )
        if gains:
            self._check_primaries()
        return news or first

    # What must hold.

    def _check_primaries(self) -> None:
        for environment_id in {name for node in self.machines.values() for name in node.loaded}:
            primaries = [node.arn for node in self.machines.values() if node.is_primary_of(environment_id, self.now)]
            assert len(primaries) <= 1, f"{environment_id} has two primaries with a fresh lease: {primaries}"

    def check(self) -> None:
        """At every moment, whatever is wrong with the cloud."""
        self._check_primaries()
        self._check_names()
        if self.reads_are_cheap and self._checked != self.store.changes:
            self._checked = self.store.changes
            self._check_ledger()

    def _check_ledger(self) -> None:
        rows = self.store.rows.values()
        assert sum(node.state in OCCUPYING for node in rows) <= self.limits.max_nodes, "more nodes than the ceiling"
        for node in rows:
            on_it = [(one, placed.on(node.id)) for one, placed in self.store.placed.items() if placed.on(node.id)]
            firm = sum(
                one.calls
                for name, one in on_it
                if one and (one.role is Role.PRIMARY or self.store.placed[name].primary is None)
            )
            assert node.firm == firm, f"{node.id} counts {node.firm} calls and has {firm}"
            assert firm <= node.capacity, f"{node.id} is overbooked"
            assert (node.empty and not on_it) or (not node.empty and on_it), f"{node.id} does not know what is on it"
        for placed in self.store.placed.values():
            assert sum(one.role is Role.PRIMARY for one in placed.assignments) <= 1
            for one in placed.assignments:
                told = self.store.assignments[one.instance_arn][placed.environment_id]
                assert told[:2] == (one.role, one.epoch), "a node is told another role than the ledger has"

    def _check_names(self) -> None:
        if not self.is_well:
            self.unwell_at = self.now
        if not self.dns.says:
            return
        alive = {node.address for node in self.machines.values()}
        for environment_id, said in self.dns.says.items():
            if all(address.split(" ")[1] in alive for address in said):
                self.wrong_since.pop(environment_id, None)
                continue
            since = max(self.wrong_since.setdefault(environment_id, self.now), self.unwell_at)
            assert self.now - since <= NAMES_FOLLOW_WITHIN, (
                f"{environment_id} has pointed to an ended node since {since}"
            )

    @property
    def is_well(self) -> bool:
        """Whether nothing keeps the control plane from its work."""
        return self.control_plane_runs and not self.ec2.throttled and not self.ec2.stale and not self.writes.pending

    def heal(self) -> None:
        """Nothing is wrong any more, and there is time."""
        self.writes.__init__()  # type: ignore[misc]
        self.control_plane_runs = True
        self.ec2.full.clear()
        self.ec2.throttled = False
        self.dns.spreads_in = timedelta(0)
        self.ec2.quota, self.ec2.stale, self.next_boots, self.next_passes = 99, timedelta(0), True, True
        for node in self.machines.values():
            node.reaches_dynamodb, node.probe_passes, node.clock, node.calls = True, True, timedelta(0), 0
        self.pass_time(timedelta(minutes=3))
        # What a bad hour left behind is forgotten after an hour: boots that failed, tokens, nodes that are silent.
        self.pass_time(timedelta(minutes=75), tick=COARSE_TICK)

    def check_healed(self) -> None:
        """Once the cloud is well: every environment is served or held with a reason, every instance owned or ended."""
        owned = {node.instance_id for node in self.store.rows.values() if node.state in OCCUPYING}
        alive = {instance.id for instance in self.ec2.all.values() if instance.alive}
        assert alive <= owned, f"nobody owns {alive - owned}"
        at_ceiling = sum(node.state in OCCUPYING for node in self.store.rows.values()) >= self.limits.max_nodes
        by_arn = {node.arn: node for node in self.machines.values()}
        for name, wanted in self.customers.served.items():
            placed = self.store.placed[name]
            if placed.primary is None:
                fits = wanted.calls <= self.limits.capacity_calls
                assert placed.held is (HoldReason.CEILING if fits else HoldReason.TOO_LARGE), f"{name} waits: {placed}"
                assert at_ceiling or not fits, f"{name} is held for a ceiling that is not reached"
                assert self.customers.told_held[name] == placed.held
                assert self.dns.says.get(name) is None
                continue
            node = by_arn[placed.primary.instance_arn]
            assert node.is_primary_of(name, self.now), f"{name} is served by nobody: {placed}"
            assert node.loaded[name][1:] == (placed.primary.epoch, wanted.version, wanted.phones)
            assert self.customers.told_proven[name] == (wanted.version, placed.primary.node_id)
            assert name not in self.customers.told_held
            assert self.dns.says[name][0].split(" ")[1] == node.address
            assert self.dns.says[name] == placed.names
            if placed.standbys:
                (standby,) = placed.standbys
                assert standby.instance_arn in by_arn
            else:
                assert at_ceiling or not self.limits.standby, f"{name} has no standby: {placed}"
        for name in self.customers.gone:
            assert name not in self.store.placed, f"{name} has ended and is still placed"
            owner = self.customers.owner(name)
            assert self.dns.says.get(name) == self.dns.says.get(owner), f"{name} does not lead where {owner} does"
            assert not any(name in node.loaded for node in self.machines.values())
        ended = {node.instance_arn for node in self.store.rows.values() if node.ready_at and node.state in GONE}
        assert not ended & self.records.running.keys(), "calls of nodes that are gone have left no record"
        assert not [
            one for placed in self.store.placed.values() for one in placed.assignments
            if self.store.rows[one.node_id].state in GONE | {NodeState.QUARANTINED}
        ]  # fmt: skip
