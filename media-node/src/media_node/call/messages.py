"""Text messages between colleagues (RFC 3428): passed on to each device of the called phone, and kept nowhere."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from media_node.call.directory import Phone
from media_node.call.plan import CallControl, Destination, Target
from media_node.call.refusals import CallRefused, best
from media_node.call.routing import Hunting
from media_node.sip.dialog import MAX_FORWARDS
from media_node.sip.grammar import Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.message import warning
from media_node.sip.transaction_layer import ServerTransaction, TransactionLayer

MAX_BODY: Final = 4096
"""Octets of one message; longer ones are for a session (section 8)."""


@dataclass(eq=False)
class Messages:
    """Takes MESSAGE requests of phones that are known."""

    hunting: Hunting
    transactions: TransactionLayer
    control: CallControl

    async def deliver(self, transaction: ServerTransaction, sender: Phone, to: Phone | None) -> None:
        """One message; answered when the first device has taken it, or all have refused."""
        request = transaction.request
        if to is None:
            transaction.respond(404, Warning=warning("Messages go to colleagues"))
            return
        if len(request.body) > MAX_BODY:
            transaction.respond(413)
            return
        hops = request.max_forwards
        if hops == 0:
            transaction.respond(483)
            return
        destination: Destination = self.hunting.phone(to)
        try:
            targets = await self.control.targets(destination)
        except CallRefused as refused:
            transaction.respond(refused.status)
            return
        if not targets:
            transaction.respond(480, Warning=warning("The phone is not registered"))
            return
        failures: list[Response] = []

        def heard(response: Response) -> None:
            if 200 <= response.code < 300:
                transaction.respond(response.code)
            elif response.code >= 300:
                failures.append(response)
                if len(failures) == len(targets):
                    code = best(failures).code
                    transaction.respond(480 if code in (401, 407, 408, 503) else code)

        for target in targets:
            copy = self._copy(request, sender, destination, target, (MAX_FORWARDS if hops is None else hops) - 1)
            self.transactions.send(target.connection, copy, heard)

    def _copy(self, request: Request, sender: Phone, to: Destination, target: Target, hops: int) -> Request:
        copy = Request("MESSAGE", target.uri, request.body)
        copy.headers.set("Max-Forwards", str(hops))
        name = request.from_address.name
        copy.from_address = Address(self.hunting.uri(sender.extension), name, Parameters(tag=secrets.token_hex(8)))
        copy.to_address = to.to_address or Address(target.uri)
        copy.headers.set("Call-ID", secrets.token_hex(16))
        copy.cseq = CSeq(1, "MESSAGE")
        if (kind := request.headers.get("Content-Type")) is not None:
            copy.headers.set("Content-Type", kind)
        return copy
