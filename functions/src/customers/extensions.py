"""Which extensions phones get: from 201 upward, and never a short code of a country that we serve. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

FIRST = 201
LAST_OF_THREE_DIGITS = 998
FIRST_OF_FOUR_DIGITS = 2001
LAST = 8998


@dataclass(frozen=True)
class ShortCode:
    """A number that is dialled as it stands, or all numbers that begin with it when `prefix`."""

    digits: str
    country: str
    what: str
    prefix: bool = False


SHORT_CODES = (
    # Netherlands: Nummerplan telefoon- en ISDN-diensten (Staatscourant); its short numbers begin with 1.
    ShortCode("112", "NL", "emergency"),
    ShortCode("113", "NL", "suicide prevention"),
    ShortCode("116", "NL", "harmonised numbers of social value", prefix=True),
    ShortCode("12", "NL", "services within a network", prefix=True),
    ShortCode("13", "NL", "services within a network", prefix=True),
    ShortCode("14", "NL", "authorities (14020 and the like), 144 animals in need", prefix=True),
    ShortCode("16", "NL", "carrier selection", prefix=True),
    ShortCode("18", "NL", "directory enquiries", prefix=True),
    # Belgium: royal decree of 27 April 2007 on numbering; its short numbers begin with 1.
    ShortCode("100", "BE", "ambulance and fire brigade"),
    ShortCode("101", "BE", "police"),
    ShortCode("102", "BE", "child helpline"),
    ShortCode("103", "BE", "child helpline"),
    ShortCode("105", "BE", "Red Cross"),
    ShortCode("106", "BE", "helpline"),
    ShortCode("107", "BE", "helpline"),
    ShortCode("108", "BE", "helpline"),
    ShortCode("110", "BE", "missing children"),
    ShortCode("112", "BE", "emergency"),
    ShortCode("1", "BE", "short numbers of public and commercial services (1207, 1700, 1733, 1813)", prefix=True),
    # What visitors and phones from abroad dial in an emergency; phones know them by themselves (3GPP TS 22.101 section 10).
    ShortCode("000", "", "emergency"),
    ShortCode("08", "", "emergency", prefix=True),
    ShortCode("110", "", "emergency"),
    ShortCode("118", "", "emergency"),
    ShortCode("119", "", "emergency"),
    ShortCode("911", "", "emergency"),
    ShortCode("999", "", "emergency"),
)


class NoExtensionLeftError(Exception):
    """Every extension there is has been given out."""


def is_short_code(digits: str) -> bool:
    """Whether somebody who dials these digits may mean a service and not a colleague."""
    return any(digits == code.digits or (code.prefix and digits.startswith(code.digits)) for code in SHORT_CODES)


def allowed(extension: int) -> bool:
    """Whether a phone may have this extension."""
    in_range = FIRST <= extension <= LAST_OF_THREE_DIGITS or FIRST_OF_FOUR_DIGITS <= extension <= LAST
    return in_range and not is_short_code(str(extension))


def free(given: Collection[int]) -> Iterator[int]:
    """The extensions that were never given, lowest first; raises NoExtensionLeftError at their end.

    `given` holds those of phones that are gone as well: a colleague's memory, and the user name of a phone that was stolen.
    """
    for extension in (*range(FIRST, LAST_OF_THREE_DIGITS + 1), *range(FIRST_OF_FOUR_DIGITS, LAST + 1)):
        if extension not in given and allowed(extension):
            yield extension
    raise NoExtensionLeftError


def username(customer_id: str, extension: int) -> str:
    """The SIP user name of a phone."""
    return f"{customer_id}-{extension}"
