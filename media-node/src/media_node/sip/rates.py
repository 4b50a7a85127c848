"""Limits as rates: what is too much now is enough again in a while. Pure; `now` is in seconds on one monotonic clock."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

_MAX_SOURCES: Final = 1000


@dataclass
class Bucket:
    """A token bucket: `capacity` at once, and `per_second` from then on."""

    capacity: float
    per_second: float
    _level: float = field(default=-1.0)
    _at: float = 0.0

    def take(self, now: float) -> bool:
        """Takes one token; False when there is none."""
        level = self.capacity if self._level < 0 else self._level + (now - self._at) * self.per_second
        level = min(self.capacity, level)
        self._at = now
        if level < 1:
            self._level = level
            return False
        self._level = level - 1
        return True


@dataclass
class Throttle:
    """Which of many lines of a source are worth writing: some at once, then a few a minute, with how many were left out."""

    capacity: float = 10
    per_second: float = 1 / 6
    _sources: OrderedDict[str, tuple[Bucket, int]] = field(default_factory=OrderedDict)

    def allow(self, source: str, now: float) -> int | None:
        """How many lines were left out before this one, or None when it is to be left out itself."""
        bucket, left_out = self._sources.get(source) or (Bucket(self.capacity, self.per_second), 0)
        written = bucket.take(now)
        self._sources[source] = (bucket, 0 if written else left_out + 1)
        self._sources.move_to_end(source)
        if len(self._sources) > _MAX_SOURCES:
            self._sources.popitem(last=False)
        return left_out if written else None
