"""The nodes' loads while a plan is made: where an environment finds room, counting what the plan has already given away. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from fleet import placement as placements
from fleet.actions import Wanted
from fleet.limits import Limits
from fleet.node import Node, NodeState
from fleet.placement import Placement, Role


@dataclass
class Rooms:
    """All nodes by name, as they will be when what is planned so far is done."""

    nodes: dict[str, Node]
    limits: Limits
    now: datetime

    def __post_init__(self) -> None:
        self._ready = [
            node.id for node in self.nodes.values() if node.state is NodeState.READY and node.silent_since is None
        ]

    def node(self, name: str) -> Node:
        """A node by its name; one that the ledger does not know has ended."""
        return self.nodes.get(name) or Node(name, NodeState.TERMINATED, version=0, capacity=0, requested_at=self.now)

    def take(self, before: Placement | None, after: Placement | None) -> None:
        """Count the change of a placement."""
        self.nodes.update(placements.account(self.nodes, before, after, self.now))

    def allows(self, before: Placement, after: Placement, *, more: bool) -> bool:
        """Whether no node is asked for more than it has."""
        changed = placements.account(self.nodes, before, after, self.now)
        return not any(placements.overbooks(self.nodes[name], node, more=more) for name, node in changed.items())

    def find(
        self, wanted: Wanted, placement: Placement, role: Role, among: Iterable[str] | None = None
    ) -> Placement | None:
        """The placement with the environment on one more node, or None when there is no room.

        In another zone than the primary when there is one; on a node of the newest release; on the fullest, since packed allocation keeps
        whole nodes free for large customers and for draining.
        """
        primary = placement.primary
        apart = self.node(primary.node_id).zone if primary else None
        best: tuple[tuple[bool, bool, int, str], Placement] | None = None
        for name in self._ready if among is None else among:
            node = self.nodes[name]
            if placement.on(name) or not _admits(node, wanted):
                continue
            # Cheap and never too strict: what does not fit even without the reserve need not be tried.
            if node.firm + wanted.calls > node.capacity:
                continue
            after = placements.assign(placement, node, role, wanted.calls, wanted.version, self.now)
            loaded = placements.account(self.nodes, placement, after, self.now)
            if any(placements.overbooks(self.nodes[other], row, more=True) for other, row in loaded.items()):
                continue
            outdated = bool(self.limits.release) and node.release not in ("", self.limits.release)
            rank = (apart is not None and node.zone == apart, outdated, node.capacity - loaded[name].used, name)
            if best is None or rank < best[0]:
                best = rank, after
        return best[1] if best else None


def _admits(node: Node, wanted: Wanted) -> bool:
    if wanted.dedicated:
        return node.empty or node.dedicated_to == wanted.environment_id
    return not node.dedicated_to
