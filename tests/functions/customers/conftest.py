"""What the tests of customers share: a store of orders, and orders that sales approved."""

from collections.abc import Callable
from typing import Any

import pytest

from ordering import order as orders
from ordering.order import Order, State
from ordering.store import OrderStore
from shared import settings
from tests.support.customers import NOW, SALES, placed


@pytest.fixture
def order_store(environment: None) -> OrderStore:
    return OrderStore(settings.orders_table())


@pytest.fixture
def approved(order_store: OrderStore) -> Callable[..., Order]:
    def approve(*args: Any, **options: Any) -> Order:
        found = placed(*args, **options)
        order_store.place(found)
        return order_store.change(found.id, lambda each: orders.move(each, State.IN_PROGRESS, SALES, NOW))

    return approve
