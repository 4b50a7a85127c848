"""Time at the edge of the functions: the domain gets `now` passed in, always aware and in UTC."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from functools import cache
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def to_iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z, so that text sorts as time does: 2026-11-21T17:05:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> datetime:
    """The moment that `to_iso` wrote; raises ValueError."""
    return datetime.fromisoformat(text)


def local_day(moment: datetime) -> date:
    """The calendar day in the Netherlands, on which prices and promotions begin and end."""
    return moment.astimezone(_amsterdam()).date()


def local_time(moment: datetime) -> datetime:
    """The same moment on a clock in the Netherlands."""
    return moment.astimezone(_amsterdam())


def midnight(day: date) -> datetime:
    """The moment at which a day begins in the Netherlands."""
    return datetime.combine(day, time.min, _amsterdam()).astimezone(UTC)


@cache
def _amsterdam() -> ZoneInfo:
    return ZoneInfo("Europe/Amsterdam")
