"""One call: two dialogs and the relayed streams between them (a back-to-back user agent, RFC 7092).

A call is one task that takes one event at a time from its inbox, so that nothing in it happens twice or at once. It
reads as the call goes: `_begin`, `_hunt` until somebody answers, `_talk` until somebody hangs up, then the record.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from media_node.call.answering import Answering
from media_node.call.events import (
    Acknowledged,
    Branch,
    Cancelled,
    Event,
    FlowExpired,
    FlowResumed,
    Heard,
    Joins,
    Lost,
    MediaSilent,
    NoAnswer,
    PeerChecked,
    Renegotiated,
    Requested,
    RetryRenegotiation,
    SessionTimerFired,
    Stop,
    Surrender,
)
from media_node.call.forking import Invitation
from media_node.call.hunt import Hunt
from media_node.call.joining import Joining
from media_node.call.party import ALLOW, Party
from media_node.call.plan import CallControl, Destination, MediaPlane, Plan, Side
from media_node.call.record import CallClock, CallRecord, beyond
from media_node.call.refusals import CHALLENGES, CallRefused
from media_node.call.relayed import MediaFailed, RelayedMedia
from media_node.call.renegotiation import GONE, Renegotiation
from media_node.call.supervision import Supervision
from media_node.call.text import Text
from media_node.call.transfer import Transfers
from media_node.log import Log, silent
from media_node.sip.dialog import Dialog, OutOfOrder
from media_node.sip.headers import Response
from media_node.sip.message import reason as because
from media_node.sip.message import warning
from media_node.sip.phrases import PHRASES
from media_node.sip.sdp import CONTENT_TYPE
from media_node.sip.transaction_layer import ServerTransaction, TransactionLayer, to_tag
from media_node.sip.transport import Connection
from media_node.suites import Suite
from media_node.worker_link.protocol import LegStats

T = TypeVar("T")
RECORD_REASON_LENGTH: Final = 200


@dataclass(frozen=True)
class Ending:
    """How a call ended: what the record says, and what the side that did not hang up is told (RFC 3326)."""

    reason: str
    hung_up: Side | None = None
    cause: int = 0


@dataclass(eq=False)
class Call:
    """One call. `run` it as a task; everything else posts to its inbox."""

    plan: Plan
    transaction: ServerTransaction
    """The caller's INVITE."""
    transactions: TransactionLayer
    media: MediaPlane
    control: CallControl
    suites: tuple[Suite, ...]
    """SRTP suites that it may use, the preferred first."""
    invitation: Invitation
    log: Log = silent
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    began: Callable[[CallRecord], None] = lambda record: None
    """Told of the call when it is answered, with its record as it is then."""
    clock: CallClock = field(default_factory=CallClock)
    answered_at: datetime | None = None
    parties: dict[Side, Party] = field(default_factory=dict)
    answered_outside: list[Destination] = field(default_factory=list)
    """Where it went outside and was answered, one after the other where it was transferred."""
    _inbox: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    _trunk_leg: int | None = None
    """Which of the two legs was last reached over a trunk."""

    def __post_init__(self) -> None:
        self.relayed = RelayedMedia(self.media, self.id)
        self.answering = Answering(self)
        self.hunt = Hunt(self)
        self.joining = Joining(self)
        self.text = Text(self)
        self.renegotiation = Renegotiation(self)
        self.transfers = Transfers(self)
        self.supervision = Supervision(self)

    def post(self, event: Event) -> None:
        """Puts an event into the inbox."""
        self._inbox.put_nowait(event)

    def cancelled(self) -> None:
        """The sender of an INVITE wants it back."""
        self.post(Cancelled())

    def no_ack(self) -> None:
        """A 2xx of ours was never acknowledged."""
        self.post(Stop("no ACK", cause=408))

    async def run(self) -> CallRecord:
        """The whole call; its record at the end."""
        self.transaction.on_cancel = lambda request: self.cancelled()
        try:
            self._still_wanted()
            await self.hunt.begin()
            self._still_wanted()  # while a worker was asked, or waited for
            await self.hunt.run()
            ending = await self._talk()
            self._hang_up(ending)
        except CallRefused as refusal:
            self.transaction.respond(refusal.status, PHRASES.get(refusal.status, ""), **refusal.headers)
            ending = Ending(f"{refusal.status} {refusal}"[:RECORD_REASON_LENGTH])
        except MediaFailed as error:
            self.transaction.respond(503, Retry_After="5", Warning=warning("The media relay failed"))
            ending = Ending(f"media relay failed: {error}", cause=503)
            self._hang_up(ending)
        except Exception:
            self.transaction.respond(500)
            self._hang_up(Ending("internal error", cause=500))
            raise
        finally:
            self.hunt.stop()
            await self.transfers.stop()
            stats = await self.relayed.close()
            self._settle()
        return self._record(ended_at=self.clock.now(), reason=ending.reason, legs=stats)

    def let_go(self) -> None:
        """Parts with what knows the call in turn, once nothing can happen to it any more but that something reaches its
        inbox: a cycle would wait for the collector.
        """
        for party in self.parties.values():
            party.close()
        for name in [name for name, part in vars(self).items() if getattr(part, "call", None) is self]:
            delattr(self, name)

    def answered(self, by: Destination | None = None) -> None:
        """Somebody answered: the call is one that lasts."""
        self.answered_at = self.clock.now()
        if by is not None and by.outside:
            self.answered_outside.append(by)
        self.control.changed()
        self.began(self._record())

    def ways_out(self, customer: str) -> list[Destination]:
        """See outside.GoesOut."""
        asked = [self.hunt.destination if self.answered_at is None else None, self.transfers.destination]
        ways = [*self.answered_outside, *(each for each in asked if each is not None and each.outside)]
        return [each for each in ways if each.account == customer and not each.emergency]

    def talked(self) -> float:
        """See outside.GoesOut."""
        return 0.0 if self.answered_at is None else (self.clock.now() - self.answered_at).total_seconds()

    def _record(
        self, *, ended_at: datetime | None = None, reason: str = "", legs: tuple[LegStats, ...] = ()
    ) -> CallRecord:
        return CallRecord(
            call_id=self.id,
            customer_id=self.plan.customer_id,
            caller=self.plan.caller,
            called=self.plan.called,
            started_at=self.clock.started_at,
            answered_at=self.answered_at,
            ended_at=ended_at,
            reason=reason,
            legs=legs,
            beyond=beyond(self._trunk_leg, outside=self.plan.outside, legs=legs),
            kind=self.plan.kind,
        )

    def _still_wanted(self) -> None:
        if self.transaction.cancelled:
            raise CallRefused(487, "Cancelled")

    def party_of(self, dialog: Dialog) -> Party | None:
        """The party that a dialog of this call is with."""
        everyone = (*self.parties.values(), *self.transfers.departing, *self.hunt.early.parties())
        return next((each for each in everyone if each.dialog is dialog), None)

    def uses(self, connection: Connection) -> bool:
        """Whether somebody in the call, or who rings for it, is at the other end of a connection."""
        if any(party.connection is connection for party in self.parties.values()):
            return True
        forks = (self.hunt.fork, self.transfers.pending.fork if self.transfers.pending is not None else None)
        return connection is self.transaction.connection or any(
            branch.target.connection is connection for fork in forks if fork is not None for branch in fork.branches
        )

    def has_party(self, username: str) -> bool:
        """Whether a phone of this account is in the call."""
        return any(party.username == username for party in self.parties.values())

    def ringing(self) -> list[str]:
        """The accounts whose phones ring for this call now."""
        return self.hunt.ringing() if self.answered_at is None else []

    async def next_event(self) -> Event:
        """The next thing that happens to this call."""
        return await self._inbox.get()

    # From the answer to the end.

    async def _talk(self) -> Ending:
        while True:
            if (ending := await self._happened(await self.next_event())) is not None:
                return ending

    async def _happened(self, event: Event) -> Ending | None:
        match event:
            case Requested(side, transaction):
                return await self._requested(side, transaction)
            case Acknowledged(side, ack):
                if side in self.parties:
                    await self.renegotiation.acknowledged(side, ack)
            case Renegotiated(response):
                if (cause := await self.renegotiation.answered(response)) is not None:
                    lost = cause in GONE
                    return Ending("the other side has lost the call" if lost else "renegotiation failed", cause=cause)
            case RetryRenegotiation(side):
                self.renegotiation.tell(side)
            case Cancelled() if not self.answering.accepted:
                return Ending("cancelled", cause=487)  # the 2xx was still held back for a PRACK
            case Cancelled() if self.renegotiation.pending is not None:
                self.renegotiation.pending.client.cancel()
            case Heard(branch, response) if self.transfers.owns(branch):
                await self.transfers.heard(branch, response)
            case Heard(branch, response) if 200 <= response.code < 300:
                self._answered_again(branch, response)
            case NoAnswer():
                await self.transfers.expired(event)
            case Surrender():
                return await self._surrender(event)
            case Joins(side, transaction, phone):
                await self.joining.joined(side, transaction, phone)
            case Lost() | FlowResumed() | MediaSilent() | PeerChecked() | SessionTimerFired() | FlowExpired():
                return self._gone(self.supervision.happened(event))
            case Stop(reason, cause):
                return Ending(reason, cause=cause)
        return None

    async def _requested(self, side: Side, transaction: ServerTransaction) -> Ending | None:
        request, party = transaction.request, self.parties.get(side)
        if party is None or party.dialog.id.local_tag != to_tag(request):
            self.transfers.request_of_departing(transaction)
            return None
        try:
            party.dialog.receive(request)
        except OutOfOrder:
            transaction.respond(500, Retry_After="1")
            return None
        except ValueError:
            transaction.respond(400)
            return None
        match request.method:
            case "BYE":
                transaction.respond(200)
                return self._hung_up(side, party)
            case "INVITE" | "UPDATE":
                await self.renegotiation.requested(side, transaction)
            case "REFER":
                await self.transfers.referred(side, transaction)
            case "PRACK" if side is Side.A:
                await self.answering.acknowledged(transaction)
            case "PRACK":
                transaction.respond(481)
            case "INFO":
                self._pass_on(side, transaction)
            case "OPTIONS":
                transaction.respond(200, Allow=ALLOW, Accept=CONTENT_TYPE)
            case "NOTIFY":
                transaction.respond(489)
            case _:
                transaction.respond(405, Allow=ALLOW)
        return None

    def _hung_up(self, side: Side, party: Party) -> Ending | None:
        """A party hung up: the call is over, unless it is being transferred and has only left."""
        pending = self.transfers.pending
        if pending is None or pending.by is not side:
            return Ending("completed", hung_up=side)
        party.close()
        self.control.unbind(party.dialog)
        del self.parties[side]
        return None

    def stop_after_transfer(self, code: int) -> None:
        """Nobody is left to talk to: the referrer has gone, and the target cannot be had."""
        self.post(Stop("the transfer failed", cause=code))

    def _gone(self, party: Party | None) -> Ending | None:
        if party is None:
            return None
        side = next((side for side, each in self.parties.items() if each is party), None)
        return None if side is None else Ending("connection lost", hung_up=side, cause=503)

    async def _surrender(self, event: Surrender) -> Ending | None:
        """Another call takes a party over, its leg with it; this call is then over."""
        party = self.parties.get(event.side)
        if event.party.done():
            return None  # it did not wait
        if party is None or party.media.remote is None or self.renegotiation.pending is not None:
            event.party.set_result(None)
            return None
        try:
            before = await self.relayed.give(event.side, event.to, event.as_side)
        except MediaFailed:
            before = None  # the calls are on two workers: the party goes without its leg
        del self.parties[event.side]
        if event.party.done():
            party.bye()  # too late: nobody waits for it any more
            party.close()
            self.control.unbind(party.dialog)
        else:
            event.party.set_result((party, before))
        return Ending("transferred", cause=200)

    async def describe(self, side: Side) -> None:
        """Tells the media worker what was agreed with a side."""
        if (party := self.parties.get(side)) is not None and party.media.remote is not None:
            await self.relayed.describe(side, party.media, party.connection.peer.host)

    def seat(self, side: Side, party: Party) -> None:
        """A party takes this side of the call."""
        self.parties[side] = party
        if not party.username:
            self._trunk_leg = list(Side).index(side)
        self.control.bind(party.dialog, self, side)
        self.control.changed()
        self.watch_session(party)

    def watch_session(self, party: Party) -> None:
        """A session began or was refreshed."""
        self.supervision.watch_session(party)

    def _answered_again(self, branch: Branch, response: Response) -> None:
        """A 2xx repeated because our ACK was lost, or of another phone behind a proxy that forks."""
        party = self.parties.get(Side.B)
        if branch.client is None:
            return
        if party is not None and response.headers["To"] == party.dialog.remote:
            party.acknowledge(branch.client.request)
        else:
            self.hunt.decline(branch, response)

    def _pass_on(self, side: Side, transaction: ServerTransaction) -> None:
        """An INFO, as DTMF by signalling is sent: the other side answers it."""
        other = self.parties.get(side.other)
        if other is None:
            transaction.respond(480)
            return

        def heard(response: Response) -> None:
            if response.code >= 200:
                transaction.respond(502 if response.code in CHALLENGES else response.code)

        content_type = transaction.request.headers.get("Content-Type")
        other.send_info(transaction.request.body, content_type, heard)

    def _hang_up(self, ending: Ending) -> None:
        self.transfers.give_up()
        for side, party in self.parties.items():
            if side is not ending.hung_up and (side is Side.B or self.answering.accepted):
                party.bye(because(ending.cause, ending.reason) if ending.cause else "")
            party.close()
        for party in list(self.transfers.departing):
            self.transfers.dismiss(party)
        self.renegotiation.stop()
        self.answering.stop(ending.cause if ending.cause >= 400 else 487)

    def _settle(self) -> None:
        """Answers what reached the inbox after the end, as a 2xx that crossed a CANCEL or one BYE that crossed another."""
        for party in (*self.parties.values(), *self.transfers.departing, *self.hunt.early.parties()):
            self.control.unbind(party.dialog)
        while not self._inbox.empty():
            match self._inbox.get_nowait():
                case Heard(branch, response) if 200 <= response.code < 300:
                    self.hunt.decline(branch, response)
                case Requested(_, transaction):
                    transaction.respond(200 if transaction.request.method == "BYE" else 481)
                case Surrender(party=waiting) if not waiting.done():
                    waiting.set_result(None)
                case Joins(_, transaction, _):
                    transaction.respond(481)
