"""How many nodes there should be: one more for what finds no room, one less when it is empty, and each of the newest release. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fleet.actions import Action, Alarm, Mark, RequestNode, Wanted
from fleet.lifecycle import BOOT_FAILED
from fleet.limits import Limits, node_id, ordinal
from fleet.node import COMING, OCCUPYING, Node, NodeState, Refusal, request
from fleet.observed import Observed
from fleet.placement import HoldReason, Placement, Role
from fleet.rooms import Rooms

MOST_BOOT_FAILURES = 3
BOOT_FAILURES_COUNT_FOR = timedelta(hours=1)
EMPTY_FOR = timedelta(hours=1)
ROLL_STOPPED_FOR = timedelta(hours=24)
"""So long a new release that failed keeps the rest of the fleet on the old one, if nobody rolls another."""

_HOLD_FOR = {
    Refusal.NO_CAPACITY: HoldReason.NO_CAPACITY,
    Refusal.SPENT: HoldReason.NO_CAPACITY,
    Refusal.QUOTA: HoldReason.QUOTA,
}


@dataclass
class Capacity:
    """What the environments that found no room ask for. Nodes that are coming are filled first, in `rooms`."""

    rooms: Rooms
    observed: Observed
    limits: Limits
    now: datetime
    requested: list[RequestNode] = field(default_factory=list)

    def __post_init__(self) -> None:
        nodes = self.rooms.nodes.values()
        self._coming = [node.id for node in nodes if node.state in COMING]
        self._occupying = sum(node.state in OCCUPYING for node in nodes)
        self._last = max((ordinal(node.id) for node in nodes), default=0)
        self._failures = sum(
            node.reason == BOOT_FAILED
            and node.launched_at is not None
            and self.now - node.launched_at < BOOT_FAILURES_COUNT_FOR
            for node in nodes
            if node.state is NodeState.TERMINATED
        )

    @property
    def is_coming(self) -> bool:
        """Whether a node has been asked for that does not serve yet."""
        return bool(self._coming)

    def ask(self, wanted: Wanted, placement: Placement, *, standby: bool) -> HoldReason | None:
        """Make sure that a node comes for it, and one for its standby; answers why it has to wait for us, if it does."""
        placement = replace(placement, dedicated=wanted.dedicated)
        role = Role.STANDBY if placement.assignments else Role.PRIMARY
        placed, reason = self._place(wanted, placement, role)
        if placed and role is Role.PRIMARY and standby:
            self._place(wanted, placed, Role.STANDBY)
        return reason

    def request(self, why: str) -> HoldReason | None:
        """One more node; answers why not, if it may not be."""
        if self._failures >= MOST_BOOT_FAILURES:
            return HoldReason.BOOT
        if self._occupying >= self.limits.max_nodes:
            return HoldReason.CEILING
        self._last += 1
        self._occupying += 1
        name, home = node_id(self._last), self._home()
        self.requested.append(RequestNode(name, home, why))
        self.rooms.nodes[name] = request(name, self.limits.capacity_calls, self.now, home)
        self._coming.append(name)
        return None

    def surplus(self) -> Iterator[Mark]:
        """Nodes that nobody needs: EC2 refuses to launch them while nobody waits, or they have been empty for an hour."""
        nodes = self.rooms.nodes.values()
        for node in nodes:
            if node.state is NodeState.REQUESTED and node.empty and node.waits(self.now):
                yield Mark(node, NodeState.TERMINATED, "nobody needs it any more")
        idle = [node for node in nodes if node.state is NodeState.READY and node.empty and self._has_been_empty(node)]
        for node in sorted(idle, key=lambda node: (self.outdated(node), node.id), reverse=True)[
            : max(0, len(idle) - self.limits.spare_nodes)
        ]:
            yield Mark(node, NodeState.DRAINING, "it has been empty for an hour")

    def roll(self) -> Iterator[Action]:
        """Empty nodes of an older release, one zone at a time, as long as those of the newest prove themselves."""
        ready = [node for node in self.rooms.nodes.values() if node.state is NodeState.READY]
        outdated = sorted((node for node in ready if self.outdated(node)), key=lambda node: (node.zone, node.id))
        if not outdated:
            return
        if failed := next((node for node in self.rooms.nodes.values() if self._failed(node)), None):
            yield Alarm("RollStopped", failed.id)
            return
        if not any(not self.outdated(node) for node in ready):
            if not self._coming and self.request("roll") and len(ready) > 1:
                yield self._drain(outdated[0])  # the ceiling allows no node more than there are
            return
        draining = [
            node for node in self.rooms.nodes.values() if node.state is NodeState.DRAINING and self.outdated(node)
        ]
        zone = draining[0].zone if draining else outdated[0].zone
        here = [node for node in outdated if node.zone == zone]
        for node in here[: max(0, self.limits.rolled_at_once - len(draining))]:
            yield self._drain(node)

    def outdated(self, node: Node) -> bool:
        """Whether it runs another release than nodes should."""
        return bool(self.limits.release) and node.state not in COMING and node.release != self.limits.release

    def _place(self, wanted: Wanted, placement: Placement, role: Role) -> tuple[Placement | None, HoldReason | None]:
        found = self.rooms.find(wanted, placement, role, self._coming)
        reason = None
        if not found:
            reason = self.request(f"{role} of {wanted.environment_id}")
            found = self.rooms.find(wanted, placement, role, self._coming) if reason is None else None
        if found:
            self.rooms.take(placement, found)
            node = self.rooms.nodes[found.assignments[-1].node_id]
            if node.refusal and node.waits(self.now):
                reason = _HOLD_FOR[node.refusal]
        return found, reason

    def _home(self) -> int:
        """The subnet with the fewest nodes."""
        subnets = self.limits.subnet_ids
        count = dict.fromkeys(range(len(subnets)), 0)
        for node in self.rooms.nodes.values():
            if node.state in OCCUPYING and node.state is not NodeState.DRAINING:
                count[subnets.index(node.zone) if node.zone in subnets else node.home % len(subnets)] += 1
        return min(count, key=lambda number: (count[number], number))

    def _has_been_empty(self, node: Node) -> bool:
        since = max((moment for moment in (node.emptied_at, node.ready_at) if moment), default=self.now)
        return self.now - since > EMPTY_FOR

    def _drain(self, node: Node) -> Mark:
        return Mark(
            node, NodeState.DRAINING, f"release {node.release or 'unknown'} is replaced by {self.limits.release}"
        )

    def _failed(self, node: Node) -> bool:
        """Whether a node of the newest release did not boot, was lost, or has a probe call that fails."""
        if not self.limits.release or node.release != self.limits.release:
            return False
        if node.state is NodeState.TERMINATED:
            return (
                node.reason == BOOT_FAILED and node.ended_at is not None and self.now - node.ended_at < ROLL_STOPPED_FOR
            )
        if node.state in (NodeState.QUARANTINED, NodeState.LOST):
            return True
        return any(proof.probe_ok is False for proof in self.observed.reports.get(node.instance_arn, {}).values())
