"""The console of sales: signing in, finding, deciding, and what happens when the session or the order changes underneath."""

import re

import pytest
from playwright.sync_api import Page, expect

from ordering.order import State
from tests.site.origin import SALES, Origin, example

pytestmark = pytest.mark.needs("chromium")


def place(origin: Origin, **changes: object) -> str:
    """The id of a new order."""
    return origin.place(example(**changes)).split("/")[2].split("?")[0]


@pytest.fixture
def console(page: Page, origin: Origin) -> Page:
    """The console, signed in, with one order."""
    place(origin)
    page.goto(f"{origin.url}/console/")
    page.wait_for_selector("[data-order-id]")
    return page


def only(origin: Origin) -> str:
    (order_id,) = origin.orders
    return order_id


def test_signing_in_proves_the_browser_that_asked_and_leaves_a_clean_address(console: Page, origin: Origin) -> None:
    assert console.url == f"{origin.url}/console/"
    assert len(origin.access_tokens) == 1
    assert console.evaluate("Object.keys(localStorage).length") == 0


def test_an_answer_that_was_not_asked_for_signs_nobody_in(page: Page, origin: Origin) -> None:
    page.goto(f"{origin.url}/console/?code=stolen&state=guessed")
    page.wait_for_selector("#workplace")  # it signed in by itself, with a code of its own
    assert len(origin.access_tokens) == 1


def test_a_failed_sign_in_is_told_and_can_be_tried_again(page: Page, origin: Origin) -> None:
    page.route("**/oauth2/token", lambda route: route.fulfill(status=400, json={"error": "invalid_grant"}))
    page.goto(f"{origin.url}/console/")
    expect(page.locator("#problem")).to_contain_text("Inloggen is niet gelukt")
    page.unroute("**/oauth2/token")
    page.click("#sign-in")
    page.wait_for_selector("#workplace")


def test_orders_are_listed_by_state_with_counts_and_the_filter_stands_in_the_address(console: Page, origin: Origin) -> None:
    rejected = place(origin, company="Garage Noord")
    origin.move(rejected, State.REJECTED, SALES, "Nee")
    expect(console.locator("[data-state=rejected] [data-count]")).to_have_text("1")
    console.click("#filters [data-state=rejected]")
    expect(console.locator(f"[data-order-id='{rejected}']")).to_contain_text("Garage Noord")
    expect(console.locator("[data-order-id]")).to_have_count(1)
    assert "state=rejected" in console.url
    expect(console.locator("#filters [data-state=rejected]")).to_have_attribute("aria-current", "true")
    console.go_back()
    expect(console.locator(f"[data-order-id='{rejected}']")).to_have_count(0)
    console.click("#filters [data-state=failed]")
    expect(console.locator("#empty")).to_be_visible()


def test_a_new_order_appears_by_itself(console: Page, origin: Origin) -> None:
    new = place(origin, company="Fietsenmaker")
    expect(console.locator(f"[data-order-id='{new}']")).to_contain_text("Fietsenmaker")


def test_approving(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "acknowledged")
    expect(console.locator("#facts")).to_contain_text("bakker@example.nl")
    expect(console.locator("#facts")).to_contain_text("€ 10,00 excl. btw, € 12,10 incl. 21% btw")
    console.click("#approve")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "inProgress")
    expect(console.locator("#live")).to_contain_text("is goedgekeurd")
    expect(console.locator("#review")).to_be_hidden()
    assert origin.orders[only(origin)].state is State.IN_PROGRESS
    origin.complete(only(origin))
    expect(console.locator("#order-state")).to_have_attribute("data-state", "completed")


def test_rejecting_needs_a_reason(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    console.click("#reject")
    expect(console.locator("#reason-error")).to_have_text("Vul in waarom u de bestelling afwijst")
    expect(console.locator("#reason")).to_be_focused()
    assert origin.orders[only(origin)].state is State.ACKNOWLEDGED
    console.fill("#reason", "Buiten ons gebied")
    console.click("#reject")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "rejected")
    assert origin.orders[only(origin)].last.why == "Buiten ons gebied"


def test_a_decision_that_was_overtaken_is_told_and_the_order_is_shown_as_it_is(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    expect(console.locator("#approve")).to_be_visible()
    console.route("**/api/sales/orders?*", lambda route: route.abort())
    console.route(re.compile(r"/api/sales/orders/[0-9A-Z]+$"), lambda route: route.abort())
    origin.move(only(origin), State.REJECTED, SALES, "Al gedaan")
    console.click("#approve")
    console.unroute_all()
    expect(console.locator("#order-state")).to_have_attribute("data-state", "rejected")
    assert origin.orders[only(origin)].state is State.REJECTED


def test_an_expired_session_signs_in_again_without_losing_the_reason(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    console.fill("#reason", "Het adres klopt niet met")
    console.evaluate("sessionStorage.setItem('console.since', '0')")  # it is long since signing in
    with console.expect_request("**/oauth2/token"):
        origin.expire_sessions()
    expect(console.locator("#reason")).to_have_value("Het adres klopt niet met")
    expect(console.locator("#order-id")).to_have_text(only(origin))
    assert len(origin.access_tokens) == 1


def test_a_token_that_is_refused_at_once_does_not_go_round_in_circles(page: Page, origin: Origin) -> None:
    page.route("**/api/sales/**", lambda route: route.fulfill(status=401, json={"message": "Unauthorized"}))
    page.goto(f"{origin.url}/console/")
    expect(page.locator("#problem")).to_contain_text("U hebt geen toegang")


def test_polling_leaves_what_is_being_typed_and_the_focus_alone(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    console.fill("#reason", "Ik ben nog aan het")
    with console.expect_response("**/api/sales/orders?*"):
        pass
    with console.expect_response("**/api/sales/orders?*"):
        pass
    expect(console.locator("#reason")).to_be_focused()
    expect(console.locator("#reason")).to_have_value("Ik ben nog aan het")


def test_the_keyboard_alone_will_do(console: Page, origin: Origin) -> None:
    console.focus("[data-order-id] a")
    console.keyboard.press("Enter")
    expect(console.locator("#detail-title")).to_be_focused()
    console.focus("#approve")
    console.keyboard.press("Enter")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "inProgress")


def test_more_orders_than_fit_are_shown_on_demand(page: Page, origin: Origin) -> None:
    for number in range(60):
        place(origin, company=f"Bedrijf {number}")
    page.goto(f"{origin.url}/console/")
    expect(page.locator("[data-order-id]")).to_have_count(50)
    page.click("#more")
    expect(page.locator("[data-order-id]")).to_have_count(60)
    expect(page.locator("#more")).to_be_hidden()


def test_no_connection_is_told_and_mends_itself(console: Page) -> None:
    console.route("**/api/sales/**", lambda route: route.abort())
    expect(console.locator("#problem")).to_contain_text("Geen verbinding")
    console.unroute("**/api/sales/**")
    expect(console.locator("#problem")).to_be_hidden()


def test_signing_out_forgets_the_token(console: Page) -> None:
    console.route("**/oauth2/logout*", lambda route: route.fulfill(status=200, body="uitgelogd"))
    console.click("#sign-out")
    console.wait_for_url("**/oauth2/logout*")
    assert console.evaluate("sessionStorage.length") == 0
