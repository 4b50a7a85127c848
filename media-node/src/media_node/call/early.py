"""Requests within a dialog before anybody has answered: the caller's PRACK, and a called side that changes its media
(RFC 3262, RFC 3311).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from media_node.call.description import NotAcceptable, in_common, read_offer
from media_node.call.events import Branch
from media_node.call.party import ALLOW, Party
from media_node.call.plan import Side
from media_node.call.policy import Protection
from media_node.call.refusals import CallRefused, described
from media_node.sip.dialog import OutOfOrder
from media_node.sip.message import tag, warning
from media_node.sip.sdp import CONTENT_TYPE
from media_node.sip.transaction_layer import ServerTransaction, to_tag

if TYPE_CHECKING:
    from media_node.call.b2bua import Call


@dataclass(eq=False)
class EarlyDialogs:
    """Those of one call that rings."""

    call: Call

    def parties(self) -> Iterator[Party]:
        """Who is in an early dialog with us on the called side."""
        fork = self.call.hunt.fork
        for branch in fork.branches if fork is not None else ():
            for early in branch.early.values():
                yield early.party

    def began(self, branch: Branch) -> None:
        """A branch has been heard: what it asks in its early dialog comes to this call."""
        for early in branch.early.values():
            self.call.control.bind(early.party.dialog, self.call, Side.B)

    def forget(self) -> None:
        """Somebody else is to be rung now."""
        for party in self.parties():
            self.call.control.unbind(party.dialog)

    async def requested(self, side: Side, transaction: ServerTransaction) -> None:
        """A request of either side. Raises CallRefused when the caller hangs up."""
        request = transaction.request
        branch = self._branch(transaction) if side is Side.B else None
        party = self.call.parties[Side.A] if side is Side.A else self._party(branch, transaction)
        if party is None:
            transaction.respond(481)
            return
        try:
            party.dialog.receive(request)
        except OutOfOrder:
            transaction.respond(500, Retry_After="1")
            return
        except ValueError:
            transaction.respond(400)
            return
        match request.method:
            case "BYE" if side is Side.A:
                transaction.respond(200)
                raise CallRefused(487, "Caller hung up")
            case "PRACK" if side is Side.A:
                await self.call.answering.acknowledged(transaction)
            case "UPDATE" if branch is not None:
                await self._updated(branch, party, transaction)
            case "OPTIONS":
                transaction.respond(200, Allow=ALLOW, Accept=CONTENT_TYPE)
            case _:
                transaction.respond(491 if side is Side.A else 481)

    async def _updated(self, branch: Branch, party: Party, transaction: ServerTransaction) -> None:
        """A called side changes its media before it answers, as when an announcement gives way to a person."""
        call, media = self.call, branch.media
        try:
            session = described(transaction.request)
            if session is None:
                party.respond(transaction, 200)
                return
            if media.remote is None:
                transaction.respond(491)  # our own offer is not answered yet (RFC 3311 section 5.2)
                return
            protection = Protection.REQUIRED if media.secure else Protection.NONE
            offer = read_offer(session, protection, media.remote, suites=call.suites)
            answer = media.answer(offer, in_common(call.answering.wanted, offer))
        except CallRefused as refused:
            transaction.respond(refused.status, **refused.headers)
            return
        except NotAcceptable as error:
            transaction.respond(488, Warning=warning(str(error)))
            return
        media.remote, branch.updated = offer, True
        await call.relayed.describe(Side.B, media, party.connection.peer.host)
        call.answering.changed(offer)
        party.respond(transaction, 200, answer)

    def _branch(self, transaction: ServerTransaction) -> Branch | None:
        fork, ours = self.call.hunt.fork, to_tag(transaction.request)
        for branch in fork.branches if fork is not None else ():
            if branch.client is not None and tag(branch.client.request.from_address) == ours:
                return branch
        return None

    @staticmethod
    def _party(branch: Branch | None, transaction: ServerTransaction) -> Party | None:
        early = branch.early.get(tag(transaction.request.from_address)) if branch is not None else None
        return early.party if early is not None else None
