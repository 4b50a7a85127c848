"""Orders that were completed before customers were kept become customers and products: `python -m customers.migration`.

One step that may be run again and at any time: an order that has its customer is left alone. Phones keep their user names and passwords,
and get extensions that are no short code. Needs CUSTOMERS_TABLE, ORDERS_TABLE, FLEET_TABLE and AWS_REGION in the environment.
"""

import sys
from dataclasses import dataclass, field
from datetime import datetime

from customers import fulfilment
from customers.store import store
from fleet import former
from ordering import fulfilment as ordering
from ordering.order import Order
from shared import clock
from shared.telemetry import logger


@dataclass
class Outcome:
    """How many completed orders were seen, how many became products now, and the ids of those that could not."""

    seen: int = 0
    migrated: int = 0
    failed: list[str] = field(default_factory=list)


def run(now: datetime) -> Outcome:
    """Migrate all completed orders that are not yet."""
    outcome = Outcome()
    for found in ordering.completed():
        outcome.seen += 1
        if found.category not in fulfilment.DELIVERED or store().of_order(found.id):
            continue
        try:
            _migrate(found, now)
        except Exception:
            logger.exception("not migrated", extra={"order_id": found.id})
            outcome.failed.append(found.id)
        else:
            outcome.migrated += 1
    return outcome


def _migrate(found: Order, now: datetime) -> None:
    fulfilment.adopt(found, now, former.phones(found.id))


def main() -> int:
    """Run it and say what it came to."""
    outcome = run(clock.now())
    print(f"{outcome.seen} completed orders, {outcome.migrated} of them became products now.")
    for order_id in outcome.failed:
        print(f"{order_id}: not migrated; see the log, mend it and run this again.", file=sys.stderr)
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
