"""Tables that Dutch Excel opens as a person would have typed them: semicolons, a byte order mark, CRLF.

A text that Excel would run as a formula ("+Plus B.V.", "@home", "=1+1"), or show as something else than was written (KvK 01234567 without
its 0, house number 1-2 as a day, order 12345E6789 as a number), begins with U+200B, the space without width. Why that, of what keeps a
formula from running (https://owasp.org/www-community/attacks/CSV_Injection): an apostrophe is seen; ="+Plus B.V." is a formula still, of
255 characters at most, and once the table is saved and opened again what stands in it runs; a tab is removed by some. U+200B is seen by
nobody, survives saving, and holds in every program. Its price: a lookup in Excel has to know of it. The console's search and the forms
clean it from what is pasted. Pure.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence

# Also as wide characters, which Excel in Japanese takes for the same.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
# Leading zeros, digits that are rounded, days and times, powers of ten.
_READ_AS_NUMBER = re.compile(
    r"0\d+|\d{12,}|\d{1,4}([-/.:])\d{1,4}(\1\d{1,4})?|\d+([.,]\d+)?e[+-]?\d+", re.ASCII | re.IGNORECASE
)
_AS_TEXT = "\u200b"
_HOME = 31


class Value(str):
    """A cell that Excel is to read as a number, an amount, a day or a moment: never anything that somebody typed."""

    __slots__ = ()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The rows under a row of headings; a cell that is no Value is shown as it is written, whatever it is."""
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow([_shown(cell) for cell in head])
    writer.writerows([_shown(cell) for cell in row] for row in rows)
    return text.getvalue()


def euros(cents: int) -> Value:
    """An amount: 1234,50 or -6,00."""
    return Value(f"{'-' if cents < 0 else ''}{abs(cents) // 100},{abs(cents) % 100:02d}")


def telephone(number: str) -> str:
    """An E.164 number as somebody in the Netherlands dials it: 085 123 4567, 0032 3 555 01 00. Anything else is left as it is."""
    if not (number.startswith("+") and number[1:].isdigit()):
        return number
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    if parsed.country_code == _HOME:
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    return f"00{phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)[1:]}"


def _shown(cell: str) -> str:
    if isinstance(cell, Value) or not (_FORMULA.match(cell) or _READ_AS_NUMBER.fullmatch(cell)):
        return cell
    return f"{_AS_TEXT}{cell}"
