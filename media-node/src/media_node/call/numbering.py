"""What was dialled, as a number in E.164 or a short code of a country. Pure.

Separators are the visual ones of RFC 3966 section 5.1.1; what each country dials is libphonenumber's.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import phonenumbers

_VISUAL: Final = re.compile(r"[-.() ]")
_INTERNATIONAL: Final = re.compile(r"(?:\+|00)[1-9][0-9]{5,18}")
_NATIONAL: Final = re.compile(r"0[1-9][0-9]{4,15}")
_E164_DIGITS: Final = range(7, 16)
_SHORT: Final = re.compile(r"[1-9][0-9]{2,5}")
"""113, 1850, 116117, and Dutch 14 with an area code. What is longer has a prefix, or a trunk might take it for international."""


def normalised(dialled: str) -> str:
    """What was dialled without visual separators (RFC 3966 section 5.1.1)."""
    return _VISUAL.sub("", dialled)


@lru_cache(maxsize=4096)
def e164(dialled: str, country: str = "NL") -> str:
    """A number as it is dialled in this country, in E.164; empty for what is not one (a short code, an extension)."""
    number = normalised(dialled)
    if _INTERNATIONAL.fullmatch(number):
        number = f"+{number.removeprefix('+').removeprefix('00')}"
    elif not _NATIONAL.fullmatch(number):
        return ""
    try:
        # Also drops the 0 that stands in "+31 (0)20", and what else a country writes and nobody dials from abroad.
        parsed = phonenumbers.parse(number, country)
        number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    except phonenumbers.NumberParseException:
        if not number.startswith("+"):
            return ""
    return number if len(number) - 1 in _E164_DIGITS else ""


def is_short_code(dialled: str) -> bool:
    """Whether it may be a number of three to six digits that a country has beside E.164."""
    return _SHORT.fullmatch(normalised(dialled)) is not None
