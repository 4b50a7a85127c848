"""Orders as a table for Dutch Excel (shared/spreadsheet.py), in Dutch words. Pure but for reading what states and kinds are called."""

import tomllib
from collections.abc import Sequence
from functools import cache

from ordering.items import Unreadable
from ordering.order import Order
from shared import clock, settings, spreadsheet
from shared.spreadsheet import Value, euros, telephone

_HEAD = (
    "Bestelling", "Datum", "Status", "Soort", "Bedrijf", "Land", "KvK of ondernemingsnummer", "Naam", "E-mail", "Telefoon",
    "Telefoons", "Per maand excl. btw", "Eenmalig excl. btw", "Spamscore", "Opmerking",
)  # fmt: skip
_COUNTRIES = {"NL": "Nederland", "BE": "België"}


def table(orders: Sequence[Order | Unreadable]) -> str:
    """The orders, a row each, under a row of headings; the fields of the kinds that are among them stand at the end."""
    details = {detail.name: detail.label for order in orders if isinstance(order, Order) for detail in order.details}
    return spreadsheet.table([*_HEAD, *details.values()], (_cells(order, list(details)) for order in orders))


def _cells(order: Order | Unreadable, details: Sequence[str]) -> list[str]:
    if isinstance(order, Unreadable):
        return [order.id, order.order_date, "Onleesbaar"]
    party = order.related_party
    when = clock.local_time(order.order_date)
    own = {detail.name: telephone(detail.text) for detail in order.details}
    return [
        order.id, Value(f"{when:%Y-%m-%d %H:%M}"), _state(order.state.value), _kind(order.category),
        party.company, _COUNTRIES.get(party.country, party.country), party.kvk, party.name, party.email,
        telephone(party.telephone), Value(order.quantity), euros(order.price.monthly_total_cents),
        euros(order.price.one_time_total_cents), Value(order.spam_score), order.note,
        *(own.get(name, "") for name in details),
    ]  # fmt: skip


def _state(state: str) -> str:
    words = _words("order_states").get(state)
    return str(words["sales_name"]) if isinstance(words, dict) else state


def _kind(category: str) -> str:
    words = _words("order_kinds").get(category)
    return str(words["sales_name"]) if isinstance(words, dict) else category


@cache
def _words(name: str) -> dict[str, object]:
    return tomllib.loads((settings.data_directory() / f"{name}.toml").read_text())
