"""customers.store: accounts in DynamoDB Local."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from customers import account as accounts
from customers import delivery, environments
from customers.account import Account, EventKind
from customers.customer import Kind
from customers.delivery import Delivery, Item
from customers.environment import Site
from customers.states import Actor, Role
from customers.store import CustomerStore, TakenError, UnknownCustomerError, store
from shared import dynamodb

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
SALES = Actor(Role.SALES, "verkoop")
SRTP = Item("srtp", 1, "SRTP: versleutelde gesprekken", "phone", True, 3, 200)


def srtp(customer_id: str = "abc234", order_id: str = "0123456789", **changes: Any) -> Delivery:
    made = Delivery(
        order_id=order_id,
        customer_id=customer_id,
        company="Bakkerij Jansen",
        enterprise_number="12345678",
        contact_name="A. Jansen",
        email="Jansen@example.nl",
        telephone="+31855550123",
        language="nl",
        country="NL",
        kind=Kind.BUSINESS,
        items=(SRTP,),
        placed_at=NOW,
        approved_at=NOW,
        site=Site("", "Bakkersgang", "1", "3511 AA", "Utrecht", "NL"),
    )
    return replace(made, **changes)


def made(found: Delivery) -> Account:
    return delivery.deliver(delivery.begin(found, SALES, NOW), found, SALES, NOW)


@pytest.fixture
def customers(environment: None) -> CustomerStore:
    return store()


def test_a_customer_comes_back_with_all_it_has(customers: CustomerStore) -> None:
    customers.create(made(srtp()))
    found = customers.get("abc234")
    assert found == accounts.settle(None, made(srtp()))
    assert [event.kind for event in customers.history("abc234")] == [
        EventKind.CUSTOMER_CREATED,
        EventKind.PHONES_ADDED,
        EventKind.PRODUCT_CREATED,
    ]
    assert [phone.username for phone in found.environment.phones] == ["abc234-201", "abc234-202", "abc234-203"]
    assert found.environment.served and found.environment.encrypted and found.environment.awaits_proof


def test_nobody_is_created_twice(customers: CustomerStore) -> None:
    customers.create(made(srtp()))
    with pytest.raises(TakenError):
        customers.create(made(srtp()))
    customers.create(made(srtp("xyz789")), customers.fulfilled("0123456789", "xyz789"))
    with pytest.raises(TakenError):
        customers.create(made(srtp("uvw567")), customers.fulfilled("0123456789", "uvw567"))
    assert customers.find("uvw567") is None
    assert customers.of_order("0123456789") == "xyz789"


def test_what_nobody_knows_is_said(customers: CustomerStore) -> None:
    for unknown in ("abc234", "", "ORDER#1", "a" * 500):
        assert customers.find(unknown) is None
        with pytest.raises(UnknownCustomerError):
            customers.get(unknown)


def test_changes_that_meet_all_count(
    customers: CustomerStore, side_by_side: Callable[[list[Callable[[], Any]]], list[Any]]
) -> None:
    customers.create(made(srtp()))
    changes: list[Callable[[], Any]] = [_note_something] * 6
    side_by_side(changes)
    history = customers.history("abc234")
    assert [event.version for event in history] == list(range(1, 10))
    assert customers.get("abc234").version == 9


def _note_something() -> None:
    store().change("abc234", lambda found: accounts.add_event(found, EventKind.HELD, SALES, NOW, "x"))


def test_what_is_to_be_served_is_listed(customers: CustomerStore) -> None:
    for number in range(20):
        customers.create(made(srtp(f"abc2{number:02d}", f"ORDER{number:05d}")))
    assert {each.environment_id for each in environments.summaries()} == {f"abc2{number:02d}" for number in range(20)}
    assert all((each.version, each.phones) == (1, 3) for each in environments.summaries())
    assert len(list(environments.wanted())) == 20


def test_one_odd_environment_does_not_hide_the_others(customers: CustomerStore) -> None:
    customers.create(made(srtp()))
    customers.create(made(srtp("xyz789", "9876543210")))
    item = dynamodb.get(customers.table, "CUSTOMER#abc234", "ENVIRONMENT")
    assert item
    dynamodb.client().put_item(TableName=customers.table, Item=dynamodb.marshal({**item, "phones": "none"}))
    assert [found.id for found in environments.wanted()] == ["xyz789"]


def test_who_shares_an_address_a_telephone_or_an_enterprise_number_is_found(customers: CustomerStore) -> None:
    customers.create(made(srtp()))
    other = {"email": "other@example.nl", "telephone": "+31855550199", "enterprise_number": "87654321"}
    for same in ({"email": "jansen@EXAMPLE.nl"}, {"telephone": "+31855550123"}, {"enterprise_number": "12345678"}):
        twin = made(srtp("xyz789", **{**other, **same})).customer
        assert customers.look_alikes(twin) == {"abc234"}
    assert not customers.look_alikes(made(srtp("xyz789", **other)).customer)
    assert customers.with_contact("JANSEN@example.nl") == ["abc234"]
