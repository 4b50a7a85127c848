"""REGISTER requests: authenticated, then applied to the registrar, and answered with the phone's bindings."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from media_node.call.authentication import REGISTRAR, Refused, RequestAuthenticator
from media_node.call.directory import Environment, Phone
from media_node.log import Event, Log, mask_address
from media_node.sip.gruu import OPTION_TAG, Gruus
from media_node.sip.message import warning
from media_node.sip.registrar import Binding, Registrar, Registration, Rejected
from media_node.sip.transaction_layer import ServerTransaction
from media_node.sip.transport import Connection

MAX_REFUSED: Final = 1_000
"""Registrations whose refusal may wait for the node's next look at its assignments."""

MAX_EXPECTANT: Final = 10_000
"""Registrations that may wait for this node to take over: all phones of a node that was lost come at once."""

TAKEOVER_SECONDS: Final = 8.0
"""So long a phone that comes to a standby waits for the takeover. Refused, it would look again after 30 to 60 s (RFC 5626 section 4.5);
a client waits 32 s for an answer (timer F, RFC 3261 section 17.1.2.2).
"""

HANDED_OVER_SECONDS: Final = 60.0
"""So long names that are remembered (30 s) still lead a phone to the node that handed it over, which sends it on at once."""

DEPARTED_SECONDS: Final = 600.0
"""So long a phone whose environment has left this node is told to look elsewhere, and not that nobody knows it: many give up at a 403."""

RETRY_SECONDS: Final = "2"
"""After so long a phone that this node does not serve may ask again (RFC 3261 section 20.33)."""


Answers = Callable[[Connection, Binding], Awaitable[bool]]
"""Whether a phone still answers over its connection."""


@dataclass
class Seen:
    """What is told of a registered phone: since when without a gap, when it last registered, and how. The source only as
    its network.
    """

    since: datetime
    last: datetime
    agent: str
    network: str


@dataclass(eq=False)
class Registrations:
    """Takes REGISTER requests. `registered` hears of each phone that registered, and over which connection."""

    domain: str
    registrar: Registrar
    gruus: Gruus
    authenticator: RequestAuthenticator
    registered: Callable[[Phone, Connection], None]
    log: Log
    answers: Answers | None = None
    serves: Callable[[Phone], bool] = lambda _: True
    """Whether this node is who serves the phone now."""
    stands_by: Callable[[Phone], bool] = lambda _: False
    """Whether this node may be about to serve the phone."""
    look_seconds: float = 0.0
    """Within so long the assignments are read anew; 0 when nobody reads them. So long no registration is refused."""
    seen: dict[str, Seen] = field(default_factory=dict)
    """By username."""
    _refused: dict[ServerTransaction, asyncio.TimerHandle] = field(default_factory=dict)
    """Whose credentials are worth nothing by what the node knows now."""
    _expectant: list[tuple[ServerTransaction, Phone, float]] = field(default_factory=list)
    """Who waits for this node to take over, and until when."""
    _handed_over: dict[str, float] = field(default_factory=dict)
    """When this node handed a username over to another node."""
    _departed: dict[str, tuple[Phone, float]] = field(default_factory=dict)
    """Phones whose environment left this node, and when."""
    _leaving: list[tuple[str, Connection]] = field(default_factory=list)
    """Phones that are served elsewhere and do not know it yet."""
    _connections: dict[int, Connection] = field(default_factory=dict)
    """Those that somebody registered over."""
    _asking: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    def register(self, transaction: ServerTransaction) -> None:
        """One REGISTER. A refusal waits for the next look at the assignments, whoever is refused: the password may be on its way,
        and how long it takes tells nobody which accounts there are.
        """
        if not self._judge(transaction):
            if self.look_seconds and len(self._refused) < MAX_REFUSED:
                refuse = asyncio.get_running_loop().call_later(self.look_seconds, self._refuse, transaction)
                self._refused[transaction] = refuse
            else:
                transaction.respond(403)

    def looked(self) -> None:
        """The assignments have just been read: what waited for that is judged by what they say now."""
        for transaction in list(self._refused):
            self._refused.pop(transaction).cancel()
            if not self._judge(transaction, again=True):
                transaction.respond(403)
        expectant, self._expectant = self._expectant, []
        for transaction, before, until in expectant:
            phone = self.authenticator.directory().phone(before.username)
            if phone is not None:
                self._decide(transaction, phone, until)
            elif self._departed_phone(before.username):
                transaction.respond(503, Retry_After=RETRY_SECONDS)
            else:
                transaction.respond(403)
        now = asyncio.get_running_loop().time()
        self._departed = {name: gone for name, gone in self._departed.items() if now - gone[1] < DEPARTED_SECONDS}
        self._handed_over = {name: at for name, at in self._handed_over.items() if now - at < HANDED_OVER_SECONDS}

    def _refuse(self, transaction: ServerTransaction) -> None:
        """There was no look in time."""
        if self._refused.pop(transaction, None) is not None:
            transaction.respond(403)

    def depart(self, phone: Phone) -> None:
        """A phone's environment is on this node no longer."""
        self.dismiss(phone.username)
        self._departed[phone.username] = (phone, asyncio.get_running_loop().time())

    def _departed_phone(self, username: str) -> Phone | None:
        """The phone as it was when its environment left this node, if that was lately."""
        if username not in self._departed:
            return None
        phone, at = self._departed[username]
        recently = asyncio.get_running_loop().time() - at < DEPARTED_SECONDS
        return phone if recently and self.authenticator.directory().phone(username) is None else None

    def lost(self, connection: Connection) -> bool:
        """The connection is gone, and its bindings with it; whether anybody had registered over it."""
        for transaction in [each for each in self._refused if each.connection is connection]:
            self._refused.pop(transaction).cancel()
        if connection.accounts:
            self._expectant = [waiting for waiting in self._expectant if waiting[0].connection is not connection]
            self._leaving = [leaving for leaving in self._leaving if leaving[1] is not connection]
        self.registrar.drop_connection(connection.number)
        return self._connections.pop(connection.number, None) is not None

    def _judge(self, transaction: ServerTransaction, *, again: bool = False) -> bool:
        """Whether the request was answered or waits for something; False when its credentials are worth nothing."""
        found = self.authenticator.judge(transaction, REGISTRAR, again=again, former=self._departed_phone)
        if isinstance(found, Phone):
            self._admit(transaction, found)
        elif found is not None and not isinstance(found, Refused):
            transaction.respond(403, Warning=warning("A trunk registers nobody"))
        return not isinstance(found, Refused)

    def _admit(self, transaction: ServerTransaction, phone: Phone) -> None:
        request, connection = transaction.request, transaction.connection
        host = request.uri.host.lower()
        ours = (self.domain.lower(), connection.contact.host, connection.local.host)
        if host not in ours and not host.endswith(f".{self.domain.lower()}"):  # or an environment's own name
            transaction.respond(404)
            return
        if request.to_address.uri.user != phone.username:
            transaction.respond(403, Warning=warning("A phone registers only itself"))
            return
        if self._departed_phone(phone.username):
            transaction.respond(503, Retry_After=RETRY_SECONDS)
            return
        self._decide(transaction, phone, asyncio.get_running_loop().time() + TAKEOVER_SECONDS)

    def _decide(self, transaction: ServerTransaction, phone: Phone, until: float) -> None:
        request, connection = transaction.request, transaction.connection
        now = asyncio.get_running_loop().time()
        if self.authenticator.directory().has_ended(phone):
            transaction.respond(403, Warning=warning("The contract has ended; 112 is reached"))
            return
        if not self.serves(phone):
            # Its names lead it to who does (RFC 3263 section 4.3), or nobody does and this node is about to.
            handed_over = now - self._handed_over.get(phone.username, -math.inf) < HANDED_OVER_SECONDS
            expects = self.stands_by(phone) and not handed_over
            if expects and now < until and len(self._expectant) < MAX_EXPECTANT:
                self._expectant.append((transaction, phone, until))
            else:
                transaction.respond(503, Retry_After=RETRY_SECONDS)
            return
        self._handed_over.pop(phone.username, None)
        try:
            done = self.registrar.register(
                request, username=phone.username, connection=connection.number, now=now, source=connection.peer.host
            )
        except Rejected as error:
            headers = {"Min_Expires": str(error.min_expires)} if error.min_expires else {}
            transaction.respond(error.status, **headers)
            return
        self.log(
            Event.REGISTERED if done.bindings else Event.UNREGISTERED,
            customer=phone.customer_id,
            algorithm=self.authenticator.algorithm(request),
        )
        self._connections[connection.number] = connection
        if done.bindings:
            named = OPTION_TAG in request.supported or OPTION_TAG in request.require
            contacts = (
                f"<{each.contact}>;expires={max(1, round(each.expires_at - now))}"
                f"{self.gruus.parameters(each) if named else ''}"
                for each in done.bindings
            )
            transaction.respond(200, Contact=", ".join(contacts))
            self._note(phone, transaction)
            self.registered(phone, connection)
        else:
            transaction.respond(200)
        self._let_go(done)

    def end(self, username: str) -> None:
        """A phone is served elsewhere from now on; `let_leave` has it look there."""
        self._handed_over[username] = asyncio.get_running_loop().time()
        self.dismiss(username)

    def dismiss(self, username: str) -> None:
        """A phone is registered no more, and learns so by `let_leave`: else it would not until its next refresh."""
        bindings = self.registrar.lookup(username, asyncio.get_running_loop().time())
        self.registrar.drop_user(username)
        self.seen.pop(username, None)
        for binding in bindings:
            if (connection := self._connections.get(binding.connection)) is not None:
                self._leaving.append((username, connection))

    def let_leave(self, busy: set[str]) -> None:
        """Closes the connections of phones that are served elsewhere, so that they look at once; of one in a call when that is over."""
        leaving, self._leaving = self._leaving, []
        for username, connection in leaving:
            if username in busy:
                self._leaving.append((username, connection))
            elif not self.registrar.users(connection.number, asyncio.get_running_loop().time()):
                self._connections.pop(connection.number, None)
                connection.close()

    def _note(self, phone: Phone, transaction: ServerTransaction) -> None:
        now, agent = datetime.now(UTC), (transaction.request.user_agent or "")[:100]
        network = mask_address(transaction.connection.peer.host)
        if (seen := self.seen.get(phone.username)) is None:
            self.seen[phone.username] = Seen(since=now, last=now, agent=agent, network=network)
        else:
            seen.last, seen.agent, seen.network = now, agent, network

    def registered_of(self, environment: Environment) -> dict[str, dict[str, Any]]:
        """The environment's phones that are registered now, as REGISTRATIONS tells of them. When a phone was last seen
        is told to ten minutes, so that its refreshes are no news.
        """
        now = asyncio.get_running_loop().time()
        phones = {}
        for phone in environment.phones:
            seen = self.seen.get(phone.username)
            if seen is None:
                continue
            if not self.registrar.lookup(phone.username, now):
                del self.seen[phone.username]
                continue
            last = seen.last.replace(minute=seen.last.minute // 10 * 10, second=0, microsecond=0)
            phones[phone.username] = {
                "since": seen.since.isoformat(timespec="seconds"),
                "lastSeenAt": max(last, seen.since).isoformat(timespec="seconds"),
                "userAgent": seen.agent,
                "network": seen.network,
                "encrypted": phone.encrypted,
            }
        return phones

    def _let_go(self, done: Registration) -> None:
        """A phone's old connection closes once the phone is back over a new one: behind a router that restarted it is
        dead, and holds a place. One that lost its bindings otherwise is a stranger's again.
        """
        for number in done.replaced:
            if (connection := self._connections.pop(number, None)) is not None:
                connection.close()
        for number in done.released:
            if (connection := self._connections.pop(number, None)) is not None:
                connection.distrust()
        for binding in done.doubtful:
            if binding.connection not in self._asking and binding.connection in self._connections:
                task = asyncio.get_running_loop().create_task(self._ask(binding))
                self._asking[binding.connection] = task

    async def _ask(self, binding: Binding) -> None:
        """Closes the connection of a phone that does not answer; its other connections go on."""
        connection = self._connections[binding.connection]
        try:
            if self.answers is not None and not await self.answers(connection, binding):
                connection.close()
        finally:
            self._asking.pop(binding.connection, None)
