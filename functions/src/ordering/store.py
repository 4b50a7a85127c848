"""Orders in DynamoDB: each change is one transaction of the order, its event, and what else must be true at that
moment.

That an order was placed needs no event beside it, and its id, made from the request's Idempotency-Key, no record of
that key.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from ordering import items
from ordering.credentials import sha256
from ordering.items import Unreadable
from ordering.lists import COUNT_SHARDS, OrderLists, read
from ordering.order import TERMINAL, Action, Event, Order, OrderError, Role, placing
from ordering.queue import counted_as
from shared import dynamodb
from shared.clock import to_iso
from shared.dynamodb import BusyError, Item, Refused, Write
from shared.telemetry import count, logger

_REMINDER_LASTS = timedelta(hours=1)
_ORDER_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{10}")
_ATTEMPTS = 8
_WHATEVER = "attribute_exists(pk) OR attribute_not_exists(pk)"


class UnknownOrderError(LookupError):
    """There is no order with this id."""


class UnreadableOrderError(Exception):
    """There is an order with this id, and its item cannot be read."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"order {order_id} cannot be read")
        self.order_id = order_id


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


class _ChangedMeanwhileError(Exception):
    pass


class OrderStore(OrderLists):
    """The orders table."""

    def place(self, order: Order) -> None:
        """Store a new order; raises AlreadyPlacedError or OpenOrderError."""

        def refused(before: Item | None) -> Exception:
            return AlreadyPlacedError(_readable(before)) if before else BusyError()

        # The order first, so that a repeated request is told of its own order rather than of an open one.
        opened = [self._put_open(order)] if _is_alone(order) else []
        put = self._put_order(order, refused, "attribute_not_exists(pk)")
        dynamodb.transact(put, *opened, *self._count(order.id, dict.fromkeys(counted_as(order), 1)))

    def open_order(self, email: str) -> str | None:
        """The id of the SRTP order of this address that is not done yet."""
        item = dynamodb.get(self._orders, _open_partition(email), "OPEN")
        return item["orderId"] if item else None

    def find(self, order_id: str) -> Order | None:
        """The order as it is, if there is one; raises UnknownOrderError when this can be no order's id, and
        UnreadableOrderError.
        """
        item = dynamodb.get(self._orders, _partition(order_id), "ORDER")
        return _readable(item) if item else None

    def get(self, order_id: str) -> Order:
        """The order as it is; raises UnknownOrderError."""
        found = self.find(order_id)
        if found is None:
            raise UnknownOrderError(order_id)
        return found

    def history(self, order_id: str) -> tuple[Order, list[Event]]:
        """The order with all its events, oldest first; raises UnknownOrderError."""
        order, events = None, list[Event]()
        for item in dynamodb.partition(self._orders, _partition(order_id)):
            if item["sk"] == "ORDER":
                order = _readable(item)
            elif event := _event(item):
                events.append(event)
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
            if after.version == before.version and not also:
                return before
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
        return [put, *self._put_news(after), *self._move_open(before, after), *self._recount(before, after)]

    def _recount(self, before: Order, after: Order) -> list[Write]:
        changes: dict[str, int] = {}
        for name in counted_as(before):
            changes[name] = changes.get(name, 0) - 1
        for name in counted_as(after):
            changes[name] = changes.get(name, 0) + 1
        return self._count(after.id, {name: number for name, number in changes.items() if number})

    def _count(self, order_id: str, changes: dict[str, int]) -> list[Write]:
        """Keep the counts in the transaction that changes them: they are never wrong, and reading them costs the same always."""
        if not changes:
            return []
        key = {"pk": "COUNTS", "sk": f"SHARD#{int(sha256(order_id)[:8], 16) % COUNT_SHARDS}"}
        expression = "ADD " + ", ".join(f"#{name} :{name}" for name in changes)
        return [dynamodb.update(self._orders, key, expression, lambda _: BusyError(), _WHATEVER, **changes)]

    def _move_open(self, before: Order, after: Order) -> list[Write]:
        """An order that ends, or whose mail address is corrected, leaves the mark of its address."""
        open_before = _is_alone(before) and before.state not in TERMINAL
        open_after = _is_alone(after) and after.state not in TERMINAL
        moved = before.related_party.email.casefold() != after.related_party.email.casefold()
        left = [self._delete_open(before)] if open_before and (moved or not open_after) else []
        return left + ([self._put_open(after)] if open_before and open_after and moved else [])

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


def _partition(order_id: str) -> str:
    """The order's partition key; raises UnknownOrderError when this can be no order's id."""
    if not _ORDER_ID.fullmatch(order_id):
        raise UnknownOrderError(order_id)
    return f"ORDER#{order_id}"


def _open_partition(email: str) -> str:
    """Where it stands that an address has an open order: hashed, so that the key tells no address."""
    return f"OPEN#{sha256(email.casefold())}"


def _is_alone(order: Order) -> bool:
    """Whether its address may have no other order like it open: who is signed in changes what there is already."""
    return order.needs_node and order.action is Action.ADD and not order.signed_in


def _readable(item: Item) -> Order:
    order = read(item)
    if isinstance(order, Unreadable):
        raise UnreadableOrderError(order.id)
    return order


def _event(item: Item) -> Event | None:
    try:
        return items.to_event(item)
    except Exception:
        logger.error("event unreadable", extra={"order_id": Unreadable.of(item).id})
        count("OrderUnreadable")
        return None
