"""What a customer owes for a month: lines in whole cents, from nothing but the events of its history. Pure.

A day counts with the quantity at its end; a month costs its share of days. Each product's shares in a month are rounded together, so that
they add up to the month. What turns out later to have been otherwise (a withdrawal) is corrected in the month in which it turns out.
"""

from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from customers.account import Event, EventKind
from customers.customer import Customer
from customers.vat import Vat, vat_of
from shared.clock import local_day, midnight


class LineKind(StrEnum):
    """What a line is for."""

    MONTHLY = "monthly"
    ONCE = "once"


@dataclass(frozen=True)
class BillLine:
    """One line; `first` to before `until` are days of service, `share_of` is the month's number of days. A credit has a negative quantity.

    `unit_cents` is the price of one unit a month, or once; `cents` the line's amount, all excluding VAT.
    """

    product_id: str
    offering_id: str
    name: str
    kind: LineKind
    first: date
    until: date
    quantity: int
    unit_cents: int
    cents: int

    @property
    def days(self) -> int:
        return (self.until - self.first).days

    @property
    def share_of(self) -> int:
        return monthrange(self.first.year, self.first.month)[1]


@dataclass(frozen=True)
class Bill:
    """A customer's bill for a month, which begins on `month`; amounts in cents. `customer` is as it was when the bill was made.

    `before` is the number of the customer's bill before it, to which a credit note refers; it may be empty.
    """

    number: str
    month: date
    customer: Customer
    lines: tuple[BillLine, ...]
    vat: Vat
    before: str = ""

    @property
    def net_cents(self) -> int:
        return sum(line.cents for line in self.lines)

    @property
    def vat_cents(self) -> int:
        return self.vat.of(self.net_cents)

    @property
    def total_cents(self) -> int:
        return self.net_cents + self.vat_cents


@dataclass(frozen=True)
class _Run:
    """What the events say of one product: `steps` are (day, quantity), each from its day on."""

    product_id: str
    offering_id: str
    name: str
    unit_cents: int
    started_on: date
    steps: tuple[tuple[date, int], ...]
    fees: tuple[tuple[str, str, int, int], ...]
    until: date | None = None


def bill(
    customer: Customer, history: Sequence[Event], month: date, number: str, seller_country: str, before: str = ""
) -> Bill | None:
    """The bill of a month that is over, from all that had happened by its end; None when there is nothing to bill."""
    found = lines(history, month)
    if not found:
        return None
    vat = vat_of(customer, seller_country, next_month(month) - timedelta(days=1))
    return Bill(number, month, customer, tuple(found), vat, before)


def lines(history: Sequence[Event], month: date) -> list[BillLine]:
    """The lines of a month, as known at its end: its days, its fees, and corrections of months that were billed before."""
    known = _runs(history, next_month(month))
    before = _runs(history, month)
    found = [line for run in known.values() for line in _lines(run, month)]
    for product_id, earlier in before.items():
        now = known[product_id]
        if now == earlier:
            continue
        for past in _months(earlier.started_on.replace(day=1), month):
            was, should = list(_lines(earlier, past)), list(_lines(now, past))
            if was != should:
                found += [replace(line, quantity=-line.quantity, cents=-line.cents) for line in was]
                found += should
    for product_id, run in known.items():
        if product_id not in before:  # what is told a month late is billed a month late
            for past in _months(run.started_on.replace(day=1), month):
                found += _lines(run, past)
    return found


def monthly_share(monthly_cents: int, first: date, until: date) -> int:
    """What days from `first` to before `until` cost at so much a month: each month's share rounded, half a cent up."""
    total = 0
    for month in _months(first.replace(day=1), until):
        days = (min(until, next_month(month)) - max(first, month)).days
        total += _rounded(monthly_cents * days, monthrange(month.year, month.month)[1])
    return total


def next_month(month: date) -> date:
    """The first day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _months(first: date, before: date) -> Iterator[date]:
    while first < before:
        yield first
        first = next_month(first)


def _runs(history: Iterable[Event], before: date) -> dict[str, _Run]:
    """What is known of each product that ever became active, at midnight as a day begins."""
    cut, found = midnight(before), dict[str, _Run]()
    for event in history:
        product_id = str(event.facts.get("productId", ""))
        if event.at >= cut:
            continue
        if event.kind is EventKind.PRODUCT_ACTIVATED:
            found[product_id] = _started(product_id, event.facts)
        elif product_id in found:
            found[product_id] = _told(found[product_id], event)
    return found


def _started(product_id: str, facts: Mapping[str, object]) -> _Run:
    started_on = date.fromisoformat(str(facts["startedOn"]))
    fees = facts.get("fees", [])
    assert isinstance(fees, list)  # noqa: S101
    return _Run(
        product_id=product_id,
        offering_id=str(facts["offeringId"]),
        name=str(facts["name"]),
        unit_cents=_number(facts["unitCents"]),
        started_on=started_on,
        steps=((started_on, _number(facts["quantity"])),),
        fees=tuple(
            (str(fee["offeringId"]), str(fee["name"]), int(fee["quantity"]), int(fee["unitCents"])) for fee in fees
        ),
    )


def _told(run: _Run, event: Event) -> _Run:
    facts = event.facts
    if event.kind is EventKind.QUANTITY_CHANGED:
        day = max(run.started_on, date.fromisoformat(str(facts.get("from") or local_day(event.at))))
        steps = [step for step in run.steps if step[0] < day]
        return replace(run, steps=(*steps, (day, _number(facts["quantity"]))))
    if event.kind is EventKind.PRODUCT_ENDED:
        return replace(run, until=date.fromisoformat(str(facts["endsOn"])))
    if event.kind is EventKind.PRODUCT_WITHDRAWN:
        # The fees are paid back; days are owed only where the customer had expressly asked for them.
        until = date.fromisoformat(str(facts["endsOn"])) if facts.get("atOnce") else run.started_on
        return replace(run, until=until, fees=())
    return run


def _lines(run: _Run, month: date) -> Iterator[BillLine]:
    after = next_month(month)
    if month <= run.started_on < after:
        for offering_id, name, quantity, unit_cents in run.fees:
            day = run.started_on
            yield BillLine(
                run.product_id,
                offering_id,
                name,
                LineKind.ONCE,
                day,
                day + timedelta(days=1),
                quantity,
                unit_cents,
                quantity * unit_cents,
            )
    end = min(after, run.until or after)
    exact = before = 0
    for n, (day, quantity) in enumerate(run.steps):
        first = max(day, month)
        until = min(end, run.steps[n + 1][0] if n + 1 < len(run.steps) else end)
        if first >= until or not quantity or not run.unit_cents:
            continue
        # Rounded together: each line is what the sum grows by.
        exact += run.unit_cents * quantity * (until - first).days
        total = _rounded(exact, monthrange(month.year, month.month)[1])
        yield BillLine(
            run.product_id,
            run.offering_id,
            run.name,
            LineKind.MONTHLY,
            first,
            until,
            quantity,
            run.unit_cents,
            total - before,
        )
        before = total


def _rounded(numerator: int, denominator: int) -> int:
    """A quotient of an amount of 0 or more, half a cent up."""
    return (2 * numerator + denominator) // (2 * denominator)


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number")
    return value
