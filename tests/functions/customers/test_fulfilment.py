"""customers.fulfilment: approved orders become customers, products, phones; on DynamoDB Local, with crashes and repetitions."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from customers import contracts, due, environments, fulfilment, numbers, phones
from customers.account import EventKind
from customers.contract import NothingToEndError, NoWithdrawalError
from customers.number import State as NumberState
from customers.number_store import NumberStore
from customers.product import State as ProductState
from customers.states import Actor, Role
from customers.store import store
from ordering import order as orders
from ordering.order import Detail, Order, State
from ordering.store import OrderStore
from shared import dynamodb, settings
from shared.dynamodb import BusyError
from tests.support.customers import NOW, SALES, placed, prove

OPERATOR = Actor(Role.OPERATOR, "beheer")
BY_SALES = Actor(Role.SALES, "verkoop")
CUSTOMER = Actor(Role.CUSTOMER, "klant")
NUMBER = "+31855550123"


def record(order: Order) -> dict[str, Any]:
    keys = dynamodb.marshal({"pk": f"ORDER#{order.id}", "sk": "ORDER"})
    return {"dynamodb": {"Keys": keys, "SequenceNumber": order.id}}


def test_an_approved_order_is_served_proven_and_completed(
    approved: Callable[..., Order], order_store: OrderStore, context: Any
) -> None:
    order = approved("0123456789", "abc234")
    assert fulfilment.handler({"Records": [record(order)]}, context) == {"batchItemFailures": []}
    account = store().get("abc234")
    assert [found.state for found in account.products] == [ProductState.CREATED]
    assert [found.id for found in environments.wanted()] == ["abc234"]
    assert order_store.get(order.id).state is State.IN_PROGRESS

    prove("abc234")
    account = store().get("abc234")
    [product] = account.products
    assert (product.state, product.started_on) == (ProductState.ACTIVE, date(2026, 11, 26))
    assert not account.environment.awaits_proof and not account.untold_orders
    done = order_store.get(order.id)
    assert done.state is State.COMPLETED
    assert done.sip and done.sip.host.startswith("abc234.sip.")
    kinds = [event.kind for event in store().history("abc234")]
    assert kinds == [
        EventKind.CUSTOMER_CREATED,
        EventKind.PHONES_ADDED,
        EventKind.PRODUCT_CREATED,
        EventKind.PROVEN,
        EventKind.PRODUCT_ACTIVATED,
    ]
    before = store().get("abc234")
    for _ in range(2):  # again does no harm
        fulfilment.fulfil(order_store.get(order.id), NOW)
        prove("abc234")
    assert store().get("abc234") == before


def test_one_bad_record_does_not_stop_the_others(approved: Callable[..., Order], context: Any) -> None:
    good, odd = approved("0123456789", "abc234"), approved("ABCDEFGHJK", "xyz789", email="b@example.nl")
    item = dynamodb.get(settings.orders_table(), f"ORDER#{odd.id}", "ORDER")
    assert item
    dynamodb.client().put_item(TableName=settings.orders_table(), Item=dynamodb.marshal({**item, "state": "odd"}))
    answer = fulfilment.handler({"Records": [record(odd), record(good)]}, context)
    assert answer == {"batchItemFailures": [{"itemIdentifier": odd.id}]}
    assert store().find("abc234") and not store().find("xyz789")


class PowerCut(Exception):
    pass


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, bool], None]]:
    """Lets the process die at the n-th write from now, before it or just after it."""
    real = dynamodb.transact

    def at(which: int, after: bool) -> None:
        left = [which]

        def transact(*writes: Any) -> None:
            left[0] -= 1
            if left[0] == 0 and not after:
                raise PowerCut
            real(*writes)
            if left[0] == 0 and after:
                raise PowerCut

        monkeypatch.setattr(dynamodb, "transact", transact)

    yield at
    monkeypatch.setattr(dynamodb, "transact", real)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("which", [1, 2, 3, 4])
def test_a_crash_at_any_write_leaves_nothing_undone_and_nothing_twice(
    approved: Callable[..., Order], order_store: OrderStore, cut: Callable[[int, bool], None], which: int, after: bool
) -> None:
    order = approved("0123456789", "abc234", "plan", details=(Detail("portingNumber", NUMBER, "Nummer", NUMBER),))

    def whole_story() -> None:
        fulfilment.fulfil(order_store.get(order.id), NOW)
        prove("abc234")

    cut(which, after)
    with suppress(PowerCut):
        whole_story()
    whole_story()
    whole_story()
    account = store().get("abc234")
    assert len(account.products) == 1 and len(account.environment.phones) == 3
    events = [event.kind for event in store().history("abc234")]
    assert events.count(EventKind.PRODUCT_CREATED) == events.count(EventKind.CUSTOMER_CREATED) == 1
    found = numbers.find(NUMBER)
    assert found and (found.state, found.customer_id) == (NumberState.WISHED, "abc234")


def test_two_runs_at_once_make_one_customer(
    approved: Callable[..., Order],
    order_store: OrderStore,
    side_by_side: Callable[[list[Callable[[], Any]]], list[Any]],
) -> None:
    first = approved("0123456789", "abc234", "plan")
    second = approved("ABCDEFGHJK", "abc234", "plan", email="b@example.nl")
    side_by_side([partial(fulfilment.fulfil, order, NOW) for order in (first, second) * 3])
    account = store().get("abc234")
    assert len(account.products) == 2
    assert len(account.environment.phones) == 3


def test_somebody_who_looks_the_same_is_shown_and_not_joined(approved: Callable[..., Order]) -> None:
    fulfilment.fulfil(approved("0123456789", "abc234"), NOW)
    fulfilment.fulfil(approved("ABCDEFGHJK", "xyz789", "plan", email="b@example.nl"), NOW)
    account = store().get("xyz789")
    assert account.customer.look_alikes == {"abc234"}
    assert EventKind.LOOK_ALIKE_FOUND in [event.kind for event in store().history("xyz789")]
    assert len(store().get("abc234").products) == 1


def test_srtp_for_fewer_phones_than_there_are_waits_for_sales(
    approved: Callable[..., Order], order_store: OrderStore
) -> None:
    fulfilment.fulfil(approved("0123456789", "abc234", "plan"), NOW)
    few = approved("ABCDEFGHJK", "abc234", quantity=2)
    fulfilment.fulfil(few, NOW)
    held = order_store.get(few.id)
    assert held.state is State.HELD and "3" in held.last.why
    assert len(store().get("abc234").products) == 1


def test_a_plan_and_srtp_for_its_phones(approved: Callable[..., Order], order_store: OrderStore) -> None:
    plan = approved("0123456789", "abc234", "plan")
    fulfilment.fulfil(plan, NOW)
    secure = approved("ABCDEFGHJK", "abc234", quantity=3)
    fulfilment.fulfil(secure, NOW)
    account = store().get("abc234")
    assert len(account.environment.phones) == 3 and account.environment.encrypted
    prove("abc234")
    assert order_store.get(secure.id).state is State.COMPLETED
    assert order_store.get(plan.id).state is State.IN_PROGRESS  # it waits for its number
    numbers.load([NUMBER], "block", OPERATOR, NOW)
    numbers.reserve(NUMBER, "abc234", BY_SALES, NOW)
    after = numbers.activate(NUMBER, "abc234", BY_SALES, NOW)
    assert order_store.get(plan.id).state is State.COMPLETED
    assert after.monthly_cents == 2700
    [line] = after.environment.lines
    assert (line.number, len(line.rings)) == (NUMBER, 3)
    assert {each.number for each in after.environment.phones} == {NUMBER}


def test_more_srtp_is_more_phones_and_complete_at_once(approved: Callable[..., Order], order_store: OrderStore) -> None:
    fulfilment.fulfil(approved("0123456789", "abc234"), NOW)
    prove("abc234")
    more = approved("ABCDEFGHJK", "abc234", quantity=2)
    fulfilment.fulfil(more, NOW)
    account = store().get("abc234")
    assert account.srtp and account.srtp.quantity == len(account.environment.phones) == 5
    assert order_store.get(more.id).state is State.COMPLETED


def test_what_was_done_and_could_not_be_told_is_told_by_the_stream(
    approved: Callable[..., Order], order_store: OrderStore, monkeypatch: pytest.MonkeyPatch, context: Any
) -> None:
    order = approved("0123456789", "abc234")
    fulfilment.fulfil(order, NOW)

    def busy(*_: Any) -> None:
        raise BusyError

    with monkeypatch.context() as patch, pytest.raises(BusyError):
        patch.setattr("ordering.fulfilment.complete", busy)
        prove("abc234")
    assert store().get("abc234").untold_orders == {order.id}
    keys = dynamodb.marshal({"pk": "CUSTOMER#abc234", "sk": "CUSTOMER"})
    fulfilment.handler({"Records": [{"dynamodb": {"Keys": keys, "SequenceNumber": "1"}}]}, context)
    assert order_store.get(order.id).state is State.COMPLETED
    assert not store().get("abc234").untold_orders


def test_a_cancelled_order_takes_its_phones_along(approved: Callable[..., Order], order_store: OrderStore) -> None:
    order = approved("0123456789", "abc234")
    fulfilment.fulfil(order, NOW)
    order_store.change(order.id, lambda found: orders.cancel(found, SALES, NOW, "toch niet"))
    fulfilment.fulfil(order_store.get(order.id), NOW)
    assert order_store.get(order.id).state is State.CANCELLED
    account = store().get("abc234")
    assert not account.environment.served and not account.environment.phones
    assert [found.state for found in account.products] == [ProductState.TERMINATED]
    assert list(environments.wanted()) == []


def test_held_and_going_on(approved: Callable[..., Order], order_store: OrderStore) -> None:
    order = approved("0123456789", "abc234")
    fulfilment.fulfil(order, NOW)
    environments.held("abc234", "Geen plaats", NOW)
    assert (order_store.get(order.id).state, order_store.get(order.id).last.why) == (State.HELD, "Geen plaats")
    prove("abc234")
    assert order_store.get(order.id).state is State.COMPLETED


def test_orders_of_the_old_code_become_customers_by_one_step(
    order_store: OrderStore, approved: Callable[..., Order]
) -> None:
    """Completed before customers were kept: written as the code of then wrote it."""
    since = NOW - timedelta(days=40)
    order = placed("0123456789", "abc234")
    order_store.place(order)
    order_store.change(order.id, lambda found: orders.move(found, State.IN_PROGRESS, SALES, since))
    order_store.change(
        order.id, lambda found: orders.complete(found, orders.SipServer("n0001", "192.0.2.1", 5061), since)
    )
    for _ in range(2):
        fulfilment.adopt(order_store.get(order.id), NOW)
    account = store().get("abc234")
    [product] = account.products
    assert (product.state, product.quantity, product.started_on) == (ProductState.ACTIVE, 3, since.date())
    assert not account.environment.awaits_proof and account.environment.served
    assert order_store.get(order.id).state is State.COMPLETED


@pytest.mark.promise("opzeggen")
def test_the_contract_ends_on_its_day(approved: Callable[..., Order], order_store: OrderStore, context: Any) -> None:
    fulfilment.fulfil(approved("0123456789", "abc234", "plan"), NOW)
    prove("abc234")
    numbers.load([NUMBER], "block", OPERATOR, NOW)
    numbers.reserve(NUMBER, "abc234", BY_SALES, NOW)
    numbers.activate(NUMBER, "abc234", BY_SALES, NOW)
    told = phones.hand_out("abc234", None, CUSTOMER, NOW)
    assert len(told) == 3
    contracts.give_notice("abc234", None, CUSTOMER, NOW)
    assert due.run(NOW + timedelta(days=29)) == 0
    assert store().get("abc234").environment.served

    late = datetime(2026, 12, 26, 1, tzinfo=UTC)
    assert due.run(late) == 1
    account = store().get("abc234")
    assert not account.environment.served and not account.environment.lines
    assert all(phone.ha1 is None for phone in account.environment.phones)
    number = numbers.find(NUMBER)
    assert number and (number.state, number.customer_id) == (NumberState.BLOCKED, "")
    assert [event.target for event in NumberStore(store().table).history(NUMBER)] == [
        "free",
        "reserved",
        "active",
        "blocked",
    ]
    assert account.customer.retain_until == datetime(2027, 3, 25, 23, tzinfo=UTC)
    assert due.run(late) == 0
    assert due.run(datetime(2027, 3, 25, 23, tzinfo=UTC)) == 1
    assert store().find("abc234") is None
    assert store().history("abc234") == [] and store().with_contact("a@example.nl") == []


def test_a_change_that_comes_before_the_schedule_finds_what_was_agreed(
    approved: Callable[..., Order], order_store: OrderStore
) -> None:
    fulfilment.fulfil(approved("0123456789", "abc234"), NOW)
    prove("abc234")
    contracts.give_notice("abc234", None, CUSTOMER, NOW)
    late = NOW + timedelta(days=40)
    with pytest.raises(NothingToEndError):
        contracts.take_notice_back("abc234", None, CUSTOMER, late)
    due.run(late)
    assert not store().get("abc234").environment.served


def test_passwords_are_told_once_and_kept_as_hashes(approved: Callable[..., Order], log: Any) -> None:
    fulfilment.fulfil(approved("0123456789", "abc234"), NOW)
    told = phones.hand_out("abc234", None, CUSTOMER, NOW)
    kept = store().get("abc234").environment
    from shared.brand import brand

    for each in told:
        found = kept.phone(each.username)
        assert found and found.ha1 == each.ha1(brand().sip_domain)
    everything = str(list(dynamodb.partition(store().table, "CUSTOMER#abc234"))) + str(store().history("abc234"))
    assert not any(each.password in everything + log.getvalue() for each in told)
    again = phones.hand_out("abc234", ["abc234-202"], CUSTOMER, NOW)
    assert [each.username for each in again] == ["abc234-202"]
    assert again[0].password != told[1].password


@pytest.mark.parametrize("category", ["srtp", "plan"])
@pytest.mark.promise("herroepen")
def test_a_consumer_withdraws_from_what_is_still_being_delivered(
    approved: Callable[..., Order], order_store: OrderStore, category: str
) -> None:
    order = approved("0123456789", "abc234", category, kvk="")
    fulfilment.fulfil(order, NOW)
    [product] = store().get("abc234").products
    after = contracts.withdraw("abc234", product.id, CUSTOMER, NOW)
    assert [found.state for found in after.products] == [ProductState.TERMINATED]
    assert not after.environment.served and not after.environment.phones
    assert after.customer.retain_until
    assert order_store.get(order.id).state is State.CANCELLED
    with pytest.raises(NoWithdrawalError):
        contracts.withdraw("abc234", product.id, CUSTOMER, NOW)


@pytest.mark.promise("herroepen")
def test_a_business_cannot_withdraw(approved: Callable[..., Order]) -> None:
    fulfilment.fulfil(approved("0123456789", "abc234"), NOW)
    [product] = store().get("abc234").products
    with pytest.raises(NoWithdrawalError):
        contracts.withdraw("abc234", product.id, CUSTOMER, NOW)
