"""The exchange: takes every request that comes in, knows who sent it, and starts or finds the call it belongs to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from media_node.call import waiting
from media_node.call.authentication import PROXY, RequestAuthenticator
from media_node.call.b2bua import Call
from media_node.call.directory import Directory, Environment, Phone
from media_node.call.events import Acknowledged, FlowResumed, Lost, MediaSilent, Requested, Stop
from media_node.call.home import Home
from media_node.call.invites import Invites
from media_node.call.lamps import Lamps
from media_node.call.leaving import Leaving
from media_node.call.liveness import answers
from media_node.call.messages import Messages
from media_node.call.outside import Outside
from media_node.call.party import ALLOW, SUPPORTED
from media_node.call.plan import MediaPlane, Side, Target
from media_node.call.record import CallRecord
from media_node.call.registration import Registrations
from media_node.call.routing import Hunting
from media_node.call.running import RunningCalls
from media_node.call.trunk import Trunk, Trunks, trunk_caller
from media_node.call.trunk_settings import TrunkSettings
from media_node.call.waiting import Waiting
from media_node.log import Event, Log, silent
from media_node.sip.headers import Request
from media_node.sip.message import warning
from media_node.sip.registrar import Registrar
from media_node.sip.screening import refusal
from media_node.sip.transaction_layer import ServerTransaction, TransactionLayer, to_tag
from media_node.sip.transport import Connection
from media_node.suites import SUITES, Suite

AGENT: Final = "media-node"
LAST_WORDS: Final = 0.5
"""Seconds in which the answer to a BYE is sent."""
_EXTENSIONS: Final = frozenset({"replaces", "timer", "100rel", "gruu"})
"""Option tags that a request may require (RFC 3261 section 19.2), in lower case."""


@dataclass(eq=False)
class Exchange:
    """The node's signalling. `media` is the way of a new call to its media worker."""

    domain: str
    media: Callable[[], MediaPlane]
    records: Callable[[CallRecord], None]
    """Told of each call when it has ended."""
    begun: Callable[[CallRecord], None] = lambda record: None
    """Told of each call when it is answered."""
    log: Log = silent
    directory: Directory = field(default_factory=Directory)
    suites: tuple[Suite, ...] = SUITES
    """SRTP suites that calls may use, the preferred first."""
    draining: bool = False
    leased: Callable[[], bool] = lambda: True
    """Whether the node may serve as primary at this moment (control/lease.py)."""
    registrar: Registrar = field(default_factory=Registrar)

    def __post_init__(self) -> None:
        self.transactions = TransactionLayer(self, AGENT)
        self._authenticator = RequestAuthenticator(
            self.domain, lambda: self.directory, self.log, lambda username: self.outside.trunks.account(username)
        )
        hunting = Hunting(self.domain)
        self.outside = Outside(
            self.domain,
            lambda: self.directory,
            lambda: self.calls.values(),
            self.log,
        )
        self.home = Home(
            self.domain,
            self.registrar,
            self.transactions,
            lambda: self.outside.trunks,
            lambda: self.directory,
            self.log,
        )
        self._running = RunningCalls(
            hunting=hunting,
            registrar=self.registrar,
            outside=self.outside,
            transactions=self.transactions,
            directory=lambda: self.directory,
            media=lambda: self.media(),
            suites=self.suites,
            begun=lambda record: self.begun(record),
            ended=self._ended,
            log=self.log,
        )
        self._invites = Invites(
            hunting=hunting,
            registrar=self.registrar,
            authenticator=self._authenticator,
            outside=self.outside,
            running=self._running,
            home=self.home,
            directory=lambda: self.directory,
            draining=lambda: self.draining,
            serves=self._serves,
            log=self.log,
        )
        self._messages = Messages(hunting, self.transactions, self._running)
        self._lamps = Lamps(hunting, self.transactions, lambda: self.calls.values())
        self._waiting = Waiting(
            self.home, self.domain, self.transactions, self._running.spawn, self._running.connections
        )
        self._running.on_change = self._lamps.changed
        self._registrations = Registrations(
            self.domain,
            self.registrar,
            hunting.gruus,
            self._authenticator,
            self._registered,
            self.log,
            partial(answers, self.transactions, self.domain),
            serves=self._serves,
            stands_by=self._stands_by,
        )
        self._leaving = Leaving(self._registrations, lambda: self.calls, lambda: self.directory)

    # What the node tells it.

    def assign(self, directory: Directory) -> None:
        """Takes over a new directory."""
        self.directory = self._leaving.take_over(self.directory, directory)
        self._leaving.let_leave()

    def _ended(self, record: CallRecord) -> None:
        self.records(record)
        # Whoever is served elsewhere by now goes there as soon as the last words of the call are said.
        asyncio.get_running_loop().call_later(LAST_WORDS, self._leaving.let_leave)

    def _serves(self, phone: Phone) -> bool:
        return self.directory.serves(phone) and not self.draining and (phone in self.directory.guests or self.leased())

    def _stands_by(self, phone: Phone) -> bool:
        return self.directory.stands_by(phone) and not self.draining and self.leased()

    def will_look(self, seconds: float) -> None:
        """The assignments are read again within so long, at each time; `looked` is called then."""
        self._registrations.look_seconds = seconds

    def looked(self) -> None:
        """The assignments have just been read: what waited for that is judged by what they say now."""
        self._registrations.looked()
        self._leaving.let_leave()

    def use_trunks(
        self,
        settings: tuple[TrunkSettings, ...],
        *,
        local_host: str,
        announced_host: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Sets the ways out; calls over those before go on until their connections close."""
        if settings == self.outside.trunks.settings:
            return
        kept = {trunk.settings: trunk for trunk in self.outside.trunks.all}
        self.outside.trunks = Trunks(
            [
                kept.get(each)
                or Trunk(each, self.transactions, local_host=local_host, announced_host=announced_host, context=context)
                for each in settings
            ],
            self.domain,
            self.log,
        )

    def media_event(self, event: dict[str, Any]) -> None:
        """An event of a media worker (worker_link/protocol.py): a leg that went silent, or a worker that is gone with its calls."""
        match event:
            case {"event": "timeout", "call": str(number), "leg": str(leg)}:
                self.log(Event.MEDIA_TIMEOUT, call=number, leg=leg)
                if number in self.calls:
                    self.calls[number].post(MediaSilent(Side(leg)))
            case {"event": "gone", "calls": list(numbers)}:
                self.log(Event.MEDIA_WORKER_GONE, calls=len(numbers))
                for number in numbers:
                    if number in self.calls:
                        self.calls[number].post(Stop("the media relay failed", cause=503))

    @property
    def calls(self) -> dict[str, Call]:
        """The calls that run, by their ids."""
        return self._running.calls

    async def drain(self, patience: float, emergency_patience: float) -> None:
        """Takes no new calls but to 112, waits `patience` seconds for those that run (longer for 112), then says
        goodbye to the rest.
        """
        self.draining = True
        await self._running.drain(patience, emergency_patience)
        await self.home.leave()

    @property
    def registrations(self) -> int:
        """How many phones are registered now."""
        self.registrar.expire(_now())
        return len(self.registrar)

    def registered(self, environments: tuple[Environment, ...]) -> dict[str, dict[str, Any]]:
        """The registered phones by environment."""
        return {each.environment_id: self._registrations.registered_of(each) for each in environments}

    # What the endpoint tells it (transaction_layer.TransactionUser).

    def requested(self, transaction: ServerTransaction) -> None:
        """A request: within a dialog it goes to its call, else by its method."""
        request = transaction.request
        self._running.connections[transaction.connection.number] = transaction.connection
        if (refused := refusal(request, _EXTENSIONS)) is not None:
            headers = {name.replace("-", "_"): value for name, value in refused.headers.items()}
            transaction.respond(refused.status, Warning=warning(refused.reason), **headers)
            return
        if (ours := to_tag(request)) and request.method != "REGISTER":
            self._within_dialog(transaction, ours)
            return
        match request.method:
            case "REGISTER":
                self._registrations.register(transaction)
            case "INVITE":
                self._invites.invite(transaction)
            case "OPTIONS":
                transaction.respond(200, Allow=ALLOW, Accept="application/sdp", Supported=SUPPORTED)
            case "MESSAGE" if self._message_of_home(transaction):
                pass
            case "MESSAGE" | "SUBSCRIBE":
                self._to_colleague(transaction)
            case "NOTIFY" if self._waiting.notified(transaction):
                pass
            case "BYE" | "UPDATE" | "PRACK" | "INFO" | "REFER" | "NOTIFY":
                transaction.respond(481)
            case _:
                transaction.respond(405, Allow=f"REGISTER, {ALLOW}")

    def _within_dialog(self, transaction: ServerTransaction, ours: str) -> None:
        bound = self._running.dialogs.get((transaction.request.call_id, ours))
        if bound is None:
            if not self._within_subscription(transaction):
                transaction.respond(481)
            return
        call, side, dialog = bound
        party = call.party_of(dialog)
        if party is None:
            transaction.respond(481)
            return
        if party.connection is not transaction.connection:
            # The dialog outlives the connection it was made over (RFC 5626), if it is the same phone that comes back.
            if not self._is_theirs(transaction, party.username):
                return
            call.post(FlowResumed(party.username, party.instance, transaction.connection, proved=True))
        call.post(Requested(side, transaction))

    def _within_subscription(self, transaction: ServerTransaction) -> bool:
        match transaction.request.method:
            case "SUBSCRIBE":
                return self._lamps.refresh(transaction) or self._waiting.refresh(transaction)
            case "NOTIFY":
                return self._waiting.notified(transaction)
        return False

    def _to_colleague(self, transaction: ServerTransaction) -> None:
        """A text message, or a lamp for a colleague's phone."""
        caller = self._invites.caller(transaction)
        if caller is None:
            return
        if transaction.request.method == "SUBSCRIBE" and waiting.is_of(transaction.request):
            self._waiting.subscribe(transaction, caller)
            return
        colleague = self.directory.colleague(caller, transaction.request.uri.user or "")
        if transaction.request.method == "SUBSCRIBE":
            self._lamps.subscribe(transaction, caller, colleague)
        else:
            self._running.spawn(self._messages.deliver(transaction, caller, colleague))

    def _message_of_home(self, transaction: ServerTransaction) -> bool:
        """A text message of the provider's own exchange; False when it is another's."""
        device = self.home.reached(transaction.connection, transaction.request)
        phone = self.directory.phone(device.username) if device is not None else None
        connection = self._running.connections.get(device.connection) if device is not None else None
        if device is None or phone is None or connection is None:
            return False
        target = Target(device.contact, connection, device.username, device.instance)
        sender = self.home.shown(trunk_caller(transaction.request), phone)
        self._messages.deliver_to_device(transaction, sender, phone, target)
        return True

    def _is_theirs(self, transaction: ServerTransaction, username: str) -> bool:
        """Whether a request over another connection comes from this account; it is answered when not."""
        if not username:
            ours = self.outside.trunks.of(transaction.connection) is not None
        elif username in self.registrar.users(transaction.connection.number, _now()):
            ours = True
        else:
            phone = self._authenticator.authenticate(transaction, PROXY)
            if phone is None:
                return False
            ours = phone.username == username
        if not ours:
            transaction.respond(481)
        return ours

    def acknowledged(self, connection: Connection, ack: Request) -> None:
        """An ACK to a 2xx goes to its call."""
        bound = self._running.dialogs.get((ack.call_id, to_tag(ack)))
        if bound is not None:
            bound[0].post(Acknowledged(bound[1], ack))

    def lost(self, connection: Connection) -> None:
        """A connection is gone, and so are its registrations; its calls wait for a while for it to come back. A stranger who
        leaves costs a look at each call, and no more.
        """
        if self._registrations.lost(connection):
            self._tell_home()
        if connection.accounts:
            self._lamps.lost(connection)
            self._waiting.lost(connection)
        self._running.connections.pop(connection.number, None)
        for call in self.calls.values():
            if call.uses(connection):
                call.post(Lost(connection))

    def _registered(self, phone: Phone, connection: Connection) -> None:
        """A phone registered: calls of its whose connection was lost go on over this one."""
        self._tell_home()
        for binding in self.registrar.lookup(phone.username, _now()):
            if binding.connection == connection.number:
                name = phone.username
                for call in [each for each in self.calls.values() if each.has_party(name) or name in each.ringing()]:
                    call.post(FlowResumed(phone.username, binding.instance, connection, binding.contact))

    def _tell_home(self) -> None:
        self.home.changed(self._running.spawn)


def _now() -> float:
    return asyncio.get_running_loop().time()
