"""A real worker process and calls through it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from media_node.worker_link.client import MediaWorker
from media_node.worker_link.protocol import LegStats, LocalTransport
from tests.support.media.phone import Phone, Rtp

NUMBERS = count(1)


@asynccontextmanager
async def running_worker(
    directory: Path, *, address: str = "127.0.0.1", timeout_s: float = 60.0, options: tuple[str, ...] = ()
) -> AsyncIterator[tuple[MediaWorker, list[dict[str, Any]]]]:
    """A worker on free ports, and the list its events are added to."""
    events: list[dict[str, Any]] = []
    worker = await MediaWorker.start(
        index=0,
        address=address,
        announce=address,
        srtp_port=0,
        rtp_ports=(30000, 39999),
        timeout_s=timeout_s,
        run_directory=directory,
        on_event=events.append,
        options=options,
    )
    try:
        yield worker, events
    finally:
        await worker.stop()


@dataclass
class Call:
    """Two phones joined through a worker; `a_at` and `b_at` are where each must send."""

    worker: MediaWorker
    a: Phone
    b: Phone
    name: str = field(default_factory=lambda: f"call-{next(NUMBERS)}")
    further: bool = False
    a_at: LocalTransport = field(init=False)
    b_at: LocalTransport = field(init=False)

    async def open(self, **families: int) -> Call:
        secure = {"a": self.a.leg().secure, "b": self.b.leg().secure}
        where = await self.worker.open(self.name, secure=secure, families=families or None, further=self.further)
        self.a_at, self.b_at = where["a"], where["b"]
        return self

    async def describe(self, *, a_says: dict[str, Any] | None = None, b_says: dict[str, Any] | None = None) -> None:
        await self.worker.set(self.name, "a", self.a.leg(**(a_says or {})))
        await self.worker.set(self.name, "b", self.b.leg(**(b_says or {})))

    async def stats(self) -> tuple[LegStats, LegStats]:
        stats = await self.worker.stats(self.name)
        return stats["a"], stats["b"]

    def a_to_b(self, packet: Rtp | None = None) -> tuple[Rtp, Rtp | None]:
        return self.a.send(self.a_at, packet), self.b.receive()

    def b_to_a(self, packet: Rtp | None = None) -> tuple[Rtp, Rtp | None]:
        return self.b.send(self.b_at, packet), self.a.receive()

    def talk(self, packets: int = 5) -> None:
        """Both speak and hear each other: afterwards both legs are latched."""
        for _ in range(packets):
            for sent, heard in (self.a_to_b(), self.b_to_a()):
                assert heard is not None and heard.payload == sent.payload, "no audio"


async def call_between(worker: MediaWorker, a: Phone, b: Phone, **descriptions: dict[str, Any]) -> Call:
    """An answered call between two phones."""
    return await _answered(Call(worker, a, b), **descriptions)


async def text_between(worker: MediaWorker, a: Phone, b: Phone) -> Call:
    """A further stream of an answered call."""
    return await _answered(Call(worker, a, b, further=True))


async def _answered(call: Call, **descriptions: dict[str, Any]) -> Call:
    await call.open()
    await call.describe(**descriptions)
    return call
