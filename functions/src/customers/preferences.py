"""What is chosen for a customer: how many days its calls are kept, its own limits, and whether its nodes serve nobody else. Pure."""

from dataclasses import replace
from datetime import datetime

from customers import account as accounts
from customers.account import Account, EventKind
from customers.environment import Limits, limits_to_item
from customers.states import Actor

CALL_HISTORY_DAYS = range(366)
"""site/data/retention.toml, telephony: 0 means that nothing is written down."""


class DaysRefusedError(ValueError):
    """So many days cannot be chosen."""

    def __init__(self, days: int) -> None:
        super().__init__(f"{days} days: choose from {CALL_HISTORY_DAYS.start} to {CALL_HISTORY_DAYS.stop - 1}")
        self.days = days


def keep_calls(account: Account, days: int, who: Actor, now: datetime) -> Account:
    """The account whose calls are kept so many days; a shorter time holds for what is kept already. Raises DaysRefusedError."""
    if days not in CALL_HISTORY_DAYS:
        raise DaysRefusedError(days)
    environment = account.environment
    if environment.call_history_days == days:
        return account
    account = replace(account, environment=replace(environment, call_history_days=days))
    before = environment.call_history_days
    return accounts.add_event(account, EventKind.CALL_HISTORY_CHANGED, who, now, "", before=before, after=days)


class LimitRefusedError(ValueError):
    """So much cannot be allowed; `field` says of what, `bounds` how much can."""

    def __init__(self, field: str, bounds: range) -> None:
        super().__init__(f"{field}: from {bounds.start} to {bounds.stop - 1}")
        self.field = field
        self.bounds = bounds


LIMITS = {
    "concurrentCalls": range(1, 1001),
    "forwardedCalls": range(101),
    "callsPerMinute": range(1, 1001),
    "minutesPerDay": range(1, 100_001),
}


def limit(account: Account, wanted: Limits | None, who: Actor, now: datetime) -> Account:
    """The account with limits of its own, or with those of its products when None. Raises LimitRefusedError."""
    told = limits_to_item(wanted) if wanted else {}
    for field, bounds in LIMITS.items():
        if told and told[field] not in bounds:
            raise LimitRefusedError(field, bounds)
    customer = account.customer
    if customer.limits == wanted:
        return account
    before = limits_to_item(account.environment.limits)
    account = replace(account, customer=replace(customer, limits=wanted))
    return accounts.add_event(account, EventKind.LIMITS_CHANGED, who, now, "", before=before, after=told)


def dedicate(account: Account, dedicated: bool, who: Actor, now: datetime) -> Account:
    """The account whose environment has nodes of its own, on request, or shares them as others do."""
    environment = account.environment
    if environment.dedicated == dedicated:
        return account
    account = replace(account, environment=replace(environment, dedicated=dedicated))
    return accounts.add_event(account, EventKind.DEDICATED_CHANGED, who, now, "", dedicated=dedicated)
