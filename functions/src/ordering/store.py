"""Orders in DynamoDB: each change is one transaction of the order, its event, and what else must be true at that moment."""

import base64
import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ordering import items
from ordering.catalogue import Catalogue
from ordering.credentials import PhoneCredentials, new_password
from ordering.order import Event, Order, ServingNode, State, issue_credentials
from shared import dynamodb
from shared.dynamodb import BusyError, Item, Write, marshal, unmarshal

_IDEMPOTENCY_LASTS = timedelta(days=1)
_ORDER_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{10}")
_BY_STATE = "by-state"
_ATTEMPTS = 8
_MOST_AT_ONCE = 100
_FIXED_IN_A_VERSION = ("unitPriceCents", "validFrom", "unit", "period", "currency")
# Orders of one millisecond share a sort key in the index; so many of them can a page skip over.
_TIES = 16


class UnknownOrderError(LookupError):
    """There is no order with this id."""


class AlreadyPlacedError(Exception):
    """An order was placed under this idempotency key before."""

    def __init__(self, record: "IdempotencyRecord") -> None:
        super().__init__(f"placed as order {record.order_id}")
        self.record = record


class NoNodeError(Exception):
    """The order has no place on a node, so its phones cannot get credentials."""


class ChangedOfferingError(ValueError):
    """A version of an offering was changed in place; orders refer to it, so a change is a new version."""

    def __init__(self, sk: str) -> None:
        super().__init__(f"{sk} was loaded before with another price, unit or day; give the change a new version in catalogue.toml")


class _ChangedMeanwhileError(Exception):
    pass


@dataclass(frozen=True)
class IdempotencyRecord:
    """What one Idempotency-Key stood for: which request, which order, and the token that only that request can unseal."""

    key_sha256: str
    request_hash: str
    order_id: str
    sealed_token: str


@dataclass(frozen=True)
class Page:
    """Orders newest first, and the cursor of the next page."""

    orders: tuple[Order, ...]
    next: str | None


class OrderStore:
    """The orders table, and in it the place of an order in the fleet table."""

    def __init__(self, orders_table: str, fleet_table: str) -> None:
        self._orders = orders_table
        self._fleet = fleet_table

    def place(self, order: Order, idempotency: IdempotencyRecord | None) -> None:
        """Store a new order; raises AlreadyPlacedError when its idempotency key was used within a day."""
        writes = [self._put_order(order, "attribute_not_exists(pk)"), self._put_event(order)]
        if idempotency:
            writes.append(self._put_idempotency(idempotency, order.order_date))
        dynamodb.transact(*writes)

    def placed(self, key_sha256: str, now: datetime) -> IdempotencyRecord | None:
        """What was placed under an idempotency key within a day."""
        item = dynamodb.get(self._orders, f"IDEMPOTENCY#{key_sha256}", "IDEMPOTENCY")
        # TTL deletes days late.
        return _record(item) if item and item["expiresAt"] > now.timestamp() else None

    def get(self, order_id: str) -> Order:
        """The order as it is; raises UnknownOrderError."""
        item = dynamodb.get(self._orders, _partition(order_id), "ORDER")
        if item is None:
            raise UnknownOrderError(order_id)
        return items.to_order(item)

    def history(self, order_id: str) -> tuple[Order, list[Event]]:
        """The order with all its events, oldest first; raises UnknownOrderError."""
        order, events = None, []
        for item in dynamodb.partition(self._orders, _partition(order_id)):
            if item["sk"] == "ORDER":
                order = items.to_order(item)
            else:
                events.append(items.to_event(item))
        if order is None:
            raise UnknownOrderError(order_id)
        return order, events

    def change(self, order_id: str, change: Callable[[Order], Order], *also: Write) -> Order:
        """Apply `change` to the order as it is, with `also` in the same transaction; whoever comes second sees the first's order.

        Raises UnknownOrderError, BusyError and what `change` raises.
        """
        for _ in range(_ATTEMPTS):
            before = self.get(order_id)
            after = change(before)
            try:
                dynamodb.transact(*self._replace(before, after), *also)
            except _ChangedMeanwhileError:
                continue
            return after
        raise BusyError

    def issue_credentials(self, order_id: str, realm: str, now: datetime) -> tuple[Order, list[PhoneCredentials]]:
        """Make the phones' passwords, give their hashes to the node and mark the order, all at once and only once.

        Raises UnknownOrderError, NoNodeError, and the errors of `order.issue_credentials`.
        """
        for _ in range(_ATTEMPTS):
            before = self.get(order_id)
            after = issue_credentials(before, now)
            assignment = self._assignment(order_id)
            phones = [PhoneCredentials(phone["extension"], phone["username"], new_password()) for phone in assignment["phones"]]
            try:
                dynamodb.transact(*self._replace(before, after), self._put_ha1(assignment, phones, realm))
            except _ChangedMeanwhileError:
                continue
            return after, phones
        raise BusyError

    def serving_node(self, order_id: str) -> ServingNode | None:
        """The node on which the order has its place, if it has one."""
        allocation = self._allocation(order_id)
        node = allocation and dynamodb.get(self._fleet, "NODES", allocation["nodeId"])
        return ServingNode(node["nodeId"], node["state"], node.get("address", "")) if node else None

    def newest(self, states: Sequence[State], limit: int, cursor: str | None = None) -> Page:
        """A page of the orders in these states, newest first; raises ValueError when the cursor is not one of ours."""
        after = _read_cursor(cursor) if cursor else None
        keys = heapq.merge(*(self._keys(state, limit + 1 + _TIES, after) for state in states), reverse=True)
        page = [key for key in keys if after is None or key < after][: limit + 1]
        found = dynamodb.batch_get(self._orders, [(f"ORDER#{order_id}", "ORDER") for _, order_id in page])
        # The index lags: an order that has just changed state is shown as it is, but only where it belongs.
        orders = [items.to_order(found[f"ORDER#{order_id}", "ORDER"]) for _, order_id in page[:limit]]
        more = _write_cursor(page[limit - 1]) if len(page) > limit else None
        return Page(tuple(order for order in orders if order.state in states), more)

    def in_states(self, *states: State) -> Iterator[Order]:
        """All orders in these states, newest first."""
        cursor = None
        while True:
            page = self.newest(states, _MOST_AT_ONCE, cursor)
            yield from page.orders
            cursor = page.next
            if cursor is None:
                return

    def counts(self) -> dict[State, int]:
        """How many orders there are in each state."""
        return {state: self._count(state) for state in State}

    def _count(self, state: State) -> int:
        pages = dynamodb.client().get_paginator("query").paginate(Select="COUNT", **self._state_query(state))
        return sum(page["Count"] for page in pages)

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

    def _replace(self, before: Order, after: Order) -> tuple[Write, Write]:
        condition = "#version = :version AND #state = :state"
        return self._put_order(after, condition, version=before.version, state=before.state.value), self._put_event(after)

    def _put_order(self, order: Order, condition: str, **values: Any) -> Write:
        item = {"pk": f"ORDER#{order.id}", "sk": "ORDER", **items.from_order(order)}
        return dynamodb.put(self._orders, item, lambda _: _ChangedMeanwhileError(), condition, **values)

    def _put_event(self, order: Order) -> Write:
        key = {"pk": f"ORDER#{order.id}", "sk": f"EVENT#{order.version:06d}"}
        event = {**key, **items.from_event(order.last)}
        return dynamodb.put(self._orders, event, lambda _: _ChangedMeanwhileError(), "attribute_not_exists(pk)")

    def _put_idempotency(self, record: IdempotencyRecord, now: datetime) -> Write:
        item = {
            "pk": f"IDEMPOTENCY#{record.key_sha256}",
            "sk": "IDEMPOTENCY",
            "requestHash": record.request_hash,
            "orderId": record.order_id,
            "sealedToken": record.sealed_token,
            "expiresAt": int((now + _IDEMPOTENCY_LASTS).timestamp()),
        }

        def refused(first: Item | None) -> Exception:
            return AlreadyPlacedError(_record(first)) if first else BusyError()

        return dynamodb.put(self._orders, item, refused, "attribute_not_exists(pk) OR expiresAt <= :now", now=int(now.timestamp()))

    def _allocation(self, order_id: str) -> Item | None:
        return dynamodb.get(self._fleet, f"ALLOCATION#{order_id}", "ALLOCATION")

    def _assignment(self, order_id: str) -> Item:
        allocation = self._allocation(order_id)
        assignment = allocation and dynamodb.get(self._fleet, allocation["instanceArn"], f"ASSIGNMENT#{order_id}")
        if not assignment:
            raise NoNodeError(order_id)
        return assignment

    def _put_ha1(self, assignment: Item, phones: Sequence[PhoneCredentials], realm: str) -> Write:
        known = [{"extension": phone.extension, "username": phone.username, "ha1": phone.ha1(realm)} for phone in phones]
        after = {**assignment, "version": assignment["version"] + 1, "phones": known}
        return dynamodb.put(self._fleet, after, lambda _: _ChangedMeanwhileError(), "#version = :version", version=assignment["version"])


class CatalogueStore:
    """The catalogue table."""

    def __init__(self, table: str) -> None:
        self._table = table

    def read(self) -> Catalogue:
        """The catalogue that the last deploy loaded; raises LookupError when none was."""
        return items.to_catalogue(dynamodb.partition(self._table, "CATALOGUE"))

    def load(self, catalogue: Catalogue) -> None:
        """Make the table hold this catalogue; raises ChangedOfferingError when a version that was loaded before has another price now."""
        wanted = items.from_catalogue(catalogue)
        held = {item["sk"]: item for item in dynamodb.partition(self._table, "CATALOGUE")}
        for sk, item in wanted.items():
            before = held.get(sk)
            if before and sk.startswith("OFFERING#") and any(before[name] != item[name] for name in _FIXED_IN_A_VERSION):
                raise ChangedOfferingError(sk)
        for sk, item in wanted.items():
            if held.get(sk) != {"pk": "CATALOGUE", "sk": sk, **item}:
                dynamodb.client().put_item(TableName=self._table, Item=marshal({"pk": "CATALOGUE", "sk": sk, **item}))
        for sk in held.keys() - wanted.keys():
            # Offerings stay: orders refer to their versions. A promotion that was taken off the list must not run on.
            if not sk.startswith("OFFERING#"):
                dynamodb.client().delete_item(TableName=self._table, Key=marshal({"pk": "CATALOGUE", "sk": sk}))


def _partition(order_id: str) -> str:
    """The order's partition key; raises UnknownOrderError when this can be no order's id."""
    if not _ORDER_ID.fullmatch(order_id):
        raise UnknownOrderError(order_id)
    return f"ORDER#{order_id}"


def _record(item: Item) -> IdempotencyRecord:
    return IdempotencyRecord(item["pk"].removeprefix("IDEMPOTENCY#"), item["requestHash"], item["orderId"], item["sealedToken"])


def _write_cursor(key: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _read_cursor(cursor: str) -> tuple[str, str]:
    match json.loads(base64.urlsafe_b64decode(cursor)):
        case [str(order_date), str(order_id)]:
            return order_date, order_id
    raise ValueError("not a cursor")
