"""ordering.form: the definition drives the check, and the check never fails on input."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordering import form as forms
from ordering.field_types import CHECKED

ROOT = Path(__file__).parents[2]
DEFINITION = tomllib.loads((ROOT / "site/data/forms/srtp.toml").read_text())
SRTP = forms.parse(DEFINITION)
FORMS = {
    path.stem: forms.parse(tomllib.loads(path.read_text()))
    for path in sorted((ROOT / "site/data/forms").glob("*.toml"))
}
VECTORS = [
    (path.stem.removeprefix("form-"), vector)
    for path in sorted((ROOT / "tests/vectors").glob("form-*.json"))
    for vector in json.loads(path.read_text())
]
NAMES = [field.name for field in SRTP.fields]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800 half a character"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("name", "vector"), VECTORS, ids=lambda v: v if isinstance(v, str) else json.dumps(v["values"])[:80]
)
def test_the_shared_vectors_hold(name: str, vector) -> None:
    checked = forms.check(FORMS[name], vector["values"])
    assert {error.field: error.code for error in checked.errors} == vector["errors"]
    assert checked.values == vector["normalised"]


EVERY_FIELD = [(name, field) for name, each in FORMS.items() for field in each.fields]


@pytest.mark.parametrize(("name", "field"), EVERY_FIELD, ids=lambda v: getattr(v, "name", v))
def test_every_error_that_a_person_can_cause_has_words(name: str, field: forms.Field) -> None:
    codes: set[forms.Code] = {"too_long"}
    if field.required or field.required_when:
        codes.add("missing")
    if field.type not in ("text", "textarea", "integer") or field.pattern:
        codes.add("invalid")
    if field.of_country:
        codes.add("other_country")
    if field.type == "integer":
        codes |= {"not_integer", "too_small", "too_large"}
    assert set(field.messages) == codes


@given(st.dictionaries(st.sampled_from(NAMES), anything))
def test_any_input_gets_an_answer_for_every_field(values: dict[str, object]) -> None:
    checked = forms.check(SRTP, values)
    assert set(checked.values) | {error.field for error in checked.errors} == set(NAMES)
    json.dumps([dict(checked.values), [error.message for error in checked.errors]]).encode()


@given(st.dictionaries(st.sampled_from(NAMES), st.text()))
def test_what_is_normalised_stays_as_it_is(values: dict[str, str]) -> None:
    once = forms.check(SRTP, values)
    twice = forms.check(SRTP, once.values)
    assert {name: twice.values[name] for name in once.values} == once.values


@given(st.integers(-(10**6), 10**6), st.sampled_from(["{}", " {} ", "{}.", "{:+}"]))
def test_an_integer_is_accepted_exactly_within_its_bounds(number: int, shape: str) -> None:
    checked = forms.check(SRTP, {"phones": shape.format(number)})
    code = {error.field: error.code for error in checked.errors}.get("phones")
    assert code == ("too_small" if number < 1 else "too_large" if number > 500 else None)
    assert code or checked.number("phones") == number


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (5, None),
        (5.0, None),
        (5.5, "not_integer"),
        (1e9, "too_large"),
        (True, "not_integer"),
        ([5], "not_integer"),
        (None, "missing"),
        (float("nan"), "not_integer"),
        (float("inf"), "not_integer"),
    ],
)
def test_numbers_of_json_are_read_as_typed(value: object, code: str | None) -> None:
    checked = forms.check(SRTP, {"phones": value})
    assert {error.field: error.code for error in checked.errors}.get("phones") == code


def test_a_message_can_hold_the_value() -> None:
    field = {**DEFINITION["field"][0], "type": "integer", "messages": {"not_integer": "‘{value}’ is geen getal"}}
    form = forms.parse({**DEFINITION, "quantity_field": field["name"], "field": [field]})
    (error,) = forms.check(form, {field["name"]: "vijf"}).errors
    assert error.message == "‘vijf’ is geen getal"


@pytest.mark.parametrize(
    ("filled_in", "ordered"),
    [
        (("srtp", {"phones": "5"}), [("srtp", 5)]),
        (("plan", {"offering": "unlimited-eu"}), [("unlimited-eu", 1), ("connection", 1)]),
        (("quote", {}), []),
        (("processing-agreement", {}), []),
    ],
)
def test_a_form_says_what_it_orders(filled_in, ordered: list[tuple[str, int]]) -> None:
    name, values = filled_in
    assert FORMS[name].quantities(forms.check(FORMS[name], values)) == ordered


def test_json_may_say_true_for_a_checkbox() -> None:
    checked = forms.check(FORMS["processing-agreement"], {"authorised": True})
    assert checked.text("authorised") == CHECKED


@pytest.mark.parametrize(
    "change",
    [
        {"type": "date"},
        {"messages": {"odd": "?"}},
        {"type": "choice"},
        {"option": [{"value": "a", "label": "A"}]},
        {"required_when": {"field": "fax", "value": "yes"}},
    ],
)
def test_a_wrong_definition_is_refused(change) -> None:
    fields = [{**DEFINITION["field"][0], **change}, *DEFINITION["field"][1:]]
    with pytest.raises(ValueError, match=DEFINITION["field"][0]["name"]):
        forms.parse({**DEFINITION, "field": fields})
