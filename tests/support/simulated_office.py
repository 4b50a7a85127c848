"""An office in a simulated world: the node's whole signalling, and wires to its phones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from media_node.call.directory import Directory
from media_node.call.exchange import Exchange
from media_node.call.record import CallRecord
from media_node.log import Event
from media_node.sip.headers import Request, Response
from media_node.sip.transport import Transport
from media_node.worker_link.client import MediaError
from media_node.worker_link.protocol import LegDescription, LegStats, LocalTransport
from tests.support.node import DOMAIN
from tests.support.office import CUSTOMER, PASSWORD, environment
from tests.support.ruleful_media import RulefulMedia
from tests.support.simulated_phone import SimulatedPhone
from tests.support.simulation import End, SimulatedLoop, Weather, wire

INFINITE = 24 * 3600.0
"""Seconds: longer than anything the node waits for."""


class SimulatedOffice:
    """An exchange with one customer's phones 101 to 104, and wires to them."""

    def __init__(self, transport: Transport = Transport.TLS) -> None:
        self.loop = SimulatedLoop()
        self.transport = transport
        self.weather = Weather()
        self.media, self.records = WatchedMedia(), list[CallRecord]()
        self.begun: list[CallRecord] = []
        self.log: list[tuple[Event, dict[str, Any]]] = []
        self.phones: list[SimulatedPhone] = []
        self.ends: list[End] = []
        """The node's ends of all wires there have been."""
        self._ports = 5060

        def make() -> Exchange:
            return Exchange(
                domain=DOMAIN,
                media=lambda: self.media,
                records=self.records.append,
                begun=self.begun.append,
                directory=Directory((environment(),)),
                log=lambda event, /, **fields: self.log.append((event, fields)),
            )

        self.exchange = self.loop.do(make)

    def phone(
        self, extension: str, source: str = "203.0.113.1", *, password: str = PASSWORD, username: str = ""
    ) -> SimulatedPhone:
        """A phone that is connected and not registered."""
        phone = SimulatedPhone(username or f"{CUSTOMER}-{extension}", password, source)
        self.phones.append(phone)
        self.connect(phone)
        return phone

    def connect(self, phone: SimulatedPhone) -> None:
        """A new wire to a phone."""
        self._ports += 1
        near, far = wire(
            phone.layer,
            self.exchange.transactions,
            transport=self.transport,
            weather=self.weather,
            source=phone.source,
            port=self._ports,
        )
        phone.end = near
        self.ends.append(far)

    def registered(self, *extensions: str) -> list[SimulatedPhone]:
        """Phones that are registered, one of each extension."""
        phones = [self.phone(extension) for extension in extensions]
        for phone in phones:
            assert self.loop.complete(phone.register()).code == 200
        return phones

    def bindings(self, username: str) -> set[int]:
        """The connections over which an account is registered, by their numbers at the node."""
        return {each.connection for each in self.exchange.registrar.lookup(username, self.loop.now)}

    def sent(self) -> Iterable[Request | Response]:
        """All that the node has sent."""
        return (message for end in self.ends for message in end.sent)

    def everything_ends(self) -> None:
        """Time goes by until nothing the node waits for is left, and nothing may be left of any call."""
        self.loop.wait(INFINITE)
        assert not self.exchange.calls, "no call without an end"
        assert not self.media.secure, "every leg is let go"
        assert not self.media.unkeyed, "no leg without keys"
        assert not self.exchange._running.dialogs, "no dialog outlives its call"
        assert not self.loop.failures
        assert not [fault for phone in self.phones for fault in phone.faults]
        assert not [fields for event, fields in self.log if event is Event.CALL_FAILED]
        assert len(self.records) == sum(event is Event.CALL_BEGINS for event, _ in self.log), "each call has its record"
        assert all(record.ended_at is not None and record.reason for record in self.records)
        for layer in (self.exchange.transactions, *(phone.layer for phone in self.phones)):
            left = (layer._clients, layer._servers, layer._invites, layer._runs, layer._strangers)
            assert not any(left), "no transaction outlives its timers"

    def close(self) -> None:
        """Ends the world."""
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()


@dataclass
class WatchedMedia(RulefulMedia):
    """Keeps the protocol's rules, notes legs that were described without keys, and refuses the next questions when told
    to, as a worker that is being replaced does.
    """

    unkeyed: list[str] = field(default_factory=list)
    refusals: int = 0

    async def open(self, call: str, *, secure: dict[str, bool], further: bool = False) -> dict[str, LocalTransport]:
        self._refuse()
        return await super().open(call, secure=secure, further=further)

    async def set(self, call: str, leg: str, remote: LegDescription) -> None:
        self._refuse()
        if remote.crypto is None and remote.dtls is None:
            self.unkeyed.append(call)
        await super().set(call, leg, remote)

    async def reopen(self, call: str, leg: str, *, secure: bool) -> tuple[LocalTransport, LegStats]:
        self._refuse()
        return await super().reopen(call, leg, secure=secure)

    async def move(self, call: str, leg: str, *, to: str, to_leg: str) -> LegStats:
        self._refuse()
        return await super().move(call, leg, to=to, to_leg=to_leg)

    def _refuse(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise MediaError("no")
