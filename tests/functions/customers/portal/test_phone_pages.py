"""Phones in Mijn omgeving: added at a price that was shown, renamed, given passwords once, blocked, removed and kept."""

import re

import pytest

from customers.account import Account, EventKind
from customers.store import store
from tests.support.portal.bakery import BILLING, OTHER, OWNER, TECHNICAL, Clock, SignIn
from tests.support.portal.browser import Browser, Seen

pytestmark = pytest.mark.needs("java")


def kinds(customer_id: str) -> list[EventKind]:
    """What happened to a customer."""
    return [event.kind for event in store().history(customer_id)]


def add(browser: Browser, labels: str) -> Seen:
    """Ask for phones; the page with their price."""
    page = browser.get("/mijn/telefoons")
    return browser.send(page.form("/mijn/telefoons/toevoegen"), labels=labels)


def test_phones_are_added_at_the_price_that_was_shown(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(OWNER)
    page = add(browser, "Balie\n\n  Magazijn   achter ")
    assert "€ 4,00" in page.text and "€ 8,00" in page.text and "betalingsverplichting" in page.text
    assert len(store().get("bakker").environment.phones) == 2, "nothing yet"
    done = browser.send(page.form("/mijn/telefoons/toevoegen"))
    assert done.path == "/mijn/telefoons" and "Magazijn achter" in done.text
    after = store().get("bakker")
    assert [phone.label for phone in after.environment.phones] == ["", "", "Balie", "Magazijn achter"]
    assert after.srtp and after.srtp.quantity == 4 and after.monthly_cents == 800


def test_the_button_pressed_twice_adds_once(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(OWNER)
    form = add(browser, "Balie").form("/mijn/telefoons/toevoegen")
    browser.send(form)
    browser.send(form)
    assert len(store().get("bakker").environment.phones) == 3


def test_a_price_that_changed_meanwhile_is_shown_again_and_nothing_is_added(bakery: Account, signed_in: SignIn) -> None:
    browser, colleague = signed_in(OWNER), signed_in(OWNER)
    form = add(browser, "Balie").form("/mijn/telefoons/toevoegen")
    colleague.send(add(colleague, "Kantoor").form("/mijn/telefoons/toevoegen"))
    page = browser.send(form)
    assert page.status == 409 and "€ 6,00" in page.text and "€ 8,00" in page.text
    assert len(store().get("bakker").environment.phones) == 3
    browser.send(page.form("/mijn/telefoons/toevoegen"))
    assert store().get("bakker").monthly_cents == 800


@pytest.mark.parametrize(("labels", "words"), [(" \n ", "een naam in"), ("x\n" * 51, "hoogstens 50")])
def test_what_is_no_list_of_phones_is_told_and_kept(
    bakery: Account, signed_in: SignIn, labels: str, words: str
) -> None:
    page = add(signed_in(OWNER), labels)
    assert page.status == 422 and words in page.text
    assert page.form("/mijn/telefoons/toevoegen").fields["labels"].split() == labels.split()


def test_passwords_are_told_once_and_the_table_knows_their_hashes_only(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(TECHNICAL)
    page = browser.send(browser.get("/mijn/telefoons").form("/mijn/telefoons/wachtwoorden"))
    told = dict(re.findall(r'data-username="([^"]+)" data-password="([^"]+)"', page.body))
    assert set(told) == {"bakker-201", "bakker-202"} and "bakker.sip." in page.text
    phones = {phone.username: phone for phone in store().get("bakker").environment.phones}
    from ordering.credentials import PhoneCredentials
    from shared.brand import brand

    for username, password in told.items():
        assert phones[username].ha1 == PhoneCredentials(201, username, password).ha1(brand().sip_domain)
        assert password not in browser.get("/mijn/telefoons").body + browser.get(f"/mijn/telefoons/{username}").body
    assert "no-store" in page.headers["cache-control"]


def test_one_phone_gets_a_new_password_and_its_old_one_an_hour(bakery: Account, signed_in: SignIn, time: Clock) -> None:
    browser = signed_in(OWNER)
    first = browser.send(browser.get("/mijn/telefoons/bakker-201").form("/mijn/telefoons/bakker-201/wachtwoord"))
    before = store().get("bakker").environment.phone("bakker-201")
    assert before and first.body.count("data-password") == 1
    browser.send(browser.get("/mijn/telefoons/bakker-201").form("/mijn/telefoons/bakker-201/wachtwoord"))
    after = store().get("bakker").environment.phone("bakker-201")
    assert after and after.previous_ha1 == before.ha1 and after.ha1 != before.ha1
    assert "werkt nog tot 26 november 2026 om 11.00 uur" in browser.get("/mijn/telefoons/bakker-201").text
    assert store().get("bakker").environment.phone("bakker-202").ha1 is None  # type: ignore[union-attr]


def test_a_phone_is_renamed_and_blocked_at_once(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(TECHNICAL)
    page = browser.get("/mijn/telefoons/bakker-201")
    page = browser.send(page.form("/mijn/telefoons/bakker-201"), label=" Balie  voor ")
    assert "Balie voor" in page.text
    browser.send(page.form("/mijn/telefoons/bakker-201/wachtwoord"))
    page = browser.get("/mijn/telefoons/bakker-201")
    page = browser.send(page.form("/mijn/telefoons/bakker-201/blokkeren"))
    assert "Geblokkeerd" in page.text
    found = store().get("bakker").environment.phone("bakker-201")
    assert found and found.ha1 is None and found.previous_ha1 is None
    assert kinds("bakker")[-3:] == [EventKind.PHONE_CHANGED, EventKind.PASSWORDS_HANDED_OUT, EventKind.PHONE_REVOKED]


def test_a_phone_leaves_with_the_next_month_or_stays(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(OWNER)
    page = browser.get("/mijn/telefoons/bakker-202")
    assert "1 december 2026" in page.text and "€ 2,00" in page.text
    page = browser.send(page.form("/mijn/telefoons/bakker-202/verwijderen"))
    assert "Vervalt op 1 december 2026" in page.text
    assert "Vanaf 1 december 2026: € 2,00" in browser.get("/mijn/overzicht").text
    page = browser.send(page.form("/mijn/telefoons/bakker-202/verwijderen"))
    assert "Vervalt" not in page.text and store().get("bakker").environment.phones[1].leaves_on is None


def test_the_month_ends_at_midnight_in_the_netherlands(bakery: Account, signed_in: SignIn, time: Clock) -> None:
    time.move(days=4, hours=14, minutes=30)  # 30 November, 23.30 UTC
    assert "vervalt op 1 januari 2027" in signed_in(OWNER).get("/mijn/telefoons/bakker-202").text


def test_who_may_not_sees_no_money_and_adds_nothing(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(TECHNICAL)
    for path in ("/mijn/overzicht", "/mijn/telefoons", "/mijn/telefoons/bakker-201"):
        assert "€" not in browser.get(path).text, path
    token = browser.get("/mijn/overzicht").form("/mijn/afmelden").fields["token"]
    for path in ("/mijn/telefoons/toevoegen", "/mijn/telefoons/bakker-201/verwijderen"):
        assert browser.post(path, {"token": token, "labels": "Balie"}).status == 404
    billing = signed_in(BILLING)
    assert billing.get("/mijn/telefoons").status == 404
    assert "€ 4,00" in billing.get("/mijn/overzicht").text
    assert kinds("bakker")[-1] is EventKind.CONTACT_ADDED


def test_a_colleague_elsewhere_is_listed_and_put_out(bakery: Account, signed_in: SignIn) -> None:
    here = signed_in(OWNER)
    there = signed_in(OWNER, Browser("203.0.113.9", "Mozilla/5.0 (iPhone) Version/18.0 Safari/604.1"))
    other = signed_in(OTHER)
    page = here.get("/mijn/sessies")
    assert "Safari, iPhone" in page.text and "203.0.0.0/16" in page.text and "deze browser" in page.text
    (form,) = [form for form in page.forms if form.fields.get("session")]
    assert here.send(form).path == "/mijn/sessies"
    assert there.get("/mijn/overzicht").path == "/mijn/aanmelden"
    assert (
        here.get("/mijn/overzicht").path == "/mijn/overzicht" and other.get("/mijn/overzicht").path == "/mijn/overzicht"
    )
