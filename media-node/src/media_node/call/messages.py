"""Text messages between colleagues, to each device of the called phone, and from the provider's own exchange, to one device
(RFC 3428): passed on, and kept nowhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
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
        destination: Destination = self.hunting.phone(to)
        try:
            targets = await self.control.targets(destination)
        except CallRefused as refused:
            transaction.respond(refused.status)
            return
        if not targets:
            transaction.respond(480, Warning=warning("The phone is not registered"))
            return
        self._pass_on(
            transaction, Address(self.hunting.uri(sender.extension), request.from_address.name), destination, targets
        )

    def deliver_to_device(self, transaction: ServerTransaction, sender: Address, phone: Phone, target: Target) -> None:
        """One of the provider's own exchange, to one device."""
        if len(transaction.request.body) > MAX_BODY:
            transaction.respond(413)
            return
        self._pass_on(transaction, sender, self.hunting.phone(phone), (target,))

    def _pass_on(
        self, transaction: ServerTransaction, sender: Address, to: Destination, targets: Sequence[Target]
    ) -> None:
        hops = transaction.request.max_forwards
        if hops == 0:
            transaction.respond(483)
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
            copy = self._copy(transaction.request, sender, to, target, (MAX_FORWARDS if hops is None else hops) - 1)
            self.transactions.send(target.connection, copy, heard)

    @staticmethod
    def _copy(request: Request, sender: Address, to: Destination, target: Target, hops: int) -> Request:
        copy = Request("MESSAGE", target.uri, request.body)
        copy.headers.set("Max-Forwards", str(hops))
        copy.from_address = Address(sender.uri, sender.name, Parameters(tag=secrets.token_hex(8)))
        copy.to_address = to.to_address or Address(target.uri)
        copy.headers.set("Call-ID", secrets.token_hex(16))
        copy.cseq = CSeq(1, "MESSAGE")
        if (kind := request.headers.get("Content-Type")) is not None:
            copy.headers.set("Content-Type", kind)
        return copy
