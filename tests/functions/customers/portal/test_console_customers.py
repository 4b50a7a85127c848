"""Customers in the console of sales: found, shown, and helped with a reason, in Chromium over the real function and table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from customers.account import Account
from customers.product import State
from customers.store import store
from tests.support.functions import Api
from tests.support.portal.bakery import Post
from tests.support.site.measure import CHROMIUM, QUIET, axe_faults
from tests.support.site.origin import Answer, serve

pytestmark = pytest.mark.needs("java", "chromium", "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")

CLAIMS = {"sub": "x", "username": "verkoop@example.nl", "cognito:groups": "[sales]"}


def real(method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any], if_match: str | None) -> Answer:
    """The customers' function itself."""
    target = f"/api/sales/{path}{f'?{urlencode(query)}' if query else ''}"
    headers = {"if-match": if_match} if if_match else {}
    told = Api().request(method, target, json_body=dict(body) if body else None, headers=headers, claims=CLAIMS)
    return Answer(told.status, told.body, {"Content-Type": told.headers["content-type"]})


def test_sales_finds_a_customer_and_ends_the_contract_with_a_reason(
    bakery: Account, post: Post, portal_site: Path
) -> None:
    with serve(portal_site) as origin, sync_playwright() as playwright:
        origin.customers = real
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for width in (360, 1440):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.goto(f"{origin.url}/console/")
            page.click("#views a[data-view=customers]")
            expect(page.locator("#customers tr")).to_have_count(2)
            assert "2 klanten" in page.inner_text("#customers-total")
            page.fill("#customer-q", "korst")
            page.press("#customer-q", "Enter")
            expect(page.locator("#customers tr")).to_have_count(1)
            page.click("#customers a")
            page.wait_for_selector("#customer-facts dd")
            assert axe_faults(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.select_option("#customer-action", "giveNotice" if width == 360 else "takeNoticeBack")
            page.fill("#customer-reason", "klant belde")
            page.click("#customer-do")
            page.click("#confirm-yes")
            wanted = State.PENDING_TERMINATE if width == 360 else State.ACTIVE
            expect(page.locator("#live")).to_contain_text("gedaan")
            assert store().get("bakker").products[0].state is wanted
            assert "klant belde" in page.inner_text("#customer-events")
            if width == 1440:
                change_all_that_is_filled_in(page)
            page.close()
        browser.close()


def change_all_that_is_filled_in(page: Page) -> None:
    """What needs values shows them as they are, and the customer is as they say."""
    page.select_option("#customer-action", "keepCalls")
    expect(page.locator("#customer-field-days")).to_have_value("90")
    page.fill("#customer-field-days", "30")
    page.fill("#customer-reason", "AVG")
    page.click("#customer-do")
    page.click("#confirm-yes")
    expect(page.locator("#customer-facts")).to_contain_text("30 dagen")
    page.select_option("#customer-action", "limit")
    expect(page.locator("#customer-field-concurrentCalls")).to_have_value("2")
    assert axe_faults(page) == []
    page.fill("#customer-field-concurrentCalls", "7")
    page.fill("#customer-reason", "callcentrum")
    page.click("#customer-do")
    page.click("#confirm-yes")
    expect(page.locator("#customer-facts")).to_contain_text("7 gesprekken tegelijk")
    page.select_option("#customer-action", "join")
    page.fill("#customer-field-other", "slager")
    page.fill("#customer-reason", "een bedrijf")
    page.click("#customer-do")
    page.click("#confirm-yes")
    expect(page.locator("#customer-events")).to_contain_text("een bedrijf")
    assert store().get("slager").customer.joined_into == "bakker"
