"""Another phone of the customer comes into a call by an INVITE of its own: Replaces (RFC 3891), or a pick-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from media_node.call.description import Description, NotAcceptable, in_common, read_offer
from media_node.call.directory import Phone
from media_node.call.negotiation import LegMedia
from media_node.call.party import Party
from media_node.call.plan import Side
from media_node.call.policy import Protection
from media_node.call.refusals import CallRefused, described
from media_node.call.relayed import MediaFailed
from media_node.log import Event as LogEvent
from media_node.sip.dialog import Dialog
from media_node.sip.message import reason as because
from media_node.sip.message import warning
from media_node.sip.transaction_layer import ServerTransaction

if TYPE_CHECKING:
    from media_node.call.b2bua import Call


@dataclass(eq=False)
class Joining:
    """Takes such INVITEs into one call."""

    call: Call

    async def joined(self, side: Side, transaction: ServerTransaction, phone: Phone) -> None:
        """A phone takes the place of one side of an answered call (RFC 3891)."""
        call = self.call
        stays, leaves = call.parties.get(side.other), call.parties.get(side)
        busy = call.renegotiation.pending is not None or call.transfers.pending is not None
        if stays is None or leaves is None or stays.media.remote is None or busy:
            transaction.respond(481 if stays is None else 491)
            return
        if await self.join(side, transaction, phone, stays.media.remote) is None:
            return
        leaves.bye(because(200, "Replaced"))
        leaves.close()
        call.control.unbind(leaves.dialog)
        call.log(LogEvent.TRANSFERRED, call=call.id, attended=True)
        await call.text.settle()
        call.renegotiation.tell(side.other)

    async def join(self, side: Side, transaction: ServerTransaction, phone: Phone, with_: Description) -> Party | None:
        """Seats whoever sent an INVITE with an offer; None when it was refused."""
        call = self.call
        protection = Protection.REQUIRED if phone.encrypted else Protection.PREFERRED
        try:
            session = described(transaction.request)
            if session is None:
                raise NotAcceptable("An INVITE that takes a call's place needs an offer")
            offer = read_offer(session, protection, suites=call.suites)
            shared = in_common(with_, offer)
            dialog = Dialog.as_server(transaction.request, transaction.tag)
        except CallRefused as refused:
            transaction.respond(refused.status, **refused.headers)
            return None
        except NotAcceptable as error:
            transaction.respond(488, Warning=warning(str(error)))
            return None
        except ValueError:
            transaction.respond(400)
            return None
        try:
            if shared.text is not None:
                await call.text.offered()
            media = LegMedia(await call.relayed.reopen(side, secure=offer.secure), call.suites)
            media.remote = offer
            answer = media.answer(offer, shared)
            await call.relayed.describe(side, media, transaction.connection.peer.host)
        except MediaFailed:
            transaction.respond(503, Retry_After="5")
            raise
        party = Party(dialog, transaction.connection, call.transactions, media, phone.username)
        party.heard_of(transaction.request)
        call.seat(side, party)
        party.accept(transaction, answer, call.no_ack)
        return party
