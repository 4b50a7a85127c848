"""An exchange with one customer's phones, over real TLS, and a media worker that only keeps the rules of the protocol."""

from __future__ import annotations

import asyncio
import itertools
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from media_node.call.directory import Environment, Phone
from media_node.call.exchange import Exchange
from media_node.call.record import CallRecord
from media_node.probe.phone import Conversation, RequestRefused
from media_node.probe.phone import Phone as Handset
from media_node.sip.digest import Algorithm
from media_node.worker_link.client import MediaError
from media_node.worker_link.protocol import LegDescription, LegStats, LocalTransport
from tests.support.node import DOMAIN, Certificates

CUSTOMER = "abc234"
PASSWORD = "geheim"
FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)


@dataclass
class RulefulMedia:
    """Keeps the rules of worker_link/protocol.py and moves no packet: a call opens once, is set only while open, and closes once."""

    secure: dict[str, dict[str, bool]] = field(default_factory=dict)
    legs: dict[tuple[str, str], list[LegDescription]] = field(default_factory=dict)
    broken: bool = False
    _ports: Any = field(default_factory=lambda: itertools.count(30000, 2))

    async def open(self, call: str, *, secure: dict[str, bool]) -> dict[str, LocalTransport]:
        if self.broken or call in self.secure:
            raise MediaError("no")
        assert set(secure) == {"a", "b"}
        self.secure[call] = secure
        ports = {leg: 20000 if secure[leg] else next(self._ports) for leg in secure}
        return {
            leg: LocalTransport(
                address="127.0.0.1", rtp_port=port, rtcp_port=port + 1, fingerprint=FINGERPRINT if secure[leg] else ""
            )
            for leg, port in ports.items()
        }

    async def set(self, call: str, leg: str, remote: LegDescription) -> None:
        if call not in self.secure:
            raise MediaError("unknown call")
        if leg not in self.secure[call] or (remote.crypto is not None) != self.secure[call][leg]:
            raise MediaError("a leg does not change its protection")
        if remote.crypto is not None:
            for key in (remote.crypto.send_key, remote.crypto.receive_key):
                assert len(b64decode(key)) == remote.crypto.suite.key_length
            assert remote.crypto.send_key != remote.crypto.receive_key
        self.legs.setdefault((call, leg), []).append(remote)

    async def reopen(self, call: str, leg: str, *, secure: bool) -> tuple[LocalTransport, LegStats]:
        if call not in self.secure:
            raise MediaError("unknown call")
        self.secure[call][leg] = secure
        port = 20000 if secure else next(self._ports)
        fingerprint = FINGERPRINT if secure else ""
        local = LocalTransport(address="127.0.0.1", rtp_port=port, rtcp_port=port + 1, fingerprint=fingerprint)
        return local, LegStats(suite=None)

    async def move(self, call: str, leg: str, *, to: str, to_leg: str) -> LegStats:
        if call not in self.secure or to not in self.secure or leg not in self.secure[call] or call == to:
            raise MediaError("unknown call")
        self.secure[to][to_leg] = self.secure[call].pop(leg)
        self.legs[to, to_leg] = self.legs.pop((call, leg), [])
        return LegStats(suite=None)

    async def close(self, call: str) -> dict[str, LegStats]:
        if call not in self.secure:
            raise MediaError("unknown call")
        del self.secure[call]
        last = {leg: self.legs.get((call, leg), []) for leg in ("a", "b")}
        return {
            leg: LegStats(suite=said[-1].crypto.suite if said and said[-1].crypto else None)
            for leg, said in last.items()
        }


@dataclass
class Office:
    """An exchange with one customer's phones 101 to 104 and the means to make handsets."""

    exchange: Exchange
    media: RulefulMedia
    records: list[CallRecord]
    port: int
    certificates: Certificates
    handsets: list[Handset] = field(default_factory=list)

    async def handset(
        self, extension: str, *, register: bool = True, password: str = PASSWORD, **options: Any
    ) -> Handset:
        handset = Handset(f"{CUSTOMER}-{extension}", password, DOMAIN, **options)
        self.handsets.append(handset)
        await handset.connect("127.0.0.1", self.port, self.certificates.client_context())
        if register:
            await handset.register()
        return handset

    async def record(self) -> CallRecord:
        await until(lambda: bool(self.records))
        assert not self.media.secure, "every call that was opened is closed"
        assert not self.exchange.calls
        return self.records[0]


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the condition is another program's
            await asyncio.sleep(0.01)


def environment(*, encrypted: bool = True, calls: int = 10) -> Environment:
    phones = tuple(
        Phone(
            username=f"{CUSTOMER}-{extension}",
            extension=extension,
            customer_id=CUSTOMER,
            encrypted=encrypted,
            ha1={name.value: name.ha1(f"{CUSTOMER}-{extension}", DOMAIN, PASSWORD) for name in Algorithm},
        )
        for extension in ("101", "102", "103", "104")
    )
    return Environment(
        environment_id=CUSTOMER, customer_id=CUSTOMER, encrypted=encrypted, calls=calls, version=1, phones=phones
    )


async def talking(office: Office) -> tuple[Conversation, Conversation]:
    """A call from 101 to 102, answered."""
    callee, caller = await office.handset("102"), await office.handset("101")
    ours = await caller.call("102")
    return ours, await callee.answered()


async def refused(call: Awaitable[Any]) -> RequestRefused:
    with pytest.raises(RequestRefused) as error:
        await call
    return error.value
