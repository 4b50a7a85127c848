"""Signing in, and what is tried against it: replayed, forwarded, prefetched, guessed, and asked about."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.account import Account
from customers.portal import sessions, sign_in
from customers.portal.door import BROWSER_COOKIE, SESSION_COOKIE
from shared import dynamodb, settings
from tests.support.portal.bakery import NOW, OTHER, OWNER, TECHNICAL, Clock, Post, SignIn, body
from tests.support.portal.browser import Browser, Seen

pytestmark = pytest.mark.needs("java")


def ask(browser: Browser, address: str) -> Seen:
    """Ask for a link."""
    return browser.send(browser.get("/mijn/aanmelden").form("/mijn/aanmelden"), email=address)


def use(browser: Browser, link: str) -> Seen:
    """Open a link and press its button, if it has one."""
    page = browser.get(link)
    buttons = [form for form in page.forms if form.action == link.partition("?")[0]]
    return browser.send(buttons[0]) if buttons else page


def press(browser: Browser, link: str) -> Seen:
    """Send what the button of a link would send, whatever its page says."""
    secret = browser.cookies.get(BROWSER_COOKIE, "")
    token = sessions.form_token(settings.order_key(), secret) if secret else ""
    return browser.post(link.partition("?")[0], {"token": token})


def inside(browser: Browser) -> bool:
    """Whether somebody is signed in here."""
    return browser.get("/mijn/overzicht").path == "/mijn/overzicht"


def test_a_link_signs_in_and_its_mail_holds_no_password(bakery: Account, post: Post) -> None:
    browser = Browser()
    assert ask(browser, OWNER).path == "/mijn/aanmelden/verstuurd"
    link = post.link(OWNER)
    assert use(browser, link).path == "/mijn/overzicht"
    assert bakery.customer.company in browser.get("/mijn/overzicht").text
    (mail,) = post.sent
    assert "10 minuten" in body(mail) and mail.destinations["ToAddresses"] == [OWNER]


def test_an_address_is_the_same_however_it_is_typed(bakery: Account, post: Post) -> None:
    browser = Browser()
    ask(browser, f"  {OWNER.upper()} ")
    assert use(browser, post.link(OWNER)).path == "/mijn/overzicht"


def test_looking_at_a_link_uses_nothing_up(bakery: Account, post: Post) -> None:
    browser, scanner = Browser(), Browser("203.0.113.5", "MailScanner/1.0")
    ask(browser, OWNER)
    link = post.link(OWNER)
    before = everything()
    for _ in range(5):
        assert scanner.get(link).status == 200
        assert scanner.request("HEAD", link).status in (200, 404)
        browser.get(link)
    assert everything() == before
    assert use(browser, link).path == "/mijn/overzicht"


def test_a_scanner_that_presses_every_button_uses_nothing_up(bakery: Account, post: Post) -> None:
    browser, scanner = Browser(), Browser("203.0.113.5", "MailScanner/1.0")
    ask(browser, OWNER)
    link = post.link(OWNER)
    page = scanner.get(link)
    assert not [form for form in page.forms if form.action == link.partition("?")[0]]
    assert press(scanner, link).status == 409
    assert not inside(scanner)
    assert use(browser, link).path == "/mijn/overzicht"


def test_a_link_works_once(bakery: Account, post: Post) -> None:
    browser = Browser()
    ask(browser, OWNER)
    link = post.link(OWNER)
    use(browser, link)
    del browser.cookies[SESSION_COOKIE]
    again = use(browser, link)
    assert again.status == 409 and "al een keer aangemeld" in again.text
    assert not inside(browser)


def test_a_forwarded_link_signs_in_nobody(bakery: Account, post: Post) -> None:
    owner, thief = Browser(), Browser("203.0.113.66")
    ask(owner, OWNER)
    link = post.link(OWNER)
    ask(thief, "dief@example.com")  # so that this browser has a cookie of its own
    refused = use(thief, link)
    assert refused.status == 409 and "andere browser" in refused.text
    assert not inside(thief)
    assert use(owner, link).path == "/mijn/overzicht"


def test_a_link_that_was_asked_for_by_another_is_of_no_use_to_its_owner_or_to_them(bakery: Account, post: Post) -> None:
    owner, thief = Browser(), Browser("203.0.113.66")
    ask(thief, OWNER)
    link = post.link(OWNER)  # lands in the owner's mailbox
    assert use(owner, link).status in (200, 409)
    assert not inside(owner) and not inside(thief)


def test_a_link_expires(bakery: Account, post: Post, time: Clock) -> None:
    browser = Browser()
    ask(browser, OWNER)
    link = post.link(OWNER)
    time.move(minutes=10)
    refused = use(browser, link)
    assert refused.status == 409 and "verlopen" in refused.text and not inside(browser)


def test_two_links_asked_for_in_one_browser_both_work(bakery: Account, post: Post) -> None:
    browser = Browser()
    ask(browser, OWNER)
    first = post.link(OWNER)
    ask(browser, OWNER)
    assert use(browser, first).path == "/mijn/overzicht"


def test_a_thousand_guesses_are_twenty(bakery: Account, post: Post) -> None:
    browser, guesser = Browser(), Browser("203.0.113.66")
    ask(browser, OWNER)
    link = post.link(OWNER)
    request_id = link.split("/")[3]
    guesser.cookies = dict(browser.cookies)  # as if the cookie had been stolen too
    statuses = [press(guesser, f"/mijn/aanmelden/{request_id}/{n:043d}").status for n in range(1000)]
    assert statuses == [409] * sign_in.FAILURES_PER_HOUR + [429] * (1000 - sign_in.FAILURES_PER_HOUR)
    assert not inside(guesser)
    assert press(guesser, link).status == 429, "even the right one"
    assert use(browser, link).path == "/mijn/overzicht", "its owner is elsewhere, and not kept out"


def test_what_is_answered_and_done_says_nothing_of_an_address(
    bakery: Account, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Any]] = []
    real = dynamodb.client()._make_api_call  # type: ignore[attr-defined]

    def spy(operation: str, request: dict[str, Any]) -> Any:
        calls.append((operation, shape(request)))
        return real(operation, request)

    monkeypatch.setattr(dynamodb.client(), "_make_api_call", spy)
    work, answers = [], []
    for address in (OWNER, OTHER, "vreemd.@bakkerij.example.nl", "eigenaar@bakkerij.example.be"):
        browser = Browser()
        form = browser.get("/mijn/aanmelden").form("/mijn/aanmelden")
        calls.clear()
        answers.append(browser.post("/mijn/aanmelden", {**form.fields, "email": address}, follow=False))
        work.append(list(calls))
    assert len(work[0]) == 3 and all(one == work[0] for one in work), "the same work, so the same time"
    told = [(answer.status, answer.headers, answer.body) for answer in answers]
    assert all(one == told[0] for one in told)
    post.deliver()
    assert sorted(mail.destinations["ToAddresses"] for mail in post.sent) == sorted([[OWNER], [OTHER]])


def test_a_mailbox_is_not_flooded_and_who_floods_it_hears_nothing_of_that(bakery: Account, post: Post) -> None:
    browsers = [Browser(f"203.0.113.{n}") for n in range(12)]
    assert {ask(browser, OWNER).path for browser in browsers} == {"/mijn/aanmelden/verstuurd"}
    assert len(post.deliver()) == sign_in.LINKS_PER_HOUR


def test_one_source_asks_thirty_times_an_hour(bakery: Account, post: Post, time: Clock) -> None:
    browser = Browser()
    form = browser.get("/mijn/aanmelden").form("/mijn/aanmelden")
    asked = [browser.send(form, email=f"iemand{n}@example.com").status for n in range(sign_in.ASKED_PER_HOUR + 3)]
    assert asked == [200] * sign_in.ASKED_PER_HOUR + [429] * 3
    assert ask(Browser("203.0.113.7"), OWNER).status == 200
    time.move(hours=1)
    assert ask(browser, OWNER).status == 200


@pytest.mark.parametrize(
    "address", ["", "geen adres", "a@b", "@example.nl", "a@b.nl\nBcc: c@d.nl", "a" * 400 + "@example.nl"]
)
def test_what_is_no_address_is_told_at_the_field(bakery: Account, post: Post, address: str) -> None:
    page = ask(Browser(), address)
    assert page.status == 422 and "Vul een e-mailadres in" in page.text
    assert post.deliver() == []


def test_a_browser_without_cookies_is_told_so(bakery: Account, post: Post) -> None:
    browser = Browser()
    form = browser.get("/mijn/aanmelden").form("/mijn/aanmelden")
    browser.cookies.clear()
    page = browser.send(form, email=OWNER)
    assert page.status == 400 and "cookies" in page.text


def test_english_stays_english(bakery: Account, post: Post) -> None:
    browser = Browser()
    page = browser.get("/mijn/aanmelden?language=en")
    page = browser.send(page.form("/mijn/aanmelden"), email=OWNER)
    assert "Look in your e-mail" in page.text
    link = post.link(OWNER)
    assert link.endswith("?language=en") and "Dear Eigenaar" in body(post.sent[-1])
    assert "Overview" in use(browser, link).text
    assert "Overview" in browser.get("/mijn/overzicht").text


def test_the_cookies_go_to_us_alone_and_no_script_reads_them(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(OWNER)
    assert {line.partition("=")[0] for line in browser.set_cookies} == {SESSION_COOKIE, BROWSER_COOKIE}
    for line in browser.set_cookies:
        assert line.startswith("__Host-")
        assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/"} <= {part.strip() for part in line.split(";")}
        assert "Domain" not in line


def test_the_table_holds_nothing_that_signs_in(bakery: Account, post: Post, signed_in: SignIn) -> None:
    browser = signed_in(OWNER)
    link = post.link(OWNER)
    held = repr(everything())
    secrets = [*browser.cookies.values(), *(value.partition(".")[2] for value in browser.cookies.values())]
    for secret in [link.split("/")[4].partition("?")[0], *filter(None, secrets)]:
        assert secret not in held


def test_half_an_hour_without_a_request_ends_a_session(bakery: Account, signed_in: SignIn, time: Clock) -> None:
    browser = signed_in(OWNER)
    for _ in range(4):
        time.move(minutes=29)
        assert inside(browser)
    time.move(minutes=30)
    page = browser.get("/mijn/overzicht")
    assert page.path == "/mijn/aanmelden" and "een half uur" in page.text


def test_a_session_ends_after_half_a_day_whatever_is_done(bakery: Account, signed_in: SignIn, time: Clock) -> None:
    browser = signed_in(OWNER)
    for _ in range(47):
        time.move(minutes=15)
        assert inside(browser)
    time.move(minutes=15)
    assert not inside(browser)


def test_signing_out_ends_the_session_also_for_who_kept_the_cookie(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(OWNER)
    thief = Browser("203.0.113.66", cookies=dict(browser.cookies))
    assert browser.send(browser.get("/mijn/overzicht").form("/mijn/afmelden")).path == "/mijn/aanmelden"
    assert SESSION_COOKIE not in browser.cookies
    assert not inside(thief)


def test_who_is_no_contact_any_more_is_out_at_once(bakery: Account, signed_in: SignIn) -> None:
    from dataclasses import replace

    from customers.account import EventKind, add_event
    from customers.store import store
    from tests.support.portal.bakery import SALES

    browser = signed_in(TECHNICAL)
    assert inside(browser)

    def without(found: Account) -> Account:
        kept = tuple(contact for contact in found.customer.contacts if contact.email != TECHNICAL)
        changed = replace(found, customer=replace(found.customer, contacts=kept))
        return add_event(changed, EventKind.CONTACT_REMOVED, SALES, NOW)

    store().change(bakery.id, without)
    assert not inside(browser)


FOREIGN: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site", "origin": "https://kwaad.example"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "", "origin": "https://kwaad.example"},
    {"sec-fetch-site": "", "origin": "https://callvoip.example.nl.kwaad.example"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_form_of_another_site_is_refused(bakery: Account, signed_in: SignIn, headers: dict[str, str]) -> None:
    browser = signed_in(OWNER)
    form = browser.get("/mijn/overzicht").form("/mijn/afmelden")
    assert browser.post(form.action, form.fields, headers=headers).status == 400
    assert inside(browser)


@pytest.mark.parametrize("token", ["", "0" * 64, "é", None])
def test_a_form_without_the_right_token_is_refused(bakery: Account, signed_in: SignIn, token: str | None) -> None:
    browser, other = signed_in(OWNER), signed_in(OTHER)
    if token is None:
        token = other.get("/mijn/overzicht").form("/mijn/afmelden").fields["token"]
    assert browser.post("/mijn/afmelden", {"token": token}).status == 400
    assert inside(browser)


@given(st.text(max_size=120))
def test_no_cookie_of_a_stranger_is_read_as_one_of_ours(value: str) -> None:
    found = sessions.read_cookie(value)
    assert found is None or value == f"{found[0]}.{found[1]}"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 Edg/142.0",
            "Edge, Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari, iPhone",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/142.0 Mobile Safari/537.36", "Chrome, Android"),
        ("curl/8", ""),
        ("", ""),
    ],
)
def test_a_browser_is_called_as_its_owner_would(agent: str, name: str) -> None:
    assert sessions.device(agent, "").browser == name


@pytest.mark.parametrize(
    ("address", "network"), [("192.0.2.10", "192.0.0.0/16"), ("2001:db8:1:2::3", "2001:db8::/32"), ("geen", "")]
)
def test_a_network_is_told_too_wide_to_point_at_a_household(address: str, network: str) -> None:
    assert sessions.device("", address).network == network


def shape(request: Any) -> Any:
    """A request to DynamoDB without the values in it: tables, expressions and the names of attributes."""
    if isinstance(request, dict):
        return {name: shape(value) for name, value in request.items()}
    return request if isinstance(request, str) and len(request) > 60 and ":" in request else type(request).__name__


def everything() -> list[Any]:
    """All that the customers table holds."""
    pages = dynamodb.client().get_paginator("scan").paginate(TableName=settings.customers_table())
    return sorted(repr(item) for page in pages for item in page["Items"])
