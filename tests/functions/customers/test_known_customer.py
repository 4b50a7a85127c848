"""Who orders again and proves the mail address is the customer that there is already: one environment, one bill."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from customers import environments, fulfilment, numbers
from customers.product import State as ProductState
from customers.states import Actor, Role
from customers.store import store
from ordering import credentials, own_order
from ordering import order as orders
from ordering.order import Order, RelatedParty, State
from ordering.store import OrderStore
from shared import settings
from tests.support.customers import ADDRESS, NOW, SALES, placed, prove

FIRST, AGAIN = "0123456789", "ABCDEFGHJK"
NUMBER = "+31855550166"


@pytest.fixture
def customer(approved: Callable[..., Order]) -> str:
    fulfilment.fulfil(approved(FIRST, "abc234"), NOW)
    prove("abc234")
    return "abc234"


def order_again(order_store: OrderStore, **party: str) -> Order:
    token = credentials.order_token(settings.order_key(), AGAIN)
    found = placed(AGAIN, "xyz789", "plan", 1, (), ADDRESS, **party)
    order_store.place(found)
    proof = credentials.address_proof(settings.order_key(), AGAIN, found.related_party.email)
    own_order.prove_address(AGAIN, token, proof, NOW)
    return order_store.get(AGAIN)


def approve(order_store: OrderStore) -> Order:
    return order_store.change(AGAIN, lambda each: orders.move(each, State.IN_PROGRESS, SALES, NOW))


def test_a_plan_of_a_customer_with_srtp_goes_to_that_customer_and_its_number_rings_its_phones(
    customer: str, order_store: OrderStore
) -> None:
    assert order_again(order_store).delivered_to == customer
    fulfilment.fulfil(approve(order_store), NOW)
    prove(customer)
    assert store().find("xyz789") is None
    numbers.load([NUMBER], "test", Actor(Role.OPERATOR, "beheer"), NOW)
    numbers.reserve(NUMBER, customer, Actor(Role.SALES, "verkoop"), NOW)
    numbers.activate(NUMBER, customer, Actor(Role.SALES, "verkoop"), NOW)
    found = environments.get(customer)
    assert found and found.encrypted and len(found.phones) == 3
    assert [(line.number, line.rings) for line in found.lines] == [
        (NUMBER, tuple(f"{customer}-{each}" for each in (201, 202, 203)))
    ]
    assert {each.state for each in store().get(customer).products} == {ProductState.ACTIVE}
    assert order_store.get(AGAIN).state is State.COMPLETED


@pytest.mark.parametrize(
    "party",
    [
        {"kvk": "87654321"},
        {"kvk": "", "company": "Slagerij"},
        {"email": "b@example.nl"},
        {"country": "BE", "kvk": "0403170701"},
    ],
)
def test_another_company_or_address_is_a_customer_of_its_own(
    customer: str, order_store: OrderStore, party: dict[str, str]
) -> None:
    assert order_again(order_store, **party).delivered_to == "xyz789"


def test_two_customers_of_one_owner_leave_it_to_sales(
    customer: str, approved: Callable[..., Order], order_store: OrderStore
) -> None:
    fulfilment.fulfil(approved("0123456788", "def567", "plan"), NOW)
    assert order_again(order_store).delivered_to == "xyz789"


def test_a_correction_of_the_company_or_the_address_makes_it_nobodys(customer: str, order_store: OrderStore) -> None:
    found = order_again(order_store)
    for changed in ({"company": "Slagerij"}, {"email": "b@example.nl"}):
        party = RelatedParty(**{**vars(found.related_party), **changed})
        assert orders.correct(found, party, SALES, NOW).delivered_to == "xyz789"
    named = RelatedParty(**{**vars(found.related_party), "name": "B"})
    assert orders.correct(found, named, SALES, NOW).delivered_to == customer


def test_what_was_approved_before_the_address_was_proven_is_delivered_as_approved(
    customer: str, order_store: OrderStore
) -> None:
    found = placed(AGAIN, "xyz789", "plan")
    order_store.place(found)
    done = orders.prove_address(orders.move(found, State.IN_PROGRESS, SALES, NOW), NOW, customer)
    assert done.address_proven_at and done.delivered_to == "xyz789"
