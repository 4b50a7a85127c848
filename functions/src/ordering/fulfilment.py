"""What the rest of the house tells an order: it is delivered, it has to wait, it goes on, its cancellation is done. Again does no harm."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache

from ordering import order
from ordering.order import FLEET, Actor, Order, Role, SipServer, State
from ordering.store import OrderStore
from shared import settings

SIP_PORT = 5061
"""SIP over TLS (RFC 3261 section 19.1.2); the names of environments have SRV records for others."""

_WITHDRAWAL = Actor(Role.SALES, "herroeping")
"""Grants a cancellation as sales does, because the law has decided."""


@cache
def _orders() -> OrderStore:
    return OrderStore(settings.orders_table())


def find(order_id: str) -> Order | None:
    """The order as it is now; None when there is none."""
    return _orders().find(order_id)


def completed() -> Iterator[Order]:
    """All orders that are completed, newest first; one that cannot be read is left out and counted."""
    return _orders().in_states(State.COMPLETED)


def complete(order_id: str, node_id: str, host: str, now: datetime) -> None:
    """The order is in service, as `node_id` has proven; its phones register at `host`.

    Raises UnknownOrderError or TransitionRefusedError.
    """

    def change(found: Order) -> Order:
        if found.state is State.COMPLETED:
            return found
        if found.state is State.HELD:
            found = order.move(found, State.IN_PROGRESS, FLEET, now)
        return order.complete(found, SipServer(node_id, host, SIP_PORT), now)

    _change(order_id, change)


def hold(order_id: str, reason: str, now: datetime) -> None:
    """The order has to wait, for a reason in words for its customer; what is not in progress stays as it is."""
    _change(
        order_id,
        lambda found: order.move(found, State.HELD, FLEET, now, reason) if found.state is State.IN_PROGRESS else found,
    )


def resume(order_id: str, now: datetime) -> None:
    """The order goes on; what sales has put on hold stays there."""

    def change(found: Order) -> Order:
        waits = found.state is State.HELD and found.last_change.who.role is Role.FLEET
        return order.move(found, State.IN_PROGRESS, FLEET, now) if waits else found

    _change(order_id, change)


def cancelled(order_id: str, now: datetime) -> None:
    """What was made for an order that is to be cancelled is gone; an order that is not to be cancelled stays as it is."""
    _change(
        order_id,
        lambda found: (
            order.move(found, State.CANCELLED, FLEET, now) if found.state is State.PENDING_CANCELLATION else found
        ),
    )


def withdrawn(order_id: str, now: datetime) -> None:
    """A consumer withdrew before the order was in service, which nobody can refuse: it is cancelled, without review by sales."""

    def change(found: Order) -> Order:
        if found.state in (State.IN_PROGRESS, State.HELD):
            found = order.cancel(found, _WITHDRAWAL, now, "Herroepen")
        return order.move(found, State.CANCELLED, FLEET, now) if found.state is State.PENDING_CANCELLATION else found

    _change(order_id, change)


def _change(order_id: str, change: Callable[[Order], Order]) -> None:
    _orders().change(order_id, change)
