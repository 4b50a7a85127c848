"""Where nodes may be launched, how many there may be and how much each carries: the settings of the stage. Pure."""

import hashlib
from dataclasses import dataclass

from fleet.node import Node, Offer


@dataclass(frozen=True)
class Limits:
    """The reconciler's bounds. `release` names the software and image that nodes should run; empty: whatever they run will do."""

    fleet: str
    subnet_ids: tuple[str, ...]
    instance_types: tuple[str, ...]
    capacity_calls: int
    max_nodes: int
    release: str = ""
    standby: bool = True
    """Whether each environment has a node that stands by for it. Without, a lost node is down until another has booted."""
    spare_nodes: int = 0
    """Empty nodes that are kept."""
    rolled_at_once: int = 1

    @property
    def offers(self) -> int:
        """How many different launches there are to try."""
        return len(self.subnet_ids) * max(1, len(self.instance_types))

    def offer(self, node: Node) -> Offer:
        """What the node's next launch asks for: all zones for the preferred type, the node's own first, then the next type."""
        zone = (node.home + node.attempt) % len(self.subnet_ids)
        types = self.instance_types or ("",)
        return Offer(self.subnet_ids[zone], types[node.attempt // len(self.subnet_ids) % len(types)])

    def client_token(self, node: Node) -> str:
        """The same for the same launch, another for any other: at most 64 ASCII characters, as EC2 wants."""
        offer = self.offer(node)
        parts = (self.fleet, node.id, str(node.attempt), offer.instance_type, offer.subnet_id)
        return hashlib.sha256("/".join(parts).encode()).hexdigest()


def node_id(number: int) -> str:
    """The name of the n-th node: n0001."""
    return f"n{number:04d}"


def ordinal(name: str) -> int:
    """The number in a node's name."""
    return int(name[1:])
