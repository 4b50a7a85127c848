"""A company as it lives on after its order: Mijn omgeving in a browser, telephones that register and call, a number that is called and
forwarded, and the end a month later.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from callvoip.client import Client
from callvoip.commands import incoming
from callvoip.commands.sample import ADDRESS
from callvoip.commands.verify_receipt import NotGenuineError, verify
from callvoip.phones import PhoneError
from callvoip.phones.baresip import Baresip, talk, write_tone
from callvoip.phones.called_office import FORWARD_SECONDS, OUTSIDE, CalledOffice, called_office
from callvoip.system import LocalSystem
from tests.e2e.test_main_job import Customer, SipAccount, visit

pytestmark = [pytest.mark.e2e, pytest.mark.needs("chromium", "baresip"), pytest.mark.timeout(420)]

T = TypeVar("T")

PHONES = 3
A_MONTH_LATER_S = 32 * 86400
PATIENCE_S = 60.0
"""For what a node or a stream brings about by itself; a quiet machine needs a few seconds."""


def until(seen: Callable[[], T], otherwise: str) -> T:
    """What is seen at last. Raises AssertionError when nothing is."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := seen()):
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.3)
    return found


WHO = {"company": "Slagerij Levensloop", "name": "Jo de Tester", "telephone": "085 555 01 24", **ADDRESS}


def signed_in_as_sales(system: LocalSystem) -> Client:
    return Client.signed_in(system.site, system.api, system.sales_user, system.sales_password)


def order_and_approve(system: LocalSystem, email: str) -> str:
    """The token of an order of SRTP that is in service."""
    visitor = Client(system.api)
    unit = next(each for each in visitor.get("/prices")["offerings"] if each["id"] == "srtp")["unitPriceCents"]
    placed = visitor.post("/orders", {**WHO, "email": email, "phones": PHONES, "monthlyTotalCents": PHONES * unit})
    sales = signed_in_as_sales(system)
    sales.post(f"/sales/orders/{placed['id']}/approve")
    customer = Client(system.api, placed["token"])
    until(lambda: customer.get(f"/orders/{placed['id']}")["state"] == "completed", "the order is not in service")
    return f"/bestelling/{placed['id']}?token={placed['token']}"


def hand_out(page: Page) -> dict[str, SipAccount]:
    """The accounts that a page tells once, by extension."""
    rows = page.locator("[data-extension][data-password]")
    expect(rows.first).to_be_visible()
    told = [
        [row.get_attribute(f"data-{name}") or "" for name in ("extension", "username", "password")]
        for row in rows.all()
    ]
    return {each[0]: SipAccount(*each) for each in told}


def sign_in(page: Page, system: LocalSystem, email: str) -> None:
    """By the link in a mail, as it stands on the local page of mails."""
    page.goto(f"{system.site}/mijn/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_role("button", name=re.compile("link", re.IGNORECASE)).click()

    def link() -> str:
        mails = requests.get(f"{system.mail.rstrip('/')}.json", timeout=30).json()
        texts = [mail["text"] for mail in mails if email in mail["to"]]
        found = [re.search(rf"{re.escape(system.site)}/mijn/aanmelden/\S+", text) for text in texts]
        return next((each[0] for each in found if each), "")

    page.goto(until(link, "no mail with a link"))
    page.locator("#sign-in").click()
    expect(page.locator("#state")).to_have_attribute("data-state", "served")


def state_of(page: Page, system: LocalSystem, username: str, wanted: str) -> bool:
    page.goto(f"{system.site}/mijn/telefoons")
    return page.locator(f'tr[data-username="{username}"]').get_attribute("data-state") == wanted


def registers(phone: Baresip) -> bool:
    """Whether a phone that has just started gets in."""
    until(lambda: re.search(r"\d+ binding|reg: .* \d{3} ", phone.text()), "nobody answers the phone")
    with contextlib.suppress(PhoneError):
        phone.wait_for("REGISTER_OK", timeout=1)
        return True
    return False


def call_and_read(page: Page, system: LocalSystem, caller: Baresip, callee: Baresip) -> None:
    """A call among colleagues, and what its page says of it; its receipt is genuine by the published keys."""
    caller.command("dial", f"sip:202@{system.sip_domain}")
    talk(caller, callee)

    def listed() -> bool:
        page.goto(f"{system.site}/mijn/gesprekken")
        return page.locator("tr[data-encryption]").count() > 0

    until(listed, "the call is not listed")
    expect(page.locator("tr[data-encryption]").first).to_have_attribute("data-encryption", "all")
    page.locator("tr[data-encryption] a").first.click()
    main = page.locator("main")
    expect(main).to_contain_text("AES_CM_128_HMAC_SHA1_80")
    expect(main.locator("dt:has-text('Onversleutelde pakketten') + dd")).to_have_text(["0", "0"])
    receipt = main.locator("details code").text_content() or ""
    keys = requests.get(f"{system.site}/.well-known/call-receipt-keys.json", timeout=30).json()["keys"]
    assert any(_genuine(receipt, key) for key in keys)
    table = page.request.get(f"{system.site}/mijn/gesprekken/bestand").text()
    assert len(table.strip().splitlines()) == 2 and ";ja;" in table


def _genuine(receipt: str, key: dict[str, Any]) -> bool:
    with contextlib.suppress(NotGenuineError):
        return bool(verify(receipt, key))
    return False


def gets_a_number(page: Page, system: LocalSystem, email: str, environment: str) -> str:
    """A plan by the same form and the same mail address; its number is forwarded outside in Mijn omgeving when nobody answers."""
    number = f"+3185555{secrets.randbelow(10_000):04}"
    plan = incoming.order_plan(system, {**WHO, "email": email})
    incoming.deliver(system, signed_in_as_sales(system), plan, environment, number)
    page.goto(f"{system.site}/mijn/nummers/{number}")
    page.locator("[name=noAnswer]").fill(OUTSIDE)
    page.locator("[name=noAnswerSeconds]").fill(str(FORWARD_SECONDS))
    page.locator("form:has([name=noAnswer]) button").click()
    expect(page).to_have_url(re.compile("saved=1"))
    return number


def is_called(office: CalledOffice) -> None:
    """Three phones ring, one answers and transfers; the next call nobody takes, and it is forwarded after 15 seconds."""
    office.wait_registered()
    assert office.rings() == PHONES
    assert office.is_transferred() == PHONES - 1, "no missed call is listed for what another answered"
    forwarded = office.is_forwarded()
    assert forwarded.after_seconds >= FORWARD_SECONDS - 1
    assert OUTSIDE in forwarded.history_info and "no-answer" in forwarded.diversion


def receipts_are_verified(page: Page, system: LocalSystem, environment: str, scratch: Path) -> None:
    """Both calls stand in the records with a receipt; the command and the page find all receipts genuine, and one left out."""
    found = until(lambda: incoming.of_number(incoming.records(system, environment)), "the calls are not both recorded")
    assert found
    transferred, forwarded = found
    assert transferred["from"] == forwarded["from"] == incoming.masked(OUTSIDE)
    phone = next(leg for leg in transferred["legs"] if leg["suite"] != "none")
    assert phone["plaintextPackets"] == 0 < phone["packets"]
    receipts = [each["receipt"] for each in incoming.records(system, environment) if "receipt" in each]
    assert incoming.judged(system, receipts, scratch) == {"receipts_verified": len(receipts), "left_out_noticed": True}
    chain = incoming.in_order(receipts)
    for chosen, missing in ((chain, 0), ([*chain[:1], *chain[2:]], 1)):
        page.goto(f"{system.site}/gespreksbewijs/")
        page.get_by_label("Gespreksbewijs", exact=True).fill("\n".join(chosen))
        page.get_by_role("button", name="Controleren").click()
        said = f"Echt: {len(chosen)}. Niet echt: 0. Ontbrekend in de reeks: {missing}."
        expect(page.locator("#receipt-status")).to_contain_text(said)
    page.goto(f"{system.site}/mijn/gesprekken")
    expect(page.locator("main")).to_contain_text(incoming.masked(OUTSIDE))


def add_a_phone(page: Page, system: LocalSystem) -> None:
    """At the price that the page shows first."""
    page.goto(f"{system.site}/mijn/telefoons")
    page.locator("#labels").fill("Balie")
    page.get_by_role("button", name=re.compile("prijs")).click()
    expect(page.locator("main")).to_contain_text("€ 27,00")
    expect(page.locator(".bill__total")).to_contain_text("€ 29,00")
    page.locator("#add-phones").click()
    expect(page.locator("tr[data-username]")).to_have_count(PHONES + 1)
    page.goto(f"{system.site}/mijn/producten")
    expect(page.locator(".bill__total").first).to_contain_text("€ 29,00")


def provision(page: Page, system: LocalSystem, username: str) -> SipAccount:
    """The account that a phone gets from the set-up address that a page tells once."""
    page.goto(f"{system.site}/mijn/telefoons/{username}")
    page.locator("#make").select_option("linphone")
    page.locator("#provision").click()
    address, code = (page.locator(f"#{name}").text_content() or "" for name in ("address", "code"))
    assert address.startswith(f"{system.site}/"), "an address that works where it is told"
    answer = requests.get(address, params={"code": code}, timeout=30)
    assert answer.ok, answer.text
    told = {
        each.get("name"): each.text or "" for each in ElementTree.fromstring(answer.text).iter() if each.get("name")
    }
    return SipAccount(username.rpartition("-")[2], told["username"], told["passwd"])


def give_notice(page: Page, system: LocalSystem) -> None:
    page.goto(f"{system.site}/mijn/opzeggen")
    expect(page.locator("input[type=checkbox]")).to_have_count(2)
    for product in page.locator("input[type=checkbox]").all():
        product.check()
    page.locator("form.form button").click()
    page.locator("#end").click()
    expect(page.locator("#undo")).to_be_visible()


def test_a_company_lives(
    browser: Browser, system: LocalSystem, trunk_port: int, told: set[str], tmp_path: Path
) -> None:
    """Ordered, served, a password rotated, a number got and called, grown, notice given, taken back and given: a month later nothing
    is served.
    """
    email = f"{secrets.token_hex(4)}@example.nl"
    microphone = tmp_path / "silence.wav"
    write_tone(microphone, [0] * 8000 * 120)
    own_page = order_and_approve(system, email)
    with visit(browser) as page:
        page.goto(system.site + own_page)
        page.locator("#issue-credentials").click()
        accounts = hand_out(page)
        assert set(accounts) == {"201", "202", "203"}
        sign_in(page, system, email)
        environment = accounts["201"].username.partition("-")[0]
        server = system.locate(f"{environment}.{system.sip_domain}")[0]
        customer = Customer(accounts, server.host, server.port, system.sip_domain, system.ca_file)
        first = accounts["201"].username

        with (
            customer.phone(tmp_path / "1", "201", microphone) as caller,
            customer.phone(tmp_path / "1", "202", microphone) as callee,
        ):
            assert registers(caller) and registers(callee)
            until(lambda: state_of(page, system, first, "registered"), "the page does not know of the phone")
            call_and_read(page, system, caller, callee)

            page.goto(f"{system.site}/mijn/telefoons/{first}")
            page.locator("#rotate").click()
            old, accounts["201"] = accounts["201"].password, hand_out(page)["201"]
            assert accounts["201"].password != old
            with customer.phone(tmp_path / "old", "201", microphone, password=old) as late:
                assert registers(late), "the old password holds until the phone has the new one"

            def new_password_registers() -> bool:
                with customer.phone(tmp_path / secrets.token_hex(4), "201", microphone) as phone:
                    return registers(phone)

            until(new_password_registers, "the new password does not reach the node")
            with customer.phone(tmp_path / "older", "201", microphone, password=old) as late:
                assert not registers(late), "the phone has the new one"

        number = gets_a_number(page, system, email, environment)
        phones = [{"username": each.username, "password": each.password} for each in accounts.values()]
        with (
            ThreadPoolExecutor(1) as meanwhile,
            called_office(
                phones,
                (server.host, server.port),
                tmp_path / "called",
                domain=system.sip_domain,
                ca_file=system.ca_file,
                number=number,
                trunk_port=trunk_port,
            ) as office,
        ):
            called = meanwhile.submit(is_called, office)
            add_a_phone(page, system)
            accounts["204"] = provision(page, system, f"{environment}-204")
            until(lambda: _starts(customer, tmp_path, microphone), "the phone that set itself up cannot register")
            called.result()
        receipts_are_verified(page, system, environment, tmp_path / "receipts")

        give_notice(page, system)
        page.locator("#undo").click()
        expect(page.locator("input[type=checkbox]")).to_have_count(2)
        give_notice(page, system)
        _move(system, A_MONTH_LATER_S)
        try:
            until(lambda: _ended(page, system), "the products do not end")
        finally:
            _move(system, 0)
        page.goto(f"{system.site}/mijn/overzicht")
        expect(page.locator("#state")).to_have_attribute("data-state", "ended")
        until(lambda: not _starts(customer, tmp_path, microphone), "phones still register")
    told |= {email, old, number, OUTSIDE, *(each.password for each in accounts.values())}
    denied = [path.name for path in (system.logs / "functions").iterdir() if "AccessDenied" in path.read_text()]
    assert not denied, "functions that may not do what they are there for"


def _starts(customer: Customer, tmp_path: Path, microphone: Path) -> bool:
    with customer.phone(tmp_path / secrets.token_hex(4), "204", microphone) as phone:
        return registers(phone)


def _move(system: LocalSystem, ahead_s: int) -> None:
    moved: dict[str, Any] = {"functions": ["due"], "ahead_s": ahead_s}
    requests.post(f"{system.site}/_local/clock", json=moved, timeout=30).raise_for_status()


def _ended(page: Page, system: LocalSystem) -> bool:
    page.goto(f"{system.site}/mijn/producten")
    return {each.get_attribute("data-state") for each in page.locator("[data-product]").all()} == {"terminated"}
