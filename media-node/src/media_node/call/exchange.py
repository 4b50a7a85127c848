"""The exchange: takes every request that comes in, knows who sent it, and starts or finds the call it belongs to."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from media_node.call.authentication import PROXY, RequestAuthenticator
from media_node.call.b2bua import ALLOW, Call
from media_node.call.directory import Directory, Phone
from media_node.call.events import Acknowledged, Lost, Requested, Stop
from media_node.call.liveness import answers
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
from media_node.call.registration import Registrations
from media_node.call.trunk import Trunk, TrunkAddress
from media_node.log import Event, Log, silent
from media_node.sip.dialog import Dialog
from media_node.sip.grammar import URI, Address
from media_node.sip.headers import Request
from media_node.sip.message import tag, warning
from media_node.sip.registrar import Registrar
from media_node.sip.screening import refusal
from media_node.sip.transaction_layer import ServerTransaction, TransactionLayer, to_tag
from media_node.sip.transport import Connection
from media_node.worker_link.protocol import Suite

AGENT: Final = "media-node"
SUPPORTED: Final = frozenset[str]()
"""Option tags that a request may require (RFC 3261 section 19.2), in lower case."""
_DRAIN_REASON: Final = "this node is stopping"


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
    registrar: Registrar = field(default_factory=Registrar)
    calls: dict[str, Call] = field(default_factory=dict)
    _trunk: Trunk | None = None
    _dialogs: dict[tuple[str, str], tuple[Call, Side]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _connections: dict[int, Connection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.transactions = TransactionLayer(self, AGENT)
        self._authenticator = RequestAuthenticator(self.domain, lambda: self.directory, self.log)
        self._registrations = Registrations(
            self.domain,
            self.registrar,
            self._authenticator,
            lambda phone, connection: None,
            self.log,
            partial(answers, self.transactions, self.domain),
        )

    # What the node tells it.

    def assign(self, directory: Directory) -> None:
        """Takes over a new directory. Calls go on; a phone that left or has new credentials has to register again."""
        for username in self.directory.usernames():
            before, after = self.directory.phone(username), directory.phone(username)
            if after is None or (before is not None and before.ha1 not in (after.ha1, after.previous_ha1)):
                self.registrar.drop_user(username)
        self.directory = directory

    def looked(self) -> None:
        """The assignments have just been read: what waited for that is judged by what they say now."""
        self._registrations.looked()

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
                self.log(Event.MEDIA_TIMEOUT, call=number, leg=leg)
                if number in self.calls:
                    self.calls[number].post(Stop("media timeout", cause=408))
            case {"event": "gone", "calls": list(numbers)}:
                self.log(Event.MEDIA_WORKER_GONE, calls=len(numbers))
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
        if (refused := refusal(request, SUPPORTED)) is not None:
            headers = {name.replace("-", "_"): value for name, value in refused.headers.items()}
            transaction.respond(refused.status, Warning=warning(refused.reason), **headers)
            return
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
        match request.method:
            case "REGISTER":
                self._registrations.register(transaction)
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
        self._registrations.lost(connection)
        self._connections.pop(connection.number, None)
        for call in self.calls.values():
            call.post(Lost(connection))

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
                self.log(Event.CALL_REFUSED, status=status, reason=reason, customer=caller.customer_id)
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
        emergency = is_emergency(transaction.request.uri.user or "")
        return self._authenticator.authenticate(transaction, PROXY, emergency=emergency)

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
            self.log(Event.TRUNK_UNREACHABLE, error=type(error).__name__)
            transaction.respond(503, Warning=warning("The trunk cannot be reached"), Retry_After="10")
            return
        self._connections[connection.number] = connection
        uri = trunk.uri(decision.number)
        await self._run(
            self._plan(
                transaction,
                caller,
                decision.number,
                Address(uri),
                (Target(uri, connection),),
                decision.protection,
                outside=True,
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
        *,
        outside: bool = False,
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
            outside=outside,
        )

    async def _run(self, plan: Plan, transaction: ServerTransaction) -> None:
        mine: list[tuple[str, str]] = []

        def bind(dialog: Dialog, side: Side) -> None:
            key = (dialog.id.call_id, dialog.id.local_tag)
            mine.append(key)
            self._dialogs[key] = (call, side)

        call = Call(plan, transaction, self.transactions, self.media(), bind, self.suites, began=self.begun)
        self.calls[call.id] = call
        self.log(Event.CALL_BEGINS, call=call.id, customer=plan.customer_id, emergency=plan.emergency)
        try:
            record = await call.run()
            self.log(
                Event.CALL_ENDED,
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
            self.log(Event.CALL_FAILED, error=repr(error))


def _now() -> float:
    return asyncio.get_running_loop().time()
