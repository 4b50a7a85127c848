"""Wrong passwords: who has to wait before he may try again, and for how long. Pure; `now` is in seconds on one monotonic clock.

Three counts, each a rate with a back-off that doubles and is forgotten again: of one account from one source (a phone with an old
password), of one source (a stranger who tries many accounts), and of one account from sources where it never succeeded (many strangers
who try one). Where an account has succeeded lately, only the first count concerns it, and only its wrong passwords: no stranger locks a
customer's phone out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Generic, TypeVar

REMEMBERED: Final = 24 * 3600.0
"""Seconds after which a success counts no more."""
_MAX_KEYS: Final = 20_000
K = TypeVar("K", bound=Hashable)


class Reason(StrEnum):
    """Whose failures they are."""

    PHONE = "phone"
    SOURCE = "source"
    ACCOUNT = "account"


@dataclass(frozen=True)
class Backoff:
    """`free` failures cost nothing; each further one doubles the wait, from `first` to `most` seconds. One failure is
    forgotten every `forget` seconds.
    """

    free: int
    first: float
    most: float
    forget: float


RULES: Final = {
    Reason.PHONE: Backoff(free=5, first=2, most=300, forget=60),
    Reason.SOURCE: Backoff(free=20, first=10, most=600, forget=30),
    Reason.ACCOUNT: Backoff(free=50, first=10, most=600, forget=60),
}


@dataclass(eq=False)
class Failures(Generic[K]):
    """Failures by key. What was longest without one is forgotten when there are too many keys."""

    rule: Backoff
    _keys: OrderedDict[K, tuple[float, float, float]] = field(default_factory=OrderedDict)
    """Failures that count, when that was, and until when to wait."""

    def add(self, key: K, now: float) -> None:
        """Counts a failure."""
        count = self._count(key, now) + 1
        over = count - self.rule.free
        wait = min(self.rule.most, self.rule.first * 2 ** min(over - 1, 30)) if over > 0 else 0.0
        # Further ones while the longest wait is on would only make it longer to forget.
        ceiling = self.rule.free + 12
        self._keys[key] = (min(count, ceiling), now, now + wait)
        self._keys.move_to_end(key)
        if len(self._keys) > _MAX_KEYS:
            self._keys.popitem(last=False)

    def wait(self, key: K, now: float) -> float:
        """Seconds to wait; 0 when there is nothing to wait for."""
        found = self._keys.get(key)
        return max(0.0, found[2] - now) if found else 0.0

    def clear(self, key: K) -> None:
        """A success: nothing of before counts."""
        self._keys.pop(key, None)

    def _count(self, key: K, now: float) -> float:
        found = self._keys.get(key)
        return max(0.0, found[0] - (now - found[1]) / self.rule.forget) if found else 0.0


@dataclass(frozen=True)
class Wait:
    """How long, and for whose failures. `proven`: the account has succeeded from this source lately, so the right password is
    let in all the same; a stranger beside the phone, behind the same router, would lock it out otherwise.
    """

    seconds: float
    reason: Reason
    proven: bool = False


@dataclass(eq=False)
class Lockout:
    """All failures and successes of a node."""

    _phones: Failures[tuple[str, str]] = field(default_factory=lambda: Failures(RULES[Reason.PHONE]))
    _sources: Failures[str] = field(default_factory=lambda: Failures(RULES[Reason.SOURCE]))
    _accounts: Failures[str] = field(default_factory=lambda: Failures(RULES[Reason.ACCOUNT]))
    _proven: OrderedDict[tuple[str, str], float] = field(default_factory=OrderedDict)

    def wait(self, account: str, source: str, now: float) -> Wait | None:
        """How long this account has to wait at this source before its password is looked at, or None."""
        seconds, reason = self._phones.wait((account, source), now), Reason.PHONE
        proven = self._is_proven(account, source, now)
        if not proven:
            for others, of in (
                (self._sources.wait(source, now), Reason.SOURCE),
                (self._accounts.wait(account, now), Reason.ACCOUNT),
            ):
                if others > seconds:
                    seconds, reason = others, of
        return Wait(seconds, reason, proven) if seconds > 0 else None

    def failed(self, account: str, source: str, now: float) -> None:
        """A wrong password, or an account that does not exist."""
        self._phones.add((account, source), now)
        if not self._is_proven(account, source, now):
            self._sources.add(source, now)
            self._accounts.add(account, now)

    def succeeded(self, account: str, source: str, now: float) -> None:
        """The right password."""
        self._phones.clear((account, source))
        self._proven[(account, source)] = now
        self._proven.move_to_end((account, source))
        if len(self._proven) > _MAX_KEYS:
            self._proven.popitem(last=False)

    def _is_proven(self, account: str, source: str, now: float) -> bool:
        at = self._proven.get((account, source))
        return at is not None and now - at <= REMEMBERED
