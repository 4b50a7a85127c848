"""What sales asks of a month: products that run, began and ended, and what they bring."""

from datetime import date

from customers import overview
from customers.overview import Count, List
from customers.store import store


def products_of(month: date) -> list[Count]:
    """By offering; read from the index, a page for some 6,000 products."""
    return overview.of_month(store().products(List.RUNNING), store().products(List.ENDED, str(month)), month)
