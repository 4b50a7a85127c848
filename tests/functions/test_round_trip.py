"""What a form accepts, every page, mail, list, search, export and month can show, and it comes back as it was."""

import csv
import io
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers import fulfilment
from ordering import catalogue, export_csv, form, items, mail, order, order_pages, pricing, queue, request, views
from ordering.order import Actor, Order, Role, State
from shared import dynamodb, html, settings
from shared import text as texts
from shared.brand import brand

NOW = datetime(2026, 11, 21, 17, 5, tzinfo=UTC)
SALES = Actor(Role.SALES, "verkoop@example.nl")
FORMS = sorted(path.stem for path in (settings.data_directory() / "forms").glob("*.toml"))
CATALOGUE = catalogue.parse(tomllib.loads((settings.data_directory() / "catalogue.toml").read_text()))
SITE = "https://callvoip.example.nl"

# Letters of all scripts, marks, symbols, what runs in a page, a formula or a template, and what nobody sees.
_typed = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(
    [
        "=1+1",
        "<script>alert(1)</script>",
        "{{ 7*7 }}",
        "{why}",
        "{0}",
        "%s",
        "\u202egnirb",
        "Zo\u0308e\u0301",
        "株式会社",
        "A" * 100,
        '";x',
        "O'Brien & Zn.",
    ]
)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": _typed,
    "textarea": st.lists(_typed, max_size=4).map("\r\n".join),
    "email": st.sampled_from(
        ["jansen@example.nl", "j.o'brien+x@sub.example.nl", "jörg@müller.example.nl", "山田@例え.nl"]
    ),
    "tel": st.sampled_from(["085 123 45 67", "+32 3 555 01 00", "+81 3-1234-5678", "0031(0)85-1234567"]),
    "checkbox": st.just("yes"),
}


_OF_COUNTRY: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "nl": {
        "area-code": st.sampled_from(["050", "0113"]),
        "enterprise-number": st.just("12345678"),
        "portingNumber": st.sampled_from(["050 123 45 67", "0031(0)85-1234567"]),
    },
    "be": {
        "area-code": st.sampled_from(["03", "065"]),
        "enterprise-number": st.just("0403.170.701"),
        "portingNumber": st.sampled_from(["+32 3 555 01 00", "0475 12 34 56"]),
    },
}


def _value(field: form.Field, country: str) -> st.SearchStrategy[Any]:
    """What may be put into a field: numbers are of the country that the form has, or of the Netherlands."""
    local = _OF_COUNTRY.get(country, _OF_COUNTRY["nl"])
    if field.name in local or field.type in local:
        values: st.SearchStrategy[Any] = local.get(field.name, local.get(field.type, st.nothing()))
        return values if field.required else values | st.sampled_from(["", "  ", "\u200b", None])
    if field.options:
        values = st.sampled_from([option.value for option in field.options])
    elif field.type == "integer":
        values = st.integers(field.minimum or 0, field.maximum or 9).map(str)
    else:
        values = _VALUES[field.type]
    if field.type == "text":
        values = values.map(lambda value: value[: field.max_length])
    if field.required_when:
        values = values.map(lambda value: value if texts.line(value) else "12")
    # What may be left open is: absent or blank.
    return values if field.required or field.required_when else values | st.sampled_from(["", "  ", "\u200b", None])


@st.composite
def submissions(draw: st.DrawFn, category: str) -> dict[str, Any]:
    """Fields that the form accepts; the rest is thrown away."""
    definition = request.form_of(category)
    assert definition
    from hypothesis import assume

    country = draw(st.sampled_from(sorted(_OF_COUNTRY)))
    fields = {field.name: draw(_value(field, country)) for field in definition.fields if field.name != "country"}
    if any(field.name == "country" for field in definition.fields):
        fields["country"] = country
    assume(not form.check(definition, fields).errors)
    return {"category": category, **fields}


def ordered(fields: dict[str, Any], language: str) -> Order:
    asked = request.parse(fields, "", language)
    price = pricing.price(CATALOGUE, asked.definition.quantities(asked.checked), NOW.date())
    return order.place(
        order_id="9AWHNQ3569", category=asked.definition.id, customer_id="abc234", related_party=asked.related_party,
        note=asked.note, price=price, token_sha256="0" * 64, request_sha256=asked.sha256, now=NOW,
        details=asked.details, language=language,
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _views() -> Any:
    """The tests' own views."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIEWS_DIR", str(Path(__file__).parent / "views"))
        for cache in (settings.views_directory, html._environment):
            cache.cache_clear()
        yield
    for cache in (settings.views_directory, html._environment):
        cache.cache_clear()


@pytest.mark.parametrize("category", FORMS)
@given(data=st.data())
def test_every_valid_submission_goes_all_the_way_and_comes_back(category: str, data: st.DataObject) -> None:
    fields = data.draw(submissions(category))
    placed = ordered(fields, data.draw(st.sampled_from(["nl", "en"])))

    # Into the item and back.
    item = {"pk": f"ORDER#{placed.id}", "sk": "ORDER", **items.from_order(placed)}
    stored = dynamodb.unmarshal(dynamodb.marshal(item))
    back = items.to_order(stored)
    assert back == placed
    approved = order.move(placed, State.IN_PROGRESS, SALES, NOW)
    assert items.to_order({**stored, **items.from_order(approved)}) == approved

    # What is delivered because of it.
    if category in fulfilment.DELIVERED:
        told, typed = fulfilment.to_delivery(approved), request.parse(fields, "", "nl").checked
        assert told.at_once is (typed.values["atOnce"] == "yes")
        address = told.billing_address
        assert [address.street, address.house_number, address.postcode, address.city] == [
            typed.values[f"billing{part}"] for part in ("Street", "HouseNumber", "Postcode", "City")
        ]

    # The page and both mails.
    assert placed.id in order_pages.own_page(placed, [placed.last], "token", "nl")
    for what in ("received", "active", "approved", mail.LINK_AGAIN):
        message = mail.compose(what, back, f"{SITE}/bestelling/{placed.id}", brand(), SITE)
        assert message.to == placed.related_party.email
        assert placed.related_party.name in message.text
        assert "<script>alert" not in message.html
        assert "\n" not in message.subject

    # Lists, search, export, month.
    entry = items.to_entry({**stored, "pk": f"ORDER#{placed.id}"})
    assert views.sales_summary(back, "sip.example.nl")["relatedParty"]["company"] == placed.related_party.company
    for sought in (placed.related_party.email, placed.id, placed.related_party.telephone):
        assert queue.Filter(text=sought).holds(entry), sought
    [head, row] = list(
        csv.reader(io.StringIO(export_csv.table([back]).removeprefix("\ufeff"), newline=""), delimiter=";")
    )
    assert len(row) == len(head) and row[0] == placed.id
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
    assert not row[9].startswith("'"), "a telephone number stands as a person types it"
    assert queue.month([entry], "2026-11")["expected"]["monthlyRevenueCents"] == placed.price.monthly_total_cents

    # What the customer reads back is what was typed, cleaned; the check step sends it again as the same request.
    definition = request.form_of(category)
    assert definition
    for detail in placed.details:
        field = next(field for field in definition.fields if field.name == detail.name)
        if field.type in ("text", "textarea"):
            clean = texts.lines if field.type == "textarea" else texts.line
            assert detail.value == clean(fields[detail.name])
    again = {"category": category, **form.check(definition, fields).values}
    assert request.parse(again, "", "nl").sha256 == placed.request_sha256


@pytest.mark.parametrize("category", FORMS)
def test_everything_optional_left_blank_is_a_valid_submission(category: str) -> None:
    definition = request.form_of(category)
    assert definition
    known = {
        "text": "x",
        "textarea": "x",
        "email": "a@example.nl",
        "tel": "0851234567",
        "checkbox": "yes",
        "integer": "1",
    }
    fields = {
        field.name: (field.options[0].value if field.options else known.get(field.type, "12345678"))
        for field in definition.fields
        if field.required
    }
    if category == "plan":
        fields |= {"porting": "no", "areaCode": "020"}
    placed = ordered({"category": category, **fields}, "nl")
    item = {"pk": f"ORDER#{placed.id}", "sk": "ORDER", **items.from_order(placed)}
    assert items.to_order(dynamodb.unmarshal(dynamodb.marshal(item))) == placed
