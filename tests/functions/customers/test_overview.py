"""customers.months: products that run, began and ended in a month, and what they bring now."""

from collections.abc import Callable
from datetime import date, timedelta

from customers import contracts, due, fulfilment, months
from customers.overview import Count
from customers.states import Actor, Role
from ordering.order import Order
from tests.support.customers import NOW, prove

CUSTOMER = Actor(Role.CUSTOMER, "klant")
NOVEMBER, DECEMBER = date(2026, 11, 1), date(2026, 12, 1)


def test_a_month_counts_products(approved: Callable[..., Order]) -> None:
    for number, customer_id in enumerate(("abc234", "bcd345", "xyz789")):
        fulfilment.fulfil(approved(f"012345678{number}", customer_id, email=f"{customer_id}@example.nl"), NOW)
        if customer_id != "xyz789":  # it waits for its proof call, and is no revenue yet
            prove(customer_id)
    assert months.products_of(NOVEMBER) == [Count("srtp", running=2, units=6, began=2, monthly_cents=1200)]
    contracts.give_notice("abc234", None, CUSTOMER, NOW)
    assert months.products_of(NOVEMBER)[0].running == 2
    due.run(NOW + timedelta(days=31))
    assert months.products_of(NOVEMBER) == [Count("srtp", running=1, units=3, began=2, monthly_cents=600)]
    assert months.products_of(DECEMBER) == [Count("srtp", running=1, units=3, ended=1, monthly_cents=600)]


def test_an_order_that_was_cancelled_is_no_product_of_any_month(approved: Callable[..., Order]) -> None:
    order = approved("0123456789", "abc234", kvk="")
    fulfilment.fulfil(order, NOW)
    contracts.withdraw("abc234", "0123456789-srtp", CUSTOMER, NOW)
    assert months.products_of(NOVEMBER) == []
