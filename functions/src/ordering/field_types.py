"""What a field of each type accepts, and how its value is kept: one function a type, of the cleaned text and the country chosen.

Each raises InvalidError. The number plans, the check digits and the mail addresses are those of libraries, imported when needed. Pure.
"""

import re
from collections.abc import Callable, Mapping

from shared import text

CHECKED = "yes"
"""What a checkbox that is checked sends; one that is not sends nothing."""

_KVK = re.compile(r"[0-9]{8}")
_TELEPHONE = re.compile(r"\+?[0-9]{8,15}")
_AREA_CODE = re.compile(r"0[1-9][0-9]{0,3}")
_HOME_COUNTRIES = (31, 32)
_CALLING_CODE = {"nl": "+31", "be": "+32"}
# VoIP numbers of companies and of persons, which belong to no place (number plan of the Netherlands).
_NOT_OF_A_PLACE = {"nl": ("085", "088"), "be": ("078",)}


class InvalidError(ValueError):
    """The text is not of this type."""


def email(value: str, _country: str) -> str:
    """An address as typed, with its domain in lower case; also one in other scripts (RFC 6531, RFC 5890)."""
    import email_validator

    value = value.removeprefix("mailto:")
    try:
        return email_validator.validate_email(value, check_deliverability=False).normalized
    except email_validator.EmailNotValidError:
        raise InvalidError(value) from None


def telephone(value: str, country: str) -> str:
    """E.164; a number without country code is of the country chosen."""
    bare = re.sub(r"[ ./()-]", "", text.number(value).replace("(0)", ""))
    if _TELEPHONE.fullmatch(bare) is None:
        raise InvalidError(value)
    import phonenumbers  # 0.1 s, needed by an order only

    try:
        number = phonenumbers.parse(bare, country.upper())
    except phonenumbers.NumberParseException:
        raise InvalidError(value) from None
    # Abroad the length must do: number plans change faster than this library is updated.
    valid = phonenumbers.is_valid_number if number.country_code in _HOME_COUNTRIES else phonenumbers.is_possible_number
    if not valid(number):
        raise InvalidError(value)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_of(number: str, country: str) -> bool:
    """Whether an E.164 number is of the country: a number is taken along within a country only."""
    return number.startswith(_CALLING_CODE[country])


def area_code(value: str, country: str) -> str:
    """An area code of the country chosen, with its 0 (020 in the Netherlands, 03 in Belgium), or one of its numbers without a place."""
    code = text.number(value).replace(" ", "").strip("-")
    if _AREA_CODE.fullmatch(code) is None:
        raise InvalidError(value)
    if code in _NOT_OF_A_PLACE[country]:
        return code
    import phonenumbers

    length = 10 if country == "nl" else 9
    for filler in ("2345678", "5555555", "0000000"):
        number = phonenumbers.parse((code + filler)[:length], country.upper())
        if (
            phonenumbers.is_valid_number(number)
            and phonenumbers.length_of_geographical_area_code(number) == len(code) - 1
        ):
            return code
    raise InvalidError(value)


def enterprise_number(value: str, country: str) -> str:
    """A KvK number (8 digits), or a Belgian enterprise number (KBO: 10 digits of which the last two check the others)."""
    bare = re.sub(r"[ ./-]", "", text.number(value))
    if country == "be":
        from stdnum.be import vat
        from stdnum.exceptions import ValidationError

        try:
            return str(vat.validate(bare))
        except ValidationError:
            raise InvalidError(value) from None
    if _KVK.fullmatch(bare) is None:
        raise InvalidError(value)
    return bare


def _checkbox(value: str, _country: str) -> str:
    if value != CHECKED:
        raise InvalidError(value)
    return value


def _as_it_is(value: str, _country: str) -> str:
    return value


NORMALISERS: Mapping[str, Callable[[str, str], str]] = {
    "text": _as_it_is,
    "textarea": _as_it_is,
    "choice": _as_it_is,
    "checkbox": _checkbox,
    "email": email,
    "tel": telephone,
    "area-code": area_code,
    "enterprise-number": enterprise_number,
}
"""By the type of a field; an integer is checked against the field's bounds in form.py."""
