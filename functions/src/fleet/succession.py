"""Who serves one environment: placing, handing over and taking over, so that there are never two primaries. Pure.

A primary that lives is first made standby, says so in its report, and only then somebody else becomes primary. One that is lost, or whose
lease is out, is not waited for. An assignment is taken away only from a node that knows that it is not primary, or that is gone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from fleet import placement as placements
from fleet.actions import Rearrange, Wanted
from fleet.lifecycle import DRAIN_DEADLINE, serves_now
from fleet.node import GONE, Node, NodeState
from fleet.observed import Observed, Proof
from fleet.placement import Assignment, Placement, Role
from fleet.rooms import Rooms

MOST_ASSIGNMENTS = 3
"""Primary, standby, and one more while a third takes over from either."""

Step = Iterator[tuple[Placement, str]]
"""Placements in order of preference, each with why; the first that overbooks no node is taken."""


@dataclass
class Succession:
    """One environment, and what is known of the nodes that it is on. `rooms` counts the step that is decided."""

    wanted: Wanted
    placement: Placement
    rooms: Rooms
    observed: Observed
    now: datetime

    def next(self) -> Rearrange | None:
        """The next step towards a good primary and a good standby, or None when there is none to take now."""
        for step in (
            self._after_loss,
            self._promotion,
            self._takeover,
            self._update,
            self._one_more,
            self._handover,
            self._one_less,
        ):
            for after, why in step():
                more = any(self.placement.on(one.node_id) is None for one in after.assignments)
                if after != self.placement and self.rooms.allows(self.placement, after, more=more):
                    return self._decided(after, why)
        return None

    def end(self) -> Rearrange | None:
        """The next step towards serving the environment nowhere."""
        after = placements.without(
            self.placement, [one.node_id for one in self.placement.assignments if self._is_out(one)]
        )
        if after.primary:
            after = placements.give(after, after.primary.node_id, Role.STANDBY, self.now)
        return replace(self._decided(after, "no longer served"), wanted=None) if after != self.placement else None

    @property
    def lacks_standby(self) -> bool:
        """Whether another node has to be found, for when the primary is lost or to take over from it."""
        primary = self.placement.primary
        needed = self.rooms.limits.standby or primary is None or self._should_go(primary)
        return needed and not any(self._is_good(one) for one in self.placement.standbys)

    def _decided(self, after: Placement, why: str) -> Rearrange:
        self.rooms.take(self.placement, after)
        return Rearrange(self.placement, after, why, self.wanted)

    # The steps.

    def _after_loss(self) -> Step:
        """Its primary or a standby is gone: the best standby takes over in the same write."""
        left = placements.without(
            self.placement, [one.node_id for one in self.placement.assignments if self._node(one).state in GONE]
        )
        if left != self.placement:
            if left.primary is None:
                yield from self._promoted(left)
            yield left, "node lost"

    def _promotion(self) -> Step:
        """Nobody serves it."""
        if self.placement.primary is None:
            yield from self._promoted(self.placement)

    def _takeover(self) -> Step:
        """Its primary has not been heard of for so long that its lease is out."""
        primary = self.placement.primary
        if primary and self.observed.lease_is_out(self._node(primary), self.now):
            demoted = placements.give(self.placement, primary.node_id, Role.STANDBY, self.now)
            for after, _ in self._promoted(demoted):
                yield after, "lease is out"

    def _promoted(self, placement: Placement) -> Step:
        """Each standby as primary, the best first; nothing while somebody may still think that it is primary itself."""
        if all(self._is_out(one) for one in placement.assignments):
            for one in sorted(placement.standbys, key=self._rank):
                if self._is_heard(one):
                    yield placements.give(placement, one.node_id, Role.PRIMARY, self.now), "promoted"

    def _update(self) -> Step:
        """What is wanted has changed: the nodes are told, and get as many calls as they have room for."""
        renewed = tuple(replace(one, version=self.wanted.version) for one in self.placement.assignments)
        if renewed != self.placement.assignments or self.wanted.dedicated != self.placement.dedicated:
            yield replace(self.placement, assignments=renewed, dedicated=self.wanted.dedicated), "updated"
        for one in self.placement.assignments:
            if one.calls != self.wanted.calls:
                resized = replace(one, calls=self.wanted.calls)
                after = replace(
                    self.placement,
                    assignments=tuple(resized if each is one else each for each in self.placement.assignments),
                )
                if self._fits(after):
                    yield after, "resized"

    def _one_more(self) -> Step:
        """It has no node, or none that stands by and can be relied on, or only one in the same zone although another zone has room."""
        placement = self.placement
        if not placement.assignments:
            if found := self.rooms.find(self.wanted, replace(placement, dedicated=self.wanted.dedicated), Role.PRIMARY):
                yield found, "placed"
        elif len(placement.assignments) < MOST_ASSIGNMENTS and (self.lacks_standby or self._is_in_one_zone(placement)):
            found = self.rooms.find(self.wanted, placement, Role.STANDBY)
            if found and (self.lacks_standby or not self._is_in_one_zone(found)):
                yield found, "stands by"

    def _handover(self) -> Step:
        """Its primary should go, and a standby is ready: the first half of handing over."""
        primary = self.placement.primary
        if primary is None or not self._is_heard(primary) or not self._should_go(primary):
            return
        ready = [one for one in self.placement.standbys if self._is_good(one) and self._is_loaded(one)]
        if self._has_failed(primary):
            ready = [one for one in ready if self._has_passed(one)]
        for one in ready:
            handed = placements.give(self.placement, primary.node_id, Role.STANDBY, self.now)
            if self._fits(placements.give(handed, one.node_id, Role.PRIMARY, self.now), firm=True):
                yield handed, "handed over"

    def _one_less(self) -> Step:
        """Who is not needed any more is released, the worst first."""
        primary = self.placement.primary
        if primary is None:
            return
        keep = 1 if self.rooms.limits.standby or self._should_go(primary) else 0
        ranked = sorted(self.placement.standbys, key=self._rank)
        surplus = ranked[keep:] if all(self._is_good(one) for one in ranked[:keep]) else []
        overdue = [one for one in ranked if self._is_overdue(one)]
        for one in (*reversed(surplus), *overdue):
            if self._is_out(one):
                yield placements.without(self.placement, [one.node_id]), "released"

    # What is known of one assignment.

    def _node(self, one: Assignment) -> Node:
        return self.rooms.node(one.node_id)

    def _report(self, one: Assignment) -> Proof | None:
        return self.observed.report(one.instance_arn, self.placement.environment_id)

    def _is_out(self, one: Assignment) -> bool:
        """Whether its node certainly does not think that it is primary."""
        node, report = self._node(one), self._report(one)
        if node.state in GONE or self.observed.lease_is_out(node, self.now):
            return True
        return one.role is Role.STANDBY and (not one.demoted or (report is not None and report.epoch >= one.epoch))

    def _is_heard(self, one: Assignment) -> bool:
        return serves_now(self._node(one))

    def _is_loaded(self, one: Assignment) -> bool:
        report = self._report(one)
        return report is not None and report.epoch >= one.epoch and report.version >= one.version

    def _has_passed(self, one: Assignment) -> bool:
        report = self._report(one)
        return self._is_loaded(one) and report is not None and report.probe_ok is True

    def _has_failed(self, one: Assignment) -> bool:
        report = self._report(one)
        return self._is_loaded(one) and report is not None and report.probe_ok is False

    def _is_cramped(self, one: Assignment) -> bool:
        """Whether its node had no room for what the environment has become."""
        return one.calls < self.wanted.calls

    def _should_go(self, one: Assignment) -> bool:
        """Whether its node should not serve it, or not go on to."""
        leaves = self._node(one).state is NodeState.DRAINING or not self._is_heard(one)
        leaves = leaves or self.placement.leaves == one.node_id
        return leaves or self._is_cramped(one) or self._has_failed(one) or not self._is_alone(one)

    def _is_good(self, standby: Assignment) -> bool:
        """Whether it can be relied on as a standby."""
        node = self._node(standby)
        if self.placement.leaves == standby.node_id:
            return False
        leaves = node.state is NodeState.DRAINING or not self._is_heard(standby) or not self._is_alone(standby)
        return (
            not leaves
            and not self._is_cramped(standby)
            and node.used <= node.capacity
            and not self._has_failed(standby)
        )

    def _is_alone(self, one: Assignment) -> bool:
        """Whether a dedicated environment has the node for itself; any other is content."""
        return not self.wanted.dedicated or self._node(one).dedicated_to in ("", self.wanted.environment_id)

    def _rank(self, standby: Assignment) -> tuple[bool, bool, bool, bool, bool, str]:
        """The best standby sorts first; one that would have to go as primary last, or it would be handed over for ever."""
        primary = self.placement.primary
        same_zone = primary is not None and self._node(primary).zone == self._node(standby).zone
        good = self._is_good(standby)
        goes = self._should_go(standby)
        return (goes, not good, same_zone, not self._has_passed(standby), not self._is_loaded(standby), standby.node_id)

    def _is_overdue(self, standby: Assignment) -> bool:
        """Whether its node waits so long to be empty that the environment does without, until there is room."""
        node = self._node(standby)
        return node.state is NodeState.DRAINING and node.since is not None and self.now - node.since > DRAIN_DEADLINE

    def _is_in_one_zone(self, placement: Placement) -> bool:
        primary = placement.primary
        zones = {self._node(one).zone for one in placement.assignments if one is primary or self._is_good(one)}
        return self.rooms.limits.standby and primary is not None and len(zones) == 1 and len(placement.assignments) > 1

    def _fits(self, after: Placement, *, firm: bool = False) -> bool:
        return self.rooms.allows(self.placement, after, more=not firm)
