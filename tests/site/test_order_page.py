"""The order's own page follows its order by itself, and hands out the credentials once."""

import pytest
from playwright.sync_api import Browser, Page, expect

from ordering.order import State
from tests.support.site.build import sizes
from tests.support.site.origin import SALES, Origin, example

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture
def href(origin: Origin) -> str:
    """The address of a new order."""
    return origin.place(example())


@pytest.fixture
def order_id(href: str) -> str:
    return href.split("/")[2].split("?")[0]


@sizes
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


@sizes
def test_credentials_are_shown_once_and_the_address_stays_one_to_keep(
    page: Page, origin: Origin, href: str, order_id: str
) -> None:
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
    page.reload()
    expect(page.locator("main")).to_contain_text("De inloggegevens zijn opgehaald op")
    expect(page.locator("#issue-credentials")).to_have_text("Nieuwe inloggegevens maken")


def test_credentials_without_javascript(chromium: Browser, origin: Origin, href: str, order_id: str) -> None:
    origin.move(order_id, State.IN_PROGRESS, SALES)
    origin.complete(order_id)
    page = chromium.new_context(java_script_enabled=False).new_page()
    page.goto(origin.url + href)
    page.click("#issue-credentials")
    expect(page.locator("#credentials tbody tr")).to_have_count(5)


@pytest.mark.parametrize("javascript", [True, False])
def test_the_phones_set_up_files_can_be_saved(
    chromium: Browser, origin: Origin, href: str, order_id: str, javascript: bool
) -> None:
    origin.move(order_id, State.IN_PROGRESS, SALES)
    origin.complete(order_id)
    page = chromium.new_context(java_script_enabled=javascript).new_page()
    page.goto(origin.url + href)
    page.click("#issue-credentials")
    expect(page.locator("#credentials tbody tr")).to_have_count(5)
    password = page.locator("[data-extension='101']").get_attribute("data-password") or "none"
    for name in ("telefoons.txt", "yealink-101.cfg", "snom-101.xml"):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        assert download.value.suggested_filename == name
        assert password in download.value.path().read_text()


@sizes
def test_an_order_that_was_not_approved_is_withdrawn_after_a_second_thought(
    page: Page, origin: Origin, href: str, order_id: str
) -> None:
    page.goto(origin.url + href)
    expect(page.locator("#cancel-order")).to_be_hidden()
    page.click("#cancel summary")
    page.fill("#cancel-reason", "Toch niet nodig")
    page.click("#cancel-order")
    expect(page.locator("#order-state")).to_have_attribute("data-state", "cancelled")
    expect(page.locator("#order-state")).to_be_focused()
    expect(page.locator(".timeline")).to_contain_text("Toch niet nodig")
    expect(page.locator("#cancel")).to_have_count(0)
    assert page.url == origin.url + href


def test_an_approved_order_is_asked_to_be_cancelled(page: Page, origin: Origin, href: str, order_id: str) -> None:
    origin.move(order_id, State.IN_PROGRESS, SALES)
    page.goto(origin.url + href)
    page.click("#cancel summary")
    expect(page.locator("#cancel")).to_contain_text("Wij zijn al begonnen")
    page.click("#cancel-order")
    expect(page.locator("#order-state")).to_have_attribute("data-state", "assessingCancellation")


def test_a_cancellation_that_came_too_late_is_told(page: Page, origin: Origin, href: str, order_id: str) -> None:
    page.goto(origin.url + href)
    page.route("**/api/orders/**", lambda route: route.abort())
    page.click("#cancel summary")
    origin.move(order_id, State.REJECTED, SALES, "Nee")
    page.click("#cancel-order")
    expect(page.locator("[data-live=problem]")).to_contain_text("Dit kan niet meer")
    expect(page.locator("#order-state")).to_have_attribute("data-state", "rejected")


@sizes
@pytest.mark.parametrize("javascript", [True, False])
def test_a_question_is_answered_on_the_page(
    chromium: Browser, origin: Origin, href: str, order_id: str, javascript: bool, width: int
) -> None:
    origin.move(order_id, State.PENDING, SALES, "Hoeveel telefoons?")
    page = chromium.new_context(java_script_enabled=javascript, viewport={"width": width, "height": 800}).new_page()
    page.goto(origin.url + href)
    expect(page.locator("#question")).to_have_text("Hoeveel telefoons?")
    page.click("#send-answer")
    expect(page.locator("[data-live=problem]")).to_contain_text("Vul uw antwoord in")
    page.fill("#answer", "Vijf.")
    page.click("#send-answer")
    expect(page.locator("#order-state")).to_have_attribute("data-state", "acknowledged")
    expect(page.locator(".timeline")).to_contain_text("Vijf.")


def test_what_is_being_typed_outlasts_an_update_of_the_page(
    page: Page, origin: Origin, href: str, order_id: str
) -> None:
    page.goto(origin.url + href)
    page.click("#cancel summary")
    page.fill("#cancel-reason", "Ik ben nog aan het")
    origin.move(order_id, State.IN_PROGRESS, SALES)
    expect(page.locator("#order-state")).to_have_attribute("data-state", "inProgress")
    expect(page.locator("#cancel-reason")).to_have_value("Ik ben nog aan het")


def test_a_lost_connection_is_told_and_mends_itself(page: Page, origin: Origin, href: str, order_id: str) -> None:
    page.goto(origin.url + href)
    page.route("**/api/orders/**", lambda route: route.abort())
    expect(page.locator("#order-live")).to_contain_text("kan zich nu niet bijwerken")
    page.unroute("**/api/orders/**")
    origin.move(order_id, State.IN_PROGRESS, SALES)
    expect(page.locator("#order-state")).to_have_attribute("data-state", "inProgress")


def test_a_wrong_token_and_an_unknown_order_get_the_same_page(
    page: Page, origin: Origin, href: str, order_id: str
) -> None:
    said = []
    for address in (f"/bestelling/{order_id}?token=wrong", "/bestelling/ZZZZZZZZZZ?token=wrong"):
        answer = page.goto(origin.url + address)
        assert answer is not None and answer.status == 404
        said.append(page.inner_text("main"))
    assert said[0] == said[1] and "Niet gevonden" in said[0]
