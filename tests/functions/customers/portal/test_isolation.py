"""No way into another customer's environment: each route that there is, tried with another's session, token and ids."""

import re

import pytest

from customers import portal_api
from customers.account import Account
from customers.store import store
from shared.routes import Caller, Route
from tests.support.portal.bakery import BILLING, NOW, NUMBER, OPERATOR, OTHER, OWNER, TECHNICAL, SignIn
from tests.support.portal.browser import Browser

pytestmark = pytest.mark.needs("java")

INSIDE = [route for route in portal_api.routes.declared if route.caller is Caller.CUSTOMER]
OURS = {"username": "bakker-201", "number": NUMBER, "document": "3", "proof_id": "0" * 32, "code": "x" * 43}
SECRETS = ("Bakkerij", "bakker-20", OWNER, TECHNICAL, "0123456789", NUMBER)
WORTH_TRYING = {
    "customer": "bakker",
    "contact": "1",
    "product": "0123456789-srtp",
    "product-0123456789-srtp": "1",
    "session": "0" * 16,
    "remove": "1",
    "step": "end",
    "labels": "",
}


def path(route: Route) -> str:
    """The address of a route with the bakery's ids in it."""
    return re.sub(r"\{(\w+)\}", lambda found: OURS[found[1]], route.path)


def token(browser: Browser) -> str:
    """What the forms of this browser's pages hold."""
    return browser.get("/mijn/overzicht").form("/mijn/afmelden").fields["token"]


def test_there_are_routes_to_try() -> None:
    assert len(INSIDE) > 25 and {route.method for route in INSIDE} == {"GET", "POST"}


def test_who_is_not_signed_in_gets_to_no_page(shop: Account) -> None:
    stranger = Browser()
    for route in INSIDE:
        seen = stranger.request(route.method, path(route), fields=WORTH_TRYING if route.method == "POST" else None)
        assert seen.path == "/mijn/aanmelden", route
    assert store().get("bakker") == shop


def test_another_customers_session_sees_and_changes_nothing_of_ours(shop: Account, signed_in: SignIn) -> None:
    butcher = signed_in(OTHER)
    for route in INSIDE:
        fields = {"token": token(butcher), **WORTH_TRYING} if route.method == "POST" else None
        seen = butcher.request(route.method, path(route), fields=fields)
        told = seen.body.replace(path(route), "")
        assert not [secret for secret in SECRETS if secret in told], route
        if "{" in route.path and "{document}" not in route.path and "{code}" not in route.path:
            assert seen.status == 404, route
        if route.path == "/mijn/afmelden":
            butcher = signed_in(OTHER)
    assert store().get("bakker") == shop


def test_a_form_with_anothers_token_changes_nothing(shop: Account, signed_in: SignIn) -> None:
    owner, butcher = signed_in(OWNER), signed_in(OTHER)
    theirs = token(butcher)
    for route in INSIDE:
        if route.method == "POST":
            for wrong in (theirs, "", theirs[:-1]):
                assert owner.post(path(route), {**WORTH_TRYING, "token": wrong}).status == 400, route
    assert store().get("bakker") == shop
    assert owner.get("/mijn/overzicht").status == 200, "nor was the session ended"


def test_a_role_sees_its_part_and_no_more(shop: Account, signed_in: SignIn) -> None:
    technical, billing = signed_in(TECHNICAL), signed_in(BILLING)
    closed: dict[str, set[str]] = {"technical": set(), "billing": set()}
    for route in INSIDE:
        if route.method != "GET" or "{" in route.path:
            continue
        seen = technical.get(route.path)
        assert "€" not in seen.text, route
        closed["technical"] |= {route.path} if seen.status == 404 else set()
        seen = billing.get(route.path)
        assert "bakker-201" not in seen.body and NUMBER not in seen.body, route
        closed["billing"] |= {route.path} if seen.status == 404 else set()
    money = {"/mijn/producten", "/mijn/documenten"}
    contract = {"/mijn/opzeggen", "/mijn/herroepen"}
    technique = {"/mijn/telefoons", "/mijn/nummers", "/mijn/gesprekken", "/mijn/gesprekken/bestand"}
    assert closed["technical"] - {"/mijn/gesprekken/gesprek"} == money | contract
    assert closed["billing"] - {"/mijn/gesprekken/gesprek"} == technique | contract


def test_what_a_role_may_not_it_cannot_send_either(shop: Account, signed_in: SignIn) -> None:
    technical, billing = signed_in(TECHNICAL), signed_in(BILLING)
    for browser, closed in (
        (technical, ("/mijn/opzeggen", "/mijn/herroepen", "/mijn/gegevens/contact", "/mijn/telefoons/toevoegen")),
        (
            billing,
            ("/mijn/opzeggen", "/mijn/telefoons/wachtwoorden", f"/mijn/nummers/{NUMBER}", "/mijn/gegevens/contact"),
        ),
    ):
        own = token(browser)
        for target in closed:
            assert browser.post(target, {**WORTH_TRYING, "token": own}).status == 404, target
    assert store().get("bakker") == shop


def test_a_person_of_two_companies_looks_at_one_at_a_time(shop: Account, signed_in: SignIn) -> None:
    from customers import contacts, service
    from customers.customer import ContactRole

    add = {ContactRole.TECHNICAL}
    service.change("slager", lambda one: contacts.add(one, "Techniek", TECHNICAL, add, OPERATOR, NOW), NOW)
    browser = signed_in(TECHNICAL)
    page = browser.get("/mijn/sessies")
    assert "Bakkerij" in page.text and "Slagerij" in page.text
    (form,) = [form for form in page.forms if form.action == "/mijn/klant"]
    here = browser.get("/mijn/overzicht").text
    there = browser.send(form).text
    assert ("Bakkerij De Korst" in here) != ("Bakkerij De Korst" in there)
    assert browser.get("/mijn/telefoons/bakker-201").status == 404 or "Bakkerij De Korst" in there
