"""The pages that the functions fill in: they render with the contract's context, and nothing typed by a visitor becomes
markup.
"""

import itertools
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jinja2
import pytest

from ordering.order import State
from shared import html
from tests.support.own_data import DATA
from tests.support.site.document import Document, read
from tests.support.site.origin import order_form

KINDS = sorted(file.stem for file in (DATA / "forms").glob("*.toml"))
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}{% raw %}</textarea></title>"


def order_view(state: str = "completed", **changes: Any) -> dict[str, Any]:
    """An order as GET /api/orders/{id} answers it."""
    view: dict[str, Any] = {
        "id": "0123456789",
        "state": state,
        "version": 3,
        "orderDate": "2026-11-21T17:05:00.000Z",
        "category": "srtp",
        "productOrderItem": [
            {
                "quantity": 5,
                "productOffering": {"id": "srtp", "version": 1, "name": "SRTP", "unit": "phone", "period": "month"},
                "unitPriceCents": 200,
                "totalCents": 1000,
            }
        ],
        "monthlyTotalCents": 1000,
        "vatRatePercent": 21,
        "monthlyTotalInclVatCents": 1210,
        "events": [
            {"at": "2026-11-21T17:05:00.000Z", "from": None, "to": "acknowledged"},
            {"at": "2026-11-21T17:06:00.000Z", "from": "acknowledged", "to": state, "why": "Omdat het kan"},
        ],
        "credentials": "later",
    }
    return {**view, **changes}


def credentials(**changes: Any) -> dict[str, Any]:
    """The answer of POST /api/orders/{id}/credentials."""
    phone = {"extension": 101, "username": "abc234-101", "password": "geheim", **changes}
    return {
        "sip": {"domain": "sip.example.nl", "host": "203.0.113.7", "port": 5061, "transport": "tls"},
        "phones": [phone],
    }


def order_page(**context: Any) -> Document:
    """order.j2 as the functions render it."""
    return read(
        html.render(
            "order", **{"order": order_view(), "token": "t0ken", "credentials": None, "problem": None, **context}
        )
    )


def form_page(values: dict[str, str], errors: dict[str, str]) -> Document:
    """order-form.j2 as the functions render it."""
    error_list = [{"field": name, "message": message} for name, message in errors.items()]
    return read(html.render("order-form", values=values, errors=errors, error_list=error_list, idempotency_key="key-1"))


def by_id(document: Document, id: str) -> dict[str, str]:
    """The attributes of the one element with this id."""
    (found,) = [element.attributes for element in document.elements if element.attributes.get("id") == id]
    return found


def check_context(category: str = "srtp", **changes: Any) -> dict[str, Any]:
    """What check.j2 is rendered with."""
    price = {
        name: order_view()[name]
        for name in ("productOrderItem", "monthlyTotalCents", "vatRatePercent", "monthlyTotalInclVatCents")
    }
    hidden = {"category": category, "company": "Bakkerij", "idempotencyKey": "key-1"}
    context = {
        "category": category,
        "values": {"company": "Bakkerij"},
        "price": {**price, "oneTimeTotalCents": 0},
        "hidden": hidden,
    }
    return {**context, **changes}


@pytest.mark.parametrize("view", ["order-form", "order", "problem", "check", "order-form.en", "order.en", "check.en"])
def test_the_view_is_jinja_and_looks_into_nothing_undefined(views: Path, view: str) -> None:
    strict = jinja2.Environment(
        loader=jinja2.FileSystemLoader(views), autoescape=True, undefined=jinja2.StrictUndefined
    )
    html.add_filters(strict)
    contexts: dict[str, list[dict[str, Any]]] = {
        "order-form": [
            {"values": {"category": kind}, "errors": {}, "error_list": [], "idempotency_key": ""} for kind in KINDS
        ],
        "check": [check_context(kind) for kind in KINDS] + [check_context("quote", price=None)],
        "order": [{"order": order_view(state), "token": "t", "credentials": None, "problem": None} for state in State],
        "problem": [
            {"problem": {"title": "Niet gevonden", "detail": "Hier is niets", "status": 404, "correlationId": "c-1"}}
        ],
    }
    for context in contexts[view.removesuffix(".en")]:
        document = read(strict.get_template(f"{view}.j2").render(**context))
        assert not document.faults
        assert len(document.ids) == len(set(document.ids))
        assert document.all("html")[0].attributes["lang"] == ("en-GB" if view.endswith(".en") else "nl-NL")


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_dutch_words(views: Path, state: State) -> None:
    own = tomllib.loads((DATA / "order_kinds.toml").read_text())["srtp"]["state"]
    words = tomllib.loads((DATA / "order_states.toml").read_text())[state.value] | own.get(state.value, {})
    document = order_page(order=order_view(state.value))
    assert by_id(document, "order-state")["data-state"] == state.value
    assert words["name"] in document.text and words["text"] in document.text and words["next"] in document.text
    assert by_id(document, "order")["data-final"] == ("true" if words["final"] else "false")


def test_the_states_are_those_of_an_order_and_the_final_ones_are_its_ends() -> None:
    from ordering.order import TERMINAL

    words = tomllib.loads((DATA / "order_states.toml").read_text())
    assert set(words) == {state.value for state in State}
    assert {state for state, said in words.items() if said["final"]} == {state.value for state in TERMINAL}


def test_the_order_page_says_the_price_the_time_and_the_reason(views: Path) -> None:
    text = order_page(order=order_view("rejected")).text
    assert "€ 10,00" in text and "€ 12,10" in text
    assert "21 november 2026 om 18.05 uur" in text
    assert "Omdat het kan" in text


def test_the_button_for_credentials_is_there_only_when_they_are(views: Path) -> None:
    assert "issue-credentials" in order_page(order=order_view(credentials="available")).ids
    assert "issue-credentials" not in order_page().ids
    issued = order_page(order=order_view(credentials="issued", credentialsIssuedAt="2026-11-21T17:07:00.000Z"))
    assert "issue-credentials" in issued.ids and "Nieuwe inloggegevens maken" in issued.text
    assert "21 november 2026 om 18.07 uur" in issued.text


def test_the_button_for_credentials_works_as_a_plain_form(views: Path) -> None:
    document = order_page(order=order_view(credentials="available"))
    (form,) = document.all("form")
    assert form.attributes["method"] == "post" and form.attributes["action"] == "/bestelling/0123456789/credentials"
    hidden = {
        one.attributes["name"]: one.attributes["value"]
        for one in document.all("input")
        if one.attributes["type"] == "hidden"
    }
    assert hidden == {"token": "t0ken", "language": "nl"}


def test_credentials_are_told_with_how_to_use_them_and_a_warning(views: Path) -> None:
    document = order_page(credentials=credentials())
    (row,) = [tr.attributes for tr in document.all("tr") if "data-username" in tr.attributes]
    assert row == {"data-extension": "101", "data-username": "abc234-101", "data-password": "geheim"}
    assert "credentials" in document.ids
    for told in ("203.0.113.7", "5061", "sip.example.nl", "TLS", "SRTP", "Bewaar deze gegevens nu"):
        assert told in document.text


def test_the_check_step_shows_what_is_paid_and_sends_everything_again(views: Path) -> None:
    document = read(html.render("check", **check_context()))
    assert "Bedrijfsnaam Bakkerij" in document.text and "€ 10,00" in document.text and "€ 12,10" in document.text
    assert "Bestelling met betalingsverplichting" in document.text
    sent = {one.attributes["name"]: one.attributes["value"] for one in document.all("input")}
    assert sent == {
        "category": "srtp",
        "company": "Bakkerij",
        "idempotencyKey": "key-1",
        "monthlyTotalCents": "1000",
        "oneTimeTotalCents": "0",
    }
    assert [(one.attributes["name"], one.attributes["value"]) for one in document.all("button")] == [
        ("step", "order"),
        ("step", "change"),
    ]


def test_the_check_step_of_what_is_free_does_not_speak_of_paying(views: Path) -> None:
    document = read(
        html.render("check", **check_context("quote", price={"productOrderItem": [], "monthlyTotalCents": 0}))
    )
    assert "Deze aanvraag kost niets" in document.text and "betalingsverplichting" not in document.text


def test_every_kind_of_order_has_its_own_words(views: Path) -> None:
    words = tomllib.loads((DATA / "order_kinds.toml").read_text())
    general = tomllib.loads((DATA / "order_states.toml").read_text())["completed"]
    assert set(words) == set(KINDS)
    for kind, said in words.items():
        states = [order_page(order=order_view(state.value, category=kind)).text for state in State]
        assert all(said["order_title"] in text for text in states)
        assert set(said.get("state", {})) <= {state.value for state in State}
        if kind != "srtp":
            completed = states[list(State).index(State.COMPLETED)]
            own = said.get("state", {}).get("completed", {})
            assert "SRTP staat" not in completed and (general | own)["text"] in completed


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "srtp"])
def test_other_kinds_do_not_speak_of_encryption(kind: str) -> None:
    states = tomllib.loads((DATA / "order_states.toml").read_text())
    own = tomllib.loads((DATA / "order_kinds.toml").read_text())[kind].get("state", {})
    for state, words in states.items():
        said = {**words, **own.get(state, {})}
        text = " ".join(said.get(name, "") for name in ("text", "next", "expect")).lower()
        assert not any(word in text for word in ("versleutel", "srtp", "inloggegevens")), (state, text)


def test_set_up_files_stand_in_the_page_itself(views: Path) -> None:
    told = credentials()
    told["files"] = [{"name": "snom-101.xml", "mediaType": "application/xml", "content": '<a b="c">é & 100%</a>'}]
    (link,) = [a.attributes for a in order_page(credentials=told).all("a") if "download" in a.attributes]
    assert link["download"] == "snom-101.xml"
    assert link["href"].startswith("data:application/xml;charset=utf-8,")
    assert unquote(link["href"].partition(",")[2]) == '<a b="c">é & 100%</a>'


def test_a_problem_is_told_on_the_order_page(views: Path) -> None:
    assert "Al getoond" in order_page(problem={"title": "Al getoond", "detail": "Op 21 november"}).text


def test_the_form_comes_back_with_what_was_typed_and_what_is_wrong(views: Path) -> None:
    document = form_page({"company": "Bakkerij", "phones": "vijf", "note": "Let op"}, {"phones": "Vul een getal in"})
    assert by_id(document, "company")["value"] == "Bakkerij"
    assert by_id(document, "phones")["value"] == "vijf"
    assert by_id(document, "phones")["aria-invalid"] == "true"
    assert by_id(document, "company")["aria-invalid"] == "false"
    assert "hidden" not in by_id(document, "phones-error") and "hidden" in by_id(document, "company-error")
    assert "hidden" not in by_id(document, "error-summary")
    assert "#phones" in [a.attributes["href"] for a in document.all("a")]
    assert document.text.count("Vul een getal in") == 2
    assert "Let op" in document.text
    assert "Fout: " in document.text
    assert {"type": "hidden", "name": "idempotencyKey", "value": "key-1"} in [
        one.attributes for one in document.all("input")
    ]


def test_the_view_and_the_page_have_the_same_form(views: Path, site: Path) -> None:
    static = read((site / "versleutelde-telefoongesprekken/index.html").read_text())
    view = form_page({}, {})
    assert "hidden" in by_id(view, "error-summary")
    for field in order_form().fields:
        for name in ("type", "autocomplete", "inputmode", "aria-describedby", "aria-required"):
            assert by_id(static, field.name).get(name) == by_id(view, field.name).get(name)
    assert static.all("form")[0].attributes == view.all("form")[0].attributes


def test_the_form_works_without_javascript(site: Path) -> None:
    document = read((site / "versleutelde-telefoongesprekken/index.html").read_text())
    form = document.all("form")[0].attributes
    assert form["id"] == "order-form" and form["method"] == "post" and form["action"] == "/api/orders"
    for field in order_form().fields:
        control = by_id(document, field.name)
        assert control["name"] == field.name
    assert by_id(document, "monthly-total")["for"] == "phones"


def test_nothing_that_came_from_outside_becomes_markup(views: Path) -> None:
    fields = [field.name for field in order_form().fields]
    hostile_form = html.render(
        "order-form",
        values=dict.fromkeys(fields, HOSTILE),
        errors=dict.fromkeys(fields, HOSTILE),
        error_list=[{"field": HOSTILE, "message": HOSTILE}],
        idempotency_key=HOSTILE,
    )
    view = order_view(
        "completed",
        id=HOSTILE,
        credentials="available",
        events=[{"at": "2026-11-21T17:05:00Z", "from": HOSTILE, "to": HOSTILE, "why": HOSTILE}],
    )
    view["productOrderItem"][0]["productOffering"]["name"] = HOSTILE
    problem = {"title": HOSTILE, "detail": HOSTILE, "status": 404, "correlationId": HOSTILE}
    hostile_order = [
        html.render("order", order=view, token=HOSTILE, credentials=told, problem=problem)
        for told in (None, credentials(username=HOSTILE, password=HOSTILE, extension=HOSTILE))
    ]
    hostile_problem = html.render("problem", problem=problem)
    hostile_check = html.render(
        "check", **check_context(values=dict.fromkeys(fields, HOSTILE), hidden={HOSTILE: HOSTILE})
    )
    asked = order_view(
        "pending", events=[{"at": "2026-11-21T17:05:00Z", "from": "acknowledged", "to": "pending", "why": HOSTILE}]
    )
    hostile_question = html.render("order", order=asked, token=HOSTILE, credentials=None, problem=None)
    for page in [hostile_form, *hostile_order, hostile_problem, hostile_check, hostile_question]:
        document = read(page)
        assert not document.faults
        assert "alert(1)</script>" not in page
        assert not document.all("img")
        assert all(
            "src" in script.attributes or script.attributes["type"] == "application/json"
            for script in document.all("script")
        )
        assert not any(name.startswith("on") for element in document.elements for name in element.attributes)
        assert "{{ 7*7 }}" in page and "49}}" not in page


def test_no_two_field_names_clash_with_the_page(views: Path) -> None:
    ids = form_page({}, {}).ids
    for one, other in itertools.combinations(ids, 2):
        assert one != other
