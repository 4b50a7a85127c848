"""What the plan asks for. Each action may be done twice, late or never: the next plan starts from how things are then. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime

from fleet.node import Node, NodeState, Offer
from fleet.observed import Heartbeat, Instance
from fleet.placement import HoldReason, Placement, Told


@dataclass(frozen=True)
class Wanted:
    """An environment that should be served, with room for `calls` concurrent protected calls."""

    environment_id: str
    version: int
    phones: int
    calls: int
    dedicated: bool = False


@dataclass(frozen=True)
class RequestNode:
    """Write a new node into the ledger; it is launched only after that. `home` is the subnet to try first."""

    node_id: str
    home: int
    why: str


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
class MarkSilent:
    """The node's heartbeat is missing; `beat` is the time in the last one."""

    node: Node
    beat: datetime | None


@dataclass(frozen=True)
class Mark:
    """Write down another state of the node."""

    node: Node
    state: NodeState
    reason: str


@dataclass(frozen=True)
class EndCalls:
    """Write the records of the calls that ran on a node when it was last heard: nothing runs on its instance any more."""

    node: Node
    last_heard: datetime


@dataclass(frozen=True)
class Terminate:
    """End an instance that is ours and that nobody needs, or that must certainly not serve any more."""

    instance_id: str
    reason: str


@dataclass(frozen=True)
class Rearrange:
    """Write another placement of one environment, and with it the assignments on its nodes and the nodes' loads: all of it, or nothing."""

    before: Placement
    after: Placement
    why: str
    wanted: Wanted | None = None


@dataclass(frozen=True)
class Forget:
    """Take the row of an environment that is not served, has no node and no name out of the ledger."""

    placement: Placement


@dataclass(frozen=True)
class Names:
    """What DNS is to say of one environment: the addresses of its primary and its standby, None for nothing."""

    placement: Placement
    addresses: tuple[str, ...] | None


@dataclass(frozen=True)
class PublishNames:
    """Make DNS say it, as few requests as its API allows, and write down what it was told."""

    changes: tuple[Names, ...]


@dataclass(frozen=True)
class ConfirmNames:
    """Ask whether what was said of these environments has reached all of Route 53's servers, and write that down."""

    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class TellProven:
    """Tell `customers` that a call has proven this version of the environment."""

    placement: Placement
    told: Told


@dataclass(frozen=True)
class TellHeld:
    """Tell `customers` that the environment has to wait, and why."""

    placement: Placement
    reason: HoldReason


@dataclass(frozen=True)
class TellNotices:
    """Tell `customers` what the primary noticed of the environment: by kind, the day."""

    placement: Placement
    notices: Mapping[str, str]


@dataclass(frozen=True)
class Alarm:
    """Count something that a person must hear of; nothing changes by it."""

    metric: str
    about: str


Action = (
    RequestNode
    | Launch
    | Adopt
    | MarkReady
    | MarkSilent
    | Mark
    | EndCalls
    | Terminate
    | Rearrange
    | Forget
    | PublishNames
    | ConfirmNames
    | TellProven
    | TellHeld
    | TellNotices
    | Alarm
)


def environments(value: object) -> Iterator[str]:
    """Whose placements an action is about, wherever they stand in it."""
    match value:
        case Placement():
            yield value.environment_id
        case tuple():
            for each in value:
                yield from environments(each)
        case _ if is_dataclass(value) and not isinstance(value, Node | Instance | Heartbeat):
            for field in fields(value):
                yield from environments(getattr(value, field.name))


def ids(action: Action) -> dict[str, str]:
    """What an action is about, for the log."""
    found = {}
    for field in fields(action):
        value = getattr(action, field.name)
        match value:
            case Node():
                found["node_id"] = value.id
            case Placement():
                found["environment_id"] = value.environment_id
            case Instance():
                found["instance_id"] = value.id
            case str():
                found[field.name] = str(value)
    return {name: value for name, value in found.items() if name != "client_token"}
