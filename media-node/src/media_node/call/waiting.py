"""Message waiting (RFC 3842): the voicemail is the provider's own exchange's, so what it says of new messages is passed on to
the phone, subscribed to or not; without an exchange there is no voicemail, and a subscription is refused.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from media_node.call.directory import Phone
from media_node.call.home import Home
from media_node.call.refusals import CHALLENGES
from media_node.call.trunk import answer_challenge
from media_node.sip.dialog import MAX_FORWARDS, Dialog, OutOfOrder
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.message import reply, warning
from media_node.sip.registrar import Binding
from media_node.sip.transaction_layer import ServerTransaction, TransactionLayer, to_tag
from media_node.sip.transport import Connection

PACKAGE: Final = "message-summary"
CONTENT_TYPE: Final = "application/simple-message-summary"
LONGEST: Final = 3600
MOST: Final = 5
"""Subscriptions of one account."""
MAX_BODY: Final = 4096
_PASSED_ON: Final = ("Event", "Subscription-State", "Content-Type")


@dataclass(eq=False)
class Subscription:
    """A phone's, and ours at the exchange on its behalf."""

    phone: Phone
    ours: Dialog
    """With the phone."""
    connection: Connection
    call_id: str = field(default_factory=lambda: secrets.token_hex(16))
    tag: str = field(default_factory=lambda: secrets.token_hex(8))
    theirs: Dialog | None = None
    """With the exchange, from its first word on."""
    exchange: Connection | None = None


def is_of(request: Request) -> bool:
    """Whether a request is about message waiting."""
    return (request.headers.get("Event") or "").partition(";")[0].strip().lower() == PACKAGE


@dataclass(eq=False)
class Waiting:
    """Takes SUBSCRIBE requests of phones, and NOTIFY requests of the exchange."""

    home: Home
    domain: str
    transactions: TransactionLayer
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    connections: dict[int, Connection]
    _subscriptions: dict[tuple[str, str], Subscription] = field(default_factory=dict)
    """By Call-ID and our tag in the phone's dialog."""
    _upstream: dict[tuple[str, str], Subscription] = field(default_factory=dict)
    """The same in the exchange's."""

    def subscribe(self, transaction: ServerTransaction, phone: Phone) -> None:
        """A new subscription of a phone that is known, to its own messages."""
        if self.home.trunk is None:
            transaction.respond(489, Allow_Events="dialog", Warning=warning("There is no voicemail here"))
            return
        if sum(each.phone.username == phone.username for each in self._subscriptions.values()) >= MOST:
            transaction.respond(403)
            return
        try:
            dialog = Dialog.as_server(transaction.request, transaction.tag)
        except ValueError:
            transaction.respond(400)
            return
        subscription = Subscription(phone, dialog, transaction.connection)
        self._subscriptions[dialog.id.call_id, dialog.id.local_tag] = subscription
        self._upstream[subscription.call_id, subscription.tag] = subscription
        self.spawn(self._begin(subscription, transaction))

    def refresh(self, transaction: ServerTransaction) -> bool:
        """A SUBSCRIBE within a phone's dialog; False when it is of no subscription here."""
        request = transaction.request
        subscription = self._subscriptions.get((request.call_id, to_tag(request)))
        if subscription is None or subscription.connection is not transaction.connection:
            return False
        try:
            subscription.ours.receive(request)
        except OutOfOrder:
            transaction.respond(500, Retry_After="1")
            return True
        if subscription.theirs is None or subscription.exchange is None or subscription.exchange.closed:
            transaction.respond(481)
            self._forget(subscription)
            return True
        again = subscription.theirs.request("SUBSCRIBE", self.transactions.contact(subscription.exchange))
        self._write(again, request)
        self.spawn(self._ask(subscription, transaction, subscription.exchange, again))
        return True

    def notified(self, transaction: ServerTransaction) -> bool:
        """A NOTIFY of the exchange, in a subscription of ours or to a device; False when it is neither."""
        request = transaction.request
        subscription = self._upstream.get((request.call_id, to_tag(request)))
        if subscription is not None:
            self._notify(subscription, transaction)
            return True
        device = self.home.reached(transaction.connection, request) if is_of(request) else None
        if device is None:
            return False
        self._unsolicited(device, transaction)
        return True

    def lost(self, connection: Connection) -> None:
        """A connection is gone: the phone subscribes again when it is back, and the exchange hears that it left."""
        for subscription in [each for each in self._subscriptions.values() if each.connection is connection]:
            self._forget(subscription)
            exchange = subscription.exchange
            if subscription.theirs is not None and exchange is not None and not exchange.closed:
                ends = subscription.theirs.request("SUBSCRIBE", self.transactions.contact(exchange))
                ends.headers.set("Event", PACKAGE)
                ends.headers.set("Expires", "0")
                self.transactions.send(exchange, ends, lambda response: None)

    async def _begin(self, subscription: Subscription, transaction: ServerTransaction) -> None:
        trunk = self.home.trunk
        try:
            if trunk is None:
                raise OSError("the exchange has gone")
            connection = await trunk.connection()
        except (OSError, TimeoutError):
            self._forget(subscription)
            transaction.respond(480, Warning=warning("The exchange cannot be reached"))
            return
        subscription.exchange = connection
        account = URI("sip", trunk.settings.domain or self.domain, user=subscription.phone.username)
        request = Request("SUBSCRIBE", trunk.uri(subscription.phone.username))
        request.headers.set("Max-Forwards", str(MAX_FORWARDS))
        request.from_address = Address(account, "", Parameters(tag=subscription.tag))
        request.to_address = Address(account)
        request.headers.set("Call-ID", subscription.call_id)
        request.cseq = CSeq(1, "SUBSCRIBE")
        request.contact = [self.transactions.contact(connection)]
        self._write(request, transaction.request)
        await self._ask(subscription, transaction, connection, request)

    async def _ask(
        self, subscription: Subscription, transaction: ServerTransaction, connection: Connection, request: Request
    ) -> None:
        response = await self.transactions.ask(connection, request)
        trunk = self.home.trunk
        if trunk is not None and (again := answer_challenge(trunk.settings, request, response)) is not None:
            request, response = again, await self.transactions.ask(connection, again)
        if response.code >= 300:
            self._forget(subscription)
            code = 502 if response.code in CHALLENGES or response.code < 400 else response.code
            transaction.respond(480 if code in (408, 503) else code)
            return
        try:
            subscription.theirs = subscription.theirs or Dialog.as_client(request, response)
        except ValueError:
            self._forget(subscription)
            transaction.respond(502)
            return
        accepted = reply(transaction.request, 200, to_tag=transaction.tag)
        accepted.contact = [self.transactions.contact(transaction.connection)]
        accepted.headers.set("Expires", str(min(response.expires or 0, LONGEST)))
        transaction.send(accepted)
        if not transaction.request.expires and transaction.request.headers.get("Expires") is not None:
            self._forget(subscription, soon=True)

    def _notify(self, subscription: Subscription, transaction: ServerTransaction) -> None:
        request = transaction.request
        if transaction.connection is not subscription.exchange:
            transaction.respond(481)
            return
        try:
            if subscription.theirs is None:  # it overtook its 200 (RFC 6665 section 4.4.1)
                subscription.theirs = Dialog.as_server(request, subscription.tag)
            subscription.theirs.receive(request)
        except OutOfOrder:
            transaction.respond(500, Retry_After="1")
            return
        except ValueError:
            transaction.respond(400)
            return
        copy = subscription.ours.request("NOTIFY", self.transactions.contact(subscription.connection))
        self._pass_on(transaction, copy, subscription.connection)
        if "terminated" in (request.headers.get("Subscription-State") or "").lower():
            self._forget(subscription)

    def _unsolicited(self, device: Binding, transaction: ServerTransaction) -> None:
        """As exchanges do that tell each phone they know: outside a dialog, to one device."""
        connection = self.connections.get(device.connection)
        if connection is None:
            transaction.respond(430, "Flow Failed")
            return
        account = URI("sip", self.domain, user=device.username)
        copy = Request("NOTIFY", device.contact)
        copy.headers.set("Max-Forwards", str(MAX_FORWARDS))
        copy.from_address = Address(account, "", Parameters(tag=secrets.token_hex(8)))
        copy.to_address = Address(account)
        copy.headers.set("Call-ID", secrets.token_hex(16))
        copy.cseq = CSeq(1, "NOTIFY")
        copy.contact = [self.transactions.contact(connection)]
        self._pass_on(transaction, copy, connection)

    def _pass_on(self, transaction: ServerTransaction, copy: Request, connection: Connection) -> None:
        request = transaction.request
        if len(request.body) > MAX_BODY:
            transaction.respond(413)
            return
        for name in _PASSED_ON:
            if (value := request.headers.get(name)) is not None:
                copy.headers.set(name, value)
        copy.body = request.body

        def heard(response: Response) -> None:
            if response.code >= 200:
                transaction.respond(502 if response.code in CHALLENGES else response.code)

        self.transactions.send(connection, copy, heard)

    @staticmethod
    def _write(request: Request, asked: Request) -> None:
        seconds = LONGEST if asked.expires is None else min(asked.expires, LONGEST)
        request.headers.set("Event", PACKAGE)
        request.headers.set("Accept", CONTENT_TYPE)
        request.headers.set("Expires", str(seconds))

    def _forget(self, subscription: Subscription, *, soon: bool = False) -> None:
        """`soon`: once the last NOTIFY has had its time to come."""
        if soon:
            asyncio.get_running_loop().call_later(5.0, self._forget, subscription)
            return
        self._subscriptions.pop((subscription.ours.id.call_id, subscription.ours.id.local_tag), None)
        self._upstream.pop((subscription.call_id, subscription.tag), None)
