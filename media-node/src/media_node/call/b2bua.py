"""One call: two dialogs and one bridge between them (a back-to-back user agent, RFC 7092).

A call is one task that takes one event at a time from its inbox, so that nothing in it happens twice or at once. It
reads as the call goes: `_ring` until somebody answers, `_talk` until somebody hangs up, then the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from media_node.call.events import Acknowledged, Branch, Cancelled, Event, Heard, Lost, Renegotiated, Requested, Stop
from media_node.call.negotiation import Audio, LegMedia, NotAcceptable, read_answer, read_offer
from media_node.call.plan import MediaPlane, Plan, Side, Target
from media_node.call.policy import Protection
from media_node.call.record import Beyond, CallClock, CallRecord
from media_node.sip.dialog import MAX_FORWARDS, Dialog, OutOfOrder
from media_node.sip.grammar import Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.message import PHRASES, reply, warning
from media_node.sip.message import reason as because
from media_node.sip.sdp import CONTENT_TYPE, OtherBody, Session, attach, attached, is_secure
from media_node.sip.transaction_layer import ClientTransaction, ServerTransaction, TransactionLayer
from media_node.sip.transport import Connection
from media_node.worker_link.protocol import LegStats, Suite

NO_ANSWER: Final = 120.0
"""Seconds a phone may ring."""
ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"
_CHALLENGES: Final = (401, 407)
_UNACCEPTABLE: Final = (488, 606)
"""The description will not do."""


class MediaFailed(Exception):
    """The media worker refused or is gone."""


class CallRefused(Exception):
    """The call ends before it was answered, with this response to the caller."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers


@dataclass(eq=False)
class Party:
    """One side of an answered call."""

    dialog: Dialog
    connection: Connection


@dataclass(eq=False)
class Renegotiation:
    """A re-INVITE (or UPDATE) of one side that waits for the other side's answer."""

    side: Side
    transaction: ServerTransaction
    offer: Audio
    client: ClientTransaction
    passed_on: Session


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
    transactions: TransactionLayer
    media: MediaPlane
    bind: Callable[[Dialog, Side], None]
    """Tells the exchange which dialogs are this call's."""
    suites: tuple[Suite, ...]
    """SRTP suites that it may use, the preferred first."""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    began: Callable[[CallRecord], None] = lambda record: None
    """Told of the call when it is answered, with its record as it is then."""
    clock: CallClock = field(default_factory=CallClock)
    answered_at: datetime | None = None
    parties: dict[Side, Party] = field(default_factory=dict)
    _legs: dict[Side, LegMedia] = field(default_factory=dict)
    _inbox: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    _branches: list[Branch] = field(default_factory=list)
    _offer: Audio | None = None
    _pending: Renegotiation | None = None
    _unconfirmed: dict[Side, ServerTransaction] = field(default_factory=dict)
    _awaits_answer: Side | None = None
    _opened: bool = False

    def post(self, event: Event) -> None:
        """Puts an event into the inbox."""
        self._inbox.put_nowait(event)

    async def run(self) -> CallRecord:
        """The whole call; its record at the end."""
        self.transaction.on_cancel = lambda request: self.post(Cancelled())
        try:
            if self.transaction.cancelled:
                raise CallRefused(487, "Cancelled")
            await self._open()
            if self.transaction.cancelled:  # while a worker was asked, or waited for
                raise CallRefused(487, "Cancelled")
            await self._ring()
            ending = await self._talk()
            self._hang_up(ending)
        except CallRefused as refusal:
            self.transaction.respond(refusal.status, PHRASES.get(refusal.status, ""), **refusal.headers)
            ending = Ending(f"{refusal.status} {refusal}")
        except MediaFailed as error:
            self.transaction.respond(503, Retry_After="5", Warning=warning("The media relay failed"))
            ending = Ending(f"media relay failed: {error}", cause=503)
            self._hang_up(ending)
        except Exception:
            self._hang_up(Ending("internal error", cause=500))
            raise
        finally:
            for branch in self._branches:
                self._abandon(branch)
            stats = await self._close()
            self._settle()
        return self._record(ended_at=self.clock.now(), reason=ending.reason, legs=stats)

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
            beyond=self._beyond(legs),
        )

    def _beyond(self, legs: tuple[LegStats, ...]) -> Beyond:
        if not self.plan.outside:
            return Beyond.NOTHING
        if len(legs) < len(Side):
            return Beyond.UNKNOWN
        return Beyond.SECURED if legs[1].suite else Beyond.NOT_SECURED

    # Until somebody answers.

    async def _open(self) -> None:
        session = _description(self.transaction.request)
        if session is None:
            raise CallRefused(488, "No offer", Warning=warning("An INVITE needs an SDP offer here"))
        try:
            self._offer = read_offer(session, self.plan.caller_protection, suites=self.suites)
            self.parties[Side.A] = Party(
                Dialog.as_server(self.transaction.request, self.transaction.tag), self.transaction.connection
            )
        except NotAcceptable as error:
            raise CallRefused(488, str(error), Warning=warning(str(error)), Reason=because(488, str(error))) from error
        except ValueError as error:
            raise CallRefused(400, str(error)) from error
        if not self.plan.targets:
            raise CallRefused(480, "Not registered", Warning=warning("The called phone is not registered"))
        self.bind(self.parties[Side.A].dialog, Side.A)
        secure = {Side.A.value: self._offer.secure, Side.B.value: self.plan.called_protection is Protection.REQUIRED}
        try:
            locals_ = await self.media.open(self.id, secure=secure)
        except Exception as error:
            raise MediaFailed(str(error)) from error
        self._opened = True
        self._legs = {side: LegMedia(locals_[side.value], self.suites) for side in Side}

    async def _ring(self) -> None:
        for target in self.plan.targets:
            self._invite(target)
        deadline = asyncio.get_running_loop().time() + NO_ANSWER
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await self._inbox.get()
            except TimeoutError as error:
                raise CallRefused(480, "No answer", Reason='Q.850;cause=19;text="No answer"') from error
            if await self._ringing(event):
                return

    async def _ringing(self, event: Event) -> bool:
        """One event while it rings; True when somebody answered."""
        match event:
            case Heard(branch, response) if response.code < 200:
                await self._progress(branch, response)
            case Heard(branch, response) if _knows_no_sdes(branch, response):
                # Perhaps it knows DTLS (docs/decisions/0023).
                if response.code < 300:
                    self._decline(branch, response, because(488, "Another way of keying is offered"))
                self._branches.remove(branch)
                self._invite(branch.target, dtls=True)
            case Heard(branch, response) if response.code < 300:
                await self._answered(branch, response)
                return True
            case Heard(branch, response):
                branch.failed = response
                failures = [branch.failed for branch in self._branches if branch.failed is not None]
                if len(failures) == len(self._branches):
                    raise _best(failures)
            case Requested(Side.A, transaction) if transaction.request.method == "BYE":
                transaction.respond(200)
                raise CallRefused(487, "Caller hung up")
            case Requested(_, transaction):
                transaction.respond(200 if transaction.request.method == "OPTIONS" else 491)
            case Cancelled():
                raise CallRefused(487, "Cancelled")
            case Lost(connection) if connection is self.transaction.connection:
                raise CallRefused(487, "Caller's connection was lost")
            case Stop(reason):
                raise CallRefused(503, reason)
        return False

    def _invite(self, target: Target, *, dtls: bool = False) -> None:
        secure = self.plan.called_protection is Protection.REQUIRED
        offer = self._legs[Side.B].offer(self._agreed_offer, secure=secure, dtls=dtls)
        hops = self.transaction.request.max_forwards
        request = Request("INVITE", target.uri)
        request.headers.set("Max-Forwards", str((MAX_FORWARDS if hops is None else hops) - 1))
        source = self.plan.from_address
        request.from_address = Address(source.uri, source.name, Parameters(tag=secrets.token_hex(8)))
        request.to_address = self.plan.to_address
        request.headers.set("Call-ID", secrets.token_hex(16))
        request.cseq = CSeq(1, "INVITE")
        request.contact = [self.transactions.contact(target.connection)]
        request.headers.set("Allow", ALLOW)
        if self.plan.emergency:
            request.headers.set("Priority", "emergency")
        attach(request, offer)
        branch = Branch(target, offer)
        self._branches.append(branch)
        branch.client = self.transactions.send(
            target.connection, request, lambda response: self._branch_heard(branch, response)
        )

    @property
    def _agreed_offer(self) -> Audio:
        if self._offer is None:
            raise CallRefused(500, "No offer")
        return self._offer

    def _branch_heard(self, branch: Branch, response: Response) -> None:
        if not branch.abandoned:
            self.post(Heard(branch, response))
        elif 200 <= response.code < 300:
            # It answered while its CANCEL was under way, or somebody else was first (section 13.2.2.4).
            self._decline(branch, response)

    def _decline(
        self, branch: Branch, response: Response, reason: str = because(200, "Call completed elsewhere")
    ) -> None:
        if branch.client is None:
            return
        with contextlib.suppress(ValueError):
            dialog = Dialog.as_client(branch.client.request, response)
            self._acknowledge(dialog, branch.target.connection, branch.client.request.cseq.sequence)
            self._bye(dialog, branch.target.connection, reason)

    async def _progress(self, branch: Branch, response: Response) -> None:
        if response.code == 100:
            return
        session = _description(response)
        if session is None:
            self._respond(self.transaction, 180 if response.code == 180 else 183)
            return
        answer = await self._take_answer(branch, session)
        self._respond(self.transaction, response.code, answer)

    async def _answered(self, branch: Branch, response: Response) -> None:
        invite = branch.client.request if branch.client else self.transaction.request
        try:
            dialog = Dialog.as_client(invite, response)
        except ValueError as error:
            raise CallRefused(502, "The called side's answer is not valid") from error
        branch.failed = response  # nothing left to cancel
        self._acknowledge(dialog, branch.target.connection, invite.cseq.sequence)
        self.parties[Side.B] = Party(dialog, branch.target.connection)
        self.bind(dialog, Side.B)
        try:
            if (session := _description(response)) is None:
                raise CallRefused(502, "The called phone answered without a description")
            answer = await self._take_answer(branch, session)
        except CallRefused:
            self._bye(dialog, branch.target.connection, because(488, "The answer cannot be used"))
            raise
        for other in self._branches:
            self._abandon(other)
        self.answered_at = self.clock.now()
        self.began(self._record())
        self._accept(Side.A, self.transaction, answer)

    async def _take_answer(self, branch: Branch, session: Session) -> Session:
        """Puts an answer of the called side in force, an early one too, and makes ours to the caller."""
        a, b = self._legs[Side.A], self._legs[Side.B]
        try:
            b.remote = read_answer(session, branch.offered)
            b.sent = branch.offered
        except NotAcceptable as error:
            raise CallRefused(488, str(error), Warning=warning(str(error))) from error
        a.remote = self._agreed_offer
        answer = a.answer(self._agreed_offer, b.remote)
        await self._set(Side.B, branch.target.connection)
        await self._set(Side.A, self.transaction.connection)
        return answer

    def _abandon(self, branch: Branch) -> None:
        if branch.failed is None and not branch.abandoned and branch.client is not None:
            branch.abandoned = True
            branch.client.cancel()

    # From the answer to the end.

    async def _talk(self) -> Ending:
        while True:
            event = await self._inbox.get()
            match event:
                case Requested(side, transaction):
                    if (ending := await self._requested(side, transaction)) is not None:
                        return ending
                case Acknowledged(side, ack):
                    await self._acknowledged(side, ack)
                case Renegotiated(response):
                    if (ending := await self._renegotiated(response)) is not None:
                        return ending
                case Cancelled() if self._pending is not None:
                    self._pending.client.cancel()
                case Heard(branch, response) if 200 <= response.code < 300:
                    self._answered_again(branch, response)
                case Lost(connection):
                    for side, party in self.parties.items():
                        if party.connection is connection:
                            return Ending("connection lost", hung_up=side, cause=503)
                case Stop(reason, cause):
                    return Ending(reason, cause=cause)

    async def _requested(self, side: Side, transaction: ServerTransaction) -> Ending | None:
        request = transaction.request
        try:
            self.parties[side].dialog.receive(request)
        except OutOfOrder:
            transaction.respond(500, Retry_After="1")
            return None
        except ValueError:
            transaction.respond(400)
            return None
        match request.method:
            case "BYE":
                transaction.respond(200)
                return Ending("completed", hung_up=side)
            case "INVITE" | "UPDATE":
                await self._renegotiate(side, transaction)
            case "INFO":
                self._pass_on(side, transaction)
            case "OPTIONS":
                transaction.respond(200, Allow=ALLOW, Accept=CONTENT_TYPE)
            case _:
                transaction.respond(405, Allow=ALLOW)
        return None

    async def _renegotiate(self, side: Side, transaction: ServerTransaction) -> None:
        """A re-INVITE or UPDATE (RFC 3261 section 14, RFC 3311): hold, resume, a new address or key."""
        if self._pending is not None or side in self._unconfirmed:
            transaction.respond(491)
            return
        try:
            session = _description(transaction.request)
        except CallRefused as refusal:
            transaction.respond(refusal.status)
            return
        if session is None:
            # No offer: a refreshed session. An INVITE is offered what was said before, and its ACK brings the answer.
            if transaction.request.method == "UPDATE":
                transaction.respond(200, Contact=str(self.transactions.contact(transaction.connection)))
            else:
                self._awaits_answer = side
                self._accept(side, transaction, self._legs[side].again())
            return
        leg, other = self._legs[side], self._legs[side.other]
        try:
            protection = Protection.REQUIRED if leg.secure else Protection.NONE
            offer = read_offer(session, protection, leg.remote, suites=self.suites)
        except NotAcceptable as error:
            transaction.respond(488, Warning=warning(str(error)))
            return
        passed_on = other.offer(offer, secure=other.secure)
        party = self.parties[side.other]
        request = party.dialog.request("INVITE", self.transactions.contact(party.connection))
        request.headers.set("Allow", ALLOW)
        attach(request, passed_on)
        client = self.transactions.send(party.connection, request, lambda response: self.post(Renegotiated(response)))
        transaction.on_cancel = lambda cancel: self.post(Cancelled())
        self._pending = Renegotiation(side, transaction, offer, client, passed_on)

    async def _renegotiated(self, response: Response) -> Ending | None:
        pending = self._pending
        if pending is None or response.code < 200:
            return None
        self._pending = None
        side, party = pending.side, self.parties[pending.side.other]
        if response.code >= 300:
            if response.code in (408, 481):
                pending.transaction.respond(response.code)
                return Ending("the other side has lost the call", cause=response.code)
            pending.transaction.respond(502 if response.code in _CHALLENGES else response.code)
            return None
        party.dialog.refresh(response)
        self._acknowledge(party.dialog, party.connection, pending.client.request.cseq.sequence)
        try:
            session = _description(response)
            if session is None:
                raise NotAcceptable("An answer without a description")
            answer = read_answer(session, pending.passed_on)
        except (NotAcceptable, CallRefused) as error:
            pending.transaction.respond(488, Warning=warning(str(error)))
            return Ending("renegotiation failed", cause=488)
        self._legs[side].remote, self._legs[side.other].remote = pending.offer, answer
        for each in (side, side.other):
            await self._set(each, self.parties[each].connection)
        ours = self._legs[side].answer(pending.offer, answer)
        if pending.transaction.request.method == "INVITE":
            self._accept(side, pending.transaction, ours)
        else:
            self._respond(pending.transaction, 200, ours)
        return None

    async def _acknowledged(self, side: Side, ack: Request) -> None:
        transaction = self._unconfirmed.get(side)
        if transaction is None or transaction.request.cseq.sequence != ack.cseq.sequence:
            return
        transaction.confirm()
        del self._unconfirmed[side]
        if self._awaits_answer is side:
            self._awaits_answer = None
            leg = self._legs[side]
            with contextlib.suppress(CallRefused, NotAcceptable):
                session = _description(ack)
                if session is not None and leg.sent is not None:
                    leg.remote = read_answer(session, leg.sent)
                    await self._set(side, self.parties[side].connection)

    def _answered_again(self, branch: Branch, response: Response) -> None:
        """A 2xx repeated because our ACK was lost, or of another phone behind a proxy that forks."""
        party, invite = self.parties[Side.B], branch.client.request if branch.client else None
        if invite is None:
            return
        if response.headers["To"] == party.dialog.remote:
            self._acknowledge(party.dialog, party.connection, invite.cseq.sequence)
        else:
            self._decline(branch, response)

    def _pass_on(self, side: Side, transaction: ServerTransaction) -> None:
        """An INFO, as DTMF by signalling is sent: the other side answers it."""
        party = self.parties[side.other]
        request = party.dialog.request("INFO", self.transactions.contact(party.connection))
        request.body = transaction.request.body
        if (kind := transaction.request.headers.get("Content-Type")) is not None:
            request.headers.set("Content-Type", kind)

        def heard(response: Response) -> None:
            if response.code >= 200:
                transaction.respond(502 if response.code in _CHALLENGES else response.code)

        self.transactions.send(party.connection, request, heard)

    def _hang_up(self, ending: Ending) -> None:
        for side, party in self.parties.items():
            if side is not ending.hung_up and (side is Side.B or self.answered_at is not None):
                self._bye(party.dialog, party.connection, because(ending.cause, ending.reason) if ending.cause else "")
        for transaction in self._unconfirmed.values():
            transaction.confirm()
        if self._pending is not None:
            self._pending.transaction.respond(487)

    def _settle(self) -> None:
        """Answers what reached the inbox after the end, as a 2xx that crossed a CANCEL or one BYE that crossed
        another.
        """
        while not self._inbox.empty():
            match self._inbox.get_nowait():
                case Heard(branch, response) if 200 <= response.code < 300:
                    self._decline(branch, response)
                case Requested(_, transaction):
                    transaction.respond(200 if transaction.request.method == "BYE" else 481)

    # Small things both halves need.

    def _accept(self, side: Side, transaction: ServerTransaction, session: Session | None) -> None:
        """A 200 to an INVITE, repeated until its ACK."""
        response = self._respond(transaction, 200, session)
        self._unconfirmed[side] = transaction
        transaction.retransmit(response, lambda: self.post(Stop("no ACK", cause=408)))

    def _respond(self, transaction: ServerTransaction, status: int, session: Session | None = None) -> Response:
        response = reply(transaction.request, status, to_tag=transaction.tag)
        response.contact = [self.transactions.contact(transaction.connection)]
        response.headers.set("Allow", ALLOW)
        if session is not None:
            attach(response, session)
        transaction.send(response)
        return response

    def _acknowledge(self, dialog: Dialog, connection: Connection, sequence: int) -> None:
        self.transactions.acknowledge(
            connection, dialog.request("ACK", self.transactions.contact(connection), sequence)
        )

    def _bye(self, dialog: Dialog, connection: Connection, reason: str = "") -> None:
        request = dialog.request("BYE", self.transactions.contact(connection))
        if reason:
            request.headers.set("Reason", reason)
        self.transactions.send(connection, request, lambda response: None)

    async def _set(self, side: Side, connection: Connection) -> None:
        try:
            await self.media.set(self.id, side.value, self._legs[side].leg(connection.peer.host))
        except Exception as error:
            raise MediaFailed(str(error)) from error

    async def _close(self) -> tuple[LegStats, ...]:
        if not self._opened:
            return ()
        try:
            stats = await self.media.close(self.id)
        except Exception:  # the worker is gone, and its figures with it
            return ()
        return tuple(stats[side.value] for side in Side)


def _description(message: Request | Response) -> Session | None:
    """The SDP a message carries, or None. Raises CallRefused for another body or broken SDP."""
    try:
        return attached(message)
    except OtherBody as error:
        raise CallRefused(415, str(error), Accept=CONTENT_TYPE) from error
    except ValueError as error:
        raise CallRefused(400, "The SDP is not valid", Warning=warning(f"Broken SDP: {error}")) from error


def _knows_no_sdes(branch: Branch, response: Response) -> bool:
    """Whether a phone that was offered SDES says it cannot do it: by refusing it, or by agreeing to SRTP without giving
    any keys.
    """
    if not branch.offered.media[0].cryptos:
        return False
    if response.code >= 300:
        return response.code in _UNACCEPTABLE
    with contextlib.suppress(CallRefused):
        session = _description(response)
        return (
            session is not None
            and len(session.media) == 1
            and is_secure(session.media[0].protocol)
            and not session.media[0].cryptos
        )
    return False


def _best(failures: list[Response]) -> CallRefused:
    """The response that stands for all (RFC 3261 section 16.7 step 6): a global refusal first, then the lowest class
    and code.
    """
    best = min(
        failures,
        key=lambda response: (
            response.code // 100 != 6,
            response.code // 100,
            response.code in (408, 503),
            response.code,
        ),
    )
    if best.code in _CHALLENGES or best.code < 400:
        return CallRefused(502, f"The called side answered {best.code}")
    if best.code in (408, 503):
        return CallRefused(480, "The called side cannot be reached")
    kept = {
        name.replace("-", "_"): value
        for name in ("Retry-After", "Warning", "Reason")
        if (value := best.headers.get(name))
    }
    return CallRefused(best.code, PHRASES.get(best.code, best.phrase), **kept)
