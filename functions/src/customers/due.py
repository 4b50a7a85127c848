"""Carries out what was agreed for a date: phones leave, products end, data that was kept long enough goes. Run by a schedule."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from customers import service
from customers.store import store
from shared import clock
from shared.clock import to_iso
from shared.telemetry import count, flush, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_ENOUGH_TIME_MS = 10_000


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, int]:
    """Carry out what is due now, as far as there is time; the next run goes on."""
    try:
        return {"done": run(clock.now(), lambda: context.get_remaining_time_in_millis() > _ENOUGH_TIME_MS)}
    finally:
        flush()


def run(now: datetime, goes_on: Any = lambda: True) -> int:
    """For how many customers something was carried out; one that fails does not keep the others waiting."""
    done = 0
    for _, customer_id in list(store().due(to_iso(now))):
        if not goes_on():
            break
        try:
            carry_out(customer_id, now)
        except Exception:
            logger.exception("what was due was not done", extra={"customer_id": customer_id})
            count("DueFailed")
        else:
            done += 1
    return done


def carry_out(customer_id: str, now: datetime) -> None:
    """Everything that is due for one customer; after the time that data is kept, all but bills goes."""
    found = store().find(customer_id)
    kept_until = found and found.customer.retain_until
    if found is None or (kept_until and kept_until <= now and not found.environment.served):
        store().purge(customer_id)
        logger.info("purged", extra={"customer_id": customer_id})
        count("CustomerPurged")
        return
    service.change(customer_id, lambda account: account, now)
