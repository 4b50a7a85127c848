"""The exchange: takes every request that comes in, knows who sent it, and starts or finds the call it belongs to."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from media_node.call.authentication import PROXY, RequestAuthenticator
from media_node.call.b2bua import Call
from media_node.call.directory import Directory, Environment, Phone
from media_node.call.emergency import emergency_number
from media_node.call.events import Acknowledged, FlowResumed, Joins, Lost, MediaSilent, Requested, Stop
from media_node.call.forking import Invitation
from media_node.call.identity import Identity, hides, wants_privacy
from media_node.call.liveness import answers
from media_node.call.outside import Outside
from media_node.call.party import ALLOW, SUPPORTED
from media_node.call.plan import Destination, Diversion, MediaPlane, Plan, Side, Target
from media_node.call.policy import (
    Occupancy,
    Protection,
    Refusal,
    ToNumber,
    ToPhone,
    ToTrunk,
    caller_protection,
    e164,
    route,
)
from media_node.call.record import CallRecord, mask
from media_node.call.refusals import CallRefused
from media_node.call.registration import Registrations
from media_node.call.routing import Hunting
from media_node.call.transfer import Replaces
from media_node.call.trunk import Trunk, Trunks, TrunkSettings, trunk_caller
from media_node.log import Event, Log, silent
from media_node.sip.dialog import MAX_FORWARDS, Dialog
from media_node.sip.grammar import URI, Address
from media_node.sip.headers import Request
from media_node.sip.message import tag, warning
from media_node.sip.registrar import Registrar
from media_node.sip.screening import refusal
from media_node.sip.transaction_layer import ServerTransaction, TransactionLayer, to_tag
from media_node.sip.transport import Connection
from media_node.suites import SUITES, Suite

AGENT: Final = "media-node"
_EXTENSIONS: Final = frozenset({"replaces", "timer"})
"""Option tags that a request may require (RFC 3261 section 19.2), in lower case."""
MAX_UNPROVEN: Final = 20
"""Calls to 112 that may run at a time before one that shows no password is asked for it."""
_PICK_UP: Final = re.compile(r"\*8([0-9]{1,8})?")
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
    _dialogs: dict[tuple[str, str], tuple[Call, Side, Dialog]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _connections: dict[int, Connection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.transactions = TransactionLayer(self, AGENT)
        self._authenticator = RequestAuthenticator(self.domain, lambda: self.directory, self.log)
        self._hunting = Hunting(self.domain)
        self.outside = Outside(
            self.domain,
            lambda: self.directory,
            lambda: (call.plan for call in self.calls.values()),
            self.log,
        )
        self._registrations = Registrations(
            self.domain,
            self.registrar,
            self._authenticator,
            self._registered,
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

    def registered(self, environments: tuple[Environment, ...]) -> dict[str, dict[str, Any]]:
        """The registered phones by environment."""
        return {each.environment_id: self._registrations.registered_of(each) for each in environments}

    # What the endpoint tells it (transaction_layer.TransactionUser).

    def requested(self, transaction: ServerTransaction) -> None:
        """A request: within a dialog it goes to its call, else by its method."""
        request = transaction.request
        self._connections[transaction.connection.number] = transaction.connection
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
                self._invite(transaction)
            case "OPTIONS":
                transaction.respond(200, Allow=ALLOW, Accept="application/sdp", Supported=SUPPORTED)
            case "BYE" | "UPDATE" | "INFO" | "REFER" | "NOTIFY":
                transaction.respond(481)
            case _:
                transaction.respond(405, Allow=f"REGISTER, {ALLOW}")

    def _within_dialog(self, transaction: ServerTransaction, ours: str) -> None:
        bound = self._dialogs.get((transaction.request.call_id, ours))
        if bound is None:
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
        bound = self._dialogs.get((ack.call_id, to_tag(ack)))
        if bound is not None:
            bound[0].post(Acknowledged(bound[1], ack))

    def lost(self, connection: Connection) -> None:
        """A connection is gone, and so are its registrations; its calls wait for a while for it to come back."""
        self._registrations.lost(connection)
        self._connections.pop(connection.number, None)
        for call in self.calls.values():
            call.post(Lost(connection))

    # Calls.

    def _invite(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        from_trunk = self.outside.trunks.of(transaction.connection) is not None
        caller = None if from_trunk else self._caller(transaction)
        if caller is None and not from_trunk:
            return
        if request.max_forwards == 0:
            transaction.respond(483)
        elif self._is_merged(transaction):
            transaction.respond(482)
        elif caller is None:
            self._from_trunk(transaction)
        elif request.headers.get("Replaces") is not None:
            self._replace(transaction, caller)
        elif pick_up := _PICK_UP.fullmatch(request.uri.user or ""):
            self._pick_up(transaction, caller, pick_up[1] or "")
        else:
            self._from_phone(transaction, caller)

    def _from_phone(self, transaction: ServerTransaction, caller: Phone) -> None:
        request = transaction.request
        dialled, hidden = hides(request.uri.user or "")
        decision = route(
            self.directory,
            caller,
            emergency_number(request.uri) or dialled,
            trunk=bool(self.outside.trunks),
            occupancy=self._occupancy(caller.customer_id),
        )
        busy = no_answer = None
        emergency = False
        match decision:
            case Refusal():
                self._refuse(transaction, decision, caller.customer_id)
                return
            case ToPhone(phone):
                hunt: tuple[Destination, ...] = (self._hunting.phone(phone),)
                called = phone.extension
            case ToNumber(environment, number):
                hunt, busy, no_answer = self._hunting.number(environment, number)
                called = number.number
            case ToTrunk(called, emergency):
                hunt = (self._hunting.outside(called, account=caller.customer_id, emergency=emergency),)
        address = Address(self._hunting.uri(caller.extension), request.from_address.name)
        plan = Plan(
            customer_id=caller.customer_id,
            caller=mask(caller.extension),
            called=mask(called),
            from_address=address,
            hunt=hunt,
            busy=busy,
            no_answer=no_answer,
            caller_protection=caller_protection(caller, emergency=emergency),
            caller_secure=caller.encrypted,
            username=caller.username,
            instance=self._instance(caller.username, transaction.connection),
            emergency=emergency,
        )
        private = hidden or wants_privacy(request.from_address, request.headers.get("Privacy") or "")
        identity = self.outside.identity(
            plan, request.from_address.name, wanted=request.from_address.uri.user or "", private=private
        )
        location = b""
        if emergency:
            location = self.outside.location(caller)
            self.outside.emergency_call(caller, identity.number if identity is not None else "")
        self._start(self._run(plan, transaction, identity, location))

    def _from_trunk(self, transaction: ServerTransaction) -> None:
        """A call from outside to a number of a customer."""
        request = transaction.request
        bound = self.directory.number(e164(request.uri.user or ""))
        if bound is None:
            transaction.respond(404)
            return
        environment, number = bound
        occupancy = self._occupancy(environment.customer_id)
        if occupancy.draining:
            self._refuse(transaction, Refusal(503, "This node takes no new calls", 5), environment.customer_id)
            return
        if occupancy.allowed and occupancy.calls >= occupancy.allowed:
            self._refuse(transaction, Refusal(486, "All lines of this customer are in use"), environment.customer_id)
            return
        hunt, busy, no_answer = self._hunting.number(environment, number)
        if (called_back := self.outside.called_back(number.number)) is not None:
            hunt = (self._hunting.phone(called_back), *hunt)
        shown = trunk_caller(request)
        plan = Plan(
            customer_id=environment.customer_id,
            caller=mask(shown.uri.user or ""),
            called=mask(number.number),
            from_address=Address(self._hunting.uri(shown.uri.user or "anonymous"), shown.name),
            hunt=hunt,
            busy=busy,
            no_answer=no_answer,
            caller_protection=Protection.PREFERRED,
        )
        identity = self.outside.identity(plan, None, wanted="", private=False)
        self._start(self._run(plan, transaction, identity))

    def _pick_up(self, transaction: ServerTransaction, phone: Phone, extension: str) -> None:
        """*8 takes the colleague's call that has rung longest, *8 and an extension the call that rings there."""
        for call in self.calls.values():
            ringing = call.ringing()
            if call.plan.customer_id == phone.customer_id and any(
                not extension or username == f"{phone.customer_id}-{extension}" for username in ringing
            ):
                call.post(Joins(Side.B, transaction, phone))
                return
        transaction.respond(404, Warning=warning("No call rings there"))

    def _replace(self, transaction: ServerTransaction, phone: Phone) -> None:
        """An INVITE that takes a dialog's place (RFC 3891): only of the same customer."""
        try:
            replaces = Replaces.parse(transaction.request.headers["Replaces"])
        except ValueError:
            transaction.respond(400)
            return
        bound = self.call_of(replaces.call_id, replaces.to_tag, replaces.from_tag)
        if bound is None or bound[0].plan.customer_id != phone.customer_id:
            transaction.respond(481)
        elif replaces.early_only and bound[0].answered_at is not None:
            transaction.respond(486)
        else:
            bound[0].post(Joins(bound[1], transaction, phone))

    def _refuse(self, transaction: ServerTransaction, refusal: Refusal, customer: str) -> None:
        self.log(Event.CALL_REFUSED, status=refusal.status, reason=refusal.reason, customer=customer)
        headers = {"Retry_After": str(refusal.retry_after)} if refusal.retry_after else {}
        transaction.respond(refusal.status, Warning=warning(refusal.reason), **headers)

    def _occupancy(self, customer_id: str) -> Occupancy:
        return Occupancy(
            draining=self.draining,
            calls=sum(call.plan.customer_id == customer_id for call in self.calls.values()),
            allowed=self.directory.calls(customer_id),
        )

    def _caller(self, transaction: ServerTransaction) -> Phone | None:
        """Who calls: the phone registered over this very connection, else whoever the credentials name."""
        users = self.registrar.users(transaction.connection.number, _now())
        if users:
            claimed = transaction.request.from_address.uri.user or ""
            if (phone := self.directory.phone(claimed if claimed in users else users[0])) is not None:
                return phone
        emergency = bool(emergency_number(transaction.request.uri))
        if emergency and (unproven := self._unproven(transaction.request.from_address.uri.user or "")) is not None:
            return unproven
        return self._authenticator.authenticate(transaction, PROXY, emergency=emergency)

    def _unproven(self, username: str) -> Phone | None:
        """A phone of ours that calls 112 without having registered: nobody asks it for a password then (RFC 6881). One
        such call a phone, and so many in all, as anybody may say that it is that phone.
        """
        running = [call.plan.username for call in self.calls.values() if call.plan.emergency]
        if username in running or len(running) >= MAX_UNPROVEN:
            return None
        return self.directory.phone(username)

    def _instance(self, username: str, connection: Connection) -> str:
        bindings = self.registrar.lookup(username, _now())
        return next((each.instance for each in bindings if each.connection == connection.number), "")

    def _registered(self, phone: Phone, connection: Connection) -> None:
        """A phone registered: calls of its whose connection was lost go on over this one."""
        for binding in self.registrar.lookup(phone.username, _now()):
            if binding.connection == connection.number:
                for call in self.calls.values():
                    call.post(FlowResumed(phone.username, binding.instance, connection, binding.contact))

    def _is_merged(self, transaction: ServerTransaction) -> bool:
        """The same INVITE by two ways (section 8.2.2.2)."""
        request = transaction.request
        identity = (request.call_id, tag(request.from_address), request.cseq.sequence)
        return any(
            (first.call_id, tag(first.from_address), first.cseq.sequence) == identity
            for first in (call.transaction.request for call in self.calls.values())
        )

    # What a call asks (plan.CallControl).

    def bind(self, dialog: Dialog, call: Call, side: Side) -> None:
        """See CallControl."""
        self._dialogs[dialog.id.call_id, dialog.id.local_tag] = (call, side, dialog)

    def unbind(self, dialog: Dialog) -> None:
        """See CallControl."""
        self._dialogs.pop((dialog.id.call_id, dialog.id.local_tag), None)

    async def targets(self, destination: Destination) -> tuple[Target, ...]:
        """See CallControl."""
        if destination.phones:
            return tuple(
                Target(binding.contact, self._connections[binding.connection], username, binding.instance)
                for username in destination.phones
                for binding in self.registrar.lookup(username, _now())
                if binding.connection in self._connections
            )
        targets, connection = await self.outside.targets(destination)
        self._connections[connection.number] = connection
        return targets

    def other_way(self, destination: Destination, failed: str) -> Destination | None:
        """See CallControl."""
        return self.outside.other_way(destination, failed)

    def redirected(self, plan: Plan, by: str, to: URI, reason: str, before: tuple[Diversion, ...]) -> Destination:
        """See CallControl."""
        phone = self.directory.phone(by)
        if phone is None:
            raise CallRefused(403, "Only a customer's own phone sends a call on")
        return self._hunting.redirected(self.directory, phone, to, reason, before, trunk=bool(self.outside.trunks))

    def call_of(self, call_id: str, local_tag: str, remote_tag: str) -> tuple[Call, Side] | None:
        """See CallControl."""
        bound = self._dialogs.get((call_id, local_tag))
        return None if bound is None or bound[2].id.remote_tag != remote_tag else bound[:2]

    async def _run(
        self, plan: Plan, transaction: ServerTransaction, outside: Identity | None, location: bytes = b""
    ) -> None:
        hops = transaction.request.max_forwards
        invitation = Invitation(
            from_address=plan.from_address,
            suites=self.suites,
            emergency=plan.emergency,
            outside=outside,
            location=location,
            max_forwards=(MAX_FORWARDS if hops is None else hops) - 1,
        )
        call = Call(
            plan,
            transaction,
            self.transactions,
            self.media(),
            self,
            self.suites,
            invitation=invitation,
            log=self.log,
            began=self.begun,
        )
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
            self.outside.ended(plan, record)
            self.records(record)
        finally:
            del self.calls[call.id]

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
