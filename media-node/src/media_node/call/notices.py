"""What the node has to tell of an environment once a day at most: a limit that was reached, or that 112 would fail from it.

The fleet reads them in REPORT and tells customers; a customer and sales hear of each kind once a day, however many calls it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class Notice(StrEnum):
    """What can be told, by the names of site/data/notices.toml."""

    DESTINATIONS = "limitDestinations"
    CONCURRENT_CALLS = "limitConcurrentCalls"
    FORWARDED_CALLS = "limitForwardedCalls"
    CALLS_PER_MINUTE = "limitCallsPerMinute"
    MINUTES_PER_DAY = "limitMinutesPerDay"
    EMERGENCY_ROUTE = "emergencyRoute"
    EMERGENCY_ADDRESS = "emergencyAddress"
    EMERGENCY_NUMBER = "emergencyNumber"


@dataclass(eq=False)
class Notices:
    """Each kind's last day, by customer."""

    _days: dict[str, dict[Notice, date]] = field(default_factory=dict)

    def note(self, customer_id: str, kinds: Iterable[Notice], today: date) -> bool:
        """Notes what happened today; whether any of it is new."""
        days = self._days.setdefault(customer_id, {})
        new = [kind for kind in kinds if days.get(kind) != today]
        days.update(dict.fromkeys(new, today))
        return bool(new)

    def of(self, customer_id: str) -> dict[str, str]:
        """Each kind that ever was, and when it was last, as REPORT says it."""
        return {kind.value: day.isoformat() for kind, day in sorted(self._days.get(customer_id, {}).items())}
