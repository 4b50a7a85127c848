"""REGISTER requests: authenticated, then applied to the registrar, and answered with the phone's bindings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from media_node.call.authentication import REGISTRAR, RequestAuthenticator
from media_node.call.directory import Phone
from media_node.log import Event, Log
from media_node.sip.message import warning
from media_node.sip.registrar import Registrar, Rejected
from media_node.sip.transaction_layer import ServerTransaction
from media_node.sip.transport import Connection

MAX_PENDING_REGISTRATIONS: Final = 200
"""Registrations that may wait for the node's next look at its assignments."""


@dataclass(eq=False)
class Registrations:
    """Takes REGISTER requests. `registered` hears of each phone that registered, and over which connection."""

    domain: str
    registrar: Registrar
    authenticator: RequestAuthenticator
    registered: Callable[[Phone, Connection], None]
    log: Log
    _pending: list[ServerTransaction] = field(default_factory=list)

    def register(self, transaction: ServerTransaction) -> None:
        """One REGISTER. It waits for the next look at the assignments when its phone has no password here yet."""
        if len(self._pending) < MAX_PENDING_REGISTRATIONS and self.authenticator.lacks_credentials(transaction.request):
            self._pending.append(transaction)
        else:
            self._judge(transaction)

    def looked(self) -> None:
        """The assignments have just been read: what waited for that is judged by what they say now."""
        pending, self._pending = self._pending, []
        for transaction in pending:
            self._judge(transaction)

    def lost(self, connection: Connection) -> None:
        """The connection is gone, and its bindings with it."""
        self.registrar.drop_connection(connection.number)
        self._pending = [transaction for transaction in self._pending if transaction.connection is not connection]

    def _judge(self, transaction: ServerTransaction) -> None:
        phone = self.authenticator.authenticate(transaction, REGISTRAR)
        if phone is None:
            return
        request, connection = transaction.request, transaction.connection
        now = asyncio.get_running_loop().time()
        if request.uri.host.lower() not in (self.domain.lower(), connection.contact.host, connection.local.host):
            transaction.respond(404)
            return
        if request.to_address.uri.user != phone.username:
            transaction.respond(403, Warning=warning("A phone registers only itself"))
            return
        try:
            bindings = self.registrar.register(request, username=phone.username, connection=connection.number, now=now)
        except Rejected as error:
            headers = {"Min_Expires": str(error.min_expires)} if error.min_expires else {}
            transaction.respond(error.status, **headers)
            return
        self.log(Event.REGISTERED if bindings else Event.UNREGISTERED, customer=phone.customer_id)
        if not bindings:
            transaction.respond(200)
            return
        transaction.respond(
            200,
            Contact=", ".join(f"<{each.contact}>;expires={max(1, round(each.expires_at - now))}" for each in bindings),
        )
        self.registered(phone, connection)
