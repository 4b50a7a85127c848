"""A customer's calls, from the records that the nodes write into the cdr table. Reading only."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared import clock, dynamodb, spreadsheet
from shared.dynamodb import marshal, unmarshal
from shared.spreadsheet import Value, telephone
from shared.telemetry import count, logger

PAGE = 50
MOST_READ = 2_000
"""So many records are looked through for one page of a filter, and told in one file: a month of a busy company."""
_MONTH = re.compile(r"20[0-9]{2}-(?:0[1-9]|1[0-2])")
_KEY = re.compile(r"[0-9T:.\-Z]{20,30}#[!-~]{1,200}")
_GOOD_MOS, _FAIR_MOS = 4.0, 3.6
"""ITU-T G.107 annex B: satisfied from 4.0, some dissatisfied from 3.6."""


@dataclass(frozen=True)
class Filter:
    """Which calls are wanted: of a month, whose number holds these digits, encrypted or not."""

    month: str
    party: str = ""
    encrypted: str = ""

    def holds(self, call: Mapping[str, Any]) -> bool:
        """Whether a call is one of these."""
        wanted = re.sub(r"[^0-9]", "", self.party)
        if wanted and not any(wanted in re.sub(r"[^0-9]", "", str(call[side])) for side in ("from", "to")):
            return False
        return not self.encrypted or call["encryption"] == self.encrypted


def month(text: str, default: str) -> str:
    """A month of ours, or the default."""
    return text if _MONTH.fullmatch(text) else default


class CallStore:
    """The cdr table."""

    def __init__(self, table: str) -> None:
        self._table = table

    def page(self, customer_id: str, wanted: Filter, after: str = "") -> tuple[list[dict[str, Any]], str]:
        """The newest calls of a filter, and from where the next page goes on; empty when that is all."""
        found: list[dict[str, Any]] = []
        for read, item in enumerate(self._items(customer_id, wanted.month, after), 1):
            call = view(item)
            if call and wanted.holds(call):
                found.append(call)
            if len(found) == PAGE or read >= MOST_READ:
                return found, str(item["sk"])
        return found, ""

    def all(self, customer_id: str, wanted: Filter) -> Iterator[dict[str, Any]]:
        """The calls of a filter, newest first, as far as one file goes."""
        for read, item in enumerate(self._items(customer_id, wanted.month, "")):
            if read >= MOST_READ:
                return
            call = view(item)
            if call and wanted.holds(call):
                yield call

    def get(self, customer_id: str, key: str) -> dict[str, Any] | None:
        """One call of this customer; None when it has none with this key."""
        if not _KEY.fullmatch(key):
            return None
        item = dynamodb.get(self._table, f"CUSTOMER#{customer_id}", key)
        return view(item) if item else None

    def _items(self, customer_id: str, month: str, after: str) -> Iterator[dynamodb.Item]:
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :month)",
            "ExpressionAttributeValues": marshal({":pk": f"CUSTOMER#{customer_id}", ":month": month}),
            "ScanIndexForward": False,
        }
        if after and _KEY.fullmatch(after) and after.startswith(month):
            query["ExclusiveStartKey"] = marshal({"pk": f"CUSTOMER#{customer_id}", "sk": after})
        for page in dynamodb.pages(**query):
            yield from map(unmarshal, page["Items"])


def view(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """A call as its customer sees it; None, counted, for a record that cannot be read."""
    try:
        legs = [_leg(leg) for leg in item["legs"]]
        for leg in legs:  # the first of what was spoken, and of what was typed, is the caller's
            leg["caller"] = leg is next(each for each in legs if each["media"] == leg["media"])
        answered, ended = item.get("answeredAt"), item.get("endedAt")
        seconds = None
        if answered and ended:
            seconds = max(0, round((clock.from_iso(ended) - clock.from_iso(answered)).total_seconds()))
        return {
            "key": item["sk"],
            "from": str(item["from"]),
            "to": str(item["to"]),
            "startedAt": item["startedAt"],
            "answered": bool(answered),
            "running": not ended,
            "seconds": seconds,
            "reason": str(item.get("reason", "")),
            "legs": legs,
            "encryption": _encryption(legs) if answered else "none",
            "beyond": str(item.get("beyond", "unknown")),
            "quality": _quality(legs),
            "receipt": item["receipt"] if isinstance(item.get("receipt"), str) else "",
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        logger.error("unreadable", extra={"what": "call record"})
        count("UnreadableItem")
        return None


def _leg(leg: Mapping[str, Any]) -> dict[str, Any]:
    suite, plain = str(leg.get("suite", "none")), int(leg.get("plaintextPackets", 0))
    return {
        "media": str(leg.get("media", "audio")),
        "suite": suite,
        "keying": str(leg.get("keying", "")),
        "packets": int(leg.get("packets", 0)),
        "sent": int(leg.get("sent", 0)),
        "plaintext": plain,
        "mos": leg.get("mos"),
        "encrypted": suite != "none" and plain == 0,
    }


def _encryption(legs: list[dict[str, Any]]) -> str:
    """all: every leg that we know; some: not all; none: no leg."""
    encrypted = [leg["encrypted"] for leg in legs]
    if encrypted and all(encrypted):
        return "all"
    return "some" if any(encrypted) else "none"


def _quality(legs: list[dict[str, Any]]) -> str:
    heard = [float(leg["mos"]) for leg in legs if leg["mos"] is not None]
    if not heard:
        return "unknown"
    worst = min(heard)
    return "good" if worst >= _GOOD_MOS else "fair" if worst >= _FAIR_MOS else "poor"


def table(calls: Iterator[Mapping[str, Any]], words: Mapping[str, str]) -> str:
    """Calls as a table for Dutch Excel."""
    columns = ("moment", "from", "to", "seconds", "encryption", "beyond", "quality", "plaintext")
    return spreadsheet.table([words[name] for name in columns], (_cells(call, words) for call in calls))


def _cells(call: Mapping[str, Any], words: Mapping[str, str]) -> list[str]:
    local = clock.local_time(clock.from_iso(call["startedAt"]))
    return [
        Value(f"{local:%d-%m-%Y %H:%M:%S}"),
        telephone(call["from"]),
        telephone(call["to"]),
        Value("" if call["seconds"] is None else call["seconds"]),
        words[f"encryption_{call['encryption']}"],
        words.get(f"beyond_{call['beyond']}", words["beyond_unknown"]),
        words[f"quality_{call['quality']}"],
        Value(sum(leg["plaintext"] for leg in call["legs"])),
    ]
