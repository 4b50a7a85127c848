"""Sales joins two customers that are one, or notes that they are not."""

from dataclasses import replace
from datetime import datetime

from customers import account as accounts
from customers import joining, number, service
from customers.account import Account, EventKind
from customers.number_store import NumberStore
from customers.states import Actor
from customers.store import store
from shared.dynamodb import Write


def join(into_id: str, other_id: str, by: Actor, now: datetime, why: str = "") -> Account:
    """Make the other customer part of the first; asking again finishes what was cut short.

    Raises UnknownCustomerError, CannotJoinError or BusyError.
    """
    joining.check(store().get(into_id), store().get(other_id))
    other = service.change(
        other_id, lambda found: accounts.because(found, joining.close(found, into_id, by, now), why), now
    )
    after = store().change(
        into_id,
        lambda found: accounts.because(found, joining.take_over(found, other, by, now), why),
        also=lambda _: _numbers(other, into_id, by, now),
    )
    # Its numbers are the other's by now, so what `service` does with lost ones would be wrong here.
    store().change(other_id, lambda found: accounts.because(found, joining.let_go(found, by, now), why))
    return after


def are_not_one(customer_id: str, other_id: str, by: Actor, now: datetime, why: str = "") -> Account:
    """Note that somebody who looks the same is somebody else; they are not shown as probably the same any more."""

    def change(found: Account) -> Account:
        if other_id not in found.customer.look_alikes:
            return found
        customer = replace(found.customer, look_alikes=found.customer.look_alikes - {other_id})
        return accounts.add_event(
            replace(found, customer=customer), EventKind.LOOK_ALIKE_REFUTED, by, now, why, customers=[other_id]
        )

    return store().change(customer_id, change)


def _numbers(other: Account, into_id: str, by: Actor, now: datetime) -> list[Write]:
    numbers, writes = NumberStore(store().table), list[Write]()
    for line in other.environment.lines:
        found = numbers.get(line.number)
        moved = number.hand_over(found, into_id, by, now, f"samengevoegd met {other.id}")
        if moved is not found:
            writes += numbers.replace(found, moved)
    return writes
