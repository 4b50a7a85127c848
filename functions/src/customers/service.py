"""How an account is changed by people and by the clock: what was due comes first, and numbers that are lost become blocked."""

from collections.abc import Callable, Sequence
from datetime import datetime

from customers import contract, number
from customers.account import Account
from customers.environment import Line
from customers.number import State
from customers.number_store import NumberStore
from customers.states import CLOCK
from customers.store import store
from shared.dynamodb import Write


def change(customer_id: str, change: Callable[[Account], Account], now: datetime) -> Account:
    """Apply `change` to the account as it is now; raises UnknownCustomerError, BusyError, and what `change` raises."""
    held: Sequence[Line] = ()

    def apply(found: Account) -> Account:
        nonlocal held
        held = found.environment.lines
        # Whoever comes after a date and before the schedule finds what was agreed for that date.
        return change(contract.carry_out(found, now))

    return store().change(customer_id, apply, also=lambda after: _lost(held, after, now))


def _lost(held: Sequence[Line], after: Account, now: datetime) -> list[Write]:
    """The writes by which the numbers that a customer has no more become blocked."""
    kept = {line.number for line in after.environment.lines}
    numbers, writes = NumberStore(store().table), list[Write]()
    for line in held:
        found = None if line.number in kept else numbers.find(line.number)
        if found and found.state is State.ACTIVE and found.customer_id == after.id:
            writes += numbers.replace(found, number.move(found, State.BLOCKED, CLOCK, now, customer_id=after.id))
    return writes
