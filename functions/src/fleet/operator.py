"""What an operator may wish of a node. Pure; what follows from it is the plan's. Named by Kubernetes' words, which operators know."""

from dataclasses import replace
from datetime import datetime
from typing import Literal

from fleet.node import Node, NodeState, move

Wish = Literal["cordon", "uncordon", "drain"]

_TARGETS = {
    "cordon": (NodeState.CORDONED, frozenset({NodeState.READY})),
    "uncordon": (NodeState.READY, frozenset({NodeState.CORDONED, NodeState.DRAINING})),
    "drain": (NodeState.DRAINING, frozenset({NodeState.READY, NodeState.CORDONED, NodeState.QUARANTINED})),
}


def wish(node: Node, word: Wish, now: datetime) -> Node | None:
    """The node as the operator wishes it, None when it is so already or cannot be."""
    target, sources = _TARGETS[word]
    if node.state not in sources:
        return None
    return replace(move(node, target, now, f"operator: {word}"))
