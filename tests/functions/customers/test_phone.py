"""customers.phone: what happens to phones, their passwords and what they cost."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from customers import account as accounts
from customers import environments, phone, preferences
from customers.account import Account, EventKind
from customers.environment import Line
from customers.phone import (
    NotServedError,
    NumberNotOursError,
    PriceNotAgreedError,
    UnknownPhoneError,
    UnknownSiteError,
)
from customers.product import State
from customers.states import Actor, Role
from tests.functions.customers.test_store import made, srtp

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
CUSTOMER = Actor(Role.CUSTOMER, "klant")
FIRST, SECOND, THIRD = "abc234-201", "abc234-202", "abc234-203"
OLD = {"SHA-256": "0" * 64, "MD5": "0" * 32}
NEW = {"SHA-256": "1" * 64, "MD5": "1" * 32}


@pytest.fixture
def account() -> Account:
    """Three phones with SRTP, in service."""
    before = accounts.settle(None, made(srtp()))
    return replace(accounts.settle(before, environments.prove(before, 1, "n0001", NOW)), news=())


def test_the_old_password_holds_for_an_hour(account: Account) -> None:
    once = phone.hand_out(account, {FIRST: OLD}, CUSTOMER, NOW)
    first = once.environment.phone(FIRST)
    assert first and (first.ha1, first.previous_ha1, first.previous_until, first.generation) == (OLD, None, None, 1)
    twice = phone.hand_out(once, {FIRST: NEW}, CUSTOMER, NOW).environment.phone(FIRST)
    assert twice and (twice.ha1, twice.previous_ha1, twice.generation) == (NEW, OLD, 2)
    assert twice.previous_until == NOW + timedelta(hours=1)
    assert once.environment.phone(SECOND) == account.environment.phone(SECOND)


def test_a_hand_out_is_one_event_without_a_secret(account: Account) -> None:
    after = phone.hand_out(account, {FIRST: OLD, SECOND: NEW}, CUSTOMER, NOW)
    [event] = after.news
    assert (event.kind, event.who) == (EventKind.PASSWORDS_HANDED_OUT, CUSTOMER)
    assert event.facts == {"phones": [FIRST, SECOND]}


def test_a_phone_more_costs_what_was_confirmed(account: Account) -> None:
    assert account.monthly_cents == 600
    after = phone.add(account, ["Balie  "], 800, "ORDER00002", CUSTOMER, NOW)
    assert after.environment.phones[-1].username == "abc234-204"
    assert after.environment.phones[-1].label == "Balie"
    assert after.srtp and after.srtp.quantity == 4
    assert after.monthly_cents == 800
    assert phone.add(after, ["Balie"], 800, "ORDER00002", CUSTOMER, NOW) == after
    [changed] = [event for event in after.news if event.kind is EventKind.QUANTITY_CHANGED]
    assert changed.facts["before"] == 3 and changed.facts["quantity"] == 4


@pytest.mark.parametrize("confirmed", [0, 600, 799, 801])
def test_another_price_is_refused_with_both(account: Account, confirmed: int) -> None:
    with pytest.raises(PriceNotAgreedError) as refused:
        phone.add(account, [""], confirmed, "ORDER00002", CUSTOMER, NOW)
    assert (refused.value.confirmed_cents, refused.value.monthly_cents) == (confirmed, 800)


def test_a_phone_leaves_with_the_next_month(account: Account) -> None:
    after = phone.remove(account, SECOND, "ORDER00002", CUSTOMER, NOW)
    leaving = after.environment.phone(SECOND)
    assert leaving and leaving.leaves_on == date(2026, 12, 1)
    assert after.monthly_cents == 600
    assert phone.carry_out(after, datetime(2026, 11, 30, 22, 59, tzinfo=UTC)) == after
    gone = phone.carry_out(after, datetime(2026, 11, 30, 23, 0, tzinfo=UTC))  # midnight in Amsterdam
    assert [each.username for each in gone.environment.phones] == [FIRST, THIRD]
    assert gone.srtp and gone.srtp.quantity == 2
    assert gone.monthly_cents == 400
    assert phone.add(gone, [""], 600, "X", CUSTOMER, NOW).environment.phones[-1].username == "abc234-204"


def test_a_phone_that_leaves_may_stay_after_all(account: Account) -> None:
    leaving = phone.remove(account, SECOND, "ORDER00002", CUSTOMER, NOW)
    kept = phone.keep(leaving, SECOND, CUSTOMER, NOW)
    assert kept.environment == account.environment
    assert phone.carry_out(kept, NOW + timedelta(days=40)) == kept


@pytest.mark.parametrize(
    ("day", "first"),
    [
        (date(2026, 1, 1), date(2026, 2, 1)),
        (date(2026, 12, 31), date(2027, 1, 1)),
        (date(2028, 2, 29), date(2028, 3, 1)),
    ],
)
def test_months_follow_each_other(day: date, first: date) -> None:
    assert phone.first_of_next_month(day) == first


def test_revoking_leaves_no_password(account: Account) -> None:
    known = phone.hand_out(phone.hand_out(account, {FIRST: OLD}, CUSTOMER, NOW), {FIRST: NEW}, CUSTOMER, NOW)
    revoked = phone.revoke(known, FIRST, CUSTOMER, NOW, "gestolen")
    found = revoked.environment.phone(FIRST)
    assert found and found.ha1 is None and found.previous_ha1 is None
    assert revoked.srtp and revoked.srtp.quantity == 3  # it stays, and can get a new password
    assert phone.revoke(revoked, FIRST, CUSTOMER, NOW) == revoked


def test_what_a_phone_shows_and_where_it_is_must_exist(account: Account) -> None:
    with pytest.raises(UnknownSiteError):
        phone.change(account, FIRST, CUSTOMER, NOW, site="2")
    with pytest.raises(NumberNotOursError):
        phone.change(account, FIRST, CUSTOMER, NOW, number="+31855550123")
    numbered = replace(account, environment=replace(account.environment, lines=(Line("+31855550123"),)))
    shown = phone.change(numbered, FIRST, CUSTOMER, NOW, number="+31855550123", label="Balie")
    found = shown.environment.phone(FIRST)
    assert found and (found.number, found.label) == ("+31855550123", "Balie")
    assert phone.change(shown, FIRST, CUSTOMER, NOW, label="Balie") == shown


def test_unknown_phones_are_named(account: Account) -> None:
    for call in (phone.revoke, phone.keep):
        with pytest.raises(UnknownPhoneError, match="abc234-999"):
            call(account, "abc234-999", CUSTOMER, NOW)


def test_without_a_product_there_are_no_passwords(account: Account) -> None:
    ended = replace(account, products=tuple(replace(each, state=State.TERMINATED) for each in account.products))
    over = accounts.settle(account, phone.hand_out(account, {FIRST: OLD}, CUSTOMER, NOW))
    void = accounts.settle(over, replace(ended, environment=over.environment))
    assert not void.environment.served
    assert all(each.ha1 is None for each in void.environment.phones)
    with pytest.raises(NotServedError):
        phone.hand_out(void, {FIRST: NEW}, CUSTOMER, NOW)


def test_how_long_calls_are_kept_is_the_customers_choice(account: Account) -> None:
    none = preferences.keep_calls(account, 0, CUSTOMER, NOW)
    assert none.environment.call_history_days == 0
    assert accounts.settle(account, none).environment.version == account.environment.version + 1
    assert preferences.keep_calls(none, 0, CUSTOMER, NOW) == none
    for days in (-1, 366):
        with pytest.raises(preferences.DaysRefusedError):
            preferences.keep_calls(account, days, CUSTOMER, NOW)
