"""Orders in DynamoDB: each change is one transaction of the order, its event, and what else must be true at that
moment.

That an order was placed needs no event beside it, and its id, made from the request's Idempotency-Key, no record of
that key.
"""

import base64
import heapq
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet import whereabouts
from ordering import items
from ordering.catalogue import Catalogue
from ordering.credentials import PhoneCredentials, new_password, sha256
from ordering.order import (
    TERMINAL,
    Event,
    NodeOverview,
    Order,
    OrderError,
    Role,
    ServingNode,
    State,
    issue_credentials,
    placing,
)
from ordering.queue import Entry
from shared import dynamodb
from shared.clock import to_iso
from shared.dynamodb import BusyError, Item, Refused, Write, marshal, unmarshal

_REMINDER_LASTS = timedelta(hours=1)
_ORDER_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{10}")
_BY_STATE = "by-state"
_ATTEMPTS = 8
_MOST_AT_ONCE = 100
MOST_SEARCHED = 2000
"""So many orders of each state a search looks at, the newest first: some 400 kB of index, less than a tenth of a
second.
"""
_FIXED_IN_A_VERSION = ("unitPriceCents", "validFrom", "unit", "period", "currency")
# Orders of one millisecond share a sort key in the index; so many of them can a page skip over.
_TIES = 16


class UnknownOrderError(LookupError):
    """There is no order with this id."""


class AlreadyPlacedError(Exception):
    """There is an order with this id already: the same request came before, or another one with the same
    Idempotency-Key.
    """

    def __init__(self, order: Order) -> None:
        super().__init__(f"order {order.id} was placed before")
        self.order = order


class OpenOrderError(Exception):
    """This customer has an SRTP order that is not done yet."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"order {order_id} is open")
        self.order_id = order_id


class NoNodeError(Exception):
    """The order has no place on a node, so its phones cannot get credentials."""


class ChangedOfferingError(ValueError):
    """A version of an offering was changed in place; orders refer to it, so a change is a new version."""

    def __init__(self, sk: str) -> None:
        super().__init__(
            f"{sk} was loaded before with another price, unit or day; give the change a new version in catalogue.toml"
        )


class _ChangedMeanwhileError(Exception):
    pass


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

    def place(self, order: Order) -> None:
        """Store a new order; raises AlreadyPlacedError or OpenOrderError."""

        def refused(before: Item | None) -> Exception:
            return AlreadyPlacedError(items.to_order(before)) if before else BusyError()

        # The order first, so that a repeated request is told of its own order rather than of an open one.
        opened = [self._put_open(order)] if order.needs_node else []
        dynamodb.transact(self._put_order(order, refused, "attribute_not_exists(pk)"), *opened)

    def open_order(self, email: str) -> str | None:
        """The id of the SRTP order of this address that is not done yet."""
        item = dynamodb.get(self._orders, _open_partition(email), "OPEN")
        return item["orderId"] if item else None

    def find(self, order_id: str) -> Order | None:
        """The order as it is, if there is one with this id; raises UnknownOrderError when this can be no order's id."""
        item = dynamodb.get(self._orders, _partition(order_id), "ORDER")
        return items.to_order(item) if item else None

    def get(self, order_id: str) -> Order:
        """The order as it is; raises UnknownOrderError."""
        found = self.find(order_id)
        if found is None:
            raise UnknownOrderError(order_id)
        return found

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
        return order, [placing(order.order_date), *events]

    def change(self, order_id: str, change: Callable[[Order], Order], *also: Write) -> Order:
        """Apply `change` to the order as it is, with `also` in the same transaction; whoever comes second sees the
        first's order.

        Raises UnknownOrderError, BusyError and what `change` raises.
        """
        for _ in range(_ATTEMPTS):
            before = self.get(order_id)
            after = change(before)
            if after.version == before.version:
                return after
            try:
                dynamodb.transact(*self._replace(before, after), *also)
            except _ChangedMeanwhileError:
                continue
            return after
        raise BusyError

    def change_seen(
        self, order_id: str, seen: int | None, change: Callable[[Order], Order], told_to: Role = Role.CUSTOMER
    ) -> Order:
        """Apply `change` if the order still has the version that was seen, or none is named.

        Raises as `change` does, and OrderError that tells what happened since that version.
        """

        def apply(found: Order) -> Order:
            # The state comes first: "approved already, by whom" says more than "changed meanwhile".
            changed = change(found)
            found.expect(seen)
            return changed

        try:
            return self.change(order_id, apply)
        except OrderError as error:
            error.told_to = told_to
            if seen is not None:
                error.since = [event for event in self.history(order_id)[1] if event.version > seen]
            raise

    def issue_credentials(self, order_id: str, realm: str, now: datetime) -> tuple[Order, list[PhoneCredentials]]:
        """Make the phones' passwords, give their hashes to the node and mark the order, all at once and only once.

        Raises UnknownOrderError, NoNodeError, and the errors of `order.issue_credentials`.
        """
        for _ in range(_ATTEMPTS):
            before = self.get(order_id)
            after = issue_credentials(before, now)
            assignment = self._assignment(order_id)
            phones = [
                PhoneCredentials(phone["extension"], phone["username"], new_password())
                for phone in assignment["phones"]
            ]
            try:
                dynamodb.transact(*self._replace(before, after), self._put_ha1(assignment, phones, realm))
            except _ChangedMeanwhileError:
                continue
            return after, phones
        raise BusyError

    def serving_node(self, order_id: str) -> ServingNode | None:
        """The node on which the order has its place, if it has one."""
        if serving := whereabouts.of(self.get(order_id).customer_id):
            return ServingNode(serving.node_id, serving.state, serving.address, serving.probe)
        allocation = self._allocation(order_id)
        node = allocation and dynamodb.get(self._fleet, "NODES", allocation["nodeId"])
        if not node or not allocation:
            return None
        report = dynamodb.get(self._fleet, allocation["instanceArn"], "REPORT") or {}
        probe = report.get("assignments", {}).get(order_id, {}).get("probe")
        return ServingNode(node["nodeId"], node["state"], node.get("address", ""), probe)

    def fleet(self) -> list[NodeOverview]:
        """All nodes that are or were of late, as the ledger has them, with their newest sign of life."""
        nodes = [node for node in dynamodb.partition(self._fleet, "NODES") if node["state"] != "terminated"]
        return [self._overview(node) for node in nodes]

    def _overview(self, node: Item) -> NodeOverview:
        heartbeat = (
            dynamodb.get(self._fleet, node["instanceArn"], "HEARTBEAT") if node.get("instanceArn") else None
        ) or {}
        return NodeOverview(
            id=node["nodeId"],
            state=node["state"],
            address=node.get("address", ""),
            capacity=node["capacity"],
            allocated=node["primary"] if "primary" in node else node.get("allocated", 0),
            calls=heartbeat.get("calls"),
            registrations=heartbeat.get("registrations"),
            heartbeat_at=datetime.fromtimestamp(heartbeat["at"] / 1000, UTC) if heartbeat else None,
        )

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
        return sum(page["Count"] for page in dynamodb.pages(Select="COUNT", **self._state_query(state)))

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

    def entries(self, states: Iterable[State], since: str = "0", until: str = "9") -> tuple[list[Entry], bool]:
        """What the index holds of the newest orders in these states: at most MOST_SEARCHED of each, ordered between two
        moments.

        And whether that is all of them.
        """
        newest: list[Entry] = []
        complete = True
        for state in states:
            query = self._state_query(state)
            query["KeyConditionExpression"] += " AND orderDate BETWEEN :since AND :until"
            query["ExpressionAttributeValues"] |= marshal({":since": since, ":until": until})
            pages = dynamodb.pages(ScanIndexForward=False, **query)
            found = (items.to_entry(unmarshal(item)) for page in pages for item in page["Items"])
            newest += itertools.islice(found, MOST_SEARCHED)
            complete = complete and next(found, None) is None
        return newest, complete

    def get_all(self, order_ids: Sequence[str]) -> list[Order]:
        """The orders with these ids, in that order, without those that do not exist."""
        found = dynamodb.batch_get(self._orders, [(f"ORDER#{order_id}", "ORDER") for order_id in order_ids])
        return [
            items.to_order(found[key]) for order_id in order_ids if (key := (f"ORDER#{order_id}", "ORDER")) in found
        ]

    def remind(self, order_id: str, now: datetime) -> None:
        """Have the address of an order told where the order is; at most once an hour, so that nobody is flooded through
        us.
        """
        item = {
            "pk": f"REMINDER#{order_id}",
            "sk": "REMINDER",
            "orderId": order_id,
            "at": to_iso(now),
            "expiresAt": int((now + _REMINDER_LASTS).timestamp()),
        }
        condition = "attribute_not_exists(pk) OR expiresAt <= :now"
        with suppress(_ChangedMeanwhileError):
            dynamodb.transact(
                dynamodb.put(
                    self._orders, item, lambda _: _ChangedMeanwhileError(), condition, now=int(now.timestamp())
                )
            )

    def _replace(self, before: Order, after: Order) -> list[Write]:
        condition = "#version = :version AND #state = :state"
        put = self._put_order(
            after, lambda _: _ChangedMeanwhileError(), condition, version=before.version, state=before.state.value
        )
        closed = (
            [self._delete_open(after)]
            if after.needs_node and before.state not in TERMINAL and after.state in TERMINAL
            else []
        )
        return [put, *self._put_news(after), *closed]

    def _put_open(self, order: Order) -> Write:
        item = {"pk": _open_partition(order.related_party.email), "sk": "OPEN", "orderId": order.id}

        def refused(first: Item | None) -> Exception:
            return OpenOrderError(first["orderId"]) if first else BusyError()

        return dynamodb.put(self._orders, item, refused, "attribute_not_exists(pk)")

    def _delete_open(self, order: Order) -> Write:
        key = {"pk": _open_partition(order.related_party.email), "sk": "OPEN"}
        condition = "attribute_not_exists(pk) OR orderId = :id"
        return dynamodb.delete(self._orders, key, lambda _: _ChangedMeanwhileError(), condition, id=order.id)

    def _put_order(self, order: Order, refused: Refused, condition: str, **values: Any) -> Write:
        item = {"pk": f"ORDER#{order.id}", "sk": "ORDER", **items.from_order(order)}
        return dynamodb.put(self._orders, item, refused, condition, **values)

    def _put_news(self, order: Order) -> list[Write]:
        return [
            dynamodb.put(
                self._orders,
                {"pk": f"ORDER#{order.id}", "sk": f"EVENT#{event.version:06d}", **items.from_event(event)},
                lambda _: _ChangedMeanwhileError(),
                "attribute_not_exists(pk)",
            )
            for event in order.news
        ]

    def _allocation(self, order_id: str) -> Item | None:
        return dynamodb.get(self._fleet, f"ALLOCATION#{order_id}", "ALLOCATION")

    def _assignment(self, order_id: str) -> Item:
        allocation = self._allocation(order_id)
        assignment = allocation and dynamodb.get(self._fleet, allocation["instanceArn"], f"ASSIGNMENT#{order_id}")
        if not assignment:
            raise NoNodeError(order_id)
        return assignment

    def _put_ha1(self, assignment: Item, phones: Sequence[PhoneCredentials], realm: str) -> Write:
        known = [
            {"extension": phone.extension, "username": phone.username, "ha1": phone.ha1(realm)} for phone in phones
        ]
        after = {**assignment, "version": assignment["version"] + 1, "phones": known}
        return dynamodb.put(
            self._fleet, after, lambda _: _ChangedMeanwhileError(), "#version = :version", version=assignment["version"]
        )


class CatalogueStore:
    """The catalogue table."""

    def __init__(self, table: str) -> None:
        self._table = table

    def read(self) -> Catalogue:
        """The catalogue that the last deploy loaded; raises LookupError when none was."""
        return items.to_catalogue(dynamodb.partition(self._table, "CATALOGUE"))

    def load(self, catalogue: Catalogue) -> None:
        """Make the table hold this catalogue; raises ChangedOfferingError when a version that was loaded before has
        another price now.
        """
        wanted = items.from_catalogue(catalogue)
        held = {item["sk"]: item for item in dynamodb.partition(self._table, "CATALOGUE")}
        for sk, item in wanted.items():
            before = held.get(sk)
            if (
                before
                and sk.startswith("OFFERING#")
                and any(before[name] != item[name] for name in _FIXED_IN_A_VERSION)
            ):
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


def _open_partition(email: str) -> str:
    """Where it stands that an address has an open order: hashed, so that the key tells no address."""
    return f"OPEN#{sha256(email.casefold())}"


def _write_cursor(key: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _read_cursor(cursor: str) -> tuple[str, str]:
    match json.loads(base64.urlsafe_b64decode(cursor)):
        case [str(order_date), str(order_id)]:
            return order_date, order_id
    raise ValueError("not a cursor")
