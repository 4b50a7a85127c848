"""What sales, the operator and customers do with numbers: each is one transaction of the number and the customer it rings."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from customers import account as accounts
from customers import line, number, orders_behind
from customers.account import Account, EventKind
from customers.delivery import Delivery
from customers.environment import Line
from customers.number import Number, State
from customers.number_store import NumberStore
from customers.states import Actor
from customers.store import store
from shared.dynamodb import BusyError
from shared.telemetry import logger

_ATTEMPTS = 8


class NoPlanError(Exception):
    """A number without a plan would go back at once: the customer has none, or each of its `plans` has its number."""

    def __init__(self, plans: int) -> None:
        super().__init__(
            "each plan of the customer has its number"
            if plans
            else "the customer has no plan, and a number without one goes back"
        )
        self.plans = plans


def _numbers() -> NumberStore:
    return NumberStore(store().table)


def find(wanted: str) -> Number | None:
    """A number as it is, if we ever had to do with it."""
    return _numbers().find(wanted)


def free(country: str, area: str = "", most: int = 20) -> list[str]:
    """Free numbers of our blocks that begin with a country code (+31, +32) and an area code without its zero."""
    return _numbers().free(f"{country}{area.removeprefix('0')}", most)


def load(found: Iterable[str], block: str, who: Actor, now: datetime) -> tuple[int, list[str]]:
    """Take a block of numbers (E.164) into use; how many are new, and the lines that are no number. Again adds nothing."""
    added, odd = 0, []
    for text in found:
        try:
            wanted = line.e164(text)
        except ValueError:
            odd.append(text)
            continue
        if _numbers().begin(number.begin(wanted, State.FREE, who, now, block=block)):
            added += 1
    return added, odd


def wish(account: Account, delivery: Delivery, who: Actor, now: datetime) -> Account:
    """Write down which number a customer brings along; one that is another's is left alone, and sales sees it in the order."""
    if not delivery.brings:
        return account
    known = _numbers().find(delivery.brings)
    if known is None:
        _numbers().begin(
            number.begin(delivery.brings, State.WISHED, who, now, customer_id=account.id, why=delivery.order_id)
        )
    elif known.state in (State.FREE, State.PORTED_OUT):
        _change(delivery.brings, lambda found: number.move(found, State.WISHED, who, now, customer_id=account.id))
    elif known.customer_id != account.id:
        logger.warning("a number is brought along that is another customer's", extra={"customer_id": account.id})
    return account


def reserve(wanted: str, customer_id: str, who: Actor, now: datetime, why: str = "") -> Number:
    """Keep a number for a customer; raises NumberError or UnknownNumberError."""
    return _change(wanted, lambda found: number.move(found, State.RESERVED, who, now, customer_id=customer_id, why=why))


def port_in(wanted: str, customer_id: str, who: Actor, now: datetime, why: str = "") -> Number:
    """Note that the other provider was asked for a number; raises NumberError or UnknownNumberError."""
    return _change(
        wanted, lambda found: number.move(found, State.PORTING_IN, who, now, customer_id=customer_id, why=why)
    )


def let_go(wanted: str, who: Actor, now: datetime, why: str = "") -> Number:
    """Give up a number that is not active: free again; raises NumberError or UnknownNumberError."""
    return _change(wanted, lambda found: number.move(found, State.FREE, who, now, why=why))


def activate(wanted: str, customer_id: str, who: Actor, now: datetime) -> Account:
    """Bring a number into service: it rings all phones, those without a number show it, and products that waited for it become active.

    Raises UnknownNumberError, NumberError (it is another's, or not reserved) or UnknownCustomerError.
    """
    account = _activate(wanted, customer_id, who, now)
    orders_behind.tell(account, now)
    return account


def _activate(wanted: str, customer_id: str, who: Actor, now: datetime, why: str = "") -> Account:

    def change(account: Account) -> Account:
        if any(each.number == wanted for each in account.environment.lines):
            return account
        environment = account.environment
        made = Line(wanted, tuple(each.username for each in environment.phones[: line.RINGS_AT_FIRST]))
        phones = tuple(replace(each, number=each.number or wanted) for each in environment.phones)
        account = replace(account, environment=replace(environment, lines=(*environment.lines, made), phones=phones))
        account = accounts.add_event(account, EventKind.NUMBER_ASSIGNED, who, now, why, number=wanted)
        return accounts.activate_ready(account, who, now)

    def move(found: Number) -> Number:
        return number.move(found, State.ACTIVE, who, now, customer_id=customer_id)

    return _with_customer(wanted, customer_id, move, change)


def give(wanted: str, customer_id: str, who: Actor, now: datetime, why: str = "") -> Account:
    """Bring a number of our blocks, or one that this customer brings along, into service for its plan; again changes nothing. The
    table's stream completes the orders behind it.

    Raises UnknownCustomerError, UnknownNumberError, NumberError, or NoPlanError when no plan lacks a number.
    """
    account = store().get(customer_id)
    if any(each.number == wanted for each in account.environment.lines):
        return account
    plans = sum(each.quantity for each in account.products if each.served and each.unit == "number")
    if len(account.environment.lines) >= plans:
        raise NoPlanError(plans)
    if _numbers().get(wanted).state in (State.FREE, State.WISHED):
        reserve(wanted, customer_id, who, now, why)
    return _activate(wanted, customer_id, who, now, why)


def end(
    wanted: str, customer_id: str, who: Actor, now: datetime, target: State = State.BLOCKED, why: str = ""
) -> Account:
    """Take a number out of service: blocked, or ported out; raises as `activate` does."""

    def change(account: Account) -> Account:
        environment = account.environment
        lines = tuple(each for each in environment.lines if each.number != wanted)
        phones = tuple(
            replace(each, number="" if each.number == wanted else each.number) for each in environment.phones
        )
        account = replace(account, environment=replace(environment, lines=lines, phones=phones))
        return accounts.add_event(account, EventKind.NUMBER_ENDED, who, now, why, number=wanted)

    return _with_customer(
        wanted,
        customer_id,
        lambda found: number.move(found, target, who, now, customer_id=customer_id, why=why),
        change,
    )


def _change(wanted: str, change: Callable[[Number], Number]) -> Number:
    for _ in range(_ATTEMPTS):
        before = _numbers().get(wanted)
        after = change(before)
        if _numbers().write(before, after):
            return after
    raise BusyError


def _with_customer(
    wanted: str, customer_id: str, move: Callable[[Number], Number], change: Callable[[Account], Account]
) -> Account:
    """Both or neither: a number is active if and only if one environment has a line for it."""
    before = _numbers().get(wanted)
    after = move(before)
    return store().change(customer_id, change, also=lambda _: _numbers().replace(before, after))
