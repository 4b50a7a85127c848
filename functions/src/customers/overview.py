"""What a month came to, counted in products: how many run, began and ended, and what they bring in a month now. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from customers.billing import next_month
from customers.documents import Item
from customers.product import RUNNING, Product, State


class List(StrEnum):
    """The lists of products in the index."""

    WAITING = "PRODUCTS#waiting"
    RUNNING = "PRODUCTS#running"
    ENDED = "PRODUCTS#ended"


@dataclass(frozen=True)
class Row:
    """A product as the index has it; days in the Netherlands, cents a month for one unit, excluding VAT."""

    offering_id: str
    quantity: int
    unit_cents: int
    started_on: date | None
    ended_on: date | None


@dataclass
class Count:
    """One offering in a month: products and their units that run now, products that began and ended in it, and cents a month now."""

    offering_id: str
    running: int = 0
    units: int = 0
    began: int = 0
    ended: int = 0
    monthly_cents: int = 0


def of_month(running: Iterable[Row], ended: Iterable[Row], month: date) -> list[Count]:
    """By offering, in the order of their ids; `ended` are at least those that ended since the month began."""
    counts: dict[str, Count] = {}
    after = next_month(month)
    for row in running:
        count = counts.setdefault(row.offering_id, Count(row.offering_id))
        count.running += 1
        count.units += row.quantity
        count.monthly_cents += row.quantity * row.unit_cents
        count.began += bool(row.started_on and month <= row.started_on < after)
    for row in ended:
        if row.started_on is None:  # cancelled before it began
            continue
        count = counts.setdefault(row.offering_id, Count(row.offering_id))
        count.ended += bool(row.ended_on and month <= row.ended_on < after)
        count.began += month <= row.started_on < after
    return [counts[offering_id] for offering_id in sorted(counts)]


def listed(product: Product) -> Item:
    """Where a product stands in the index."""
    if product.state is State.TERMINATED:
        return {"list": List.ENDED.value, "listKey": f"{product.ends_on or ''}#{product.id}"}
    which = List.RUNNING if product.state in RUNNING else List.WAITING
    return {"list": which.value, "listKey": f"{product.started_on or ''}#{product.id}"}


def to_row(item: Mapping[str, Any]) -> Row:
    """A product of the index."""

    def day(name: str) -> date | None:
        return date.fromisoformat(item[name]) if name in item else None

    return Row(item["offeringId"], item["quantity"], item["unitCents"], day("startedOn"), day("endsOn"))
