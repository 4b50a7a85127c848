"""The calls that run, the dialogs that are theirs, and what they ask of the exchange (plan.CallControl)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from media_node.call.b2bua import Call
from media_node.call.directory import Directory
from media_node.call.events import Stop
from media_node.call.forking import Invitation
from media_node.call.identity import Identity
from media_node.call.outside import Outside
from media_node.call.plan import Destination, Diversion, MediaPlane, Plan, Side, Target
from media_node.call.record import CallRecord
from media_node.call.refusals import CallRefused
from media_node.call.routing import Hunting
from media_node.log import Event, Log
from media_node.sip.dialog import MAX_FORWARDS, Dialog
from media_node.sip.grammar import URI
from media_node.sip.registrar import Registrar
from media_node.sip.transaction_layer import ServerTransaction, TransactionLayer
from media_node.sip.transport import Connection
from media_node.suites import Suite

_DRAIN_REASON: Final = "this node is stopping"


@dataclass(eq=False)
class RunningCalls:
    """Starts calls and ends them. `media` is the way of a new call to its media worker."""

    hunting: Hunting
    registrar: Registrar
    outside: Outside
    transactions: TransactionLayer
    directory: Callable[[], Directory]
    media: Callable[[], MediaPlane]
    suites: tuple[Suite, ...]
    begun: Callable[[CallRecord], None]
    ended: Callable[[CallRecord], None]
    log: Log
    calls: dict[str, Call] = field(default_factory=dict)
    connections: dict[int, Connection] = field(default_factory=dict)
    dialogs: dict[tuple[str, str], tuple[Call, Side, Dialog]] = field(default_factory=dict)
    on_change: Callable[[], None] = lambda: None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def drain(self, patience: float, emergency_patience: float) -> None:
        """Takes no new calls but to 112, waits `patience` seconds for those that run (longer for 112), then says
        goodbye to the rest.
        """
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

    # What a call asks (plan.CallControl).

    def bind(self, dialog: Dialog, call: Call, side: Side) -> None:
        """See CallControl."""
        self.dialogs[dialog.id.call_id, dialog.id.local_tag] = (call, side, dialog)

    def changed(self) -> None:
        """See CallControl."""
        self.on_change()

    def unbind(self, dialog: Dialog) -> None:
        """See CallControl."""
        self.dialogs.pop((dialog.id.call_id, dialog.id.local_tag), None)

    async def targets(self, destination: Destination) -> tuple[Target, ...]:
        """See CallControl."""
        if destination.phones:
            return tuple(
                Target(binding.contact, self.connections[binding.connection], username, binding.instance)
                for username in destination.phones
                for binding in self.registrar.lookup(username, _now())
                if binding.connection in self.connections
                and destination.flow in (None, binding.connection)
                and (destination.device is None or destination.device.is_at(binding))
            )
        targets, connection = await self.outside.targets(destination)
        self.connections[connection.number] = connection
        return targets

    def other_way(self, destination: Destination, failed: str) -> Destination | None:
        """See CallControl."""
        return self.outside.other_way(destination, failed)

    def redirected(self, plan: Plan, by: str, to: URI, reason: str, before: tuple[Diversion, ...]) -> Destination:
        """See CallControl."""
        phone = self.directory().phone(by)
        if phone is None:
            raise CallRefused(403, "Only a customer's own phone sends a call on")
        return self.hunting.redirected(
            self.directory(), phone, to, reason, before, trunk=bool(self.outside.trunks), home=self.outside.home_is_up
        )

    def call_of(self, call_id: str, local_tag: str, remote_tag: str) -> tuple[Call, Side] | None:
        """See CallControl."""
        bound = self.dialogs.get((call_id, local_tag))
        return None if bound is None or bound[2].id.remote_tag != remote_tag else bound[:2]

    async def _run(
        self,
        plan: Plan,
        transaction: ServerTransaction,
        outside: Identity | None,
        location: bytes,
        home: Identity | None,
    ) -> None:
        hops = transaction.request.max_forwards
        invitation = Invitation(
            from_address=plan.from_address,
            suites=self.suites,
            emergency=plan.emergency,
            outside=outside,
            home=home,
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
            self.outside.ended(call, plan.customer_id)
            self.ended(record)
        finally:
            del self.calls[call.id]
            self.changed()
            call.let_go()

    def start(
        self,
        plan: Plan,
        transaction: ServerTransaction,
        outside: Identity | None,
        location: bytes = b"",
        home: Identity | None = None,
    ) -> None:
        """Begins a call. `outside` is what a trunk is told of the caller, `home` what the provider's own exchange is told,
        `location` where it calls 112 from.
        """
        self.spawn(self._run(plan, transaction, outside, location, home))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Does something that takes a while; what goes wrong in it is logged, and the rest goes on."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log(Event.CALL_FAILED, error=repr(error))


def _now() -> float:
    return asyncio.get_running_loop().time()
