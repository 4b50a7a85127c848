"""Changes to a running call's media: hold, resume, a new address or key (RFC 3261 section 14, RFC 3311, RFC 6337).

A change that one side offers is passed on to the other, and answered with what comes back. A re-INVITE without an offer
is offered what the other side wants; the answer in its ACK is then passed on the same way. One change runs at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from media_node.call.description import Description, NotAcceptable, read_answer, read_offer
from media_node.call.events import Renegotiated, RetryRenegotiation, Stop
from media_node.call.party import Party
from media_node.call.plan import Side
from media_node.call.policy import Protection
from media_node.call.refusals import CHALLENGES, CallRefused, described
from media_node.call.relayed import MediaFailed
from media_node.call.session_timer import MIN_SE, IntervalTooSmall, SessionTimer
from media_node.sip.headers import Request, Response
from media_node.sip.message import warning
from media_node.sip.sdp import Direction, Media, MediaType, Session
from media_node.sip.transaction_layer import ClientTransaction, ServerTransaction

if TYPE_CHECKING:
    from media_node.call.b2bua import Call

RETRY: Final = (2.1, 4.0)
"""Seconds to wait after a 491, chosen at random: we made the Call-ID (RFC 3261 section 14.1)."""
GONE: Final = (408, 481)
"""Answers that say the other side has lost the call (section 12.2.1.2)."""


@dataclass(eq=False)
class Change:
    """A re-INVITE of ours to `party`, which has the side `to`, that waits for its answer: of the other side's `offer`,
    and on behalf of the `transaction` of `asking`, or of the node itself.
    """

    to: Side
    party: Party
    client: ClientTransaction
    offered: Session
    offer: Description | None = None
    transaction: ServerTransaction | None = None
    asking: Party | None = None
    done: Callable[[bool], None] = lambda success: None


@dataclass(eq=False)
class Renegotiation:
    """The changes of one call."""

    call: Call
    pending: Change | None = None
    _awaits_answer: dict[Party, Session] = field(default_factory=dict)
    """What we offered in a 2xx to an INVITE without an offer: its ACK brings the answer."""
    _introduce: set[Side] = field(default_factory=set)

    async def requested(self, side: Side, transaction: ServerTransaction) -> None:
        """A re-INVITE or UPDATE of one side."""
        party, other = self.call.parties[side], self.call.parties.get(side.other)
        request = transaction.request
        if other is None or self.pending is not None or party.unconfirmed is not None:
            transaction.respond(491)
            return
        try:
            party.timer = SessionTimer.as_server(request) or party.timer
            session = described(request)
        except IntervalTooSmall:
            transaction.respond(422, Min_SE=str(MIN_SE))
            return
        except CallRefused as refused:
            transaction.respond(refused.status, **refused.headers)
            return
        party.heard_of(request)
        self.call.watch_session(party)
        if session is None:
            await self._without_offer(side, transaction)
            return
        try:
            protection = Protection.REQUIRED if party.media.secure else Protection.NONE
            offer = read_offer(session, protection, party.media.remote, suites=self.call.suites)
        except NotAcceptable as error:
            transaction.respond(488, Warning=warning(str(error)))
            return
        if offer.text is not None:
            await self.call.text.offered()
        offered = other.media.offer(offer, secure=other.media.secure)
        transaction.on_cancel = lambda cancel: self.call.cancelled()
        self._send(side.other, offered, offer, transaction)

    async def _without_offer(self, side: Side, transaction: ServerTransaction) -> None:
        party, other = self.call.parties[side], self.call.parties[side.other]
        if transaction.request.method == "UPDATE" or other.media.remote is None:
            party.respond(transaction, 200)  # a refreshed session
            return
        # All we are willing to do (RFC 6337 section 5.3): so a phone that held the call by an offer resumes it.
        if other.media.takes_text:
            await self.call.text.offered()
        offered = party.media.offer(other.media.remote, secure=party.media.secure, directions=other.wish)
        self._awaits_answer[party] = offered
        party.accept(transaction, offered, self.call.no_ack)

    def offer_in_answer(self, side: Side, offered: Session) -> None:
        """The 2xx that is about to be sent carries an offer."""
        self._awaits_answer[self.call.parties[side]] = offered

    def introduce_when_confirmed(self, side: Side) -> None:
        """A side was told reliably of what does not hold any more: after its ACK it hears what does."""
        self._introduce.add(side)

    async def acknowledged(self, side: Side, ack: Request) -> None:
        """The ACK to a 2xx of ours, which may bring the answer to an offer in it."""
        party = self.call.parties[side]
        if party.unconfirmed is None or party.unconfirmed.request.cseq.sequence != ack.cseq.sequence:
            return
        party.confirm()
        offered = self._awaits_answer.pop(party, None)
        if side in self._introduce:
            self._introduce.discard(side)
            self.introduce(side)
        if offered is None:
            return
        try:
            session = described(ack)
            if session is None:
                raise NotAcceptable("The ACK brought no answer")
            answer = read_answer(session, offered)
        except (NotAcceptable, CallRefused) as error:
            if party.media.remote is None:
                self.call.post(Stop(str(error), cause=488))  # there is no media to go on with
            await self.call.text.settle()
            return
        self._heard_wish(side, offered, answer)
        party.media.remote = answer
        await self.call.describe(side)
        await self.call.text.settle()
        self.tell(side.other)

    def tell(self, to: Side, done: Callable[[bool], None] = lambda success: None) -> None:
        """Offers one side what the other wants now, unless it knows."""
        party, other = self.call.parties.get(to), self.call.parties.get(to.other)
        if party is None or other is None or other.media.remote is None:
            done(False)
            return
        if self.pending is not None:
            party.later(random.uniform(*RETRY), lambda: self.call.post(RetryRenegotiation(to)))  # noqa: S311 - spread
            done(True)
            return
        before = party.media.sent
        offered = party.media.offer(other.media.remote, secure=party.media.secure, directions=other.wish)
        if _knows(party, before, offered):
            done(True)
            return
        self._send(to, offered, None, None, done)

    def introduce(self, side: Side) -> None:
        """A party that was in another call hears of whom it speaks with now, and then that one of it."""
        self.tell(side, lambda success: self.tell(side.other))

    def refresh(self, side: Side) -> None:
        """A re-INVITE that changes nothing: the session is still wanted (RFC 4028 section 7.4)."""
        party, other = self.call.parties.get(side), self.call.parties.get(side.other)
        if party is None or other is None or self.pending is not None or other.media.remote is None:
            return
        offered = party.media.offer(other.media.remote, secure=party.media.secure, directions=other.wish)
        self._send(side, offered, None, None)

    def _send(
        self,
        to: Side,
        offered: Session,
        offer: Description | None,
        transaction: ServerTransaction | None,
        done: Callable[[bool], None] = lambda success: None,
    ) -> None:
        party = self.call.parties[to]
        client = party.request("INVITE", lambda response: self.call.post(Renegotiated(response)), offered)
        asking = self.call.parties.get(to.other) if transaction is not None else None
        self.pending = Change(to, party, client, offered, offer, transaction, asking, done)

    async def answered(self, response: Response) -> int | None:
        """A response to our re-INVITE; the cause when it ends the call."""
        change = self.pending
        if change is None or response.code < 200 or response.cseq != change.client.request.cseq:
            return None
        self.pending = None
        party, text = change.party, self.call.text
        if self.call.parties.get(change.to) is not party:
            # It has left, or somebody has taken its place: what was asked of it may be asked again.
            if change.transaction is not None:
                change.transaction.respond(491)
            change.done(False)
            return None
        if response.code >= 300:
            await text.settle()
            return self._refused(change, response)
        party.dialog.refresh(response)
        party.acknowledge(change.client.request)
        party.heard_of(response)
        party.timer = SessionTimer.as_client(response) or party.timer
        self.call.watch_session(party)
        try:
            session = described(response)
            if session is None:
                raise NotAcceptable("An answer without a description")
            answer = read_answer(session, change.offered)
        except (NotAcceptable, CallRefused) as error:
            if change.transaction is not None:
                change.transaction.respond(488, Warning=warning(str(error)))
            change.done(False)
            return 488
        self._heard_wish(change.to, change.offered, answer)
        ran = text.runs
        party.media.remote = answer
        side, asking = change.to.other, change.asking
        if change.transaction is not None and self.call.parties.get(side) is not asking:
            # Whoever asked has left: the other hears what is wanted by who is there now.
            change.transaction.respond(481)
            await self.call.describe(change.to)
            await text.settle()
            self.tell(change.to)
            return None
        if change.offer is not None and asking is not None:
            asking.media.remote, asking.wish = change.offer, change.offer.directions
        try:
            for each in (side, change.to):
                await self.call.describe(each)
        except MediaFailed:
            if change.transaction is not None:
                change.transaction.respond(503, Retry_After="5")
            raise
        if change.transaction is not None and change.offer is not None and asking is not None:
            ours = asking.media.answer(change.offer, answer)
            if change.transaction.request.method == "INVITE":
                asking.accept(change.transaction, ours, self.call.no_ack)
            else:
                asking.respond(change.transaction, 200, ours)
        await text.settle()
        if ran and not text.runs and change.transaction is None:
            self.tell(side)
        change.done(True)
        return None

    def _refused(self, change: Change, response: Response) -> int | None:
        if change.transaction is not None:
            code = 502 if response.code in CHALLENGES else response.code
            change.transaction.respond(code)
            return code if code in GONE else None
        if response.code == 491:
            party = self.call.parties[change.to]
            party.media.sent = None
            party.later(random.uniform(*RETRY), lambda: self.call.post(RetryRenegotiation(change.to)))  # noqa: S311
            change.done(True)
            return None
        change.done(False)
        return response.code if response.code in GONE else None

    def _heard_wish(self, side: Side, offered: Session, answer: Description) -> None:
        """Learns what a party wants from its answer: less than was offered, or all that there is."""
        party = self.call.parties[side]
        for kind, stream in answer.streams():
            sent = offered.direction(offered.media[stream.index])
            if stream.direction is not sent.reversed or sent is Direction.SENDRECV:
                party.wish = {**party.wish, kind: stream.direction}

    def stop(self) -> None:
        """The call is over: whoever waits for a change is told."""
        if self.pending is not None:
            if self.pending.transaction is not None:
                self.pending.transaction.respond(487)
            self.pending.done(False)
            self.pending = None


def _knows(party: Party, before: Session | None, after: Session) -> bool:
    """Whether an offer to a party would tell it anything: a stream that comes or goes, another direction or place, a codec
    that it uses and may not any more, one that is new, or a key.
    """
    remote = party.media.remote
    if before is None or remote is None or before.connection != after.connection:
        return False
    told = {kind: line for kind, stream in remote.streams() if (line := before.media[stream.index]).port}
    now = {MediaType(line.kind): line for line in after.media if line.port}
    return told.keys() == now.keys() and all(
        (told[kind].port, before.direction(told[kind])) == (line.port, after.direction(line))
        and (stream := remote.stream(kind)) is not None
        and set(stream.media.formats) <= set(line.formats) <= set(told[kind].formats)
        and (not line.cryptos or not _keys(line).isdisjoint(_keys(told[kind])))
        for kind, line in now.items()
    )


def _keys(line: Media) -> set[tuple[str, str]]:
    return {(crypto.suite, crypto.key) for crypto in line.cryptos}
