"""What ordering is told: the orders behind products are complete, or have to wait. Again does no harm, so a crash loses nothing."""

from datetime import datetime

from customers import environment
from customers.account import Account, told
from customers.product import State
from customers.store import store
from ordering import fulfilment
from shared.brand import brand


def tell(account: Account, at: datetime) -> None:
    """Complete the orders whose products are all active; what is cut short here the table's stream does again."""
    for order_id in sorted(account.untold_orders):
        fulfilment.complete(order_id, account.proven_by, environment.name(account.id, brand().sip_domain), at)
        store().change(account.id, lambda found, done=order_id: told(found, done))  # type: ignore[misc]


def tell_held(account: Account, reason: str, at: datetime) -> None:
    """Hold the orders that wait for this environment, or let them go on when the reason is empty."""
    for order_id in sorted({found.order_id for found in account.products if found.state is State.CREATED}):
        if reason:
            fulfilment.hold(order_id, reason, at)
        else:
            fulfilment.resume(order_id, at)
