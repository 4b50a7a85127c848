"""Makes the bills of a month that is over, once and for good; `python -m customers.billing_run 2026-11 --out DIR` writes them out.

A run that was cut short goes on where it was, and one that is done changes nothing: bills that exist keep their number and their lines. A
customer that cannot be read is named and counted, and gets its bill by a later run.
"""

import argparse
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from customers import bill_items, ubl
from customers.bill_store import BillStore
from customers.billing import Bill, bill, next_month
from customers.seller import Seller
from customers.seller import parse as parse_seller
from customers.store import store
from shared import clock, settings
from shared.clock import local_day, midnight
from shared.telemetry import count, flush, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


_ENOUGH_TIME_MS = 10_000
_MONTHS_BACK = 3


@cache
def seller() -> Seller:
    """The provider that was deployed with this function."""
    return parse_seller(tomllib.loads((settings.data_directory() / "brand.toml").read_text()))


class MonthNotOverError(ValueError):
    """The month has days left, so its bills would change."""


@dataclass
class Outcome:
    """What a run came to: how many bills there are now, how many of them are new, their sum, and who could not be read."""

    month: str
    bills: int = 0
    made: int = 0
    net_cents: int = 0
    unreadable: list[str] = field(default_factory=list)
    done: bool = True


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Make the bills of `month` (2026-11) or, started by the clock, of the month that ended last."""
    now = clock.now()
    month = parse_month(event["month"]) if "month" in event else last_month(now)
    try:
        return asdict(run(month, now, lambda: context.get_remaining_time_in_millis() > _ENOUGH_TIME_MS))
    finally:
        flush()


def run(month: date, now: datetime, goes_on: Callable[[], bool] = lambda: True) -> Outcome:
    """Make the bills of a month that are missing, while `goes_on` says so; raises MonthNotOverError."""
    if midnight(next_month(month)) > now:
        raise MonthNotOverError(f"{month:%Y-%m} is not over")
    outcome, bills = Outcome(f"{month:%Y-%m}"), BillStore(store().table)
    known = {found.customer.id: found for found in bills.of_month(month)}
    number = max((int(found.number.rpartition("-")[2]) for found in known.values()), default=0)
    # By id, so that a run that begins anew gives the same numbers.
    for customer_id in sorted(entry.customer_id for entry in store().entries()):
        if customer_id in known:
            continue
        if not goes_on():
            outcome.done = False
            break
        try:
            made = _bill(customer_id, month, f"{month:%Y%m}-{number + 1:05d}")
        except Exception:
            logger.exception("no bill", extra={"customer_id": customer_id})
            count("BillFailed")
            outcome.unreadable.append(customer_id)
            continue
        if made:
            bills.freeze(made)
            number += 1
            outcome.made += 1
            known[customer_id] = made
    outcome.bills = len(known)
    outcome.net_cents = sum(found.net_cents for found in known.values())
    logger.info("bills made", extra=asdict(outcome))
    return outcome


def _bill(customer_id: str, month: date, number: str) -> Bill | None:
    account = store().get(customer_id)
    made = bill(account.customer, store().history(customer_id, strict=True), month, number, seller().country)
    if made is None or made.net_cents >= 0:
        return made
    return replace(made, before=_number_before(customer_id, month))


def _number_before(customer_id: str, month: date) -> str:
    """The number of the customer's bill before this month, to which a credit note refers."""
    for _ in range(_MONTHS_BACK):
        month = (month - timedelta(days=1)).replace(day=1)
        for found in BillStore(store().table).of_month(month):
            if found.customer.id == customer_id:
                return found.number
    return ""


def export(month: date, out: Path) -> tuple[int, dict[str, tuple[str, ...]]]:
    """Write the bills of a month: facturen.csv, and a UBL document for each; answers how many, and what is missing for which number."""
    found = sorted(BillStore(store().table).of_month(month), key=lambda each: each.number)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"facturen-{month:%Y-%m}.csv").write_text(bill_items.table(found), encoding="utf-8", newline="")
    incomplete = {}
    for each in found:
        try:
            (out / f"{each.number}.xml").write_bytes(ubl.document(_with_address(each), seller()))
        except ubl.IncompleteError as error:
            incomplete[each.number] = error.missing
    return len(found), incomplete


def _with_address(found: Bill) -> Bill:
    """A bill whose customer had told no address yet gets the one that was told since; nothing else of it ever changes."""
    known = found.customer.billing_address.street or not store().find(found.customer.id)
    if known:
        return found
    address = store().get(found.customer.id).customer.billing_address
    return replace(found, customer=replace(found.customer, billing_address=address))


def parse_month(text: str) -> date:
    """2026-11 as its first day; raises ValueError."""
    return date.fromisoformat(f"{text}-01")


def last_month(now: datetime) -> date:
    """The month that ended last."""
    return (local_day(now).replace(day=1) - timedelta(days=1)).replace(day=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and export one month; needs CUSTOMERS_TABLE, AWS_REGION and rights on the table in the environment."""
    parser = argparse.ArgumentParser(prog="customers.billing_run", description="The bills of a month that is over.")
    parser.add_argument("month", type=parse_month, help="such as 2026-11")
    parser.add_argument("--out", type=Path, required=True, help="directory for the CSV and the UBL documents")
    told = parser.parse_args(arguments)
    try:
        outcome = run(told.month, clock.now())
    except MonthNotOverError as error:
        print(f"{error}; run it from the first of the next month on.", file=sys.stderr)
        return 2
    written, incomplete = export(told.month, told.out)
    print(
        f"{outcome.month}: {outcome.bills} bills, {outcome.made} of them new, EUR {outcome.net_cents / 100:.2f} excl. VAT."
    )
    print(f"{written} in {told.out}.")
    for number, missing in incomplete.items():
        print(f"{number}: no UBL, {', '.join(missing)} missing; ask the customer and run again.", file=sys.stderr)
    for customer_id in outcome.unreadable:
        print(f"{customer_id}: cannot be read, no bill; see the log.", file=sys.stderr)
    return 1 if incomplete or outcome.unreadable else 0


if __name__ == "__main__":
    sys.exit(main())
