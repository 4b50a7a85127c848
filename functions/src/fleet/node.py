"""A media node in the ledger: its states, and what is written down of it. Pure; `python -m fleet.node` prints the
table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class NodeState(StrEnum):
    """Where a node is in its life."""

    REQUESTED = "requested"
    BOOTING = "booting"
    READY = "ready"
    CORDONED = "cordoned"
    DRAINING = "draining"
    QUARANTINED = "quarantined"
    LOST = "lost"
    TERMINATED = "terminated"


_S = NodeState

TRANSITIONS: Mapping[tuple[NodeState, NodeState], str] = {
    (_S.REQUESTED, _S.BOOTING): "EC2 launched its instance, or one with its tag was found",
    (_S.BOOTING, _S.READY): "it sent a heartbeat that says ready",
    (_S.BOOTING, _S.TERMINATED): "its instance ended, or the boot deadline passed",
    (_S.READY, _S.QUARANTINED): "its heartbeat is missing while EC2 says it runs",
    (_S.QUARANTINED, _S.READY): "its heartbeat is back",
    (_S.READY, _S.CORDONED): "an operator lets nothing new onto it",
    (_S.CORDONED, _S.READY): "an operator opens it again",
    (_S.CORDONED, _S.DRAINING): "an operator empties it",
    (_S.DRAINING, _S.TERMINATED): "it is empty",
    (_S.READY, _S.LOST): "its instance is gone",
    (_S.CORDONED, _S.LOST): "its instance is gone",
    (_S.DRAINING, _S.LOST): "its instance is gone",
    (_S.QUARANTINED, _S.LOST): "its instance is gone",
    (_S.LOST, _S.READY): "its instance and its heartbeat are back",
    (_S.QUARANTINED, _S.TERMINATED): "it has been silent for an hour and serves no order",
    (_S.LOST, _S.TERMINATED): "it has been gone for an hour and serves no order",
}
"""Every change that exists, and why it happens; a pair that is not here is refused."""

OCCUPYING = frozenset({_S.REQUESTED, _S.BOOTING, _S.READY, _S.CORDONED, _S.DRAINING, _S.QUARANTINED})
"""States in which a node has, or may have, an instance that costs money: they count for the ceiling."""


class Refusal(StrEnum):
    """Why EC2 launched nothing."""

    NO_CAPACITY = "no capacity"
    """This type is not to be had in this zone now: the next offer may do."""
    QUOTA = "quota"
    """The account may have no more: only a person can change that."""
    SPENT = "token spent"
    """The client token belongs to an instance that ended or to other parameters; it is refused for good."""


_PAUSE = {Refusal.NO_CAPACITY: timedelta(minutes=1), Refusal.QUOTA: timedelta(minutes=15)}


class NodeTransitionRefusedError(Exception):
    """The pair of states is not in the table."""

    def __init__(self, node: "Node", target: NodeState) -> None:
        super().__init__(f"node {node.id} is {node.state} and cannot become {target}")
        self.node = node


@dataclass(frozen=True)
class Offer:
    """Where and as what an instance can be launched; an empty type is the launch template's own."""

    subnet_id: str
    instance_type: str


@dataclass(frozen=True)
class Node:
    """One row of the ledger; `capacity` and `allocated` are concurrent protected calls, `attempt` counts launches that
    were refused.
    """

    id: str
    state: NodeState
    version: int
    capacity: int
    allocated: int
    requested_at: datetime
    attempt: int = 0
    retry_at: datetime | None = None
    refusal: Refusal | None = None
    zone: str = ""
    instance_type: str = ""
    client_token: str = ""
    instance_id: str = ""
    instance_arn: str = ""
    launched_at: datetime | None = None
    address: str = ""
    sip_port: int = 0
    ready_at: datetime | None = None
    reason: str = ""
    ended_at: datetime | None = None

    @property
    def free(self) -> int:
        """Calls that can still be allocated."""
        return self.capacity - self.allocated

    def waits(self, now: datetime) -> bool:
        """Whether EC2 refused its launch and the next attempt is yet to come."""
        return self.state is NodeState.REQUESTED and self.retry_at is not None and now < self.retry_at


def request(node_id: str, capacity: int, now: datetime) -> Node:
    """A node that is wanted and not yet launched."""
    return Node(node_id, NodeState.REQUESTED, version=1, capacity=capacity, allocated=0, requested_at=now)


def move(node: Node, target: NodeState, reason: str = "") -> Node:
    """The node after one transition; raises NodeTransitionRefusedError."""
    if (node.state, target) not in TRANSITIONS:
        raise NodeTransitionRefusedError(node, target)
    return replace(node, state=target, version=node.version + 1, reason=reason)


def end(node: Node, reason: str, now: datetime) -> Node:
    """The node after its life; its row is kept for a while. Raises NodeTransitionRefusedError."""
    return replace(move(node, NodeState.TERMINATED, reason), ended_at=now)


def booting(node: Node, *, instance_id: str, instance_arn: str, offer: Offer, client_token: str, now: datetime) -> Node:
    """The node with its instance."""
    return replace(
        move(node, NodeState.BOOTING),
        instance_id=instance_id,
        instance_arn=instance_arn,
        zone=offer.subnet_id,
        instance_type=offer.instance_type,
        client_token=client_token,
        launched_at=now,
        retry_at=None,
        refusal=None,
    )


def ready(node: Node, *, address: str, sip_port: int, now: datetime) -> Node:
    """The node in service at this address."""
    return replace(move(node, NodeState.READY), address=address, sip_port=sip_port, ready_at=node.ready_at or now)


def refused(node: Node, refusal: Refusal, offers: int, now: datetime) -> Node:
    """The node after EC2 refused a launch: another attempt, at once when there is an offer not yet tried, else after a
    pause.
    """
    attempt = node.attempt + 1
    all_tried = refusal is Refusal.QUOTA or (refusal is Refusal.NO_CAPACITY and attempt % offers == 0)
    return replace(
        node,
        version=node.version + 1,
        attempt=attempt,
        retry_at=now + _PAUSE[refusal] if all_tried else None,
        refusal=refusal,
        reason=f"launch refused: {refusal}",
    )


def table() -> str:
    """The transitions as a Markdown table, for the documentation."""
    rows = ["| from | to | when |", "| --- | --- | --- |"]
    rows += [f"| {source} | {target} | {why} |" for (source, target), why in TRANSITIONS.items()]
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
