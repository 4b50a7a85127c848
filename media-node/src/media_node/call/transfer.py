"""Transfers (RFC 3515, RFC 5589): a REFER of one side puts somebody else in its place.

Blind: the target is rung at the referrer's account, in a relayed call of its own, and its leg moves over when it answers.
Attended: the referrer has called the target itself; that call gives its party up to this one. Either way the referrer is
told by NOTIFY how it went, keeps its call when it went wrong, and is hung up on when it went well.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from media_node.call.description import NotAcceptable, read_answer
from media_node.call.events import Branch, NoAnswer, Surrender
from media_node.call.forking import Fork
from media_node.call.party import Party
from media_node.call.plan import Destination, Side, patience, reached_over
from media_node.call.refusals import CallRefused, described, refusal
from media_node.call.relayed import MediaFailed
from media_node.log import Event as LogEvent
from media_node.sip.grammar import URI, Address
from media_node.sip.headers import Response
from media_node.sip.message import reason as because
from media_node.sip.phrases import PHRASES
from media_node.sip.sdp import MediaType
from media_node.sip.transaction_layer import ServerTransaction, to_tag
from media_node.worker_link.protocol import LegStats

if TYPE_CHECKING:
    from media_node.call.b2bua import Call

SURRENDER_TIMEOUT: Final = 3.0
"""Seconds another call has to give its party up."""
_REPLACES: Final = re.compile(r"(?:^|[&?])Replaces=([^&]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Replaces:
    """Which dialog an INVITE takes the place of (RFC 3891), by the identifiers that its sender has."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @classmethod
    def parse(cls, value: str) -> Replaces:
        """The header's value. Raises ValueError."""
        call_id, *parameters = [part.strip() for part in value.split(";")]
        tags = dict(part.partition("=")[::2] for part in parameters if "=" in part)
        if not call_id or "to-tag" not in tags or "from-tag" not in tags:
            raise ValueError("Replaces needs a Call-ID, to-tag and from-tag")
        return cls(call_id, tags["to-tag"], tags["from-tag"], "early-only" in parameters)


@dataclass(eq=False)
class Pending:
    """A blind transfer that rings."""

    by: Side
    referrer: Party
    """Told how it went even after it has hung up: its subscription outlives the call (RFC 5057 section 4.1)."""
    destination: Destination
    relayed_as: str
    fork: Fork | None = None
    heard: bool = False
    given_up: bool = False


@dataclass(eq=False)
class Transfers:
    """The transfers of one call, one at a time."""

    call: Call
    pending: Pending | None = None
    destination: Destination | None = None
    """Who is rung for one, or about to be."""
    departing: list[Party] = field(default_factory=list)
    """Who was transferred away from and is about to be hung up on."""
    _count: int = 0

    async def referred(self, side: Side, transaction: ServerTransaction) -> None:
        """A REFER of one side."""
        call, request = self.call, transaction.request
        values = request.headers.getlist("Refer-To")
        try:
            (value,) = values
            target = Address.parse(value).uri
            replaces = _replaces(target)
        except ValueError:
            transaction.respond(400)
            return
        if target.parameters.get("method", "INVITE") not in (None, "INVITE") or target.scheme not in (
            "sip",
            "sips",
            "tel",
        ):
            transaction.respond(603)
            return
        referrer = call.parties[side]
        if not referrer.username:
            transaction.respond(403)
            return
        if self.pending is not None or side.other not in call.parties or call.renegotiation.pending is not None:
            transaction.respond(491)
            return
        referrer.respond(transaction, 202)
        self._notify(referrer, "100 Trying")
        other = call.control.call_of(replaces.call_id, replaces.to_tag, replaces.from_tag) if replaces else None
        if (
            other is not None
            and other[0] is not call
            and other[0].plan.customer_id == call.plan.customer_id
            and other[0].parties.get(other[1].other) is not None
        ):
            await self._attended(side, *other)
        else:
            await self._blind(side, target)

    async def _attended(self, side: Side, other: Call, referrers: Side) -> None:
        call, referrer = self.call, self.call.parties[side]
        surrendered: asyncio.Future[tuple[Party, dict[MediaType, LegStats] | None] | None] = (
            asyncio.get_running_loop().create_future()
        )
        other.post(Surrender(referrers.other, call.id, side, surrendered))
        given = None
        with contextlib.suppress(TimeoutError):
            given = await asyncio.wait_for(surrendered, SURRENDER_TIMEOUT)
        if given is None:
            self._notify(referrer, "481 Call/Transaction Does Not Exist", ended=True)
            return
        party, before = given
        if before is not None:
            call.relayed.note(before)
            if MediaType.TEXT not in before:
                party.media.place(MediaType.TEXT, None)
        else:
            try:
                party.media = party.media.at(await call.relayed.reopen(side, secure=party.media.secure))
            except MediaFailed:
                self._notify(referrer, "503 Service Unavailable", ended=True)
                party.bye(because(503, "The media relay failed"))
                party.close()
                call.control.unbind(party.dialog)
                raise
        call.log(LogEvent.TRANSFERRED, call=call.id, attended=True)
        self._leave(referrer)
        call.seat(side, party)
        await call.text.settle()
        call.renegotiation.introduce(side)

    async def _blind(self, side: Side, target: URI) -> None:
        referrer = self.call.parties[side]
        try:
            destination = self.call.control.redirected(self.call.plan, referrer.username, target, "", ())
            await self._ring(side, referrer, destination)
        except CallRefused as refused:
            self._notify(referrer, f"{refused.status} {PHRASES.get(refused.status, 'Refused')}", ended=True)

    async def _ring(self, side: Side, referrer: Party, destination: Destination) -> None:
        """Rings the target, in a relayed call of its own. Raises CallRefused."""
        call = self.call
        self.destination = destination
        try:
            targets = await call.control.targets(destination)
            if not targets:
                raise CallRefused(480, "Not registered")
            trunk = targets[0].trunk
            destination = reached_over(destination, trunk)
            self._count += 1
            pending = Pending(side, referrer, destination, f"{call.id}-{self._count}")
            stays = call.parties[side.other]
            places = await call.relayed.open_beside(
                pending.relayed_as, {Side.A: True, Side.B: destination.secure}, text=stays.media.takes_text
            )
        except CallRefused:
            self.destination = None
            raise
        assert stays.media.remote is not None  # noqa: S101 - it is in a call
        self.pending = pending
        pending.fork = Fork(
            call.invitation,
            destination,
            stays.media.remote,
            stays.wish,
            places[Side.B],
            call.transactions,
            call.post,
        )
        pending.fork.ring(targets)
        # Clocks of who stays: the referrer may hang up while the target rings.
        stays.later(destination.seconds, lambda: call.post(NoAnswer(pending.relayed_as)))
        if trunk is not None:
            another = call.control.other_way(destination, trunk.name) is not None
            silence = NoAnswer(pending.relayed_as, silent_trunk=trunk.name)
            stays.later(patience(another=another), lambda: call.post(silence))

    def owns(self, branch: Branch) -> bool:
        """Whether a branch rings for a transfer."""
        return self.pending is not None and self.pending.fork is not None and branch in self.pending.fork.branches

    async def heard(self, branch: Branch, response: Response) -> None:
        """A response of the target."""
        pending = self.pending
        if pending is None or pending.fork is None:
            return
        pending.heard = True
        if response.code < 200:
            if response.code > 100:
                self._notify(pending.referrer, f"{response.code} {response.phrase}")
        elif pending.fork.again(branch, response):
            pass
        elif response.code < 300:
            await self._answered(pending, branch, response)
        elif (failure := pending.fork.refused(branch, response)) is not None:
            trunk = branch.target.trunk
            if trunk is None or not refusal(failure).unreachable or not await self._another_way(pending, trunk.name):
                await self._failed(failure.code, failure.phrase)

    async def expired(self, no_answer: NoAnswer) -> None:
        """The target did not answer in time, or the trunk said nothing at all."""
        pending = self.pending
        if pending is None or pending.relayed_as != no_answer.relayed_as or (no_answer.silent_trunk and pending.heard):
            return
        if not no_answer.silent_trunk or not await self._another_way(pending, no_answer.silent_trunk):
            await self._failed(408, "Request Timeout")

    async def _another_way(self, pending: Pending, trunk: str) -> bool:
        """Rings the target by another trunk than this one; False when none is left."""
        other = self.call.control.other_way(pending.destination, trunk)
        if other is None or pending.given_up or pending.fork is None:
            return False
        pending.fork.cancel()
        await self.call.relayed.close_beside(pending.relayed_as)
        self.pending = None
        try:
            await self._ring(pending.by, pending.referrer, other)
        except CallRefused as refused:
            self._notify(pending.referrer, f"{refused.status} {PHRASES.get(refused.status, 'Refused')}", ended=True)
            if pending.by not in self.call.parties:
                self.call.stop_after_transfer(refused.status)
        return True

    async def _answered(self, pending: Pending, branch: Branch, response: Response) -> None:
        call = self.call
        assert pending.fork is not None  # noqa: S101 - it has just answered
        try:
            party = pending.fork.answered(branch, response)
        except CallRefused as refused:
            await self._failed(refused.status, str(refused))
            return
        try:
            session = described(response)
            if session is None:
                raise NotAcceptable("no description")
            party.media.remote = read_answer(session, branch.offered)
            await call.relayed.describe(Side.B, party.media, party.connection.peer.host, pending.relayed_as)
            if party.media.takes_text:
                await call.text.offered({pending.by: party.media.secure})
            moved = await call.relayed.take(pending.relayed_as, Side.B, pending.by, party.media.places)
        except (NotAcceptable, CallRefused):
            party.bye(because(488, "The answer cannot be used"))
            await self._failed(488, "Not Acceptable Here")
            return
        except MediaFailed:
            party.bye(because(503, "The media relay failed"))
            raise
        self.pending = self.destination = None
        if pending.destination.outside:
            call.answered_outside.append(pending.destination)
        call.log(LogEvent.TRANSFERRED, call=call.id, attended=False)
        if pending.by in call.parties:
            self._leave(pending.referrer)
        else:
            self._notify(pending.referrer, "200 OK", ended=True)
        if MediaType.TEXT not in moved:
            party.media.place(MediaType.TEXT, None)
        call.seat(pending.by, party)
        await call.text.settle()
        call.renegotiation.introduce(pending.by)

    async def _failed(self, code: int, phrase: str) -> None:
        pending, self.pending, self.destination = self.pending, None, None
        if pending is None:
            return
        if pending.fork is not None:
            pending.fork.cancel()
        self._notify(pending.referrer, f"{code} {phrase}", ended=True)
        await self.call.relayed.close_beside(pending.relayed_as)
        if pending.by not in self.call.parties:
            self.call.stop_after_transfer(code)

    def _leave(self, referrer: Party) -> None:
        """The referrer hears that it went well, and then leaves the call."""
        self.departing.append(referrer)
        self._notify(referrer, "200 OK", ended=True, then_bye=True)

    def _notify(self, referrer: Party, status_line: str, *, ended: bool = False, then_bye: bool = False) -> None:
        def heard(response: Response) -> None:
            if then_bye and response.code >= 200:
                self.dismiss(referrer)

        referrer.notify_refer(status_line, ended=ended, heard=heard)

    def dismiss(self, party: Party) -> None:
        """Hangs up on a party that was transferred away from."""
        if party in self.departing:
            self.departing.remove(party)
            party.bye()
            party.close()
            self.call.control.unbind(party.dialog)

    def request_of_departing(self, transaction: ServerTransaction) -> None:
        party = next((each for each in self.departing if each.dialog.id.local_tag == to_tag(transaction.request)), None)
        if party is None or transaction.request.method != "BYE":
            transaction.respond(481)
            return
        transaction.respond(200)
        self.departing.remove(party)
        party.close()
        self.call.control.unbind(party.dialog)

    def give_up(self) -> None:
        """The call is over: nobody is left to be connected with the target, and the referrer hears that."""
        pending = self.pending
        if pending is not None and not pending.given_up:
            pending.given_up = True
            if pending.fork is not None:
                pending.fork.cancel()
            self._notify(pending.referrer, "487 Request Terminated", ended=True)

    async def stop(self) -> None:
        """The call is over, and nothing of a transfer is left."""
        self.give_up()
        if self.pending is not None:
            await self.call.relayed.close_beside(self.pending.relayed_as)
            self.pending = self.destination = None


def _replaces(target: URI) -> Replaces | None:
    """The Replaces that a Refer-To carries as a header of its URI. Raises ValueError for a broken one."""
    match = _REPLACES.search(str(target.headers or ""))
    return Replaces.parse(unquote(match[1])) if match else None
