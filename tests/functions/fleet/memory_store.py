"""The ledger in memory, and what becomes of the control plane's writes: lost, refused, or its last."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from fleet import placement as placements
from fleet.node import Node
from fleet.observed import Heartbeat, Proof
from fleet.placement import Placement, Role
from fleet.store import ChangedMeanwhileError
from shared.shards import ALL, SHARDS, shard


class Killed(BaseException):
    """The control plane's process is killed: nothing catches this."""


@dataclass
class Writes:
    """What becomes of the control plane's next writes, by how many are still to come before it."""

    kill_before: int | None = None
    kill_after: int | None = None
    lose_answer: int | None = None
    refuse: int | None = None

    @property
    def pending(self) -> bool:
        """Whether something is still to become of one."""
        return not (self.kill_before is self.kill_after is self.lose_answer is self.refuse is None)

    def before(self) -> None:
        self.kill_before = self._count(self.kill_before, Killed)
        self.refuse = self._count(self.refuse, ConnectionError)

    def after(self) -> None:
        self.kill_after = self._count(self.kill_after, Killed)
        self.lose_answer = self._count(self.lose_answer, TimeoutError)

    def _count(self, left: int | None, error: type[BaseException]) -> int | None:
        if left == 0:
            for name in ("kill_before", "kill_after", "lose_answer", "refuse"):
                if getattr(self, name) == 0:
                    setattr(self, name, None)
            raise error
        return None if left is None else left - 1


class MemoryStore:
    """FleetStore in memory; the tests of the store hold the same stories against DynamoDB Local."""

    def __init__(self, writes: Writes | None = None) -> None:
        self.rows: dict[str, Node] = {}
        self.placed: dict[str, Placement] = {}
        self.assignments: dict[str, dict[str, tuple[Role, int, int, int]]] = {}
        self.beats: dict[str, Heartbeat] = {}
        self.told: dict[str, dict[str, Proof]] = {}
        self.writes = writes or Writes()
        self.changes = 0
        """How often nodes and placements were written."""

    def nodes(self) -> tuple[Node, ...]:
        return tuple(self.rows[name] for name in sorted(self.rows))

    def node(self, node_id: str) -> Node | None:
        return self.rows.get(node_id)

    def placements(self, shards: Collection[int] = ALL) -> dict[str, Placement]:
        return {name: one for name, one in self.placed.items() if len(shards) == SHARDS or shard(name) in shards}

    def placement(self, environment_id: str) -> Placement | None:
        return self.placed.get(environment_id)

    def heartbeats(self, arns: Iterable[str]) -> dict[str, Heartbeat]:
        return {arn: self.beats[arn] for arn in arns if arn in self.beats}

    def reports(self, arns: Iterable[str]) -> dict[str, Mapping[str, Proof]]:
        return {arn: self.told[arn] for arn in arns if arn in self.told}

    def beat(self, arn: str, heartbeat: Heartbeat) -> None:
        self.beats[arn] = heartbeat

    def report(self, arn: str, proofs: dict[str, Proof]) -> None:
        self.told[arn] = proofs

    def add(self, node: Node) -> None:
        self.writes.before()
        if node.id in self.rows:
            raise ChangedMeanwhileError
        self.rows[node.id] = node
        self.changes += 1
        self.writes.after()

    def replace(self, before: Node, after: Node) -> None:
        self.writes.before()
        if self.rows.get(before.id) != before:
            raise ChangedMeanwhileError
        self.rows[after.id] = after
        self.changes += 1
        self.writes.after()

    def rearrange(
        self, before: Placement, after: Placement, document: Mapping[str, int] | None, now: datetime
    ) -> Placement:
        self.writes.before()
        self._expect(before)
        try:
            self.rows |= placements.settle(self.rows, before, after, now)
        except placements.NoRoomError:
            raise ChangedMeanwhileError from None
        for one in before.assignments:
            if after.on(one.node_id) is None:
                del self.assignments[one.instance_arn][after.environment_id]
        for one in after.assignments:
            if before.on(one.node_id) != one:
                own = self.assignments.setdefault(one.instance_arn, {})
                version, phones = (
                    (document["version"], document["phones"]) if document else own[after.environment_id][2:]
                )
                own[after.environment_id] = one.role, one.epoch, version, phones
        return self._written(before, after)

    def note(self, before: Placement, after: Placement) -> Placement:
        self.writes.before()
        self._expect(before)
        assert before.assignments == after.assignments
        return self._written(before, after)

    def keep_receipt_key(self, jwk: Mapping[str, str], node_id: str, since: datetime) -> None:
        raise AssertionError("these nodes sign no receipts")

    def forget(self, placement: Placement) -> None:
        self.writes.before()
        self._expect(placement)
        assert not placement.assignments
        del self.placed[placement.environment_id]
        self.changes += 1
        self.writes.after()

    def _expect(self, before: Placement) -> None:
        found = self.placed.get(before.environment_id)
        if (found.version if found else 0) != before.version:
            raise ChangedMeanwhileError

    def _written(self, before: Placement, after: Placement) -> Placement:
        self.placed[after.environment_id] = written = replace(after, version=before.version + 1)
        self.changes += 1
        self.writes.after()
        return written
