"""The order's own page follows its order by itself, and hands out the credentials once."""

import pytest
from playwright.sync_api import Browser, Page, expect

from ordering.order import State
from tests.site.origin import SALES, Origin, example

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture
def href(origin: Origin) -> str:
    """The address of a new order."""
    return origin.place(example())


@pytest.fixture
def order_id(href: str) -> str:
    return href.split("/")[2].split("?")[0]


def test_the_page_turns_active_without_a_reload(page: Page, origin: Origin, href: str, order_id: str) -> None:
    page.goto(origin.url + href)
    page.evaluate("window.notReloaded = true")
    state = page.locator("#order-state")
    expect(state).to_have_attribute("data-state", "acknowledged")
    origin.move(order_id, State.IN_PROGRESS, SALES)
    expect(state).to_have_attribute("data-state", "inProgress")
    expect(page.locator("#order-live")).to_contain_text("In behandeling")
    expect(page.locator(".timeline li")).to_have_count(2)
    origin.complete(order_id)
    expect(state).to_have_attribute("data-state", "completed")
    expect(page.locator("#issue-credentials")).to_be_visible()
    assert page.evaluate("window.notReloaded")


def test_a_final_state_ends_the_asking(page: Page, origin: Origin, href: str, order_id: str) -> None:
    origin.move(order_id, State.REJECTED, SALES, "Het KvK-nummer hoort bij een ander bedrijf.")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/orders/" in request.url else None)
    page.goto(origin.url + href)
    expect(page.locator("main")).to_contain_text("Het KvK-nummer hoort bij een ander bedrijf.")
    page.wait_for_timeout(3000)
    assert asked == []


def test_credentials_are_shown_once_and_the_address_stays_one_to_keep(page: Page, origin: Origin, href: str, order_id: str) -> None:
    origin.move(order_id, State.IN_PROGRESS, SALES)
    origin.complete(order_id)
    page.goto(origin.url + href)
    page.dblclick("#issue-credentials")
    rows = page.locator("#credentials tbody tr")
    expect(rows).to_have_count(5)
    assert rows.nth(0).get_attribute("data-extension") == "101"
    assert len(rows.nth(0).get_attribute("data-password") or "") >= 16
    expect(page.locator("#credentials-title")).to_be_focused()
    assert page.url == origin.url + href
    page.reload()
    expect(page.locator("#credentials")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("De inloggegevens zijn opgehaald op")


def test_credentials_that_were_taken_elsewhere_are_said_to_be(
    page: Page, origin: Origin, href: str, order_id: str, chromium: Browser
) -> None:
    origin.move(order_id, State.IN_PROGRESS, SALES)
    origin.complete(order_id)
    page.goto(origin.url + href)
    other = chromium.new_context().new_page()
    other.goto(origin.url + href)
    other.click("#issue-credentials")
    expect(other.locator("#credentials")).to_be_visible()
    page.click("#issue-credentials")
    expect(page.locator("[data-live=problem]")).to_contain_text("al getoond")
    expect(page.locator("#issue-credentials")).to_have_count(0)


def test_credentials_without_javascript(chromium: Browser, origin: Origin, href: str, order_id: str) -> None:
    origin.move(order_id, State.IN_PROGRESS, SALES)
    origin.complete(order_id)
    page = chromium.new_context(java_script_enabled=False).new_page()
    page.goto(origin.url + href)
    page.click("#issue-credentials")
    expect(page.locator("#credentials tbody tr")).to_have_count(5)


def test_a_lost_connection_is_told_and_mends_itself(page: Page, origin: Origin, href: str, order_id: str) -> None:
    page.goto(origin.url + href)
    page.route("**/api/orders/**", lambda route: route.abort())
    expect(page.locator("#order-live")).to_contain_text("kan zich nu niet bijwerken")
    page.unroute("**/api/orders/**")
    origin.move(order_id, State.IN_PROGRESS, SALES)
    expect(page.locator("#order-state")).to_have_attribute("data-state", "inProgress")


def test_a_wrong_token_and_an_unknown_order_get_the_same_page(page: Page, origin: Origin, href: str, order_id: str) -> None:
    said = []
    for address in (f"/bestelling/{order_id}?token=wrong", "/bestelling/ZZZZZZZZZZ?token=wrong"):
        answer = page.goto(origin.url + address)
        assert answer is not None and answer.status == 404
        said.append(page.inner_text("main"))
    assert said[0] == said[1] and "Niet gevonden" in said[0]
