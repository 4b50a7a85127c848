"""112 has to know where a phone stands: what becomes of an environment without an address."""

from collections.abc import Callable

from customers import contacts, fulfilment, service
from customers.environment import Site
from customers.product import State as ProductState
from customers.states import Actor, Role
from customers.store import store
from ordering.order import Order, State
from ordering.store import OrderStore
from tests.support.customers import NOW, prove

CUSTOMER = Actor(Role.CUSTOMER, "klant")


def test_without_an_address_for_112_nothing_becomes_active_until_the_customer_gives_it(
    approved: Callable[..., Order], order_store: OrderStore
) -> None:
    order = approved("0123456789", "abc234", address=())
    fulfilment.fulfil(order, NOW)
    prove("abc234")
    found = store().get("abc234")
    assert {each.state for each in found.products} == {ProductState.CREATED}
    assert "112" in found.held_because and "adres" in found.held_because
    held = order_store.get(order.id)
    assert held.state is State.HELD and held.last.why == found.held_because, "sales and the order's page read the same"
    site = Site("", "Bakkersgang", "1", "3511 AA", "Utrecht", "NL")
    service.change("abc234", lambda one: contacts.put_site(one, site, CUSTOMER, NOW), NOW)
    found = store().get("abc234")
    assert {each.state for each in found.products} == {ProductState.ACTIVE} and not found.held_because
