"""Who is let in, decided before anything is spent on him.

Whoever has not shown a password is a stranger. Strangers share a bounded number of places, by source and in all; a newcomer always
gets one, and who has been silent longest from the fullest source makes room. Phones that are known take none of these places, so that
no number of strangers keeps them out.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Protocol


class Guest(Protocol):
    """Someone who came in. `source` is who he counts as (`source_of`)."""

    source: str


@dataclass(frozen=True)
class Limits:
    """Places. One source is one IPv4 address, often a whole office, or one IPv6 network."""

    per_source: int = 600
    strangers: int = 3000
    connections: int = 30_000


LIMITS: Final = Limits()


class Full(Exception):
    """Every place is taken by phones that are known."""


def source_of(host: str) -> str:
    """What an address counts as: an IPv4 address itself, an IPv6 address its /64, as one host may have all of that."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


@dataclass(eq=False)
class Gate:
    """The places of one listener."""

    limits: Limits = LIMITS
    _silent: dict[str, dict[Guest, None]] = field(default_factory=dict)
    _speaking: dict[str, dict[Guest, None]] = field(default_factory=dict)
    _strangers: Counter[str] = field(default_factory=Counter)
    _count: int = 0
    _known: dict[Guest, None] = field(default_factory=dict)

    def enter(self, guest: Guest) -> Guest | None:
        """Gives a stranger a place, and says who has to leave for it. Raises Full."""
        leaving = None
        if self._strangers[guest.source] >= self.limits.per_source:
            leaving = self._oldest(guest.source)
        elif self._count >= self.limits.strangers or len(self) >= self.limits.connections:
            if not self._count:
                raise Full
            leaving = self._oldest(max(self._strangers, key=self._strangers.__getitem__))
        if leaving is not None:
            self.leave(leaving)
        self._add(self._silent, guest)
        return leaving

    def spoke(self, guest: Guest) -> None:
        """A stranger sent something."""
        if self._drop(self._silent, guest):
            self._add(self._speaking, guest)

    def know(self, guest: Guest) -> None:
        """A stranger has shown a password."""
        if self._drop(self._silent, guest) or self._drop(self._speaking, guest):
            self._known[guest] = None

    def forget(self, guest: Guest) -> None:
        """He is a stranger again, as a phone that registered over another connection since."""
        if guest in self._known:
            del self._known[guest]
            self._add(self._speaking, guest)

    def leave(self, guest: Guest) -> None:
        """He is gone."""
        if guest in self._known:
            del self._known[guest]
        elif not self._drop(self._silent, guest):
            self._drop(self._speaking, guest)

    @property
    def strangers(self) -> int:
        """How many strangers are inside."""
        return self._count

    @property
    def known(self) -> int:
        """How many are inside who have shown a password."""
        return len(self._known)

    def everyone(self) -> list[Guest]:
        """All who are inside."""
        strangers = [
            guest for places in (self._silent, self._speaking) for guests in places.values() for guest in guests
        ]
        return [*strangers, *self._known]

    def __len__(self) -> int:
        return self._count + len(self._known)

    def _oldest(self, source: str) -> Guest:
        return next(iter(self._silent.get(source) or self._speaking[source]))

    def _add(self, places: dict[str, dict[Guest, None]], guest: Guest) -> None:
        places.setdefault(guest.source, {})[guest] = None
        self._strangers[guest.source] += 1
        self._count += 1

    def _drop(self, places: dict[str, dict[Guest, None]], guest: Guest) -> bool:
        guests = places.get(guest.source)
        if guests is None or guest not in guests:
            return False
        del guests[guest]
        if not guests:
            del places[guest.source]
        self._strangers[guest.source] -= 1
        if not self._strangers[guest.source]:
            del self._strangers[guest.source]
        self._count -= 1
        return True
