"""The queue of sales: which orders a search finds, in which order, a page at a time, and what a month came to. Pure."""

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from ordering.order import Order, State
from shared.clock import local_day, to_iso

_LONGEST_SEARCH_TEXT = 600
_NUMBER = re.compile(r"\+?[0-9][0-9 ./()-]{2,}")


class Sort(StrEnum):
    """By what the queue can be sorted."""

    ORDER_DATE = "orderDate"
    COMPANY = "company"
    MONTHLY_TOTAL = "monthlyTotal"


@dataclass(frozen=True)
class Entry:
    """What the index knows of an order; `search` is its search text, folded."""

    order_id: str
    state: State
    order_date: datetime
    category: str
    search: str
    phones: int
    monthly_total_cents: int


@dataclass(frozen=True)
class Filter:
    """Which orders to show; empty means any."""

    states: frozenset[State] = frozenset()
    category: str = ""
    text: str = ""

    def holds(self, entry: Entry) -> bool:
        """Whether an order is to be shown."""
        return (
            (not self.states or entry.state in self.states)
            and self.category in ("", entry.category)
            and all(word in entry.search for word in wanted(self.text))
        )


ANSWERED = "answered"
"""The count of orders that wait for sales because their customer answered a question."""


def counted_as(order: Order) -> list[str]:
    """Under which names an order counts: its state, and ANSWERED."""
    return [order.state.value, *([ANSWERED] if attention(order) == ANSWERED else [])]


def attention(order: Order) -> str | None:
    """Why an order waits for somebody of sales besides being new: the customer answered, or asked for its end."""
    if order.state is State.ACKNOWLEDGED and order.last_change.source is State.PENDING:
        return ANSWERED
    return "cancellationAsked" if order.state is State.ASSESSING_CANCELLATION else None


def search_text(order: Order) -> str:
    """What a search compares, a line each: company, numbers, ids, who ordered, and the beginning of what was asked.

    The company comes first: the queue is sorted by it. Each kilobyte of the index is read by every search.
    """
    party = order.related_party
    asked = [fold(detail.text) for detail in order.details]
    lines = (
        party.kvk,
        party.telephone,
        order.id.lower(),
        order.delivered_to,
        fold(party.name),
        fold(party.email),
        *asked,
    )
    return "\n".join((fold(party.company), *filter(None, lines)))[:_LONGEST_SEARCH_TEXT]


def related(order: Order, entry: Entry) -> bool:
    """Whether another order is of the same customer, or of the same mail address, enterprise number or telephone number."""
    party = order.related_party
    lines = set(entry.search.split("\n"))
    return not lines.isdisjoint(filter(None, (order.delivered_to, fold(party.email), party.kvk, party.telephone)))


def wanted(text: str) -> list[str]:
    """What must all stand in an order's search text: the words, or one number as a person writes it (085 123 45 67)."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        # The number stands there as E.164: the country code takes the place of the first 0.
        return [re.sub(r"[^0-9]", "", text.replace("(0)", "")).removeprefix("00").removeprefix("0")]
    return fold(text).split()


def fold(text: str) -> str:
    """Lower case and without accents: Café is found by cafe."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return " ".join(bare.split())


_KEYS: Mapping[Sort, Callable[[Entry], Any]] = {
    Sort.ORDER_DATE: lambda entry: to_iso(entry.order_date),
    Sort.COMPANY: lambda entry: entry.search.partition("\n")[0],
    Sort.MONTHLY_TOTAL: lambda entry: entry.monthly_total_cents,
}


def arrange(entries: Iterable[Entry], sort: Sort, descending: bool) -> list[Entry]:
    """Sorted; what is equal stands by id, so that pages hold every order once."""
    return sorted(entries, key=lambda entry: _place(entry, sort), reverse=descending)


def page(
    arranged: Sequence[Entry], sort: Sort, descending: bool, limit: int, cursor: str | None
) -> tuple[list[Entry], str | None]:
    """The next `limit` entries after the cursor, and the cursor after them; raises ValueError for a cursor that is not
    of this sort.
    """
    if cursor:
        after = _read(cursor, sort)
        arranged = [
            entry for entry in arranged if (_place(entry, sort) < after if descending else _place(entry, sort) > after)
        ]
    shown = list(arranged[:limit])
    return shown, _write(_place(shown[-1], sort)) if len(arranged) > limit else None


def _place(entry: Entry, sort: Sort) -> tuple[Any, str]:
    return _KEYS[sort](entry), entry.order_id


def _write(place: tuple[Any, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _read(cursor: str, sort: Sort) -> tuple[Any, str]:
    try:
        match json.loads(base64.urlsafe_b64decode(cursor)):
            case [value, str(order_id)] if type(value) is (int if sort is Sort.MONTHLY_TOTAL else str):
                return value, order_id
    except (binascii.Error, UnicodeError):
        pass
    raise ValueError("not a cursor of this sort")


_LOST = frozenset({State.REJECTED, State.CANCELLED, State.FAILED})


def month(entries: Iterable[Entry], name: str) -> dict[str, Any]:
    """What the orders of one month come to: what is active, what is expected (not decided or not delivered yet), and what is lost."""
    found = list(entries)
    active = [entry for entry in found if entry.state is State.COMPLETED]
    lost = [entry for entry in found if entry.state in _LOST]
    expected = [entry for entry in found if entry.state is not State.COMPLETED and entry.state not in _LOST]
    days: dict[date, int] = {}
    for entry in found:
        day = local_day(entry.order_date)
        days[day] = days.get(day, 0) + 1
    return {
        "month": name,
        "orders": len(found),
        "active": _sum(active),
        "expected": _sum(expected),
        "lost": _sum(lost),
        "byState": {state.value: sum(entry.state is state for entry in found) for state in State},
        "byDay": [{"day": str(day), "orders": number} for day, number in sorted(days.items())],
    }


def _sum(entries: Sequence[Entry]) -> dict[str, int]:
    return {
        "orders": len(entries),
        "phones": sum(entry.phones for entry in entries),
        "monthlyRevenueCents": sum(entry.monthly_total_cents for entry in entries),
    }
