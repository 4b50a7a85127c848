"""customers.billing: a month's lines from the history of events, held against a count of days that knows nothing of how it is made."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers import account as accounts
from customers import billing, contract, phone
from customers.account import Account, Event
from customers.billing import LineKind, lines, monthly_share, next_month
from customers.customer import Address, Customer, Kind
from customers.delivery import Item
from customers.environments import prove
from customers.states import Actor, Role
from customers.vat import vat_of
from shared.clock import midnight
from tests.functions.customers.test_store import SRTP, made, srtp
from tests.support.day_count import owed

CUSTOMER = Actor(Role.CUSTOMER, "klant")
SALES = Actor(Role.SALES, "verkoop")
FIRST = date(2026, 1, 1)
CONNECTION = Item("connection", 1, "Aansluitkosten", "number", False, 1, 2500)


def noon(day: date) -> datetime:
    return midnight(day) + timedelta(hours=12)


class Life:
    """A customer who does things on days, and the history that comes of it."""

    def __init__(self, day: date, *, kind: Kind = Kind.BUSINESS, at_once: bool = False, phones: int = 3) -> None:
        ordered = srtp(
            kind=kind, at_once=at_once, approved_at=noon(day), items=(replace(SRTP, quantity=phones), CONNECTION)
        )
        self.history: list[Event] = []
        self.account = accounts.settle(None, made(ordered))
        self._note(prove(self.account, 1, "n0001", noon(day)))

    def _note(self, after: Account) -> None:
        after = accounts.settle(self.account, after)
        self.history += [event for event in after.news if event.version > self.account.version]
        self.account = replace(after, news=())

    def add(self, day: date, count: int) -> None:
        price = phone.monthly_cents_after(self.account, count)
        order = f"ADD{self.account.version}"
        self._note(phone.add(self.account, [""] * count, price, order, CUSTOMER, noon(day)))

    def remove(self, day: date, which: int) -> None:
        staying = [each for each in self.account.environment.phones if not each.leaves_on]
        if len(staying) > 1:
            self._note(phone.remove(self.account, staying[which % len(staying)].username, "", CUSTOMER, noon(day)))

    def give_notice(self, day: date) -> None:
        self._note(contract.give_notice(self.account, None, CUSTOMER, noon(day)))

    def take_back(self, day: date) -> None:
        self._note(contract.take_notice_back(self.account, None, CUSTOMER, noon(day)))

    def withdraw(self, day: date) -> None:
        self._note(contract.withdraw(self.account, self.account.products[0].id, CUSTOMER, noon(day)))

    def morning(self, day: date) -> None:
        """What the scheduled function does just after midnight."""
        self._note(contract.carry_out(self.account, midnight(day) + timedelta(minutes=3)))


def cents(history: Sequence[Event], month: date) -> int:
    return sum(line.cents for line in lines(history, month))


def test_a_whole_month_costs_what_the_price_says() -> None:
    life = Life(FIRST)
    assert cents(life.history, date(2026, 2, 1)) == 600


def test_the_first_month_counts_from_its_day_with_the_fee() -> None:
    life = Life(date(2026, 1, 21))  # eleven of 31 days
    found = lines(life.history, FIRST)
    assert [(line.kind, line.cents) for line in found] == [(LineKind.ONCE, 2500), (LineKind.MONTHLY, 213)]
    assert found[1].days == 11 and found[1].share_of == 31 and found[1].quantity == 3


def test_a_phone_more_counts_from_its_day_and_a_phone_fewer_from_the_next_month() -> None:
    life = Life(FIRST)
    life.add(date(2026, 4, 16), 1)
    assert [(line.quantity, line.days) for line in lines(life.history, date(2026, 4, 1))] == [(3, 15), (4, 15)]
    assert cents(life.history, date(2026, 4, 1)) == 700
    life.remove(date(2026, 5, 2), 0)
    life.morning(date(2026, 6, 1))
    assert cents(life.history, date(2026, 5, 1)) == 800
    assert cents(life.history, date(2026, 6, 1)) == 600


def test_a_phone_that_leaves_late_because_we_were_down_is_not_paid_for() -> None:
    life = Life(FIRST)
    life.remove(date(2026, 5, 2), 0)
    life.morning(date(2026, 6, 9))
    assert cents(life.history, date(2026, 6, 1)) == 400


@pytest.mark.promise("opzeggen")
def test_a_contract_that_ended_costs_until_its_day() -> None:
    life = Life(FIRST)
    life.give_notice(date(2026, 3, 10))
    life.morning(date(2026, 4, 10))
    assert [(line.days, line.cents) for line in lines(life.history, date(2026, 4, 1))] == [(9, 180)]
    assert lines(life.history, date(2026, 5, 1)) == []


@pytest.mark.parametrize("at_once", [False, True])
def test_a_withdrawal_gives_back_what_was_billed(at_once: bool) -> None:
    life = Life(date(2026, 4, 26), kind=Kind.CONSUMER, at_once=at_once, phones=2)
    april = cents(life.history, date(2026, 4, 1))
    assert april == 2500 + 67  # five of 30 days
    life.withdraw(date(2026, 5, 6))
    may = lines(life.history, date(2026, 5, 1))
    assert april + sum(line.cents for line in may) == (67 + 65 if at_once else 0)
    assert any(line.cents < 0 and line.quantity < 0 and line.kind is LineKind.ONCE for line in may)


def test_a_withdrawal_within_the_month_leaves_nothing_to_bill() -> None:
    life = Life(date(2026, 4, 3), kind=Kind.CONSUMER)
    life.withdraw(date(2026, 4, 6))
    assert lines(life.history, date(2026, 4, 1)) == []


def test_the_amount_that_is_told_at_withdrawal_is_the_one_that_is_billed() -> None:
    life = Life(date(2026, 4, 26), kind=Kind.CONSUMER, at_once=True)
    came_to = contract.settlement(life.account.products[0], noon(date(2026, 5, 6)))
    april = cents(life.history, date(2026, 4, 1))
    life.withdraw(date(2026, 5, 6))
    assert april + cents(life.history, date(2026, 5, 1)) == came_to.owed_cents
    assert came_to.days == 10


STEPS = st.lists(
    st.tuples(
        st.integers(0, 40),  # days since the step before
        st.sampled_from(["add", "remove", "give_notice", "take_back", "withdraw"]),
        st.integers(1, 3),
    ),
    max_size=10,
)


@given(
    start=st.dates(date(2026, 1, 1), date(2028, 3, 31)),
    steps=STEPS,
    kind=st.sampled_from(Kind),
    at_once=st.booleans(),
    phones=st.integers(1, 5),
    late=st.integers(0, 20),
)
def test_bills_of_any_history_add_up_to_what_the_events_say(
    start: date, steps: list[tuple[int, str, int]], kind: Kind, at_once: bool, phones: int, late: int
) -> None:
    life, day = Life(start, kind=kind, at_once=at_once, phones=phones), start
    last = start + timedelta(days=sum(gap for gap, _, _ in steps) + 70)
    wanted = iter(steps)
    gap, what, count = next(wanted, (10**6, "", 0))
    due = start + timedelta(days=gap)
    while day <= last:
        if late == 0 or (day - start).days % (late + 1) == 0:  # the schedule may be out for days
            life.morning(day)
        while day == due:
            try:
                match what:
                    case "add":
                        life.add(day, count)
                    case "remove":
                        life.remove(day, count)
                    case "give_notice":
                        life.give_notice(day)
                    case "take_back":
                        life.take_back(day)
                    case "withdraw":
                        life.withdraw(day)
            except (contract.NothingToEndError, contract.NoWithdrawalError, phone.NotServedError):
                pass
            gap, what, count = next(wanted, (10**6, "", 0))
            due = day + timedelta(days=gap)
        day += timedelta(days=1)
    life.morning(day)

    billed, month = 0, start.replace(day=1)
    while month <= day:
        month_cents = cents(life.history, month)
        assert cents(life.history, month) == month_cents  # again is the same
        billed += month_cents
        month = next_month(month)
    assert billed == owed(life.history, month)


@given(st.integers(0, 10**6), st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 400))
def test_a_share_of_months_is_never_more_than_the_months(monthly: int, first: date, days: int) -> None:
    share = monthly_share(monthly, first, first + timedelta(days=days))
    assert 0 <= share <= monthly * (days // 28 + 2)
    if first.day == 1:
        assert monthly_share(monthly, first, next_month(first)) == monthly


NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("country", "kind", "vat_id", "category", "percent"),
    [
        ("NL", Kind.BUSINESS, "NL004495445B01", "S", 21),
        ("NL", Kind.CONSUMER, "", "S", 21),
        ("BE", Kind.BUSINESS, "BE0403019261", "AE", 0),
        ("BE", Kind.BUSINESS, "be 0403.019.261", "AE", 0),
        ("BE", Kind.BUSINESS, "BE0403019262", "S", 21),  # check digits wrong
        ("BE", Kind.BUSINESS, "", "S", 21),
        ("BE", Kind.CONSUMER, "BE0403019261", "S", 21),
    ],
)
def test_vat_by_country_and_kind(country: Any, kind: Kind, vat_id: str, category: str, percent: int) -> None:
    customer = Customer(
        "abc234", "Bakkerij", NOW, country, kind, vat_id=vat_id, billing_address=Address(country=country)
    )
    found = vat_of(customer, "NL", date(2026, 11, 30))
    assert (found.category, found.percent) == (category, percent)
    assert found.of(1050) == (221 if percent else 0)
    assert found.of(-1050) == -found.of(1050)


def test_a_bill_has_its_sums() -> None:
    life = Life(date(2026, 1, 21))
    found = billing.bill(life.account.customer, life.history, FIRST, "2026-01-0001", "NL")
    assert found is not None
    assert (found.net_cents, found.vat_cents, found.total_cents) == (2713, 570, 3283)
    assert billing.bill(life.account.customer, life.history, date(2025, 12, 1), "x", "NL") is None
