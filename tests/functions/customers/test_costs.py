"""How many requests to DynamoDB each view and change of a customer makes, however many there are: docs/benchmarks.md says them."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from customers import billing_run, contracts, due, environments, fulfilment, numbers, phone, phones, provision
from customers.provisioning import Make
from customers.states import Actor, Role
from customers.store import store
from ordering.order import Order
from shared import dynamodb
from tests.support.customers import NOW, prove

CUSTOMER, SALES = Actor(Role.CUSTOMER, "klant"), Actor(Role.SALES, "verkoop")
OPERATOR = Actor(Role.OPERATOR, "beheer")
NUMBER = "+31855550123"


@contextmanager
def requests() -> Iterator[Counter[str]]:
    """What is asked of DynamoDB meanwhile, by operation; items written in transactions as well."""
    made: Counter[str] = Counter()

    def see(params: dict[str, Any], model: Any, **_: Any) -> None:
        made[model.name] += 1
        if model.name == "TransactWriteItems":
            made["written"] += len(params["TransactItems"])

    events = dynamodb.client().meta.events
    events.register("provide-client-params.dynamodb", see)
    try:
        yield made
    finally:
        events.unregister("provide-client-params.dynamodb", see)


def seen(what: Callable[[], object]) -> tuple[int, int]:
    """How many requests something makes, and how many items it writes."""
    with requests() as made:
        what()
    written = made.pop("written", 0)
    return sum(made.values()), written


@pytest.fixture
def customer(approved: Callable[..., Order]) -> Callable[..., Order]:
    fulfilment.fulfil(approved("0123456789", "abc234", "plan"), NOW)
    numbers.load([NUMBER], "block", OPERATOR, NOW)
    numbers.reserve(NUMBER, "abc234", SALES, NOW)
    prove("abc234")
    numbers.activate(NUMBER, "abc234", SALES, NOW)
    fulfilment.fulfil(approved("ABCDEFGHJK", "abc234"), NOW)
    prove("abc234")
    return approved


def test_each_view_and_change_costs_a_few_requests(customer: Callable[..., Order]) -> None:
    price = phone.monthly_cents_after(store().get("abc234"), 1)
    issued = provision.issue("abc234", "abc234-201", Make.LINPHONE, "", CUSTOMER, NOW)
    _, _, username, secret, file = issued.path.split("/")
    december = datetime(2026, 12, 27, 9, tzinfo=NOW.tzinfo)
    costs = {
        "account": seen(lambda: store().get("abc234")),
        "history": seen(lambda: store().history("abc234")),
        "environment": seen(lambda: environments.get("abc234")),
        "rename a phone": seen(lambda: phones.change("abc234", "abc234-201", CUSTOMER, NOW, label="Balie")),
        "add a phone": seen(lambda: phones.add("abc234", [""], price, "M1", CUSTOMER, NOW)),
        "new passwords": seen(lambda: phones.hand_out("abc234", None, CUSTOMER, NOW)),
        "set up a phone": seen(lambda: provision.fetch(username, secret, file, issued.code, "", NOW)),
        "give notice": seen(lambda: contracts.give_notice("abc234", None, CUSTOMER, NOW)),
        "end": seen(lambda: due.carry_out("abc234", december)),
    }
    assert costs == {
        "account": (1, 0),
        "history": (1, 0),
        "environment": (1, 0),
        "rename a phone": (2, 3),
        "add a phone": (2, 4),
        "new passwords": (2, 3),
        "set up a phone": (5, 4),
        "give notice": (2, 5),
        "end": (4, 8),
    }


def test_the_fleet_and_the_bills_read_by_the_page_and_not_by_the_customer(customer: Callable[..., Order]) -> None:
    for number in range(12):
        order = customer(
            f"{number:010d}".replace("0123456789", "1123456789"), f"bcd2{number:02d}", email=f"{number}@example.nl"
        )
        fulfilment.fulfil(order, NOW)
    assert seen(lambda: list(environments.summaries())) == (16, 0)  # a page of each shard
    assert seen(lambda: list(environments.wanted())) == (17, 0)
    after = datetime.combine(date(2026, 12, 1), NOW.timetz()) + timedelta(hours=1)
    first = seen(lambda: billing_run.run(date(2026, 11, 1), after))
    assert first == (2 + 2 * 13 + 1, 1)  # two queries a customer, one write for the one that has a bill
