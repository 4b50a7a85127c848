"""The main job as people do it: a visitor orders, sales approves, a node comes up, two phones call each other,
encrypted.
"""

from __future__ import annotations

import base64
import contextlib
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pylibsrtp
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from callvoip.phones.baresip import Baresip, talk, write_tone
from callvoip.system import LocalSystem
from media_node.probe.audio import alaw
from tests.support.capture import Datagram, capture, likeness

pytestmark = [pytest.mark.e2e, pytest.mark.needs("chromium", "baresip", "tshark"), pytest.mark.timeout(240)]

PHONES = 5
TALK_SECONDS = 5
TONE_HZ = 400
ANOTHER_PROVIDERS_NUMBER = "0205550123"
AS_A_TRUNK_HAS_IT = "+31205550123"


@dataclass(frozen=True)
class SipAccount:
    """What the order's page hands out for one phone."""

    extension: str
    username: str
    password: str


@dataclass(frozen=True)
class Customer:
    """The outcome of an order: accounts, and where they register."""

    accounts: dict[str, SipAccount]
    host: str
    port: int
    domain: str
    ca_file: Path

    def phone(
        self, directory: Path, extension: str, microphone: Path, *, encryption: str = "srtp-mand", password: str = ""
    ) -> Baresip:
        """A baresip configured as the order's page tells the customer."""
        account = self.accounts[extension]
        line = (
            f"<sip:{account.username}@{self.domain};transport=tls>;auth_pass={password or account.password};regint=60"
            f';outbound="sip:{self.host}:{self.port};transport=tls";mediaenc={encryption};audio_codecs=pcma;answermode=auto'
        )
        return Baresip(directory / extension, account=line, microphone=microphone, ca_file=self.ca_file)


@contextmanager
def visit(browser: Browser, *, javascript: bool = True, refusals: int = 0) -> Iterator[Page]:
    """A page of a new browser session; fails when the console shows an error or a request leaves this machine.

    `refusals` is how many forms are sent that the server refuses with 422, of which Chromium tells the console.
    """
    problems: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            problems.append(f"{message.location['url']}: {message.text}")

    def see(request: Request) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", "localhost", None):
            problems.append(f"{request.url}: a request to another machine")

    with browser.new_context(locale="nl-NL", java_script_enabled=javascript) as context:
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", see)
        yield page
    refused = [problem for problem in problems if "status of 422" in problem]
    assert len(refused) == refusals
    assert problems == refused


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("audio") / "tone.wav"
    write_tone(path, _tone(60))
    return path


def _tone(seconds: int) -> list[int]:
    return [round(9000 * math.sin(2 * math.pi * TONE_HZ * n / 8000)) for n in range(8000 * seconds)]


def fill_in_order(page: Page, system: LocalSystem) -> None:
    page.goto(f"{system.site}/versleutelde-telefoongesprekken/")
    page.get_by_label("Bedrijfsnaam").fill("Bakkerij Voorbeeld")
    page.get_by_label("Uw naam").fill("Jo de Tester")
    page.get_by_label("E-mailadres").fill("jo@example.nl")
    page.get_by_label("Telefoonnummer").fill("085 555 01 23")
    page.get_by_label("Aantal telefoons").fill(str(PHONES))
    page.get_by_label("Straat waar de telefoons staan").fill("Voorbeeldstraat")
    # The billing address has fields whose names begin alike.
    for label, value in {"Huisnummer": "1", "Postcode": "3511 AA", "Plaats": "Utrecht"}.items():
        page.get_by_label(re.compile(rf"^{label} \(")).fill(value)
    page.get_by_label("Opmerking").fill("Bel ons liever na vijven")


def check_button(page: Page) -> None:
    page.get_by_role("button", name=re.compile("controleren")).click()


def order_button(page: Page) -> None:
    page.get_by_role("button", name=re.compile("betalingsverplichting")).click()


def approve_first_order(page: Page, system: LocalSystem) -> None:
    page.goto(system.console)
    page.get_by_label("Gebruikersnaam").fill(system.sales_user)
    page.get_by_label("Wachtwoord").fill(system.sales_password)
    page.get_by_role("button", name="Inloggen").click()
    row = page.locator("[data-order-id]").first
    expect(row).to_contain_text("Bakkerij Voorbeeld")
    row.get_by_role("link").first.click()
    page.locator("#approve").click()
    expect(page.locator("#order-state")).not_to_have_attribute("data-state", "acknowledged")


@pytest.fixture(scope="module")
def customer(browser: Browser, system: LocalSystem, told: set[str]) -> Customer:
    """Order, approval and hand-out of the credentials in two browsers; every other test calls with what came of it."""
    with visit(browser) as page, visit(browser) as sales_page:
        fill_in_order(page, system)
        expect(page.locator("#monthly-total")).to_contain_text("€ 10,00")
        check_button(page)
        expect(page.get_by_text("nog niet verstuurd")).to_be_visible()
        order_button(page)
        state = page.locator("#order-state")
        expect(state).to_have_attribute("data-state", "acknowledged")

        approve_first_order(sales_page, system)
        # Nobody touches the visitor's page: it turns to active by itself.
        expect(state).to_have_attribute("data-state", "completed", timeout=90_000)

        page.locator("#issue-credentials").click()
        rows = page.locator("#credentials [data-extension]")
        expect(rows).to_have_count(PHONES)
        accounts = {}
        for row in rows.all():
            attributes = [row.get_attribute(f"data-{name}") or "" for name in ("extension", "username", "password")]
            assert all(attributes)
            accounts[attributes[0]] = SipAccount(*attributes)
        told |= {ANOTHER_PROVIDERS_NUMBER, AS_A_TRUNK_HAS_IT, *(account.password for account in accounts.values())}

        for name in ("telefoons.txt", "yealink-201.cfg", "snom-201.xml"):
            with page.expect_download() as download:
                page.get_by_role("link", name=name).click()
            assert accounts["201"].password in download.value.path().read_text()

        page.reload()
        expect(state).to_have_attribute("data-state", "completed")
        assert not any(account.password in page.content() for account in accounts.values()), "passwords are shown once"
    environment = accounts["201"].username.partition("-")[0]
    server = system.locate(f"{environment}.{system.sip_domain}")[0]
    return Customer(accounts, server.host, server.port, system.sip_domain, system.ca_file)


def call(caller: Baresip, callee: Baresip, address: str) -> None:
    """A call of some seconds, which the caller ends; each said all and missed at most one packet in twenty."""
    caller.wait_for("REGISTER_OK")
    caller.command("dial", address)
    talk(caller, callee, TALK_SECONDS)
    for phone in (caller, callee):
        sent, received = phone.packets()
        assert sent >= 50 * (TALK_SECONDS - 1)
        assert received >= 0.95 * 50 * (TALK_SECONDS - 1)


def test_colleagues_call_each_other_with_srtp_on_both_legs(
    customer: Customer, tmp_path: Path, microphone: Path
) -> None:
    with (
        customer.phone(tmp_path, "201", microphone) as caller,
        customer.phone(tmp_path, "202", microphone) as callee,
        capture(customer.host, tmp_path / "wire.pcapng") as wire,
    ):
        callee.wait_for("REGISTER_OK")
        call(caller, callee, f"sip:202@{customer.domain}")

    voice = [datagram for datagram in wire.datagrams if datagram.is_rtp]
    assert len(voice) > 4 * 50 * (TALK_SECONDS - 1), "both directions of both legs were on the wire"
    spoken = _spoken_alaw()
    assert likeness(spoken[7:167], spoken) == 1, "the measure itself finds speech"
    assert max(likeness(datagram.payload[12:172], spoken) for datagram in voice[::7]) < 0.1

    to_callee = [
        datagram
        for datagram in voice
        if datagram.source == customer.host and datagram.destination_port == _media_port(callee, customer.host)
    ]
    assert len(to_callee) > 50 * (TALK_SECONDS - 1)
    callee_hears = _key(_description(callee, customer.host, sent=False))
    assert _decrypted(to_callee, callee_hears) == len(to_callee)
    for phone, sent in ((caller, True), (caller, False), (callee, True)):
        other = _key(_description(phone, customer.host, sent=sent))
        assert other != callee_hears
        assert _decrypted(to_callee, other) == 0, "no other key of the call opens what reaches the callee"


def test_a_call_to_another_provider_is_encrypted_as_far_as_the_exchange(
    customer: Customer, tmp_path: Path, microphone: Path, trunk_port: int
) -> None:
    with (
        Baresip(
            tmp_path / "trunk",
            account=f"<sip:{AS_A_TRUNK_HAS_IT}@127.0.0.1>;regint=0;audio_codecs=pcma;answermode=auto",
            microphone=microphone,
            sip_port=trunk_port,
        ) as trunk,
        customer.phone(tmp_path, "203", microphone) as caller,
        capture(customer.host, tmp_path / "wire.pcapng") as wire,
    ):
        call(caller, trunk, f"sip:{ANOTHER_PROVIDERS_NUMBER}@{customer.domain}")

    spoken = _spoken_alaw()
    beside_trunk = _media_port(trunk, customer.host)
    plain = [d for d in wire.datagrams if d.is_rtp and beside_trunk in (d.source_port, d.destination_port)]
    secured = [d for d in wire.datagrams if d.is_rtp and beside_trunk not in (d.source_port, d.destination_port)]
    assert len(plain) > 90 * (TALK_SECONDS - 1)
    assert len(secured) > 90 * (TALK_SECONDS - 1)
    assert min(likeness(datagram.payload[12:], spoken) for datagram in plain[20::11]) > 0.9
    assert max(likeness(datagram.payload[12:172], spoken) for datagram in secured[::7]) < 0.1


def test_a_phone_that_offers_no_encryption_is_refused_with_488(
    customer: Customer, tmp_path: Path, microphone: Path
) -> None:
    with (
        customer.phone(tmp_path, "204", microphone, encryption="") as caller,
        customer.phone(tmp_path, "205", microphone) as callee,
    ):
        for phone in (caller, callee):
            phone.wait_for("REGISTER_OK")
        caller.command("dial", f"sip:205@{customer.domain}")
        caller.wait_for("CALL_CLOSED")
        assert re.search(r"SIP/2\.0 488 ", caller.text())
        assert "CALL_INCOMING" not in {event["type"] for event in callee.events}


def test_a_wrong_password_does_not_register(customer: Customer, tmp_path: Path, microphone: Path) -> None:
    with customer.phone(tmp_path, "201", microphone, password="guessed") as phone:
        assert re.search(r"SIP/2\.0 403 ", phone.wait_for_text(r"reg: .*403 Forbidden"))


def test_without_javascript_the_form_leads_to_the_orders_own_page(browser: Browser, system: LocalSystem) -> None:
    with visit(browser, javascript=False, refusals=1) as plain_page:
        order_without_javascript(plain_page, system)


def order_without_javascript(plain_page: Page, system: LocalSystem) -> None:
    fill_in_order(plain_page, system)
    plain_page.get_by_label("Aantal telefoons").fill("vijf")
    check_button(plain_page)
    expect(plain_page.locator("#error-summary")).to_contain_text("als getal")
    expect(plain_page.get_by_label("Bedrijfsnaam")).to_have_value("Bakkerij Voorbeeld")
    plain_page.get_by_label("Aantal telefoons").fill(str(PHONES))
    check_button(plain_page)
    order_button(plain_page)
    expect(plain_page.locator("#order-state")).to_have_attribute("data-state", "acknowledged")
    assert re.search(r"/bestelling/[0-9A-Z]{10}\?token=", plain_page.url)
    expect(plain_page.locator("main")).to_contain_text("€ 10,00")


def _spoken_alaw() -> bytes:
    return bytes(alaw(sample) for sample in _tone(1))


def _decrypted(datagrams: list[Datagram], key: bytes) -> int:
    """How many of the packets verify and decrypt under a key."""
    session = pylibsrtp.Session(
        policy=pylibsrtp.Policy(
            key=key,
            ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND,
            srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
        )
    )
    opened = 0
    for datagram in datagrams:
        with contextlib.suppress(pylibsrtp.Error):
            session.unprotect(datagram.payload)
            opened += 1
    return opened


def _description(phone: Baresip, node: str, *, sent: bool) -> str:
    """The last session description with keys that a phone sent to the node, or was sent by it."""
    return [
        message.text for message in phone.messages() if (message.source != node) == sent and "a=crypto:" in message.text
    ][-1]


def _key(description: str) -> bytes:
    match = re.search(r"a=crypto:\d+ AES_CM_128_HMAC_SHA1_80 inline:([A-Za-z0-9+/=]+)", description)
    assert match, description
    return base64.b64decode(match[1])


def _media_port(phone: Baresip, node: str) -> int:
    """Where a phone wants to be sent audio, from the last description it sent."""
    own = [message.text for message in phone.messages() if message.source != node]
    return int([port for text in own for port in re.findall(r"^m=audio (\d+) ", text, re.MULTILINE)][-1])
