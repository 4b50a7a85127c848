"""What a history of events owes, counted day by day with fractions of a cent: knows nothing of how bills are made."""

from calendar import monthrange
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from customers.account import Event, EventKind
from shared.clock import local_day


def owed(history: Iterable[Event], until: date) -> int:
    """What all products come to before `until`, in cents."""
    of_products: dict[str, list[Event]] = {}
    for event in history:
        of_products.setdefault(event.facts.get("productId", ""), []).append(event)
    return sum(_of_product(events, until) for product_id, events in of_products.items() if product_id)


def _of_product(events: Sequence[Event], until: date) -> int:
    steps: list[tuple[date, int]] = []
    fee = unit = 0
    free, stop = False, until
    for event in events:
        facts: Any = event.facts
        if event.kind is EventKind.PRODUCT_ACTIVATED:
            steps.append((date.fromisoformat(facts["startedOn"]), facts["quantity"]))
            fee = sum(each["quantity"] * each["unitCents"] for each in facts.get("fees", []))
            unit = facts["unitCents"]
        elif event.kind is EventKind.QUANTITY_CHANGED and steps:
            steps.append(
                (date.fromisoformat(facts["from"]) if facts.get("from") else local_day(event.at), facts["quantity"])
            )
        elif event.kind is EventKind.PRODUCT_ENDED:
            stop = date.fromisoformat(facts["endsOn"])
        elif event.kind is EventKind.PRODUCT_WITHDRAWN:
            stop, fee, free = date.fromisoformat(facts["endsOn"]), 0, not facts["atOnce"]
    months: dict[tuple[int, int], Fraction] = {}
    if steps and not free:
        day = steps[0][0]
        while day < min(stop, until):
            # A later event about the same day or an earlier one wins.
            quantity = [count for since, count in steps if since <= day][-1]
            share = Fraction(unit * quantity, monthrange(day.year, day.month)[1])
            months[day.year, day.month] = months.get((day.year, day.month), Fraction(0)) + share
            day += timedelta(days=1)
    return fee + sum(int(amount + Fraction(1, 2)) for amount in months.values())
