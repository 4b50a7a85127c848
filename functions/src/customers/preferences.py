"""What is chosen for a customer: how many days its calls are kept, and whether its nodes serve nobody else. Pure."""

from dataclasses import replace
from datetime import datetime

from customers import account as accounts
from customers.account import Account, EventKind
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


def dedicate(account: Account, dedicated: bool, who: Actor, now: datetime) -> Account:
    """The account whose environment has nodes of its own, on request, or shares them as others do."""
    environment = account.environment
    if environment.dedicated == dedicated:
        return account
    account = replace(account, environment=replace(environment, dedicated=dedicated))
    return accounts.add_event(account, EventKind.DEDICATED_CHANGED, who, now, "", dedicated=dedicated)
