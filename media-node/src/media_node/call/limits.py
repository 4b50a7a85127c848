"""What a customer may use of the way out, so that a stolen password costs little. Pure: usage and `now` are passed in.

Emergency calls and the free numbers of care never come here (call/policy.py decides them first).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import phonenumbers
from phonenumbers import PhoneNumberType

from media_node.call.notices import Notice
from media_node.call.numbering import is_short_code
from media_node.call.policy import Refusal

if TYPE_CHECKING:
    from media_node.call.directory import Limits


class DestinationClass(StrEnum):
    """A class of outside numbers, by the names that the assignment uses."""

    NATIONAL = "national"
    MOBILE = "mobile"
    FREEPHONE = "freephone"
    EUROPE = "europe"
    WORLD = "world"
    PREMIUM = "premium"
    """Premium rate, satellite and global networks: what fraud calls."""


_EUROPE: Final = frozenset(
    {
        *("AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GG", "GI", "GR", "HR", "HU"),
        *("IE", "IM", "IS", "IT", "JE", "LI", "LT", "LU", "LV", "MC", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI"),
        *("SK", "SM", "VA"),
    }
)
"""EU and EEA, and the neighbours that a plan for Europe covers."""
_COSTLY: Final = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.PERSONAL_NUMBER, PhoneNumberType.PAGER})
_COSTLY_PREFIXES: Final = ("+3184", "+3187", "+3270", "+3277")
"""Dutch personal assistants and fax numbers, Belgian 070 and 077: their type says otherwise, their price does not."""
_COSTLY_SHORT: Final = {"NL": re.compile(r"18\d\d"), "BE": re.compile(r"1[23]\d\d")}
"""Directory enquiries."""
_UNIVERSAL_FREEPHONE: Final = 800
_MINUTE: Final = 60.0


@lru_cache(maxsize=4096)
def classify(number: str, country: str) -> DestinationClass:
    """The class of a number in E.164, or of a short code as it is dialled in `country` (NL or BE). What is neither may lead
    anywhere, and so is the dearest.
    """
    if is_short_code(number):
        return DestinationClass.PREMIUM if _COSTLY_SHORT[country].fullmatch(number) else DestinationClass.NATIONAL
    try:
        parsed = phonenumbers.parse(number if number.startswith("+") else "", country)
    except phonenumbers.NumberParseException:
        return DestinationClass.PREMIUM
    if parsed.country_code == _UNIVERSAL_FREEPHONE:
        return DestinationClass.FREEPHONE
    region = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    if region in ("001", "ZZ"):  # a global network (+870, +881 to +883, +979 ...), or no country at all
        return DestinationClass.PREMIUM
    kind = phonenumbers.number_type(parsed)
    if kind in _COSTLY or number.startswith(_COSTLY_PREFIXES):
        return DestinationClass.PREMIUM
    if region != country:
        exact = phonenumbers.region_code_for_number(parsed) or region
        return DestinationClass.EUROPE if exact in _EUROPE else DestinationClass.WORLD
    if kind == PhoneNumberType.TOLL_FREE:
        return DestinationClass.FREEPHONE
    return DestinationClass.MOBILE if kind == PhoneNumberType.MOBILE else DestinationClass.NATIONAL


@dataclass
class Usage:
    """What one customer has used of the way out, on this node. Times are monotonic seconds, but for the day."""

    day: date = date.min
    seconds: float = 0.0
    """Talked outside on `day`."""
    starts: deque[float] = field(default_factory=deque)
    """When calls outside began in the last minute."""

    def begin(self, now: float) -> None:
        """A call outside begins."""
        self._forget(now)
        self.starts.append(now)

    def end(self, seconds: float, today: date) -> None:
        """A call outside has ended after so many seconds of talking; it counts for the day on which it ends."""
        if today != self.day:
            self.day, self.seconds = today, 0.0
        self.seconds += max(0.0, seconds)

    def started_in_last_minute(self, now: float) -> int:
        """How many calls outside began in the last 60 seconds."""
        self._forget(now)
        return len(self.starts)

    def minutes(self, today: date, talking: float) -> float:
        """Minutes talked outside today, with the seconds of the calls that still run."""
        return ((self.seconds if today == self.day else 0.0) + talking) / _MINUTE

    def _forget(self, now: float) -> None:
        while self.starts and now - self.starts[0] >= _MINUTE:
            self.starts.popleft()


def refusal(
    limits: Limits,
    usage: Usage,
    number: str,
    country: str,
    *,
    concurrent: int,
    forwarded: int,
    talking: float,
    is_forward: bool,
    now: float,
    today: date,
) -> Refusal | None:
    """Why a call to this outside number may not be made now, or None. `concurrent` and `forwarded` count the
    customer's running calls outside, and those of them that are forwards; `talking` is how long they have lasted, in
    seconds. A limit of 0 is none.
    """
    destination = classify(number, country)
    if not _allows(limits.destinations, destination):
        reason = f"This customer's plan does not call {destination.value} numbers"
        return Refusal(403, reason, limit=Notice.DESTINATIONS)
    if limits.concurrent_calls and concurrent >= limits.concurrent_calls:
        return Refusal(480, "This customer has as many calls outside as it may", 30, Notice.CONCURRENT_CALLS)
    if is_forward and limits.forwarded_calls and forwarded >= limits.forwarded_calls:
        return Refusal(480, "This customer has as many forwarded calls as it may", 30, Notice.FORWARDED_CALLS)
    if limits.calls_per_minute and usage.started_in_last_minute(now) >= limits.calls_per_minute:
        return Refusal(480, "This customer makes calls faster than it may", 60, Notice.CALLS_PER_MINUTE)
    if limits.minutes_per_day and usage.minutes(today, talking) >= limits.minutes_per_day:
        reason = "This customer has talked as many minutes outside today as it may"
        return Refusal(403, reason, limit=Notice.MINUTES_PER_DAY)
    return None


def _allows(allowed: Collection[str], destination: DestinationClass) -> bool:
    """An assignment that names no classes allows all but what fraud calls."""
    return destination in allowed if allowed else destination is not DestinationClass.PREMIUM
