"""Orders as a table that Dutch Excel opens as a person would have typed it: semicolons, a byte order mark, Dutch words.

No cell runs as a formula. Pure but for reading what states and kinds are called.
"""

import csv
import io
import tomllib
from collections.abc import Sequence
from functools import cache

from ordering.items import Unreadable
from ordering.order import Order
from shared import clock, settings

_HEAD = (
    "Bestelling", "Datum", "Status", "Soort", "Bedrijf", "Land", "KvK of ondernemingsnummer", "Naam", "E-mail", "Telefoon",
    "Telefoons", "Per maand excl. btw", "Eenmalig excl. btw", "Spamscore", "Opmerking",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COUNTRIES = {"NL": "Nederland", "BE": "België"}
_HOME = 31


def table(orders: Sequence[Order | Unreadable]) -> str:
    """The orders, a row each, under a row of headings; the fields of the kinds that are among them stand at the end."""
    details = {detail.name: detail.label for order in orders if isinstance(order, Order) for detail in order.details}
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow([*_HEAD, *details.values()])
    for order in orders:
        writer.writerow([_guarded(cell) for cell in _cells(order, list(details))])
    return text.getvalue()


def telephone(number: str) -> str:
    """An E.164 number as somebody in the Netherlands dials it: 085 123 4567, 0032 3 555 01 00. Excel keeps it as text."""
    if not number:
        return ""
    import phonenumbers

    parsed = phonenumbers.parse(number)
    if parsed.country_code == _HOME:
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    return f"00{phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)[1:]}"


def _cells(order: Order | Unreadable, details: Sequence[str]) -> list[str]:
    if isinstance(order, Unreadable):
        return [order.id, order.order_date, "Onleesbaar"]
    party = order.related_party
    when = clock.local_time(order.order_date)
    own = {detail.name: _typed(detail.text) for detail in order.details}
    return [
        order.id, f"{when:%Y-%m-%d %H:%M}", _state(order.state.value), _kind(order.category),
        party.company, _COUNTRIES.get(party.country, party.country), party.kvk, party.name, party.email,
        telephone(party.telephone), str(order.quantity), _euros(order.price.monthly_total_cents),
        _euros(order.price.one_time_total_cents), str(order.spam_score), order.note,
        *(own.get(name, "") for name in details),
    ]  # fmt: skip


def _typed(text: str) -> str:
    """A detail that is a telephone number is written as one."""
    return telephone(text) if text.startswith("+") and text[1:].isdigit() else text


def _state(state: str) -> str:
    words = _words("order_states").get(state)
    return str(words["sales_name"]) if isinstance(words, dict) else state


def _kind(category: str) -> str:
    words = _words("order_kinds").get(category)
    return str(words["sales_name"]) if isinstance(words, dict) else category


@cache
def _words(name: str) -> dict[str, object]:
    return tomllib.loads((settings.data_directory() / f"{name}.toml").read_text())


def _euros(cents: int) -> str:
    return f"{cents // 100},{cents % 100:02d}"


def _guarded(cell: str) -> str:
    """With an apostrophe before what Excel would run (https://owasp.org/www-community/attacks/CSV_Injection)."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell
