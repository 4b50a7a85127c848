"""A media node in the ledger: its states, and what is written down of it. Pure; `python -m fleet.node` prints the table and its diagram."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    (_S.REQUESTED, _S.TERMINATED): "nobody needs it any more, or an operator ends it",
    (_S.BOOTING, _S.READY): "it sent a heartbeat that says ready",
    (_S.BOOTING, _S.TERMINATED): "its instance ended, or the boot deadline passed",
    (_S.READY, _S.QUARANTINED): "its heartbeat is missing while EC2 says it runs",
    (_S.QUARANTINED, _S.READY): "its heartbeat is back",
    (_S.READY, _S.CORDONED): "an operator lets nothing new onto it",
    (_S.CORDONED, _S.READY): "an operator opens it again",
    (_S.READY, _S.DRAINING): "it is outdated, it has been empty for an hour, or an operator empties it",
    (_S.CORDONED, _S.DRAINING): "an operator empties it",
    (_S.QUARANTINED, _S.DRAINING): "an operator empties it",
    (_S.DRAINING, _S.READY): "an operator opens it again",
    (_S.DRAINING, _S.TERMINATED): "it is empty and its last call has ended, or the deadline for that passed",
    (_S.READY, _S.LOST): "its instance is gone",
    (_S.CORDONED, _S.LOST): "its instance is gone",
    (_S.DRAINING, _S.LOST): "its instance is gone",
    (_S.QUARANTINED, _S.LOST): "its instance is gone",
    (_S.LOST, _S.READY): "its instance and its heartbeat are back",
    (_S.QUARANTINED, _S.TERMINATED): "it has been silent for an hour and serves nobody",
    (_S.LOST, _S.TERMINATED): "it has been gone for an hour and serves nobody",
}
"""Every change that exists, and why it happens; a pair that is not here is refused."""

OCCUPYING = frozenset({_S.REQUESTED, _S.BOOTING, _S.READY, _S.CORDONED, _S.DRAINING, _S.QUARANTINED})
"""States in which a node has, or may have, an instance that costs money: they count for the ceiling."""

COMING = frozenset({_S.REQUESTED, _S.BOOTING})
"""States in which a node will carry calls soon."""

IN_SERVICE = frozenset({_S.READY, _S.CORDONED, _S.DRAINING, _S.QUARANTINED})
"""States in which a node has an instance that may carry calls."""

GONE = frozenset({_S.LOST, _S.TERMINATED})
"""States in which a node certainly carries no calls."""


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
    """One row of the ledger.

    `capacity` and all that is compared with it are concurrent protected calls. `home` is the number of the subnet that is tried first,
    `attempt` counts launches that were refused, `release` is the software and image that it was launched with.
    """

    id: str
    state: NodeState
    version: int
    capacity: int
    requested_at: datetime
    primary: int = 0
    """Calls of the environments that it serves."""
    reserve: Mapping[str, int] = field(default_factory=dict)
    """Calls of the environments that it stands by for, by the node that serves them now; "" for those that nobody serves at this moment."""
    dedicated_to: str = ""
    """The one environment that it serves, if it was made for one."""
    home: int = 0
    attempt: int = 0
    retry_at: datetime | None = None
    refusal: Refusal | None = None
    zone: str = ""
    instance_type: str = ""
    release: str = ""
    client_token: str = ""
    instance_id: str = ""
    instance_arn: str = ""
    launched_at: datetime | None = None
    address: str = ""
    sip_port: int = 0
    ready_at: datetime | None = None
    since: datetime | None = None
    """Since when it is in its state."""
    emptied_at: datetime | None = None
    """When the last environment left it; None while it has any, or never had one."""
    silent_since: datetime | None = None
    """When its heartbeat was first missed, on our clock."""
    silent_beat: datetime | None = None
    """The time in the heartbeat that was the last one then, on the node's clock."""
    reason: str = ""
    ended_at: datetime | None = None
    calls_ended: bool = False
    """Whether the records were written of the calls that ran when it was lost."""

    @property
    def firm(self) -> int:
        """Calls that it must be able to carry now."""
        return self.primary + self.reserve.get("", 0)

    @property
    def used(self) -> int:
        """Calls that it must be able to carry when any one other node is lost."""
        return self.firm + max((calls for name, calls in self.reserve.items() if name), default=0)

    @property
    def empty(self) -> bool:
        """Whether it serves nobody and stands by for nobody."""
        return not self.primary and not self.reserve

    def waits(self, now: datetime) -> bool:
        """Whether EC2 refused its launch and the next attempt is yet to come."""
        return self.state is NodeState.REQUESTED and self.retry_at is not None and now < self.retry_at


def request(node_id: str, capacity: int, now: datetime, home: int = 0) -> Node:
    """A node that is wanted and not yet launched."""
    return Node(node_id, NodeState.REQUESTED, version=1, capacity=capacity, requested_at=now, home=home, since=now)


def move(node: Node, target: NodeState, now: datetime, reason: str = "") -> Node:
    """The node after one transition; raises NodeTransitionRefusedError."""
    if (node.state, target) not in TRANSITIONS:
        raise NodeTransitionRefusedError(node, target)
    ended_at = now if target is NodeState.TERMINATED else None
    return replace(node, state=target, version=node.version + 1, reason=reason, since=now, ended_at=ended_at)


def booting(
    node: Node,
    *,
    instance_id: str,
    instance_arn: str,
    offer: Offer,
    client_token: str,
    now: datetime,
    release: str = "",
) -> Node:
    """The node with its instance."""
    return replace(
        move(node, NodeState.BOOTING, now),
        instance_id=instance_id,
        instance_arn=instance_arn,
        zone=offer.subnet_id,
        instance_type=offer.instance_type,
        release=release,
        client_token=client_token,
        launched_at=now,
        retry_at=None,
        refusal=None,
    )


def ready(node: Node, *, address: str, sip_port: int, now: datetime) -> Node:
    """The node in service at this address; one that is cordoned or draining and was silent is heard again and stays what it is."""
    back = (
        replace(node, version=node.version + 1)
        if node.state in IN_SERVICE - {_S.QUARANTINED}
        else move(node, _S.READY, now)
    )
    return replace(
        back,
        address=address,
        sip_port=sip_port,
        ready_at=node.ready_at or now,
        silent_since=None,
        silent_beat=None,
        calls_ended=False,
    )


def silent(node: Node, beat: datetime | None, now: datetime) -> Node:
    """The node after its heartbeat was missed: quarantined when it was ready, else only noted."""
    noted = (
        move(node, _S.QUARANTINED, now, "its heartbeat is missing")
        if node.state is _S.READY
        else replace(node, version=node.version + 1)
    )
    return replace(noted, silent_since=now, silent_beat=beat)


def refused(node: Node, refusal: Refusal, offers: int, now: datetime) -> Node:
    """The node after EC2 refused a launch: another attempt, at once when there is an offer not yet tried, else after a pause."""
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


def diagram() -> str:
    """The transitions as a Mermaid state diagram, for the documentation."""
    arrows = [f"    {source} --> {target}" for source, target in TRANSITIONS]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {_S.REQUESTED}", *arrows, f"    {_S.TERMINATED} --> [*]"])


if __name__ == "__main__":
    print(f"{table()}\n\n```mermaid\n{diagram()}\n```")
