"""What can happen to a call: the events of its inbox."""

from __future__ import annotations

from dataclasses import dataclass

from media_node.call.plan import Side, Target
from media_node.sip.headers import Request, Response
from media_node.sip.sdp import Session
from media_node.sip.transaction_layer import ClientTransaction, ServerTransaction
from media_node.sip.transport import Connection


@dataclass(eq=False)
class Branch:
    """One INVITE that rings."""

    target: Target
    offered: Session
    client: ClientTransaction | None = None
    failed: Response | None = None
    abandoned: bool = False


@dataclass(frozen=True)
class Heard:
    """A response to one of the INVITEs that ring."""

    branch: Branch
    response: Response


@dataclass(frozen=True)
class Renegotiated:
    """A response to the re-INVITE that was passed on."""

    response: Response


@dataclass(frozen=True)
class Requested:
    """A request within the dialog of one side."""

    side: Side
    transaction: ServerTransaction


@dataclass(frozen=True)
class Acknowledged:
    """The ACK to a 2xx of ours."""

    side: Side
    ack: Request


@dataclass(frozen=True)
class Cancelled:
    """The sender of an INVITE, first or later, wants it back."""


@dataclass(frozen=True)
class Lost:
    """A connection is gone."""

    connection: Connection


@dataclass(frozen=True)
class Stop:
    """End the call now: a media timeout, a shutdown, an ACK that never came."""

    reason: str
    cause: int = 0


Event = Heard | Renegotiated | Requested | Acknowledged | Cancelled | Lost | Stop
