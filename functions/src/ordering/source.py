"""Where orders come from, without knowing it: how many a source placed of late, and which proofs of work it has
used.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ordering.credentials import keyed_hash
from shared import dynamodb

_REMEMBERED = timedelta(days=1)


@dataclass(frozen=True)
class History:
    """What a source did: orders in this hour and in the day so far, and the challenges that it solved."""

    this_hour: int
    today: int
    used: frozenset[str]


def name(key: str, address: str, now: datetime) -> str:
    """A source as we know it: a hash of its address that differs each day and that nobody without the key can undo."""
    return keyed_hash(key, "source", f"{now:%Y-%m-%d}", address).hex()[:32]


def history(table: str, source: str, now: datetime) -> History:
    """What the table knows of a source."""
    hours = {item["sk"]: item for item in dynamodb.partition(table, f"SOURCE#{source}")}
    this_hour = hours.get(_hour(now), {}).get("orders", 0)
    used = frozenset().union(*(item.get("used", frozenset()) for item in hours.values()))
    return History(this_hour, sum(item.get("orders", 0) for item in hours.values()), used)


def record(table: str, source: str, challenge: str, now: datetime) -> None:
    """Count an order of a source, and remember the challenge whose solution came with it, if any."""
    used = {"used": frozenset({challenge})} if challenge else {}
    dynamodb.add(table, f"SOURCE#{source}", _hour(now), int((now + _REMEMBERED).timestamp()), orders=1, **used)


def until_next_hour(now: datetime) -> int:
    """Seconds until the count begins anew."""
    return 3600 - (now.minute * 60 + now.second)


def _hour(now: datetime) -> str:
    return f"HOUR#{now:%H}"
