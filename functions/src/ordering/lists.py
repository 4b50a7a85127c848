"""Lists of orders: pages, search, counts and what changed, each at a bounded number of reads however many orders there are.

The index by-state holds what a search, a sort and a sum need; the index by-change what a poll asks; COUNTS how many there are.
"""

import base64
import heapq
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ordering import items
from ordering.items import Unreadable
from ordering.order import Order, State
from ordering.queue import ANSWERED, Entry
from shared import dynamodb
from shared.clock import from_iso, to_iso
from shared.dynamodb import Item, marshal, unmarshal
from shared.telemetry import count, logger

_BY_STATE = "by-state"
_BY_CHANGE = "by-change"
_MOST_AT_ONCE = 100
MOST_SEARCHED = 2000
"""So many orders of each state a search looks at, the newest first."""
MOST_CHANGES = 100
"""So many orders a poll answers at most; the cursor goes on after them."""
COUNT_SHARDS = 8
"""Counts stand in so many items, so that changes at the same time seldom meet in one."""
# Orders of one millisecond share a sort key in the index; so many of them can a page skip over.
_TIES = 16
# An index of DynamoDB follows its table within a second or so, and not always in order.
_INDEX_LAG = timedelta(seconds=10)


@dataclass(frozen=True)
class Page:
    """Orders newest first, and the cursor of the next page."""

    orders: tuple[Order | Unreadable, ...]
    next: str | None


@dataclass(frozen=True)
class Changes:
    """Orders that changed since a moment, oldest change first; `until` is where the next poll begins."""

    orders: tuple[Order | Unreadable, ...]
    until: str
    more: bool


class OrderLists:
    """The orders table as far as it is listed. An item that cannot be read is listed as such, counted, and stops nothing."""

    def __init__(self, orders_table: str) -> None:
        self._orders = orders_table

    def newest(self, states: Sequence[State], limit: int, cursor: str | None = None) -> Page:
        """A page of the orders in these states, newest first; raises ValueError when the cursor is not one of ours."""
        after = _read_cursor(cursor) if cursor else None
        keys = heapq.merge(*(self._keys(state, limit + 1 + _TIES, after) for state in states), reverse=True)
        page = [key for key in keys if after is None or key < after][: limit + 1]
        found = self.get_all([order_id for _, order_id in page[:limit]])
        more = _write_cursor(page[limit - 1]) if len(page) > limit else None
        # The index lags: an order that has just changed state is shown as it is, but only where it belongs.
        return Page(tuple(each for each in found if isinstance(each, Unreadable) or each.state in states), more)

    def in_states(self, *states: State) -> Iterator[Order]:
        """All orders in these states that can be read, newest first."""
        cursor = None
        while True:
            page = self.newest(states, _MOST_AT_ONCE, cursor)
            yield from (each for each in page.orders if isinstance(each, Order))
            cursor = page.next
            if cursor is None:
                return

    def counts(self) -> Mapping[str, int]:
        """How many orders there are in each state, and how many wait for sales after an answer of their customer."""
        shards = dynamodb.batch_get(self._orders, [("COUNTS", f"SHARD#{shard}") for shard in range(COUNT_SHARDS)])
        names = [*(state.value for state in State), ANSWERED]
        return {name: sum(shard.get(name, 0) for shard in shards.values()) for name in names}

    def entries(self, states: Iterable[State], since: str = "0", until: str = "9") -> tuple[list[Entry], bool]:
        """What the index holds of the newest orders in these states, ordered between two moments: at most MOST_SEARCHED
        of each state. And whether that is all of them.
        """
        newest: list[Entry] = []
        complete = True
        for state in states:
            query = self._state_query(state)
            query["KeyConditionExpression"] += " AND orderDate BETWEEN :since AND :until"
            query["ExpressionAttributeValues"] |= marshal({":since": since, ":until": until})
            pages = dynamodb.pages(ScanIndexForward=False, **query)
            found = (entry for page in pages for item in page["Items"] if (entry := _entry(unmarshal(item))))
            newest += itertools.islice(found, MOST_SEARCHED)
            complete = complete and next(found, None) is None
        return newest, complete

    def changes(self, since: str | None, now: datetime) -> Changes:
        """The orders that changed since the `until` of the poll before, some perhaps again; raises ValueError for another text."""
        if since is None:
            return Changes((), to_iso(now), False)
        query: dict[str, Any] = {
            "TableName": self._orders,
            "IndexName": _BY_CHANGE,
            "KeyConditionExpression": "feed = :feed AND changedAt > :since",
            "ExpressionAttributeValues": marshal({":feed": items.FEED, ":since": to_iso(from_iso(since) - _INDEX_LAG)}),
        }
        found = [unmarshal(item) for item in dynamodb.client().query(Limit=MOST_CHANGES, **query)["Items"]]
        orders = self.get_all([item["pk"].removeprefix("ORDER#") for item in found])
        until = max([since, *(item["changedAt"] for item in found)])
        return Changes(tuple(orders), until, len(found) == MOST_CHANGES)

    def get_all(self, order_ids: Sequence[str]) -> list[Order | Unreadable]:
        """The orders with these ids, in that order, without those that do not exist."""
        found = dynamodb.batch_get(self._orders, [(f"ORDER#{order_id}", "ORDER") for order_id in order_ids])
        return [read(found[key]) for order_id in order_ids if (key := (f"ORDER#{order_id}", "ORDER")) in found]

    def _keys(self, state: State, limit: int, after: tuple[str, str] | None) -> Iterable[tuple[str, str]]:
        """(orderDate, id) of the orders in a state, newest first."""
        query = self._state_query(state)
        if after:
            query["KeyConditionExpression"] += " AND orderDate <= :after"
            query["ExpressionAttributeValues"] |= marshal({":after": after[0]})
        answer = dynamodb.client().query(ScanIndexForward=False, Limit=limit, **query)
        found = [unmarshal(item) for item in answer["Items"]]
        return sorted(((item["orderDate"], item["pk"].removeprefix("ORDER#")) for item in found), reverse=True)

    def _state_query(self, state: State) -> dict[str, Any]:
        return {
            "TableName": self._orders,
            "IndexName": _BY_STATE,
            "KeyConditionExpression": "#state = :state",
            "ExpressionAttributeNames": {"#state": "state"},
            "ExpressionAttributeValues": marshal({":state": state.value}),
        }


def read(item: Item) -> Order | Unreadable:
    """The order of an item, or that it cannot be read, which the log tells and a metric counts."""
    try:
        return items.to_order(item)
    except Exception:
        unreadable = Unreadable.of(item)
        # Not the error's text: it may hold what stands in the item.
        logger.error("order unreadable", extra={"order_id": unreadable.id})
        count("OrderUnreadable")
        return unreadable


def _entry(item: Item) -> Entry | None:
    try:
        return items.to_entry(item)
    except Exception:
        logger.error("order unreadable in the index", extra={"order_id": Unreadable.of(item).id})
        count("OrderUnreadable")
        return None


def _write_cursor(key: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _read_cursor(cursor: str) -> tuple[str, str]:
    match json.loads(base64.urlsafe_b64decode(cursor)):
        case [str(order_date), str(order_id)]:
            return order_date, order_id
    raise ValueError("not a cursor")
