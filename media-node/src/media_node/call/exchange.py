"""The exchange: takes every request that comes in, knows who sent it, and starts or finds the call it belongs to."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sipmessage import URI, Address, Request

from media_node.call.b2bua import ALLOW, Call
from media_node.call.directory import Directory, Phone
from media_node.call.events import Acknowledged, Lost, Requested, Stop
from media_node.call.negotiation import SUITES
from media_node.call.plan import MediaPlane, Plan, Side, Target
from media_node.call.policy import (
    Occupancy,
    Protection,
    Refusal,
    ToPhone,
    ToTrunk,
    caller_protection,
    is_emergency,
    route,
)
from media_node.call.record import CallRecord, mask
from media_node.call.trunk import Trunk, TrunkAddress
from media_node.sip.dialog import Dialog
from media_node.sip.digest import Algorithm, Authenticator, Credentials, Verdict
from media_node.sip.message import reply, tag, warning
from media_node.sip.registrar import Registrar, Rejected
from media_node.sip.transaction_layer import ServerTransaction, TransactionLayer, to_tag
from media_node.sip.transport import Connection
from media_node.worker_link.protocol import Suite

AGENT: Final = "media-node"
MAX_FAILURES: Final = 5
"""Wrong passwords on one connection before it is closed."""
MAX_PENDING_REGISTRATIONS: Final = 200
"""Registrations that may wait for the node's next look at its assignments."""
_DRAIN_REASON: Final = "this node is stopping"

Log = Callable[..., None]
"""log(event, **fields): one structured line; no numbers, names or addresses of people in it."""


@dataclass(eq=False)
class Exchange:
    """The node's signalling. `media` picks the worker for a new call, or raises LookupError when there is none."""

    domain: str
    media: Callable[[], MediaPlane]
    records: Callable[[CallRecord], None]
    log: Log = lambda event, **fields: None
    directory: Directory = field(default_factory=Directory)
    suites: tuple[Suite, ...] = SUITES
    """SRTP suites that calls may use, the preferred first."""
    draining: bool = False
    registrar: Registrar = field(default_factory=Registrar)
    calls: dict[str, Call] = field(default_factory=dict)
    _trunk: Trunk | None = None
    _dialogs: dict[tuple[str, str], tuple[Call, Side]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _failures: dict[int, int] = field(default_factory=dict)
    _connections: dict[int, Connection] = field(default_factory=dict)
    _pending_registrations: list[ServerTransaction] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.transactions = TransactionLayer(self, AGENT)
        self._authenticator = Authenticator(self.domain)

    # What the node tells it.

    def assign(self, directory: Directory) -> None:
        """Takes over a new directory. Calls go on; a phone that left or has new credentials has to register again."""
        for username in self.directory.usernames():
            before, after = self.directory.phone(username), directory.phone(username)
            if after is None or (before is not None and before.ha1 != after.ha1):
                self.registrar.drop_user(username)
        self.directory = directory

    def looked(self) -> None:
        """The assignments have just been read: what waited for that is judged by what they say now."""
        early, self._pending_registrations = self._pending_registrations, []
        for transaction in early:
            self._register(transaction, waited=True)

    def use_trunk(
        self,
        address: TrunkAddress | None,
        *,
        local_host: str,
        announced_host: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Sets the way out, or takes it away; calls over the old one go on until its connection closes."""
        if address == (self._trunk.address if self._trunk else None):
            return
        self._trunk = (
            Trunk(address, self.transactions, local_host=local_host, announced_host=announced_host, context=context)
            if address
            else None
        )

    def media_event(self, event: dict[str, Any]) -> None:
        """An event of a media worker (worker_link/protocol.py): a leg that went silent, or a worker that is gone with its calls."""
        match event:
            case {"event": "timeout", "call": str(number), "leg": str(leg)}:
                self.log("media timeout", call=number, leg=leg)
                if number in self.calls:
                    self.calls[number].post(Stop("media timeout", cause=408))
            case {"event": "gone", "calls": list(numbers)}:
                self.log("media worker gone", calls=len(numbers))
                for number in numbers:
                    if number in self.calls:
                        self.calls[number].post(Stop("the media relay failed", cause=503))

    async def drain(self, patience: float, emergency_patience: float) -> None:
        """Takes no new calls but to 112, waits `patience` seconds for those that run (longer for 112), then says
        goodbye to the rest.
        """
        self.draining = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        while self.calls:
            waited = loop.time() - began
            if waited >= emergency_patience or (
                waited >= patience and not any(call.plan.emergency for call in self.calls.values())
            ):
                break
            await asyncio.sleep(0.05)
        for call in self.calls.values():
            call.post(Stop(_DRAIN_REASON, cause=503))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                while self._tasks:
                    await asyncio.wait(set(self._tasks))

    @property
    def registrations(self) -> int:
        """How many phones are registered now."""
        self.registrar.expire(_now())
        return len(self.registrar)

    # What the endpoint tells it (transaction_layer.TransactionUser).

    def requested(self, transaction: ServerTransaction) -> None:
        """A request: within a dialog it goes to its call, else by its method."""
        request = transaction.request
        self._connections[transaction.connection.number] = transaction.connection
        if (ours := to_tag(request)) and request.method != "REGISTER":
            found = self._dialogs.get((request.call_id, ours))
            if found is None or found[0].parties[found[1]].connection is not transaction.connection:
                transaction.respond(481)
            else:
                found[0].post(Requested(found[1], transaction))
            return
        if self._trunk is not None and self._trunk.owns(transaction.connection) and request.method != "OPTIONS":
            transaction.respond(403, Warning=warning("This node takes no calls from the trunk"))
            return
        if request.method in ("REGISTER", "INVITE") and request.require:
            transaction.respond(420, Unsupported=", ".join(request.require))
            return
        match request.method:
            case "REGISTER":
                self._register(transaction)
            case "INVITE":
                self._invite(transaction)
            case "OPTIONS":
                transaction.respond(200, Allow=ALLOW, Accept="application/sdp")
            case "BYE" | "UPDATE" | "INFO":
                transaction.respond(481)
            case _:
                transaction.respond(405, Allow=f"REGISTER, {ALLOW}")

    def acknowledged(self, connection: Connection, ack: Request) -> None:
        """An ACK to a 2xx goes to its call."""
        found = self._dialogs.get((ack.call_id, to_tag(ack)))
        if found is not None:
            found[0].post(Acknowledged(found[1], ack))

    def lost(self, connection: Connection) -> None:
        """A connection is gone: so are its registrations and its calls."""
        self.registrar.drop_connection(connection.number)
        self._failures.pop(connection.number, None)
        self._connections.pop(connection.number, None)
        self._pending_registrations = [
            transaction for transaction in self._pending_registrations if transaction.connection is not connection
        ]
        for call in self.calls.values():
            call.post(Lost(connection))

    # Registration.

    def _register(self, transaction: ServerTransaction, *, waited: bool = False) -> None:
        if (
            not waited
            and len(self._pending_registrations) < MAX_PENDING_REGISTRATIONS
            and self._awaits_credentials(transaction.request)
        ):
            self._pending_registrations.append(transaction)
            return
        phone = self._authenticate(transaction, "Authorization", 401, "WWW-Authenticate")
        if phone is None:
            return
        request, now = transaction.request, _now()
        if request.uri.host.lower() not in (
            self.domain.lower(),
            transaction.connection.contact.host,
            transaction.connection.local.host,
        ):
            transaction.respond(404)
            return
        if request.to_address.uri.user != phone.username:
            transaction.respond(403, Warning=warning("A phone registers only itself"))
            return
        try:
            bindings = self.registrar.register(
                request, username=phone.username, connection=transaction.connection.number, now=now
            )
        except Rejected as error:
            headers = {"Min_Expires": str(error.min_expires)} if error.min_expires else {}
            transaction.respond(error.status, **headers)
            return
        contacts = ", ".join(
            f"<{binding.contact}>;expires={max(1, round(binding.expires_at - now))}" for binding in bindings
        )
        self.log("registered" if bindings else "unregistered", customer=phone.customer_id)
        if contacts:
            transaction.respond(200, Contact=contacts)
        else:
            transaction.respond(200)

    def _awaits_credentials(self, request: Request) -> bool:
        """Whether a phone of ours registers that has no password here yet: it may have been handed out a moment ago."""
        credentials = self._credentials(request, "Authorization")
        phone = self.directory.phone(credentials.username) if isinstance(credentials, Credentials) else None
        return phone is not None and not phone.ha1

    def _authenticate(self, transaction: ServerTransaction, header: str, status: int, challenge: str) -> Phone | None:
        """The phone whose credentials the request bears; None when it was answered with a challenge or a refusal."""
        request, now = transaction.request, _now()
        credentials = self._credentials(request, header)
        if isinstance(credentials, ValueError):
            transaction.respond(400, Warning=warning(str(credentials)))
            return None
        stale = False
        if credentials is not None:
            phone = self.directory.phone(credentials.username)
            verdict = self._authenticator.judge(
                credentials, method=request.method, uri=credentials.uri, ha1=phone.ha1 if phone else None, now=now
            )
            if verdict is Verdict.VALID and _same_uri(credentials.uri, request.uri):
                self.log("authenticated", algorithm=credentials.algorithm.value, method=request.method)
                return phone
            if verdict is not Verdict.STALE:
                self._failed(transaction, verdict)
                return None
            stale = True
        response = reply(request, status, to_tag=transaction.tag)
        response.headers.setlist(
            challenge, self._authenticator.challenges(now, stale=stale, agent=request.headers.get("User-Agent") or "")
        )
        transaction.send(response)
        return None

    def _credentials(self, request: Request, header: str) -> Credentials | ValueError | None:
        """The credentials for our realm in the strongest algorithm, None without any, or what is wrong with them."""
        found: list[Credentials] = []
        for value in request.headers.getlist(header):
            try:
                credentials = Credentials.parse(value)
            except ValueError as error:
                return error
            if credentials.realm == self.domain:
                found.append(credentials)
        return min(found, key=lambda credentials: list(Algorithm).index(credentials.algorithm), default=None)

    def _failed(self, transaction: ServerTransaction, verdict: Verdict) -> None:
        """The same answer for a wrong password and an unknown user; who keeps trying is shown the door."""
        self.log("authentication failed", verdict=verdict.value)
        number = transaction.connection.number
        self._failures[number] = self._failures.get(number, 0) + 1
        transaction.respond(403)
        if self._failures[number] >= MAX_FAILURES:
            asyncio.get_running_loop().call_soon(transaction.connection.close)

    # Calls.

    def _invite(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        caller = self._caller(transaction)
        if caller is None:
            return
        if request.max_forwards == 0:
            transaction.respond(483)
            return
        if self._is_merged(transaction):
            transaction.respond(482)
            return
        dialled = request.uri.user or ""
        occupancy = Occupancy(
            draining=self.draining,
            calls=sum(call.plan.customer_id == caller.customer_id for call in self.calls.values()),
            allowed=self.directory.calls(caller.customer_id),
        )
        match route(self.directory, caller, dialled, trunk=self._trunk is not None, occupancy=occupancy):
            case Refusal(status, reason, retry_after):
                self.log("call refused", status=status, reason=reason, customer=caller.customer_id)
                headers = {"Retry_After": str(retry_after)} if retry_after else {}
                transaction.respond(status, Warning=warning(reason), **headers)
            case ToPhone(phone) as decision:
                self._call_phone(transaction, caller, phone, decision.protection)
            case ToTrunk() as decision:
                self._start(self._call_trunk(transaction, caller, decision))

    def _caller(self, transaction: ServerTransaction) -> Phone | None:
        """Who calls: the phone registered over this very connection, else whoever the credentials name."""
        users = self.registrar.users(transaction.connection.number, _now())
        if users:
            claimed = transaction.request.from_address.uri.user or ""
            if (phone := self.directory.phone(claimed if claimed in users else users[0])) is not None:
                return phone
        return self._authenticate(transaction, "Proxy-Authorization", 407, "Proxy-Authenticate")

    def _is_merged(self, transaction: ServerTransaction) -> bool:
        """The same INVITE by two ways (section 8.2.2.2)."""
        request = transaction.request
        identity = (request.call_id, tag(request.from_address), request.cseq.sequence)
        return any(
            (first.call_id, tag(first.from_address), first.cseq.sequence) == identity
            for first in (call.transaction.request for call in self.calls.values())
        )

    def _call_phone(self, transaction: ServerTransaction, caller: Phone, phone: Phone, protection: Protection) -> None:
        targets = tuple(
            Target(binding.contact, self._connections[binding.connection])
            for binding in self.registrar.lookup(phone.username, _now())
            if binding.connection in self._connections
        )
        to_address = Address(URI("sip", self.domain, user=phone.extension))
        self._start(
            self._run(self._plan(transaction, caller, phone.extension, to_address, targets, protection), transaction)
        )

    async def _call_trunk(self, transaction: ServerTransaction, caller: Phone, decision: ToTrunk) -> None:
        trunk = self._trunk
        try:
            if trunk is None:
                raise ConnectionError("no trunk")
            connection = await trunk.connection()
        except (OSError, TimeoutError) as error:
            self.log("trunk unreachable", error=type(error).__name__)
            transaction.respond(503, Warning=warning("The trunk cannot be reached"), Retry_After="10")
            return
        self._connections[connection.number] = connection
        uri = trunk.uri(decision.number)
        await self._run(
            self._plan(
                transaction, caller, decision.number, Address(uri), (Target(uri, connection),), decision.protection
            ),
            transaction,
        )

    def _plan(
        self,
        transaction: ServerTransaction,
        caller: Phone,
        called: str,
        to_address: Address,
        targets: tuple[Target, ...],
        protection: Protection,
    ) -> Plan:
        emergency = is_emergency(called)
        name = transaction.request.from_address.name
        return Plan(
            customer_id=caller.customer_id,
            caller=mask(caller.extension),
            called=mask(called),
            from_address=Address(URI("sip", self.domain, user=caller.extension), name),
            to_address=to_address,
            targets=targets,
            caller_protection=caller_protection(caller, emergency=emergency),
            called_protection=protection,
            emergency=emergency,
        )

    async def _run(self, plan: Plan, transaction: ServerTransaction) -> None:
        try:
            media = self.media()
        except LookupError:
            transaction.respond(503, Retry_After="5", Warning=warning("No media relay is up"))
            return
        mine: list[tuple[str, str]] = []

        def bind(dialog: Dialog, side: Side) -> None:
            key = (dialog.id.call_id, dialog.id.local_tag)
            mine.append(key)
            self._dialogs[key] = (call, side)

        call = Call(plan, transaction, self.transactions, media, bind, self.suites)
        self.calls[call.id] = call
        self.log("call begins", call=call.id, customer=plan.customer_id, emergency=plan.emergency)
        try:
            record = await call.run()
            self.log(
                "call ended",
                call=call.id,
                reason=record.reason,
                suites=[leg.suite for leg in record.legs],
                answered=bool(record.answered_at),
            )
            self.records(record)
        finally:
            del self.calls[call.id]
            for key in mine:
                self._dialogs.pop(key, None)

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log("call failed", error=repr(error))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _same_uri(text: str, uri: URI) -> bool:
    """Whether the uri of credentials is the Request-URI (RFC 7616 section 3.4.6); phones may write it a little
    differently.
    """
    try:
        return URI.parse(text) == uri
    except ValueError:
        return False
