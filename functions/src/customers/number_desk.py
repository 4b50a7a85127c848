"""Brings a number into service for a customer: `python -m customers.number_desk NUMBER CUSTOMER`; needs CUSTOMERS_TABLE,
ORDERS_TABLE, NODE_CAPACITY_CALLS and AWS_REGION. A number of no block of ours is taken in first, as one that was ported in is.
"""

import argparse
import getpass
import sys
from collections.abc import Sequence

from customers import line, numbers
from customers.number import NumberError
from customers.numbers import NoPlanError
from customers.states import Actor, Role
from customers.store import UnknownCustomerError, store
from shared import clock


def main(arguments: Sequence[str] | None = None) -> int:
    """Says what it did; 1 when it may not be."""
    parser = argparse.ArgumentParser(prog="customers.number_desk", description="A number in service for a customer.")
    parser.add_argument("number", help="in international form, such as +31855550120")
    parser.add_argument("customer", help="the customer's id, such as abc234")
    told = parser.parse_args(arguments)
    who, now = Actor(Role.SALES, getpass.getuser()), clock.now()
    try:
        wanted = line.e164(told.number)
        store().get(told.customer)
        if numbers.find(wanted) is None:
            numbers.load([wanted], "number_desk", Actor(Role.OPERATOR, getpass.getuser()), now)
        account = numbers.give(wanted, told.customer, who, now)
    except UnknownCustomerError:
        print(f"There is no customer {told.customer!r}.", file=sys.stderr)
        return 1
    except (NumberError, NoPlanError, ValueError) as refused:
        print(f"{told.number} cannot be brought into service: {refused}", file=sys.stderr)
        return 1
    rings = next(each.rings for each in account.environment.lines if each.number == wanted)
    print(f"{wanted} is in service for {account.id} and rings {', '.join(rings) or 'nobody'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
