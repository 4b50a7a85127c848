"""Order forms: check and normalise what a visitor filled in, driven by the definition in data/forms/*.toml."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ordering.field_types import CHECKED, NORMALISERS, InvalidError, is_of
from shared import text as texts

FieldType = Literal[
    "text", "textarea", "email", "tel", "area-code", "integer", "enterprise-number", "choice", "checkbox"
]
Code = Literal["missing", "too_long", "invalid", "other_country", "not_integer", "too_small", "too_large"]

# "5", " 5 ", "5.", "1.000" and "1 000"; the dot of thousands is Dutch.
_INTEGER = re.compile(r"([+-]?)([0-9]+|[0-9]{1,3}(?:[. ][0-9]{3})+)[.,]?")
_HOME = "nl"


@dataclass(frozen=True)
class Option:
    """One of the values that a choice can have, and what a person reads for it."""

    value: str
    label: str


@dataclass(frozen=True)
class Condition:
    """That another field has this value."""

    field: str
    value: str


@dataclass(frozen=True)
class Field:
    """One field of a form.

    `minimum` and `maximum` are bounds of an integer, `options` the values of a choice; `pattern` is a regular
    expression that all of a text must match, written so that Python and JavaScript read it alike. A field with
    `required_when` is asked, and then required, on that condition only; `default` is the value of one that is left open.
    `of_country`: a telephone number that must be of the country chosen.
    """

    name: str
    label: str
    type: FieldType
    required: bool
    max_length: int
    messages: Mapping[Code, str]
    minimum: int | None = None
    maximum: int | None = None
    options: tuple[Option, ...] = ()
    pattern: str | None = None
    required_when: Condition | None = None
    default: str = ""
    of_country: bool = False

    def shown(self, value: str | int) -> str:
        """A normalised value as a person reads it."""
        if self.type == "checkbox":
            return "Ja" if value else "Nee"
        return next((option.label for option in self.options if option.value == value), str(value))


@dataclass(frozen=True)
class Form:
    """The fields of one kind of order, and what it orders.

    Either `offering` or the choice in `offering_field`, as often as `quantity_field` says or once; then each of `also`
    as often. Neither: the order is a request without a price.
    """

    id: str
    fields: tuple[Field, ...]
    offering: str = ""
    quantity_field: str = ""
    offering_field: str = ""
    also: tuple[str, ...] = ()

    def quantities(self, checked: "Checked") -> list[tuple[str, int]]:
        """Which offerings a form without errors orders, and how many of each."""
        offering = checked.text(self.offering_field) if self.offering_field else self.offering
        quantity = checked.number(self.quantity_field) if self.quantity_field else 1
        return [(each, quantity) for each in (offering, *self.also) if each]


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field, and the words that tell the visitor."""

    field: str
    code: Code
    message: str


@dataclass(frozen=True)
class Checked:
    """The normalised values of the fields that are right, and an error for each that is not."""

    values: Mapping[str, str | int]
    errors: tuple[FieldError, ...]

    def text(self, name: str) -> str:
        """The normalised value of a text-like field; empty when it was left open."""
        return str(self.values[name])

    def number(self, name: str) -> int:
        """The normalised value of an integer field."""
        return int(self.values[name])


class _Refused(Exception):
    def __init__(self, code: Code) -> None:
        self.code = code


def parse(definition: Mapping[str, Any], words: Mapping[str, Any] | None = None) -> Form:
    """Make a Form of a definition read from TOML; raises ValueError when the definition itself is wrong.

    `words` are a translation's, by field: they replace the definition's own.
    """
    fields = []
    for original in definition["field"]:
        own = (words or {}).get(original["name"], {})
        entry = {**original, **own, "messages": {**original["messages"], **own.get("messages", {})}}
        if entry["type"] not in get_args(FieldType):
            raise ValueError(f"form {definition['id']}: field {entry['name']} has the unknown type {entry['type']!r}")
        unknown = set(entry["messages"]) - set(get_args(Code))
        if unknown:
            raise ValueError(
                f"form {definition['id']}: field {entry['name']} has messages for unknown codes {sorted(unknown)}"
            )
        fields.append(
            Field(
                name=entry["name"],
                label=entry["label"],
                type=entry["type"],
                required=entry["required"],
                max_length=entry["max_length"],
                messages=entry["messages"],
                minimum=entry.get("min"),
                maximum=entry.get("max"),
                options=tuple(Option(**option) for option in entry.get("option", [])),
                pattern=entry.get("pattern"),
                default=entry.get("default", ""),
                of_country=entry.get("of_country", False),
                required_when=Condition(**entry["required_when"]) if "required_when" in entry else None,
            )
        )
    form = Form(
        id=definition["id"],
        fields=tuple(fields),
        offering=definition.get("offering", ""),
        quantity_field=definition.get("quantity_field", ""),
        offering_field=definition.get("offering_field", ""),
        also=tuple(definition.get("also", [])),
    )
    _refer(form, "quantity_field", form.quantity_field, "integer")
    _refer(form, "offering_field", form.offering_field, "choice")
    for field in fields:
        if (field.type == "choice") != bool(field.options):
            raise ValueError(f"form {form.id}: field {field.name} must have options if and only if it is a choice")
        if field.of_country and (field.type != "tel" or all(other.name != "country" for other in fields)):
            raise ValueError(f"form {form.id}: field {field.name} is no telephone number, or no country is asked for")
        if field.required_when and field.required_when.field not in {other.name for other in fields}:
            raise ValueError(
                f"form {form.id}: field {field.name} depends on the unknown field {field.required_when.field!r}"
            )
    return form


def _refer(form: Form, what: str, name: str, kind: FieldType) -> None:
    if name and name not in {field.name for field in form.fields if field.type == kind}:
        raise ValueError(f"form {form.id}: {what} {name!r} is no field of type {kind}")


def check(form: Form, values: Mapping[str, object], country: str = "") -> Checked:
    """Check all fields and normalise those that are right; values may be text or, from JSON, numbers. Never raises on
    input.
    """
    normalised: dict[str, str | int] = {}
    errors: list[FieldError] = []
    country = country or _country(form, values)
    for field in form.fields:
        try:
            normalised[field.name] = (
                _check_field(field, values.get(field.name), country) if _is_asked(field, values) else ""
            )
        except _Refused as refused:
            message = field.messages.get(refused.code, f"{field.label}: deze waarde kunnen wij niet lezen")
            shown = as_text(values.get(field.name))
            errors.append(FieldError(field.name, refused.code, message.replace("{value}", shown)))
    return Checked(normalised, tuple(errors))


def as_text(value: object) -> str:
    """A submitted value as the visitor would have typed it; what cannot be typed in a field (a list, an object) is
    empty.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        # A lone surrogate cannot be stored or sent as UTF-8.
        return str(value).encode("utf-8", "replace").decode()
    return ""


def _country(form: Form, values: Mapping[str, object]) -> str:
    """The country by which numbers are read: the one chosen, where the form asks for it."""
    for field in form.fields:
        if field.name == "country":
            chosen = texts.line(as_text(values.get(field.name)))
            if chosen in {option.value for option in field.options}:
                return chosen
    return _HOME


def _is_asked(field: Field, values: Mapping[str, object]) -> bool:
    condition = field.required_when
    return condition is None or texts.line(as_text(values.get(condition.field))) == condition.value


def _check_field(field: Field, value: object, country: str) -> str | int:
    if isinstance(value, bool) and field.type == "checkbox":
        value = CHECKED if value else ""
    if isinstance(value, bool | list | dict):
        raise _Refused("not_integer" if field.type == "integer" else "invalid")
    text = texts.lines(as_text(value)) if field.type == "textarea" else texts.line(as_text(value))
    text = text or field.default
    if not text:
        if field.required or field.required_when:
            raise _Refused("missing")
        return ""
    # Code points, as DynamoDB and people count them; the browser's check counts [...value].length.
    if len(text) > field.max_length:
        raise _Refused("too_long")
    if field.type == "integer":
        return _integer(field, text)
    if field.type == "choice" and text not in {option.value for option in field.options}:
        raise _Refused("invalid")
    if field.pattern is not None and re.fullmatch(field.pattern, text) is None:
        raise _Refused("invalid")
    try:
        value = NORMALISERS[field.type](text, country)
    except InvalidError:
        raise _Refused("invalid") from None
    if field.of_country and not is_of(value, country):
        raise _Refused("other_country")
    return value


def _integer(field: Field, text: str) -> int:
    match = _INTEGER.fullmatch(texts.number(text))
    if match is None:
        raise _Refused("not_integer")
    number = int(match[1] + re.sub("[. ]", "", match[2]))
    if field.minimum is not None and number < field.minimum:
        raise _Refused("too_small")
    if field.maximum is not None and number > field.maximum:
        raise _Refused("too_large")
    return number
