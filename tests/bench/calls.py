"""Phones that call each other through the node's signalling, which runs in a process of its own: the load of `soak` and
of the calls in `sip`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[2]))

from media_node.probe.phone import Conversation, Phone, RequestRefused
from media_node.probe.stream import Stream
from tests.bench.edge_wire import DOMAIN, PASSWORD, trusting, username
from tests.bench.wire_calls import WirePhone, call_for

PHONES = 200
REFRESH = 120.0
"""Seconds in which each phone registers again."""


@dataclass
class Served:
    """The node's signalling and its media worker, as processes."""

    pid: int
    port: int

    @property
    def workers(self) -> list[int]:
        """Its media workers."""
        return [int(each) for each in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    @property
    def cpu(self) -> float:
        """Seconds of processor time of the signalling alone."""
        return processor_seconds(self.pid)


def processor_seconds(pid: int) -> float:
    """What the scheduler gave the threads of a process that live: /proc counts ticks of 10 ms elsewhere."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9


@contextlib.asynccontextmanager
async def signalling(accounts: int, *, logged: bool = False) -> AsyncIterator[Served]:
    """Starts it, with a real media worker, and ends it."""
    with tempfile.TemporaryDirectory() as directory:
        served = str(Path(__file__).with_name("served.py"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, served, str(accounts), f"{directory}/certificate.pem"),
            *("--media", directory, *(("--log",) if logged else ())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin and process.stdout
        try:
            yield Served(process.pid, int(await process.stdout.readline()))
        finally:
            process.stdin.close()
            await asyncio.wait_for(process.wait(), 20)


class _Silence:
    """In place of a voice, where only the signalling is measured."""

    def agree(self, destination: tuple[str, int], **keys: Any) -> None:
        """Nothing is sent there."""

    def redirect(self, destination: tuple[str, int]) -> None:
        """Nor there."""

    def close(self) -> None:
        """Nothing to end."""


class MutePhone(Phone):
    """A phone without sockets for media."""

    async def _conversation(self, voice: int) -> Conversation:
        conversation = Conversation(self, self.connection, cast(Stream, _Silence()), 40000)
        self.conversations.append(conversation)
        return conversation


@dataclass
class Load:
    """Pairs of phones of which one calls the other `rate` times a second in all; each call lasts `talk` seconds."""

    served: Served
    pairs: int
    rate: float
    talk: float
    audio: bool
    done: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    _phones: list[Phone] = field(default_factory=list)
    _calls: set[asyncio.Task[None]] = field(default_factory=set)

    async def connect(self) -> None:
        """Registers all phones."""
        context = trusting()
        for number in range(2 * self.pairs):
            phone = (Phone if self.audio else MutePhone)(username(number), PASSWORD, DOMAIN)
            await phone.connect("127.0.0.1", self.served.port, context)
            await phone.register()
            self._phones.append(phone)

    async def run(self, seconds: float) -> None:
        """Calls for so long, then waits for the last ones."""
        loop = asyncio.get_running_loop()
        refreshing = loop.create_task(self._refresh())
        began, number = loop.time(), 0
        while (at := began + number / self.rate) < began + seconds:
            await asyncio.sleep(max(0.0, at - loop.time()))
            task = loop.create_task(self._call(number % self.pairs))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
            number += 1
        while self._calls:
            await asyncio.wait(set(self._calls))
        refreshing.cancel()

    async def _refresh(self) -> None:
        """Registers all phones again, one after the other."""
        while True:
            for phone in self._phones:
                await asyncio.sleep(REFRESH / len(self._phones))
                with contextlib.suppress(TimeoutError, RequestRefused):
                    await phone.register()

    async def _call(self, pair: int) -> None:
        caller, callee = self._phones[2 * pair], self._phones[2 * pair + 1]
        try:
            ours = await caller.call(callee.username.rpartition("-")[2])
            if self.talk:
                await asyncio.sleep(self.talk)
            await ours.hang_up()
            self.done += 1
        except (OSError, TimeoutError, RequestRefused, ValueError) as error:
            self.failed += 1
            name = str(error) or type(error).__name__
            self.reasons[name] = self.reasons.get(name, 0) + 1
        for phone in (caller, callee):
            phone.conversations = [each for each in phone.conversations if not each.ended.is_set()]
            phone.rang.clear()
            while not phone._answered.empty():
                phone._answered.get_nowait()

    async def close(self) -> None:
        """All phones leave."""
        for phone in self._phones:
            await phone.close()


async def calls_per_cpu_second(calls: int, rate: float, rounds: int) -> list[float]:
    """Calls (INVITE, 180, 200, ACK, BYE, with keys, over TLS) per second of the signalling's processor time, `calls` a round.

    Raises RuntimeError when some failed.
    """
    figures = []
    async with signalling(PHONES, logged=True) as served:
        phones = [WirePhone(number) for number in range(PHONES)]
        context = trusting()
        for phone in phones:
            await phone.connect(served.port, context)
        await call_for(phones, rate, 1)  # whatever is made at the first of a kind
        for _ in range(rounds):
            before = served.cpu
            done, wrong = await call_for(phones, rate, calls / rate)
            figures.append(done / (served.cpu - before))
            if wrong:
                raise RuntimeError(f"{len(wrong)} calls failed: {Counter(wrong)}")
        for phone in phones:
            phone.close()
    return figures
