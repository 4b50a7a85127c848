"""Sales and customers at work on the real system: ask and answer, cancel, approve a selection, download what a filter
shows.
"""

from __future__ import annotations

import secrets
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from callvoip.client import Client
from callvoip.system import LocalSystem
from tests.e2e.test_main_job import visit

pytestmark = [pytest.mark.e2e, pytest.mark.needs("chromium"), pytest.mark.timeout(240)]


def place(system: LocalSystem, company: str, **changes: str) -> dict[str, Any]:
    """A new request for a quote (or what `changes` make of it), as the API answers it."""
    fields = {
        "category": "quote",
        "company": company,
        "kvk": "87654321",
        "name": "Jo de Tester",
        "email": f"{secrets.token_hex(4)}@example.nl",
        "telephone": "085 555 01 23",
        "subject": "Vijf vestigingen",
        "text": "Wij verhuizen in maart.",
    }
    answer = requests.post(f"{system.api}/orders", json={**fields, **changes}, timeout=30)
    assert answer.status_code == 201, answer.text
    placed: dict[str, Any] = answer.json()
    return placed


def sign_in(page: Page, system: LocalSystem) -> None:
    """To the console."""
    page.goto(system.console)
    page.get_by_label("Gebruikersnaam").fill(system.sales_user)
    page.get_by_label("Wachtwoord").fill(system.sales_password)
    page.get_by_role("button", name="Inloggen").click()
    expect(page.locator("#workplace")).to_be_visible()


def search(page: Page, text: str) -> None:
    page.get_by_label("Bedrijf, naam, e-mail, nummer of bestelling").fill(text)
    page.keyboard.press("Enter")


def test_sales_asks_the_customer_answers_and_both_see_it_without_a_reload(
    browser: Browser, system: LocalSystem
) -> None:
    company = f"Vraag {secrets.token_hex(3)}"
    placed = place(system, company)
    with visit(browser) as sales, visit(browser) as customer:
        customer.goto(system.site + placed["href"])
        sign_in(sales, system)
        search(sales, company.lower())
        sales.locator(f"[data-order-id='{placed['id']}'] a").click()
        expect(sales.locator("#facts")).to_contain_text("Wij verhuizen in maart.")
        with sales.expect_response(lambda answer: answer.status == 304):
            pass  # nothing changed, so nothing is sent again
        sales.fill("#reason", "Hoeveel telefoons zijn het?")
        sales.click("#ask")
        sales.click("#confirm-yes")
        expect(customer.locator("#question")).to_have_text("Hoeveel telefoons zijn het?")
        customer.fill("#answer", "Veertig.")
        customer.click("#send-answer")
        expect(customer.locator("#order-state")).to_have_attribute("data-state", "acknowledged")
        expect(sales.locator("#order-state")).to_have_attribute("data-state", "acknowledged")
        expect(sales.locator("#timeline li").first).to_contain_text("Veertig.")


def test_without_javascript_a_customer_withdraws_what_was_not_approved_yet(
    browser: Browser, system: LocalSystem
) -> None:
    placed = place(system, "Toch niet")
    with visit(browser, javascript=False) as customer:
        customer.goto(system.site + placed["href"])
        customer.click("#cancel summary")
        customer.fill("#cancel-reason", "Wij gaan stoppen")
        customer.click("#cancel-order")
        expect(customer.locator("#order-state")).to_have_attribute("data-state", "cancelled")
        expect(customer.locator(".timeline")).to_contain_text("Wij gaan stoppen")


def test_sales_approves_only_what_it_selected_and_completes_by_hand(browser: Browser, system: LocalSystem) -> None:
    company = f"Selectie {secrets.token_hex(3)}"
    first, second, third = (place(system, f"{company} {number}")["id"] for number in (1, 2, 3))
    with visit(browser) as sales:
        sign_in(sales, system)
        search(sales, company)
        expect(sales.locator("[data-order-id]")).to_have_count(3)
        for order_id in (first, third):
            sales.check(f"[data-order-id='{order_id}'] .select")
        sales.click("#bulk-approve")
        sales.click("#confirm-yes")
        expect(sales.locator("#live")).to_contain_text("2 van 2 bestellingen goedgekeurd")
        expect(sales.locator("[data-order-id]")).to_have_count(1)
        expect(sales.locator(f"[data-order-id='{second}']")).to_be_visible()
        sales.goto(f"{system.console}?state=inProgress&order={first}")
        sales.click("#complete")
        sales.click("#confirm-yes")
        expect(sales.locator("#order-state")).to_have_attribute("data-state", "completed")


def test_the_file_holds_what_the_filter_shows(browser: Browser, system: LocalSystem) -> None:
    company = f"Bestand {secrets.token_hex(3)}"
    place(system, company)
    place(system, "Een ander")
    with visit(browser) as sales:
        sign_in(sales, system)
        search(sales, company)
        expect(sales.locator("[data-order-id]")).to_have_count(1)
        with sales.expect_download() as download:
            sales.click("#export")
        lines = download.value.path().read_bytes().decode("utf-8-sig").split("\r\n")
        assert len([line for line in lines if line]) == 2 and company in lines[1]


def test_a_plan_with_a_number_is_ordered_checked_and_priced_twice(browser: Browser, system: LocalSystem) -> None:
    with visit(browser) as page:
        page.goto(f"{system.site}/nummer-aanvragen/")
        page.check("[name=offering][value=unlimited-nl]")
        page.check("[name=country][value=nl]")
        page.check("[name=porting][value=no]")
        page.fill("#areaCode", "020")
        for name, value in {
            "company": "Nummer BV",
            "name": "Jo",
            "email": "nummer@example.nl",
            "telephone": "085 555 01 23",
        }.items():
            page.fill(f"#{name}", value)
        page.get_by_role("button", name="Verder naar controleren").click()
        expect(page.locator("#check")).to_contain_text("€ 21,00")
        expect(page.locator("#check")).to_contain_text("Eenmalig, excl. btw")
        page.click("#place-order")
        expect(page.locator("#order-state")).to_have_attribute("data-state", "acknowledged")
        order_id = page.locator("#order").get_attribute("data-order-id")
    sales = Client.signed_in(system.site, system.api, system.sales_user, system.sales_password)
    seen = sales.get(f"/sales/orders/{order_id}")
    assert seen["oneTimeTotalCents"] > 0
    assert not {reason["code"] for reason in seen["spam"]["reasons"]} & {"honeypot", "no_proof", "wrong_proof"}


def test_the_month_and_the_fleet_are_counted(browser: Browser, system: LocalSystem) -> None:
    place(system, "Telt mee")
    with visit(browser) as sales:
        sign_in(sales, system)
        sales.get_by_role("link", name="Maandoverzicht").click()
        expect(sales.locator("#month-numbers")).to_contain_text("Bestellingen")
        expect(sales.locator(".chart__bar").first).to_be_visible()
        sales.get_by_role("link", name="Servers").click()
        expect(sales.locator("#fleet-title")).to_be_visible()
        expect(sales.locator("#fleet-total")).not_to_be_empty()
