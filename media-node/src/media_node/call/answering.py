"""How the caller's INVITE is answered: what it hears while others ring, reliably where it asks for that (RFC 3262), and then
the 2xx.

A description that was sent reliably stands. What the one who answers wants otherwise is offered anew after the ACK.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from media_node.call.description import Description, NotAcceptable, in_common, read_answer, read_offer, standard_audio
from media_node.call.events import Stop
from media_node.call.plan import Side
from media_node.call.policy import Protection
from media_node.call.refusals import CallRefused, described
from media_node.sip.headers import Response
from media_node.sip.message import warning
from media_node.sip.reliable import Send, Sender, Unheard, is_required, is_supported
from media_node.sip.sdp import Session, attach
from media_node.sip.transaction_layer import ServerTransaction

if TYPE_CHECKING:
    from media_node.call.b2bua import Call

_FIRST_RSEQ = 2**24
"""The first number is chosen at random below this, so that no call comes near the end of the range (section 3)."""


@dataclass(eq=False)
class Answering:
    """Answers one caller."""

    call: Call
    offer: Description | None = None
    """The caller's; None when it leaves the offer to us (RFC 3261 section 13.2.1)."""
    accepted: bool = False
    """Whether a 2xx has been sent."""
    _settled: Description | None = None
    """What the caller was told reliably of the called side."""
    _awaits_answer: Session | None = None
    """What we offered in a provisional response: its PRACK brings the answer."""
    _timer: asyncio.TimerHandle | None = None
    _sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self._sender = Sender(self.call.transaction.request, rseq=1 + secrets.randbelow(_FIRST_RSEQ))

    @property
    def wanted(self) -> Description:
        """What the called side is offered."""
        return self.offer or standard_audio()

    @property
    def tells_media_early(self) -> bool:
        """Whether a description of the called side is of use to the caller before the answer."""
        return self.offer is not None or is_required(self.call.transaction.request)

    async def progress(self, status: int, called: Description | None) -> None:
        """Somebody rings, or describes its media already."""
        invite, caller = self.call.transaction.request, self.call.parties[Side.A]
        required, session = is_required(invite), None
        if self._settled is None and self.offer is None and required:
            # The first reliable response to an INVITE without an offer makes one (section 5).
            self._settled = called or self.wanted
            session = self._awaits_answer = caller.media.offer(self._settled, secure=self.call.plan.caller_secure)
        elif self._settled is None and self.offer is not None and called is not None:
            session = await self._describe(called)
            if is_supported(invite):
                self._settled = called
        response = caller.compose(self.call.transaction, status, session)
        if required or (session is not None and is_supported(invite)):
            self._perform(self._sender.respond(response, _now()))
        else:
            self.call.transaction.send(response)

    async def accept(self, called: Description) -> None:
        """Somebody answered, who says this of its media."""
        call, caller = self.call, self.call.parties[Side.A]
        session: Session | None
        if self._settled is not None:
            session = caller.media.sent if self.offer is not None else None
            if self._settled.terms != called.terms:
                call.renegotiation.introduce_when_confirmed(Side.A)
        elif self.offer is None:
            session = caller.media.offer(called, secure=call.plan.caller_secure)
            call.renegotiation.offer_in_answer(Side.A, session)
        else:
            session = await self._describe(called)
        if self.offer is not None:
            caller.wish = self.offer.directions
        self._perform(self._sender.respond(caller.compose(call.transaction, 200, session), _now()))

    async def acknowledged(self, transaction: ServerTransaction) -> None:
        """A PRACK of the caller, which may bring the answer to our offer, or a new offer (section 5)."""
        request, caller = transaction.request, self.call.parties.get(Side.A)
        if caller is None or not self._sender.awaits(request):
            transaction.respond(481)
            return
        try:
            session = described(request)
            if self._awaits_answer is not None:
                if session is None:
                    raise NotAcceptable("The PRACK brought no answer")
                caller.media.remote = read_answer(session, self._awaits_answer)
                caller.wish = caller.media.remote.directions
                self._awaits_answer = None
                await self.call.describe(Side.A)
                self.call.renegotiation.introduce_when_confirmed(Side.A)
                self._perform(self._sender.acknowledged(request, _now()), transaction)
            else:
                answer = await self._offered_again(session) if session is not None else None
                self._perform(self._sender.acknowledged(request, _now()), transaction, answer)
        except CallRefused as refused:
            transaction.respond(refused.status, **refused.headers)
        except NotAcceptable as error:
            transaction.respond(488, Warning=warning(str(error)))

    def changed(self, called: Description) -> None:
        """The called side changed its media before it answered."""
        if self._settled is not None and self._settled.terms != called.terms:
            self.call.renegotiation.introduce_when_confirmed(Side.A)

    def stop(self, status: int) -> None:
        """The call is over. A caller that has no final response yet gets this one."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.accepted:
            self.call.transaction.respond(status)

    async def _describe(self, called: Description) -> Session:
        """Our answer to the caller's offer, which is in force then."""
        caller = self.call.parties[Side.A]
        caller.media.remote = self.offer
        answer = caller.media.answer(self.wanted, called)
        await self.call.describe(Side.A)
        return answer

    async def _offered_again(self, session: Session) -> Session:
        caller = self.call.parties[Side.A]
        if self._settled is None:
            raise NotAcceptable("The offer before is not answered yet")
        protection = Protection.REQUIRED if caller.media.secure else Protection.NONE
        offer = read_offer(session, protection, caller.media.remote, suites=self.call.suites)
        self._settled = in_common(self._settled, offer)
        self.offer = offer
        answer = await self._describe(self._settled)
        self.call.renegotiation.introduce_when_confirmed(Side.A)
        return answer

    def _perform(
        self,
        actions: list[Send | Unheard],
        prack: ServerTransaction | None = None,
        answer: Session | None = None,
    ) -> None:
        for action in actions:
            match action:
                case Send(response) if response.cseq.method == "PRACK" and prack is not None:
                    if answer is not None:
                        attach(response, answer)
                    prack.send(response)
                case Send(response):
                    self._send(response)
                case Unheard(final):
                    self._unheard(final)
        if self._timer is not None:
            self._timer.cancel()
        if (wake := self._sender.wake) is not None:
            self._timer = asyncio.get_running_loop().call_at(wake, lambda: self._perform(self._sender.fire(_now())))

    def _send(self, response: Response) -> None:
        if response.code < 200:
            self.call.transaction.send(response)
            return
        caller = self.call.parties.get(Side.A)
        if caller is None:
            return
        self.accepted = True
        caller.accept_with(self.call.transaction, response, self.call.no_ack)
        self.call.watch_session(caller)

    def _unheard(self, final: Response | None) -> None:
        """No PRACK came. A caller that only said it could goes on without; one that asked for it has gone (section 3)."""
        if is_required(self.call.transaction.request):
            self.call.post(Stop("no PRACK", cause=504))
        elif final is not None:
            self._send(final)


def _now() -> float:
    return asyncio.get_running_loop().time()
