"""A world without a clock and without a network: an event loop in which waiting takes no time, and wires on which
messages are lost, doubled, overtaken and late as a test decides. What runs in it is the node's own code.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar
from unittest import TestCase

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine

from media_node.sip.headers import Request, Response
from media_node.sip.message import parse, serialise
from media_node.sip.transport import Connection, HostPort, Receiver, Transport

T = TypeVar("T")


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to what happens next."""

    def __init__(self) -> None:
        self.now = 0.0
        self.failures: list[dict[str, Any]] = []
        """What was told to the exception handler."""
        super().__init__(_Jump(self))
        self.set_exception_handler(lambda loop, context: self.failures.append(context))

    def time(self) -> float:
        return self.now

    def do(self, work: Callable[[], T]) -> T:
        """Calls a function inside the loop, and lets run what it caused at once."""

        async def done() -> T:
            result = work()
            for _ in range(3):
                await asyncio.sleep(0)
            return result

        return self.run_until_complete(done())

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        self.run_until_complete(asyncio.sleep(seconds))

    def complete(self, work: Awaitable[T], within: float = 60) -> T:
        """Waits for something. Raises TimeoutError."""
        return self.run_until_complete(asyncio.wait_for(work, within))


class _Jump(selectors.DefaultSelector):
    """Where the loop would sleep until its next timer, the clock is put to it instead."""

    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and no timer runs: nothing will ever happen")
        self._loop.now += max(0.0, timeout)
        return []


class Fate(StrEnum):
    """What becomes of a message on a wire."""

    ARRIVES = "arrives"
    LATE = "late"
    """So that what is sent after it overtakes it, where the transport allows that."""
    LOST = "lost"
    DOUBLED = "doubled"


TRANSIT = 0.02
LATE = 0.9
"""Seconds: more than T1, so that what is late has been sent again."""


@dataclass(eq=False)
class Weather:
    """What becomes of the next messages on all wires that share it; after those, all arrive."""

    fates: deque[Fate] = field(default_factory=deque)
    blackout: bool = False
    """Nothing arrives any more, and nobody is told."""

    def forecast(self, fates: Iterable[Fate]) -> None:
        """Adds fates."""
        self.fates.extend(fates)

    def next(self) -> Fate:
        """The fate of a message that is sent now."""
        if self.blackout:
            return Fate.LOST
        return self.fates.popleft() if self.fates else Fate.ARRIVES


@dataclass(eq=False)
class End(Connection):
    """One end of a wire. Over a reliable transport fates only delay, and nothing is overtaken."""

    weather: Weather = field(default_factory=Weather)
    other: End | None = None
    sent: list[Request | Response] = field(default_factory=list)
    """All that was sent from here, as the other end reads it."""
    _last: float = 0.0

    def send(self, message: Request | Response) -> bool:
        if self.closed:
            return False
        octets = serialise(message)
        self.sent.append(parse(octets))
        fate = self.weather.next()
        if self.weather.blackout:
            return True
        delays = {Fate.ARRIVES: [TRANSIT], Fate.LATE: [LATE], Fate.LOST: [], Fate.DOUBLED: [TRANSIT, 3 * TRANSIT]}[fate]
        loop = asyncio.get_running_loop()
        if self.transport.reliable:
            at = max(loop.time() + (LATE if fate is Fate.LATE else TRANSIT), self._last)
            self._last = at
            loop.call_at(at, self._deliver, octets)
        else:
            for delay in delays:
                loop.call_later(delay, self._deliver, octets)
        return True

    def _deliver(self, octets: bytes) -> None:
        other = self.other
        if other is not None and not other.closed and not self.weather.blackout:
            other.receiver.received(other, parse(octets))

    def trust(self, account: str) -> None:
        super().trust(account)
        self.known = True

    def distrust(self) -> None:
        self.known = False

    def close(self) -> None:
        """Both ends learn of it at once, unless nothing arrives any more."""
        if self.closed:
            return
        self.closed = True
        loop = asyncio.get_running_loop()
        loop.call_soon(self.receiver.lost, self)
        if self.other is not None and not self.weather.blackout:
            loop.call_soon(self.other.close)


def wire(
    ours: Receiver,
    theirs: Receiver,
    *,
    transport: Transport,
    weather: Weather,
    source: str = "192.0.2.1",
    port: int = 5060,
) -> tuple[End, End]:
    """A wire between two receivers: the first is at `source`, the second at the node's address. Both are strangers to
    each other as far as passwords go.
    """
    here, there = HostPort(source, port), HostPort("198.51.100.1", 5061)
    near = End(ours, transport, here, there, weather=weather)
    far = End(theirs, transport, there, here, weather=weather, known=False)
    near.other, far.other = far, near
    return near, far


def histories(machine: type[RuleBasedStateMachine], examples: int = 40, steps: int = 30) -> type[TestCase]:
    """The test of a state machine: so many histories of so many steps, or as the profiles `few` and `deep` say."""
    case: type[TestCase] = machine.TestCase
    if settings.get_current_profile_name() == "shared":
        case.settings = settings(max_examples=examples, stateful_step_count=steps)  # type: ignore[attr-defined]
    return case
