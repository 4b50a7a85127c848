"""Orders as a table that Dutch Excel opens as it is: semicolons, a byte order mark, CRLF, and no cell that runs as a
formula. Pure.
"""

import csv
import io
from collections.abc import Iterable

from ordering.order import Order
from shared import clock

_HEAD = (
    "Bestelling", "Datum", "Status", "Soort", "Bedrijf", "KvK", "Naam", "E-mail", "Telefoon",
    "Telefoons", "Per maand excl. btw", "Eenmalig excl. btw", "Spamscore", "Opmerking",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table(orders: Iterable[Order]) -> str:
    """The orders, a row each, under a row of headings."""
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(_HEAD)
    for order in orders:
        writer.writerow([_guarded(cell) for cell in _cells(order)])
    return text.getvalue()


def _cells(order: Order) -> list[str]:
    party = order.related_party
    when = clock.local_time(order.order_date)
    return [
        order.id, f"{when:%Y-%m-%d %H:%M}", order.state.value, order.category,
        party.company, party.kvk, party.name, party.email, party.telephone,
        str(order.quantity), _euros(order.price.monthly_total_cents), _euros(order.price.one_time_total_cents),
        str(order.spam_score), order.note,
    ]  # fmt: skip


def _euros(cents: int) -> str:
    return f"{cents // 100},{cents % 100:02d}"


def _guarded(cell: str) -> str:
    """With an apostrophe before what Excel would run (https://owasp.org/www-community/attacks/CSV_Injection)."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell
