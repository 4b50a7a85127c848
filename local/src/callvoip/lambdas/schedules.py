"""EventBridge's schedules: when a rate or a cron expression comes next, in UTC. Pure.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199))
_NAMES: tuple[Sequence[str], ...] = ((), (), (), _MONTHS, _DAYS, ())
_FURTHEST = timedelta(days=366 * 9)  # 29 February comes after eight years at most


@dataclass(frozen=True)
class Rate:
    """`rate(5 minutes)`."""

    seconds: float

    def after(self, moment: datetime) -> datetime:
        """The next run after one at `moment`."""
        return moment + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Cron:
    """`cron(minutes hours day-of-month month day-of-week year)`: the values that each field lets through."""

    fields: tuple[frozenset[int], ...]

    def after(self, moment: datetime) -> datetime | None:
        """The first whole minute after `moment` that fits; None when there is none in nine years."""
        minutes, hours, days, months, weekdays, years = self.fields
        times = [time(hour, minute, tzinfo=UTC) for hour in sorted(hours) for minute in sorted(minutes)]
        moment = moment.astimezone(UTC)
        day, last = moment.date(), (moment + _FURTHEST).date()
        while day <= last:
            fits = day.day in days and day.month in months and day.year in years
            if fits and day.isoweekday() % 7 + 1 in weekdays:
                for each in times:
                    if (found := datetime.combine(day, each)) > moment:
                        return found
            day += timedelta(days=1)
        return None


def parse(expression: str) -> Rate | Cron:
    """The schedule that an expression says. Raises NotImplementedError for one that local/ does not know."""
    if match := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        return Rate(int(match[1]) * _UNITS[match[2]])
    fields = expression.removeprefix("cron(").removesuffix(")").split()
    try:
        if not expression.startswith("cron(") or len(fields) != len(_RANGES):
            raise ValueError
        return Cron(tuple(map(_values, fields, _RANGES, _NAMES)))
    except ValueError:
        raise NotImplementedError(
            f"the schedule {expression!r} is not known to local/; add it to callvoip.lambdas.schedules"
        ) from None


def _values(field: str, allowed: tuple[int, int], names: Sequence[str]) -> frozenset[int]:
    """What `*`, `?`, `1,15`, `MON-FRI`, `2-12` or `0/15` let through. Raises ValueError for anything else (L, W, #)."""
    least, most = allowed
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span in ("*", "?"):
            start, end = least, most
        else:
            start = _number(first, names)
            end = _number(last, names) if dash else most if step else start
        if not (least <= start <= end <= most and (not step or int(step) > 0)):
            raise ValueError(field)
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, names: Sequence[str]) -> int:
    return names.index(text.upper()) + 1 if text.upper() in names else int(text)
