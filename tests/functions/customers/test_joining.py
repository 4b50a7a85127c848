"""customers.joins: a company that was split by two orders is one again, and its phones go on as they are."""

from collections.abc import Callable
from typing import Any

import pytest

from customers import environments, fulfilment, joins, numbers, phones
from customers.account import EventKind
from customers.billing import lines
from customers.joining import CannotJoinError
from customers.states import Actor, Role
from customers.store import store
from ordering.order import Order
from shared import dynamodb
from shared.clock import local_day
from tests.support.customers import NOW, prove
from tests.support.day_count import owed

SALES, OPERATOR = Actor(Role.SALES, "verkoop"), Actor(Role.OPERATOR, "beheer")
CUSTOMER = Actor(Role.CUSTOMER, "klant")
NUMBER = "+31855550123"
NOVEMBER = local_day(NOW).replace(day=1)


@pytest.fixture
def split(approved: Callable[..., Order]) -> None:
    """One company, twice: each with SRTP for three phones, the second with a number as well."""
    fulfilment.fulfil(approved("0123456789", "abc234"), NOW)
    fulfilment.fulfil(approved("ABCDEFGHJK", "xyz789", "plan", email="b@example.nl"), NOW)
    fulfilment.fulfil(approved("ABCDEFGHJM", "xyz789", email="b@example.nl"), NOW)
    numbers.load([NUMBER], "block", OPERATOR, NOW)
    numbers.reserve(NUMBER, "xyz789", SALES, NOW)
    numbers.activate(NUMBER, "xyz789", SALES, NOW)
    for each in ("abc234", "xyz789"):
        prove(each)
        phones.hand_out(each, None, CUSTOMER, NOW)


def test_products_phones_and_numbers_go_over(split: None) -> None:
    before = store().get("xyz789")
    assert before.customer.look_alikes == {"abc234"}
    after = joins.join("abc234", "xyz789", SALES, NOW)
    assert after.srtp and after.srtp.quantity == len(after.environment.phones) == 6
    assert {found.offering_id for found in after.products} == {"srtp", "unlimited-nl"}
    moved = {phone.username: phone for phone in after.environment.phones if phone.username.startswith("xyz789")}
    for phone in before.environment.phones:
        assert moved[phone.username].ha1 == phone.ha1
    assert len({phone.extension for phone in after.environment.phones}) == 6
    assert after.environment.aliases == ("xyz789",)
    [line] = after.environment.lines
    assert line.rings == tuple(moved)
    known = numbers.find(NUMBER)
    assert known and known.customer_id == "abc234"
    other = store().get("xyz789")
    assert not other.environment.served and not other.environment.phones and other.customer.joined_into == "abc234"
    assert [found.id for found in environments.wanted()] == ["abc234"]
    assert {contact.email for contact in after.customer.contacts} == {"a@example.nl", "b@example.nl"}


def test_together_they_owe_what_they_owed_apart(split: None) -> None:
    apart = sum(store().get(each).monthly_cents for each in ("abc234", "xyz789"))
    assert joins.join("abc234", "xyz789", SALES, NOW).monthly_cents == apart
    for each in ("abc234", "xyz789"):
        history = store().history(each)
        assert sum(line.cents for line in lines(history, NOVEMBER)) == owed(history, NOVEMBER.replace(month=12))


def test_a_later_order_of_the_one_goes_to_the_other(split: None, approved: Callable[..., Order]) -> None:
    joins.join("abc234", "xyz789", SALES, NOW)
    fulfilment.fulfil(approved("VWXYZ01234", "xyz789", quantity=1, email="c@example.nl"), NOW)
    account = store().get("abc234")
    assert account.srtp and account.srtp.quantity == len(account.environment.phones) == 7


@pytest.mark.parametrize("which", [1, 2, 3])
def test_what_was_cut_short_is_finished_by_asking_again(
    split: None, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    real, left = dynamodb.transact, [which]

    def transact(*writes: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise ConnectionError
        real(*writes)

    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr(dynamodb, "transact", transact)
        joins.join("abc234", "xyz789", SALES, NOW)
    for _ in range(2):
        after = joins.join("abc234", "xyz789", SALES, NOW)
    assert len(after.environment.phones) == 6 and len(after.environment.lines) == 1
    kinds = [event.kind for event in store().history("abc234")]
    assert kinds.count(EventKind.JOINED) == 1
    assert not store().get("xyz789").environment.phones


def test_what_cannot_be_joined_says_why(split: None, approved: Callable[..., Order]) -> None:
    fulfilment.fulfil(approved("VWXYZ01234", "bcd345", "plan", email="c@example.nl"), NOW)
    for into, other, why in (("abc234", "abc234", "dezelfde"), ("abc234", "bcd345", "nog wordt geleverd")):
        with pytest.raises(CannotJoinError, match=why):
            joins.join(into, other, SALES, NOW)
    numbers.load(["+31855550124"], "block", OPERATOR, NOW)
    numbers.reserve("+31855550124", "bcd345", SALES, NOW)
    prove("bcd345")
    numbers.activate("+31855550124", "bcd345", SALES, NOW)
    with pytest.raises(CannotJoinError, match="SRTP en de ander niet"):
        joins.join("abc234", "bcd345", SALES, NOW)


def test_somebody_else_is_not_shown_any_more(split: None) -> None:
    assert not joins.are_not_one("xyz789", "abc234", SALES, NOW).customer.look_alikes
    again = joins.are_not_one("xyz789", "abc234", SALES, NOW)
    assert [event.kind for event in store().history("xyz789")].count(EventKind.LOOK_ALIKE_REFUTED) == 1
    assert again.version == store().get("xyz789").version
