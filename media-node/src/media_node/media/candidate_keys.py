"""Whose packet might this be? On one port for all calls, only a key that verifies it can tell; this bounds how many are
tried.

A packet from an address and SSRC the relay knows never comes here. The others are tried under the keys of those who
most likely sent them, at most MAX_CANDIDATES; where nothing but the neighbourhood points at a leg, the trials come out of a
budget of the packet's source.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import islice
from typing import Generic, TypeVar

Leg = TypeVar("Leg", bound=Hashable)

MAX_CANDIDATES = 8
"""Keys tried for one packet, at less than a microsecond each."""

BURST = 64
REFILL_PER_S = 32.0
STRANGERS = 4096
"""Sources whose budget is remembered; the one longest unheard is forgotten first."""


class Budget:
    """Trials a stranger may still cost: BURST at once, REFILL_PER_S from then on. `now` is seconds on any monotonic
    clock.
    """

    def __init__(self, burst: float = BURST, refill: float = REFILL_PER_S, strangers: int = STRANGERS) -> None:
        self._burst = burst
        self._refill = refill
        self._strangers = strangers
        self._left: dict[Hashable, tuple[float, float]] = {}

    def spend(self, stranger: Hashable, now: float) -> bool:
        """Take one trial from a stranger's budget; False when it is used up."""
        left, since = self._left.pop(stranger, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._refill)
        allowed = left >= 1
        self._left[stranger] = (left - 1 if allowed else left, now)
        if len(self._left) > self._strangers:
            del self._left[next(iter(self._left))]
        return allowed


class Index(Generic[Leg]):
    """Legs by trace, each knowing its own: a multimap that can drop a leg without a search."""

    def __init__(self) -> None:
        self._legs: dict[Hashable, dict[Leg, None]] = {}
        self._traces: dict[Leg, set[Hashable]] = {}

    def add(self, leg: Leg, trace: Hashable) -> None:
        """`trace` points at `leg` too."""
        self._legs.setdefault(trace, {})[leg] = None
        self._traces.setdefault(leg, set()).add(trace)

    def discard(self, leg: Leg, trace: Hashable) -> None:
        """`trace` no longer points at `leg`."""
        if trace in self._traces.get(leg, ()):
            self._traces[leg].discard(trace)
            legs = self._legs[trace]
            del legs[leg]
            if not legs:
                del self._legs[trace]

    def remove(self, leg: Leg) -> None:
        """Nothing points at `leg` any more."""
        for trace in list(self._traces.get(leg, ())):
            self.discard(leg, trace)
        self._traces.pop(leg, None)

    def legs(self, trace: Hashable) -> dict[Leg, None]:
        """The legs `trace` points at, oldest first."""
        return self._legs.get(trace, {})


class CandidateKeys(Generic[Leg]):
    """Which legs each trace points at.

    Traces are any hashable: a transport address, a host, an SSRC; two kinds never compare equal.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget or Budget()
        self._exact: Index[Leg] = Index()
        self._near: Index[Leg] = Index()
        self._unproved: dict[Leg, None] = {}

    def know(self, leg: Leg, trace: Hashable) -> None:
        """A trace that is the leg's own: its believed or announced address, an SSRC of its."""
        self._exact.add(leg, trace)

    def forget(self, leg: Leg, trace: Hashable) -> None:
        """A trace is no longer the leg's."""
        self._exact.discard(leg, trace)

    def expect(self, leg: Leg, hosts: set[Hashable]) -> None:
        """The leg has yet to prove where it is; `hosts` are where it is likely to be."""
        self._unproved[leg] = None
        for host in hosts:
            self._near.add(leg, host)

    def settle(self, leg: Leg) -> None:
        """The leg proved where it is: its neighbours' packets are no longer tried under its key."""
        self._unproved.pop(leg, None)
        self._near.remove(leg)

    def remove(self, leg: Leg) -> None:
        """The leg is gone."""
        self.settle(leg)
        self._exact.remove(leg)

    def candidates(self, traces: tuple[Hashable, ...], host: Hashable, stranger: Hashable, now: float) -> Iterator[Leg]:
        """The legs to try, likeliest first and at most MAX_CANDIDATES: owners of a trace, legs expected at `host`, then any leg
        still expected.
        """
        return islice(self._ordered(traces, host, stranger, now), MAX_CANDIDATES)

    def _ordered(self, traces: tuple[Hashable, ...], host: Hashable, stranger: Hashable, now: float) -> Iterator[Leg]:
        seen: set[Leg] = set()
        for trace in traces:
            for leg in list(islice(self._exact.legs(trace), MAX_CANDIDATES)):
                if leg not in seen:
                    seen.add(leg)
                    yield leg
        for group in (self._near.legs(host), self._unproved):
            for leg in list(islice(group, MAX_CANDIDATES + len(seen))):
                if leg not in seen:
                    if not self._budget.spend(stranger, now):
                        return
                    seen.add(leg)
                    yield leg
