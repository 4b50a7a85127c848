"""Until somebody answers: the caller's offer, the destinations one after the other, forwarding, early media, pick-up."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from media_node.call.description import Description, NotAcceptable, in_common, read_answer, read_offer, standard_audio
from media_node.call.directory import Phone
from media_node.call.early import EarlyDialogs
from media_node.call.events import (
    Branch,
    BranchExpired,
    Cancelled,
    FlowExpired,
    FlowResumed,
    Heard,
    Joins,
    Lost,
    Requested,
    Stop,
    Surrender,
)
from media_node.call.forking import Fork
from media_node.call.negotiation import LegMedia
from media_node.call.party import Party
from media_node.call.plan import Destination, Side, patience, reached_over
from media_node.call.refusals import Absent, CallRefused, Unreachable, described, refusal
from media_node.call.relayed import Places
from media_node.call.returning import Returning
from media_node.call.session_timer import MIN_SE, IntervalTooSmall, SessionTimer
from media_node.log import Event as LogEvent
from media_node.sip.dialog import Dialog
from media_node.sip.headers import Response
from media_node.sip.message import reason as because
from media_node.sip.message import reply, warning
from media_node.sip.sdp import MediaType, Session
from media_node.sip.transaction_layer import ServerTransaction

if TYPE_CHECKING:
    from media_node.call.b2bua import Call

_BUSY = (486, 600, 603)
_UNAVAILABLE = (408, 480)


@dataclass(eq=False)
class Hunt:
    """Finds somebody who answers the call."""

    call: Call
    fork: Fork | None = None
    destination: Destination | None = None
    """Who is rung, or about to be."""
    early: EarlyDialogs = field(init=False)
    returning: Returning = field(init=False)
    _places: Places = field(default_factory=dict)
    """Our end of the called leg."""
    _secure: bool = False
    _tried: list[Destination] = field(default_factory=list)
    _redirected: deque[Destination] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.early = EarlyDialogs(self.call)
        self.returning = Returning(self.call)

    async def begin(self) -> None:
        """Reads the caller's offer and reserves the media. Raises CallRefused."""
        call, plan = self.call, self.call.plan
        request = call.transaction.request
        session = described(request)
        try:
            if session is not None:
                call.answering.offer = read_offer(session, plan.caller_protection, suites=call.suites)
            dialog = Dialog.as_server(request, call.transaction.tag)
            timer = SessionTimer.as_server(request)
        except NotAcceptable as error:
            raise CallRefused(488, str(error), Warning=warning(str(error)), Reason=because(488, str(error))) from error
        except IntervalTooSmall as error:
            raise CallRefused(422, "Session interval too small", Min_SE=str(MIN_SE)) from error
        except ValueError as error:
            raise CallRefused(400, str(error)) from error
        if not plan.hunt:
            raise Absent("Not registered")
        self._secure = plan.hunt[0].secure
        offer = call.answering.offer
        secure = plan.caller_secure if offer is None else offer.secure
        legs = {Side.A: secure, Side.B: self._secure}
        places = await call.relayed.open(legs)
        self._places = places[Side.B]
        media = LegMedia(places[Side.A], call.suites)
        caller = Party(
            dialog, call.transaction.connection, call.transactions, media, plan.username, plan.instance, timer=timer
        )
        caller.heard_of(request)
        call.seat(Side.A, caller)
        if offer is not None and offer.text is not None and (text := await call.text.offered(legs)):
            self._places[MediaType.TEXT] = text[Side.B]

    async def run(self) -> None:
        """Rings one destination after the other until somebody answers. Raises CallRefused when nobody does."""
        plan = self.call.plan
        waiting = deque(plan.hunt)
        fallbacks = {"busy": plan.busy, "no answer": plan.no_answer}
        failure: CallRefused = Absent("Not registered")
        while True:
            if self._redirected:
                waiting.appendleft(self._redirected.popleft())
            if not waiting:
                kind = "busy" if failure.status in _BUSY else "no answer" if failure.status in _UNAVAILABLE else ""
                fallback = fallbacks.pop(kind, None)
                if fallback is None:
                    # Anew: an error that a frame of its own traceback holds would wait for the collector.
                    raise CallRefused(failure.status, str(failure), **failure.headers)
                if isinstance(failure, Absent):
                    fallback = _because(fallback, "unavailable")
                self.call.log(LogEvent.FORWARDED, call=self.call.id, reason=kind)
                waiting.append(fallback)
            destination = waiting.popleft()
            try:
                answered = await self._ring(destination)
            except _Unanswered as error:
                failure = error.refusal
                other = None
                if failure.unreachable:
                    by_another = self.call.control.other_way
                    other = by_another(destination, error.trunk) if error.trunk else destination.otherwise
                if other is not None:
                    waiting.appendleft(other)
                    continue
                if failure.status >= 600:
                    waiting.clear()
                continue
            if answered:
                return

    def ringing(self) -> list[str]:
        """The accounts of the phones that ring now."""
        branches = self.fork.branches if self.fork is not None else []
        return [each.target.username for each in branches if each.failed is None and not each.abandoned]

    async def _ring(self, destination: Destination) -> bool:
        """Rings one destination. Raises _Unanswered, or CallRefused when the caller gave up."""
        call = self.call
        self.destination = destination
        try:
            targets = await call.control.targets(destination)
        except CallRefused as refused:
            raise _Unanswered(refused) from refused
        if not targets:
            raise _Unanswered(Absent("Not registered"))
        trunk = targets[0].trunk
        destination = reached_over(destination, trunk)
        name = trunk.name if trunk is not None else ""
        if destination.secure is not self._secure:
            self._places = await call.relayed.reopen(Side.B, secure=destination.secure)
            self._secure = destination.secure
        self.early.forget()
        self.fork = Fork(
            call.invitation,
            destination,
            call.answering.wanted,
            None,
            self._places,
            call.transactions,
            lambda heard: call.post(heard),
        )
        self.fork.ring(targets)
        call.control.changed()
        now = asyncio.get_running_loop().time()
        deadline = now + destination.seconds
        another = bool(name) and call.control.other_way(destination, name) is not None
        first_word = now + patience(another=another) if name else deadline
        while True:
            try:
                async with asyncio.timeout_at(min(deadline, first_word)):
                    event = await call.next_event()
            except TimeoutError as error:
                self.fork.cancel(because(408, "No answer"))
                if first_word < deadline:
                    raise _Unanswered(Unreachable(480, "The trunk is silent"), name) from error
                raise _Unanswered(CallRefused(480, "No answer", Reason='Q.850;cause=19;text="No answer"')) from error
            if isinstance(event, Heard):
                first_word = deadline
            match event:
                case Heard(branch, response):
                    if branch not in self.fork.branches:
                        if 200 <= response.code < 300:
                            self.fork.decline(branch, response)
                    elif await self._heard(self.fork, branch, response):
                        return True
                case Joins(_, transaction, phone):
                    if await self._picked_up(transaction, phone):
                        return True
                case Requested(side, transaction):
                    await self.early.requested(side, transaction)
                case Cancelled():
                    raise CallRefused(487, "Cancelled")
                case FlowExpired(party) if party is call.parties[Side.A] and party.connection.closed:
                    raise CallRefused(487, "Caller's connection was lost")
                case BranchExpired(branch):
                    if (gone := self.returning.expired(self.fork, branch)) is not None:
                        raise _Unanswered(gone)
                case Lost() | FlowResumed():
                    call.supervision.happened(event)
                    if isinstance(event, FlowResumed):
                        await self.returning.registered(self.fork, event.username)
                case Surrender(party=party) if not party.done():
                    party.set_result(None)
                case Stop(reason, cause):
                    raise CallRefused(cause or 503, reason)

    async def _heard(self, fork: Fork, branch: Branch, response: Response) -> bool:
        if response.code < 200:
            await self._progress(branch, response)
        elif fork.again(branch, response):
            pass
        elif response.code < 300:
            await self._answered(fork, branch, response)
            return True
        elif fork.has_lost(branch, response):
            await self.returning.lost(fork, branch)
        else:
            if response.code < 400:
                response = self._redirect(fork, branch, response)
            if (failure := fork.refused(branch, response)) is not None:
                trunk = branch.target.trunk
                raise _Unanswered(refusal(failure), trunk.name if trunk is not None else "")
        return False

    def _redirect(self, fork: Fork, branch: Branch, response: Response) -> Response:
        """A called phone sends the call elsewhere: rung when nobody else answers. What the branch counts as then."""
        assert branch.client is not None  # noqa: S101 - it answered
        call = self.call
        try:
            (contact, *_) = response.contact
            reason = "user-busy" if response.code == 380 else "deflection"
            destination = call.control.redirected(
                call.plan, branch.target.username, contact.uri, reason, fork.destination.diversions
            )
        except CallRefused as refused:
            return reply(branch.client.request, refused.status)
        except ValueError:
            return reply(branch.client.request, 502)
        if destination in self._tried:
            return reply(branch.client.request, 482)
        self._tried.append(destination)
        self._redirected.append(destination)
        call.log(LogEvent.FORWARDED, call=call.id, reason="by the phone")
        return reply(branch.client.request, 480)

    async def _progress(self, branch: Branch, response: Response) -> None:
        if response.code == 100:
            return
        branch.rings = True
        self.early.began(branch)
        answering = self.call.answering
        session = described(response) if answering.tells_media_early else None
        if session is None:
            await answering.progress(180 if response.code == 180 else 183, None)
        else:
            await answering.progress(response.code, await self._take_answer(branch, session))

    async def _answered(self, fork: Fork, branch: Branch, response: Response) -> None:
        call = self.call
        party = fork.answered(branch, response)
        assert branch.client is not None  # noqa: S101 - it answered
        party.timer = SessionTimer.as_client(response)
        call.seat(Side.B, party)
        try:
            session = None if branch.updated else described(response)
            if session is not None:
                called = await self._take_answer(branch, session)
            elif branch.media.remote is not None:
                called = branch.media.remote  # it answered early, and says it once
            else:
                raise CallRefused(502, "The called phone answered without a description")
        except CallRefused:
            del call.parties[Side.B]
            party.bye(because(488, "The answer cannot be used"))
            call.control.unbind(party.dialog)
            raise
        call.answered(fork.destination)
        await call.answering.accept(called)
        await call.text.settle()

    async def _take_answer(self, branch: Branch, session: Session) -> Description:
        """Puts an answer of the called side in force, an early one too."""
        call = self.call
        try:
            branch.media.remote = read_answer(session, branch.offered)
        except NotAcceptable as error:
            raise CallRefused(488, str(error), Warning=warning(str(error))) from error
        await call.relayed.describe(Side.B, branch.media, branch.target.connection.peer.host)
        return branch.media.remote

    async def _picked_up(self, transaction: ServerTransaction, phone: Phone) -> bool:
        """A phone takes the call that rings elsewhere (directed pick-up)."""
        assert self.fork is not None  # noqa: S101 - something rings
        offer = self.call.answering.wanted
        party = await self.call.joining.join(Side.B, transaction, phone, offer)
        if party is None:
            return False
        self.fork.cancel(because(200, "Call completed elsewhere"))
        self.call.answered()
        assert party.media.remote is not None  # noqa: S101 - it has just been agreed
        await self.call.answering.accept(in_common(party.media.remote, offer))
        await self.call.text.settle()
        return True

    def decline(self, branch: Branch, response: Response) -> None:
        """A 2xx that came too late."""
        fork = self.fork or Fork(
            self.call.invitation,
            Destination(),
            standard_audio(),
            None,
            branch.media.places,
            self.call.transactions,
            self.call.post,
        )
        fork.decline(branch, response)

    def stop(self) -> None:
        """Nobody need ring any more."""
        self.returning.stop()
        if self.fork is not None:
            self.fork.cancel()


def _because(forwarded: Destination, reason: str) -> Destination:
    """The same destination, forwarded to for another reason."""
    *before, last = forwarded.diversions
    return replace(forwarded, diversions=(*before, replace(last, reason=reason)))


class _Unanswered(Exception):
    """Nobody answered at one destination; `trunk` is the name of the one that was asked."""

    def __init__(self, refusal: CallRefused, trunk: str = "") -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.trunk = trunk
