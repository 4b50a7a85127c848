"""What was agreed for a date: phones that leave, products that end, data that goes. Pure."""

from datetime import datetime

from customers.account import Account
from customers.product import State
from shared.clock import midnight


def next_due(account: Account) -> datetime | None:
    """The earliest moment at which something of this customer is to be carried out."""
    days = [phone.leaves_on for phone in account.environment.phones if phone.leaves_on]
    days += [found.ends_on for found in account.products if found.state is State.PENDING_TERMINATE and found.ends_on]
    moments = [midnight(day) for day in days]
    if account.customer.retain_until:
        moments.append(account.customer.retain_until)
    return min(moments, default=None)
