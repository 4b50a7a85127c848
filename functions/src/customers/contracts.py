"""What customers and sales do with a contract; each is one change of the account, with its event, of which a mail goes out."""

from collections.abc import Collection
from datetime import datetime

from customers import contract, delivery, service
from customers.account import Account
from customers.product import State
from customers.states import Actor
from customers.store import store
from ordering import fulfilment as ordering


def give_notice(
    customer_id: str, product_ids: Collection[str] | None, by: Actor, now: datetime, why: str = ""
) -> Account:
    """These products, or all, end a month from now; see customers.contract.give_notice."""
    return service.change(customer_id, lambda found: contract.give_notice(found, product_ids, by, now, why), now)


def take_notice_back(customer_id: str, product_ids: Collection[str] | None, by: Actor, now: datetime) -> Account:
    """These products, or all, go on after all; possible until their date."""
    return service.change(customer_id, lambda found: contract.take_notice_back(found, product_ids, by, now), now)


def withdraw(customer_id: str, product_id: str, by: Actor, now: datetime) -> Account:
    """A consumer withdraws from a product, or from one that is still being delivered; nobody can refuse it.

    Raises UnknownCustomerError, UnknownProductError or NoWithdrawalError; see customers.contract.withdraw.
    """
    account = store().get(customer_id)
    found = account.product(product_id)
    if found.state is State.CREATED and contract.may_withdraw(account, found, now):
        # The order first: what follows for the account follows from it by the stream as well, if this is cut short.
        ordering.withdrawn(found.order_id, now)

        def cancel(each: Account) -> Account:
            return contract.carry_out(delivery.cancel(each, found.order_id, by, now, "herroepen"), now)

        return service.change(customer_id, cancel, now)
    return service.change(customer_id, lambda each: contract.withdraw(each, product_id, by, now), now)


def suspend(customer_id: str, by: Actor, now: datetime, why: str) -> Account:
    """Calls out are refused, but never 112, until `resume`."""
    return service.change(customer_id, lambda found: contract.suspend(found, by, now, why), now)


def resume(customer_id: str, by: Actor, now: datetime, why: str = "") -> Account:
    """Calls out go again."""
    return service.change(customer_id, lambda found: contract.resume(found, by, now, why), now)
