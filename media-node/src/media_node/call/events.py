"""What can happen to a call: the events of its inbox."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from media_node.call.directory import Phone
from media_node.call.negotiation import LegMedia
from media_node.call.party import Party
from media_node.call.plan import Side, Target
from media_node.sip.grammar import URI
from media_node.sip.headers import Request, Response
from media_node.sip.reliable import Receiver
from media_node.sip.sdp import MediaType, Session
from media_node.sip.transaction_layer import ClientTransaction, ServerTransaction
from media_node.sip.transport import Connection
from media_node.worker_link.protocol import LegStats


@dataclass(eq=False)
class EarlyDialog:
    """A dialog that a branch's provisional response made, before anybody answered, and what it has sent in order."""

    party: Party
    receiver: Receiver = field(default_factory=Receiver)


@dataclass(eq=False)
class Branch:
    """One INVITE that rings, and our end of the media it offers."""

    target: Target
    media: LegMedia
    offered: Session
    client: ClientTransaction | None = None
    failed: Response | None = None
    abandoned: bool = False
    rings: bool = False
    lost: bool = False
    """Whether its connection is gone while it rings: the phone may come back."""
    updated: bool = False
    """Whether its media changed by an UPDATE after it was described: what the 2xx says of it is old."""
    early: dict[str, EarlyDialog] = field(default_factory=dict)
    """By the peer's tag: those that sent a reliable response (RFC 3262)."""


@dataclass(frozen=True)
class Heard:
    """A response to one of the INVITEs that ring."""

    branch: Branch
    response: Response


@dataclass(frozen=True)
class Renegotiated:
    """A response to a re-INVITE of ours."""

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
class FlowResumed:
    """A phone is reachable again, over another connection: authenticated, and with the Contact it has there."""

    username: str
    instance: str
    connection: Connection
    contact: URI | None = None
    proved: bool = False
    """By a request within the dialog: then it is this very phone, and not another one of the same account."""


@dataclass(frozen=True)
class FlowExpired:
    """A party's connection was lost, and nothing has come in its place for as long as a call waits."""

    party: Party


@dataclass(frozen=True)
class BranchExpired:
    """A phone lost its connection while it rang, and has not come back."""

    branch: Branch


@dataclass(frozen=True)
class MediaSilent:
    """Nothing was heard of a leg's media for the media timeout."""

    side: Side


@dataclass(frozen=True)
class PeerChecked:
    """How a party answered when it was asked whether it is still there."""

    party: Party
    response: Response


@dataclass(frozen=True)
class SessionTimerFired:
    """A party's session is to be refreshed, or has expired (RFC 4028); `generation` tells a clock that was started
    over since.
    """

    party: Party
    generation: object


@dataclass(frozen=True)
class RetryRenegotiation:
    """A re-INVITE of ours met one of the peer's: time to try again (RFC 3261 section 14.1)."""

    side: Side


@dataclass(frozen=True)
class NoAnswer:
    """A transfer's target, whose relayed call has this name, has rung as long as it may, or the trunk of this name has not
    said a word.
    """

    relayed_as: str
    silent_trunk: str = ""


@dataclass(frozen=True)
class Joins:
    """Another phone of the customer takes one side's place by an INVITE of its own: Replaces, or a pick-up."""

    side: Side
    transaction: ServerTransaction
    phone: Phone


@dataclass(frozen=True)
class Surrender:
    """The call `to` takes this side's party over, leg and all, to its side `as_side` (attended transfer); the future
    gets it, and what the legs saw whose places its streams have taken (None where they could not move), or None.
    """

    side: Side
    to: str
    as_side: Side
    party: asyncio.Future[tuple[Party, dict[MediaType, LegStats] | None] | None] = field(compare=False)


@dataclass(frozen=True)
class Stop:
    """End the call now: a shutdown, an ACK that never came."""

    reason: str
    cause: int = 0


Event = (
    Heard
    | Renegotiated
    | Requested
    | Acknowledged
    | Cancelled
    | Lost
    | FlowResumed
    | FlowExpired
    | BranchExpired
    | MediaSilent
    | PeerChecked
    | SessionTimerFired
    | RetryRenegotiation
    | NoAnswer
    | Joins
    | Surrender
    | Stop
)
