"""Every page of Mijn omgeving in Chromium, on a telephone and on a desk: no fault for axe, nothing that the policy
refuses, no scroll sideways.

Without JavaScript too: a sign-in by a link, a phone added and a password made, as a person does it.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from customers.account import Account
from shared import dynamodb, settings
from tests.support.portal.bakery import OWNER, Post
from tests.support.portal.calls import call
from tests.support.portal.server import serve
from tests.support.site.measure import CHROMIUM, QUIET, Scheme, axe_faults
from tests.support.site.reader import Reader

pytestmark = pytest.mark.needs("java", "chromium", "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")

PAGES = (
    "overzicht",
    "telefoons",
    "telefoons/bakker-201",
    "nummers",
    "nummers/+31855550123",
    "gesprekken?month=2026-11",
    "gesprekken/gesprek?id=2026-11-20T10:01:00.000Z%23call1@example.nl",
    "producten",
    "documenten",
    "documenten/3",
    "opzeggen",
    "herroepen",
    "gegevens",
    "sessies",
    "overzicht?language=en",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One headless browser for the file."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


def sign_in(page: Page, url: str, post: Post) -> None:
    """As a person does it."""
    page.goto(f"{url}/mijn/overzicht")
    page.fill("#email", OWNER)
    page.click("form button[type=submit]")
    expect(page).to_have_url(re.compile(r"/mijn/aanmelden/verstuurd$"))
    page.goto(url + post.link(OWNER))
    page.click("#sign-in")
    expect(page).to_have_url(re.compile(r"/mijn/overzicht$"))


@pytest.mark.parametrize("width", [360, 1440])
def test_no_page_has_a_fault(shop: Account, post: Post, portal_site: Path, chromium: Browser, width: int) -> None:
    dynamodb.client().put_item(TableName=settings.cdr_table(), Item=dynamodb.marshal(call(1)))
    scheme: Scheme = "dark" if width == 360 else "light"
    context = chromium.new_context(locale="nl-NL", viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, faults = context.new_page(), []
    page.on("console", lambda message: faults.append(message.text) if "404" not in message.text else None)
    with serve(portal_site) as url:
        sign_in(page, url, post)
        for path in PAGES:
            page.goto(f"{url}/mijn/{path}")
            expect(page.locator("h1"), path).to_have_count(1)
            faults += _faults(page, path)
            picture(page, f"{width}-{path.replace('/', '_').partition('?')[0]}")
        page.goto(f"{url}/mijn/telefoons/bakker-201")
        page.select_option("#make", "linphone")
        page.click("#provision")
        faults += _faults(page, "provisioning")
        picture(page, f"{width}-provisioning")
        page.goto(f"{url}/mijn/telefoons/bakker-201")
        page.click("#rotate")
        expect(page.locator("[data-copy]").first).to_be_visible(timeout=30_000)
        faults += _faults(page, "passwords")
        picture(page, f"{width}-passwords")
    context.close()
    assert not faults


def picture(page: Page, name: str) -> None:
    """For who wants to look: SCREENSHOTS names a directory."""
    if directory := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(directory) / f"{name}.png", full_page=True)


def _faults(page: Page, path: str) -> list[str]:
    found = [f"{path}: {fault}" for fault in axe_faults(page)]
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    told = Reader(page).faults() if page.viewport_size == {"width": 1440, "height": 900} else []
    return [*found, *told, *([f"{path}: scrolls sideways"] if wide else [])]


def test_it_all_works_without_javascript_and_the_cookies_of_https_hold_here(
    shop: Account, post: Post, portal_site: Path, chromium: Browser
) -> None:
    context = chromium.new_context(java_script_enabled=False, locale="nl-NL")
    page = context.new_page()
    with serve(portal_site) as url:
        sign_in(page, url, post)
        assert {cookie["name"] for cookie in context.cookies()} == {"__Host-session", "__Host-sign-in"}
        page.goto(f"{url}/mijn/telefoons")
        page.fill("#labels", "Balie")
        page.click("form[action='/mijn/telefoons/toevoegen'] button")
        page.click("#add-phones")
        expect(page.locator("main")).to_contain_text("Balie")
        page.click("text=203")
        page.click("#rotate")
        expect(page.locator("[data-password]")).to_have_count(1, timeout=30_000)
        page.click("text=Afmelden")
        expect(page).not_to_have_url(re.compile(r"/wachtwoord$"))
        page.goto(f"{url}/mijn/telefoons")
        assert page.url.partition("?")[0].endswith("/mijn/aanmelden")
    context.close()
