"""Customers, sales, the clock and the fleet do what they like, in any order; what must hold, holds after each step.

On DynamoDB Local and through the same functions that the handlers call; `tests.support.day_count` says what must be owed.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from customers import billing, contracts, due, environments, extensions, fulfilment, numbers, phone, phones
from customers.account import Account
from customers.billing import next_month
from customers.contract import NothingToEndError, NoWithdrawalError
from customers.delivery import CannotDeliverError
from customers.number import NumberError
from customers.number import State as NumberState
from customers.phone import LastPhoneError, NotServedError, PriceNotAgreedError, UnknownPhoneError
from customers.product import SRTP, ProductRefusedError
from customers.states import Actor, Role
from customers.store import UnknownCustomerError, store
from ordering import order as orders
from ordering.order import OrderError, State
from ordering.store import OpenOrderError, OrderStore
from shared import settings as deployed
from shared.clock import local_day
from tests.support.customers import NOW, SALES, placed
from tests.support.day_count import owed

REFUSALS = (
    *(NothingToEndError, NoWithdrawalError, NumberError, LastPhoneError, NotServedError, UnknownPhoneError),
    *(ProductRefusedError, UnknownCustomerError, OrderError, OpenOrderError, CannotDeliverError),
)
CUSTOMER, BY_SALES = Actor(Role.CUSTOMER, "klant"), Actor(Role.SALES, "verkoop")
OPERATOR = Actor(Role.OPERATOR, "beheer")
WHO = st.integers(0, 1)
_runs = count()


class Lives(RuleBasedStateMachine):
    """Two customers, three numbers, and time that goes on."""

    @initialize()
    def begin(self) -> None:
        run = next(_runs)
        self.ids = [f"{letter}{run:05d}" for letter in "ab"]
        self.numbers = [f"+31855{run:05d}{last}" for last in range(3)]
        self.orders = OrderStore(deployed.orders_table())
        self.placed: list[list[str]] = [[], []]
        self.number = count()
        self.run = run
        self.now: datetime = NOW
        self.versions = dict.fromkeys(self.ids, 0)
        numbers.load(self.numbers, "block", OPERATOR, self.now)
        # Both begin as customers, so that little of a run is spent on becoming one.
        for who, kvk in ((0, "12345678"), (1, "")):
            self._order(who, "plan", 1, kvk)
            self._order(who, "srtp", 3, kvk)
            self.the_fleet_proves(who, 0)
        numbers.reserve(self.numbers[0], self.ids[0], BY_SALES, self.now)
        numbers.activate(self.numbers[0], self.ids[0], BY_SALES, self.now)
        numbers.reserve(self.numbers[1], self.ids[1], BY_SALES, self.now)

    def _order(self, who: int, category: str, quantity: int, kvk: str) -> None:
        order_id = f"{self.run:05d}{next(self.number):05d}"
        made = placed(
            order_id,
            self.ids[who],
            category,
            quantity,
            kvk=kvk,
            email=f"{self.ids[who]}@example.nl",
            telephone="+31855550100",
        )
        with suppress(*REFUSALS):
            self.orders.place(made)
            self.placed[who].append(order_id)
            self.orders.change(order_id, lambda found: orders.move(found, State.IN_PROGRESS, SALES, self.now))
            fulfilment.fulfil(self.orders.get(order_id), self.now)

    def _account(self, who: int) -> Account | None:
        return store().find(self.ids[who])

    @rule(who=WHO, quantity=st.integers(1, 5), kvk=st.sampled_from(["", "12345678"]))
    def order_srtp(self, who: int, quantity: int, kvk: str) -> None:
        self._order(who, "srtp", quantity, kvk)

    @rule(who=WHO, kvk=st.sampled_from(["", "12345678"]))
    def order_a_plan(self, who: int, kvk: str) -> None:
        self._order(who, "plan", 1, kvk)

    @rule(who=WHO, which=st.integers(0, 5))
    def cancel_an_order(self, who: int, which: int) -> None:
        for order_id in self.placed[who][which : which + 1]:
            with suppress(*REFUSALS):
                self.orders.change(order_id, lambda found: orders.cancel(found, SALES, self.now, "toch niet"))
            fulfilment.fulfil(self.orders.get(order_id), self.now)

    @rule(who=WHO, late=st.integers(0, 1))
    def the_fleet_proves(self, who: int, late: int) -> None:
        account = self._account(who)
        if account and account.environment.served:
            environments.proven(self.ids[who], max(1, account.environment.version - late), "n0001", self.now)

    @rule(who=WHO, more=st.integers(1, 3), off=st.sampled_from([0, 0, 1]))
    def add_phones(self, who: int, more: int, off: int) -> None:
        account = self._account(who)
        if account is None:
            return
        due.carry_out(self.ids[who], self.now)
        account = self._account(who)
        assert account
        price = phone.monthly_cents_after(account, more) + off
        order_id = f"M{next(self.number)}"
        try:
            after = phones.add(self.ids[who], [""] * more, price, order_id, CUSTOMER, self.now)
        except PriceNotAgreedError:
            assert off
        except NotServedError:
            assert not account.environment.served
        else:
            assert not off
            assert len(after.environment.phones) == len(account.environment.phones) + more
            assert phones.add(self.ids[who], [""] * more, price, order_id, CUSTOMER, self.now) == after

    @rule(who=WHO, which=st.integers(0, 6), what=st.sampled_from(["remove", "keep", "revoke", "hand out"]))
    def do_something_with_a_phone(self, who: int, which: int, what: str) -> None:
        account = self._account(who)
        names = [each.username for each in account.environment.phones] if account else []
        for name in names[which : which + 1]:
            with suppress(*REFUSALS):
                match what:
                    case "remove":
                        phones.remove(self.ids[who], name, "", CUSTOMER, self.now)
                    case "keep":
                        phones.keep(self.ids[who], name, CUSTOMER, self.now)
                    case "revoke":
                        phones.revoke(self.ids[who], name, CUSTOMER, self.now)
                    case "hand out":
                        phones.hand_out(self.ids[who], [name], CUSTOMER, self.now)

    @rule(who=WHO, what=st.sampled_from(["notice", "back", "suspend", "resume"]))
    def change_the_contract(self, who: int, what: str) -> None:
        with suppress(*REFUSALS):
            match what:
                case "notice":
                    contracts.give_notice(self.ids[who], None, CUSTOMER, self.now)
                case "back":
                    contracts.take_notice_back(self.ids[who], None, CUSTOMER, self.now)
                case "suspend":
                    contracts.suspend(self.ids[who], BY_SALES, self.now, "niet betaald")
                case "resume":
                    contracts.resume(self.ids[who], BY_SALES, self.now)

    @rule(who=WHO, which=st.integers(0, 3))
    def withdraw(self, who: int, which: int) -> None:
        account = self._account(who)
        for product in account.products[which : which + 1] if account else ():
            with suppress(*REFUSALS):
                contracts.withdraw(self.ids[who], product.id, CUSTOMER, self.now)

    @rule(who=WHO, which=st.integers(0, 2), what=st.sampled_from(["reserve", "activate", "end", "let go", "free"]))
    def do_something_with_a_number(self, who: int, which: int, what: str) -> None:
        number, customer_id = self.numbers[which], self.ids[who]
        with suppress(*REFUSALS):
            match what:
                case "reserve":
                    numbers.reserve(number, customer_id, BY_SALES, self.now)
                case "activate":
                    numbers.activate(number, customer_id, BY_SALES, self.now)
                case "end":
                    numbers.end(number, customer_id, BY_SALES, self.now)
                case "let go" | "free":
                    numbers.let_go(number, OPERATOR, self.now)

    @rule(days=st.integers(1, 40), schedule=st.booleans())
    def time_passes(self, days: int, schedule: bool) -> None:
        self.now += timedelta(days=days)
        if schedule:
            for each in self.ids:
                account = store().find(each)
                if account and not account.customer.retain_until:
                    due.carry_out(each, self.now)

    @invariant()
    def srtp_counts_the_phones(self) -> None:
        for who in (0, 1) if hasattr(self, "ids") else ():
            account = self._account(who)
            if account is None:
                continue
            running = [found for found in account.products if found.offering_id == SRTP and found.served]
            assert len(running) <= 1
            assert bool(running) == account.environment.encrypted
            for found in running:
                assert found.quantity == len(account.environment.phones) > 0

    @invariant()
    def a_number_has_one_owner(self) -> None:
        if not hasattr(self, "ids"):
            return
        owners: dict[str, list[str]] = {each: [] for each in self.numbers}
        for who in (0, 1):
            account = self._account(who)
            for line in account.environment.lines if account else ():
                owners[line.number].append(self.ids[who])
        for number, found in owners.items():
            known = numbers.find(number)
            assert known
            assert found == ([known.customer_id] if known.state is NumberState.ACTIVE else [])

    @invariant()
    def phones_are_known_by_one_name_each(self) -> None:
        for who in (0, 1) if hasattr(self, "ids") else ():
            account = self._account(who)
            if account is None:
                continue
            environment = account.environment
            names = [each.username for each in environment.phones]
            assert len(set(names)) == len(names)
            assert all(extensions.allowed(each.extension) for each in environment.phones)
            assert set().union(*(line.rings for line in environment.lines)) <= set(names)
            assert environment.served or not any(each.ha1 or each.previous_ha1 for each in environment.phones)
            assert environment.version >= self.versions[self.ids[who]]
            self.versions[self.ids[who]] = environment.version

    def teardown(self) -> None:
        """Whatever happened, the bills add up to it."""
        for each in getattr(self, "ids", []):
            history = store().history(each)
            last = next_month(local_day(self.now).replace(day=1))
            billed, month = 0, date(2026, 11, 1)
            while month <= last:
                billed += sum(line.cents for line in billing.lines(history, month))
                month = next_month(month)
            assert billed == owed(history, month)


@pytest.fixture
def machine(environment: None) -> Iterator[type[Lives]]:
    yield Lives


@pytest.mark.timeout(900)
def test_whatever_people_do(machine: type[Lives]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=10,
            stateful_step_count=25,
            deadline=None,
            phases=[__import__("hypothesis").Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
