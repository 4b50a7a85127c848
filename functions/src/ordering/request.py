"""A request to order, parsed once: what was filled in, what was shown, and what tells a person from a machine."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ordering import form
from ordering.credentials import sha256
from ordering.order import SRTP, Detail, RelatedParty
from ordering.pricing import Amounts
from shared import html, problem, settings
from shared import text as texts
from shared.problem import FieldProblem

LONGEST_TEXT = 1000
DEFAULT_CATEGORY = SRTP
_PARTY = ("company", "kvk", "name", "email", "telephone")
_CATEGORY = re.compile(r"[a-z][a-z-]{0,31}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_CENTS = re.compile(r"[0-9]{1,12}")

Fields = Mapping[str, object]


@dataclass(frozen=True)
class OrderRequest:
    """What somebody asks for. `definition` is its form in the language of the page, `shown` the amounts that the page showed;
    `key` is the Idempotency-Key, empty when there is none; `altcha` the solution of a challenge, `honeypot` what no person fills in.
    """

    definition: form.Form
    checked: form.Checked
    shown: Amounts
    key: str
    altcha: str
    honeypot: str
    language: str

    @property
    def sha256(self) -> str:
        """The same for the same request, whichever key or proof of work comes with it."""
        asked = [self.definition.id, dict(self.checked.values), self.shown.monthly_cents, self.shown.one_time_cents]
        return sha256(json.dumps(asked, sort_keys=True))

    @property
    def related_party(self) -> RelatedParty:
        """Who orders."""
        party = {name: self.checked.text(name) for name in _PARTY if name in self.checked.values}
        country = self.checked.text("country") if "country" in self.checked.values else ""
        return RelatedParty(**{"kvk": "", **party}, country=country.upper() or RelatedParty.country)

    @property
    def note(self) -> str:
        """The remark that goes with it."""
        return self.checked.text("note") if "note" in self.checked.values else ""

    @property
    def details(self) -> tuple[Detail, ...]:
        """What this kind of order says besides who ordered, how many and why; in Dutch, which sales reads."""
        definition = form_of(self.definition.id) or self.definition
        known = {*_PARTY, "note", definition.quantity_field}
        return tuple(
            Detail(field.name, self.checked.text(field.name), field.label, field.shown(self.checked.values[field.name]))
            for field in definition.fields
            if field.name not in known and self.checked.values[field.name] not in ("", field.default)
        )


def parse(fields: Fields, header_key: str, language: str) -> OrderRequest:
    """The request that these fields are; raises ProblemError that tells each field that is wrong."""
    definition = form_of(category(fields), language)
    assert definition is not None  # noqa: S101 (or `category` had raised)
    checked = form.check(definition, fields)
    if checked.errors:
        raise problem.invalid([FieldProblem(error.field, error.code, error.message) for error in checked.errors])
    return OrderRequest(
        definition=definition,
        checked=checked,
        shown=Amounts(_cents(fields, "monthlyTotalCents"), _cents(fields, "oneTimeTotalCents")),
        key=_idempotency_key(header_key or form.as_text(fields.get("idempotencyKey"))),
        altcha=form.as_text(fields.get("altcha")),
        honeypot=texts.line(form.as_text(fields.get("website"))),
        language=language,
    )


def category(fields: Fields) -> str:
    """The kind of order; raises ProblemError when there is no such kind."""
    asked = form.as_text(fields.get("category")) or DEFAULT_CATEGORY
    if form_of(asked) is None:
        raise problem.invalid([FieldProblem("category", "invalid", "Deze soort bestelling kennen wij niet")])
    return asked


def optional_lines(fields: Fields, name: str) -> str:
    """Lines that may be left out; raises ProblemError when they are too long."""
    text = texts.lines(form.as_text(fields.get(name)))
    if len(text) > LONGEST_TEXT:
        raise problem.invalid([FieldProblem(name, "too_long", f"Gebruik hoogstens {LONGEST_TEXT} tekens")])
    return text


def lines(fields: Fields, name: str, missing: str) -> str:
    """Lines that must be there, or ProblemError tells what is `missing`."""
    text = optional_lines(fields, name)
    if not text:
        raise problem.invalid([FieldProblem(name, "missing", missing)])
    return text


@lru_cache(maxsize=16)
def form_of(category: str, language: str = html.DUTCH) -> form.Form | None:
    """The form that orders of this category are made with, in one of our languages; None when there is no such
    category.
    """
    path = settings.data_directory() / "forms" / f"{category}.toml"
    if not _CATEGORY.fullmatch(category) or not path.is_file():
        return None
    words = settings.data_directory() / language / "forms" / f"{category}.toml"
    return form.parse(tomllib.loads(path.read_text()), tomllib.loads(words.read_text()) if words.is_file() else None)


def _cents(fields: Fields, name: str) -> int | None:
    """An amount that the client showed, if it says so."""
    text = form.as_text(fields.get(name)).strip()
    if not text:
        return None
    if not _CENTS.fullmatch(text):
        raise problem.invalid([FieldProblem(name, "invalid", "Het bedrag moet in hele centen zijn")])
    return int(text)


def _idempotency_key(key: str) -> str:
    if key and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise problem.bad_request("Een Idempotency-Key heeft 1 tot 255 zichtbare ASCII-tekens.")
    return key
