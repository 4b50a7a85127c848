"""The console of sales: signing in, finding, deciding, and what happens when the session or the order changes
underneath.
"""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from ordering.order import CUSTOMER, State
from tests.support.site.build import sizes
from tests.support.site.origin import SALES, Origin, example

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


def only_but(origin: Origin, other: str) -> str:
    (order_id,) = set(origin.orders) - {other}
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


def test_orders_are_listed_by_state_with_counts_and_the_filter_stands_in_the_address(
    console: Page, origin: Origin
) -> None:
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


@sizes
def test_approving(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "acknowledged")
    expect(console.locator("#facts")).to_contain_text("bakker@example.nl")
    expect(console.locator("#bill")).to_contain_text("5 × € 2,00")
    expect(console.locator("#bill")).to_contain_text("Per maand, incl. 21% btw€ 12,10")
    expect(console.locator("#spam-score")).to_have_text("0 van 100")
    console.click("#approve")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "inProgress")
    expect(console.locator("#live")).to_contain_text("is goedgekeurd")
    expect(console.locator("#approve")).to_be_hidden()
    expect(console.locator("#reject")).to_be_hidden()
    assert origin.orders[only(origin)].state is State.IN_PROGRESS
    origin.complete(only(origin))
    expect(console.locator("#order-state")).to_have_attribute("data-state", "completed")
    expect(console.locator("#node")).to_contain_text("TestgesprekGelukt")
    expect(console.locator("#node")).to_contain_text("150, waarvan 0 onversleuteld")


@sizes
def test_rejecting_needs_a_reason(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    console.click("#reject")
    expect(console.locator("#reason-error")).to_have_text("Vul in waarom u de bestelling afwijst")
    expect(console.locator("#reason")).to_be_focused()
    assert origin.orders[only(origin)].state is State.ACKNOWLEDGED
    console.fill("#reason", "Buiten ons gebied")
    console.click("#reject")
    expect(console.locator("#confirm")).to_contain_text("Dit kunt u niet terugdraaien")
    expect(console.locator("#confirm-mail")).to_contain_text(
        "E-mail aan bakker@example.nl: Wij kunnen uw bestelling niet uitvoeren"
    )
    expect(console.locator("#confirm-quote")).to_contain_text("Buiten ons gebied")
    console.click("#confirm-no")
    assert origin.orders[only(origin)].state is State.ACKNOWLEDGED
    expect(console.locator("#reason")).to_have_value("Buiten ons gebied")
    console.click("#reject")
    console.click("#confirm-yes")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "rejected")
    assert origin.orders[only(origin)].last.why == "Buiten ons gebied"


@sizes
def test_asking_the_customer_and_the_answer(console: Page, origin: Origin, chromium: Browser) -> None:
    order_id = only(origin)
    console.click("[data-order-id]")
    console.fill("#reason", "Klopt het aantal telefoons?")
    console.click("#ask")
    console.click("#confirm-yes")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "pending")
    expect(console.locator("#reason")).to_have_value("")
    customer = chromium.new_context().new_page()
    customer.goto(f"{origin.url}/bestelling/{order_id}?token={origin.tokens[order_id]}")
    expect(customer.locator("#question")).to_have_text("Klopt het aantal telefoons?")
    customer.fill("#answer", "Ja, het zijn er vijf.")
    customer.click("#send-answer")
    expect(customer.locator("#order-state")).to_have_attribute("data-state", "acknowledged")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "acknowledged")
    expect(console.locator("#timeline li").first).to_contain_text("Ja, het zijn er vijf.")


@sizes
def test_holding_resuming_and_cancelling(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    console.click("#approve")
    expect(console.locator("#hold")).to_be_visible()
    console.click("#hold")
    expect(console.locator("#reason-error")).to_contain_text("Vul in waarom u de bestelling aanhoudt")
    console.fill("#reason", "Wij wachten op capaciteit")
    console.click("#hold")
    console.click("#confirm-yes")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "held")
    console.click("#resume")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "inProgress")
    console.fill("#reason", "Op verzoek van de klant")
    console.click("#cancel")
    console.click("#confirm-yes")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "pendingCancellation")


@sizes
def test_a_note_stays_inside(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    console.fill("#note", "Gebeld, niemand nam op")
    console.click("#notes")
    expect(console.locator("#timeline li").first).to_contain_text("Interne notitie")
    assert origin.orders[only(origin)].state is State.ACKNOWLEDGED
    assert "niemand nam op" not in str(
        origin.answer("GET", f"/bestelling/{only(origin)}?token={origin.tokens[only(origin)]}", {}, b"").body
    )


def test_what_sales_does_itself_is_completed_by_hand(page: Page, origin: Origin) -> None:
    order_id = place(origin, category="quote", subject="Vijf vestigingen", text="Wij verhuizen.")
    origin.move(order_id, State.IN_PROGRESS, SALES)
    page.goto(f"{origin.url}/console/?state=all&order={order_id}")
    expect(page.locator("#facts")).to_contain_text("Vijf vestigingen")
    page.click("#complete")
    page.click("#confirm-yes")
    expect(page.locator("#order-state")).to_have_attribute("data-state", "completed")


@sizes
def test_filters_stand_in_the_address_as_chips_that_can_be_taken_away(console: Page, origin: Origin) -> None:
    quote = place(origin, category="quote", company="Café Zuid", subject="Nieuw", text="Graag een voorstel")
    console.select_option("#category", "quote")
    expect(console.locator("[data-order-id]")).to_have_count(1)
    console.fill("#q", "cafe")
    console.keyboard.press("Enter")
    expect(console.locator("#chips")).to_contain_text("Zoekterm: cafe")
    expect(console).to_have_url(re.compile("category=quote.*q=cafe|q=cafe.*category=quote"))
    console.reload()
    expect(console.locator("#q")).to_have_value("cafe")
    expect(console.locator(f"[data-order-id='{quote}']")).to_be_visible()
    console.click(".chip:has-text('Zoekterm')")
    expect(console.locator("#chips")).not_to_contain_text("Zoekterm")
    expect(console.locator("#list-title")).to_be_focused()
    console.click(".chip:has-text('Soort')")
    expect(console.locator("[data-order-id]")).to_have_count(2)
    console.click(".chip:has-text('Stand')")
    expect(console).to_have_url(re.compile("state=all"))
    expect(console.locator("#chips a")).to_have_count(0)


def test_searching_by_number_and_by_order(console: Page, origin: Origin) -> None:
    place(origin, company="Garage Noord", kvk="87654321")
    for text in ("8765 4321", "garage", next(iter(origin.orders))[:6].lower()):
        console.fill("#q", text)
        console.keyboard.press("Enter")
        expect(console.locator("[data-order-id]")).to_have_count(1)


def test_the_order_of_the_list(console: Page, origin: Origin) -> None:
    place(origin, company="Aannemer", phones="50")
    console.select_option("#sort", "company asc")
    expect(console.locator("[data-order-id]").first).to_contain_text("Aannemer")
    console.select_option("#sort", "company desc")
    expect(console.locator("[data-order-id]").first).to_contain_text("Bakkerij")
    assert "sort=company" in console.url
    console.select_option("#sort", "monthlyTotal desc")
    expect(console.locator("[data-order-id]").first).to_contain_text("€ 100,00")


@sizes
def test_only_the_selected_orders_are_approved(console: Page, origin: Origin) -> None:
    others = [place(origin, company=f"Bedrijf {number}") for number in range(4)]
    for order_id in others[:3]:
        console.check(f"[data-order-id='{order_id}'] .select")
    expect(console.locator("#bulk-count")).to_have_text("3 bestellingen geselecteerd")
    console.route("**/api/sales/orders?*", lambda route: route.abort())
    origin.move(others[0], State.REJECTED, SALES, "Al gedaan")
    console.click("#bulk-approve")
    expect(console.locator("#confirm")).to_contain_text("3 bestellingen goedkeuren?")
    console.click("#confirm-yes")
    expect(console.locator("#live")).to_contain_text("2 van 3 bestellingen goedgekeurd")
    console.unroute("**/api/sales/orders?*")
    states = [origin.orders[order_id].state for order_id in others]
    assert states == [State.REJECTED, State.IN_PROGRESS, State.IN_PROGRESS, State.ACKNOWLEDGED]
    expect(console.locator("#bulk")).to_be_hidden()


def test_a_selection_survives_the_list_being_refreshed(console: Page, origin: Origin) -> None:
    console.check(".select")
    place(origin, company="Fietsenmaker")
    expect(console.locator("[data-order-id]")).to_have_count(2)
    expect(console.locator(f"[data-order-id='{next(iter(origin.orders))}'] .select")).to_be_checked()
    expect(console.locator("#bulk-count")).to_have_text("1 bestelling geselecteerd")


@sizes
def test_the_file_holds_what_the_filter_shows(console: Page, origin: Origin) -> None:
    place(origin, company="=Garage")
    place(origin, category="quote", company="Café", subject="x", text="y")
    console.select_option("#category", "srtp")
    expect(console.locator("[data-order-id]")).to_have_count(2)
    with console.expect_download() as download:
        console.click("#export")
    text = download.value.path().read_bytes().decode()
    assert download.value.suggested_filename.startswith("bestellingen-") and download.value.suggested_filename.endswith(
        ".csv"
    )
    assert text.startswith("\ufeff") and "\u200b=Garage" in text and "Bakkerij De Oven" in text and "Café" not in text


@sizes
def test_the_month_as_numbers_chart_and_tables(console: Page, origin: Origin) -> None:
    rejected = place(origin, company="Garage Noord", phones="10")
    origin.move(rejected, State.REJECTED, SALES, "Nee")
    console.click("[data-view=overview]")
    expect(console.locator("#month-numbers")).to_contain_text("Bestellingen2")
    expect(console.locator("#month-numbers")).to_contain_text("Verwacht: telefoons5")
    expect(console.locator("#month-numbers")).to_contain_text("€ 10,00")
    expect(console.locator(".chart__bar")).to_have_count(1)
    expect(console.locator("#month-states")).to_contain_text("Afgewezen1")
    assert "view=overview" in console.url
    console.click("#month-before")
    expect(console.locator("#month-empty")).to_be_visible()
    console.click("#month-after")
    expect(console.locator("#month-figures")).to_be_visible()


@sizes
def test_the_nodes(console: Page, origin: Origin) -> None:
    node = {
        "id": "node-1",
        "state": "ready",
        "address": "203.0.113.7",
        "capacity": 500,
        "allocated": 21,
        "calls": 3,
        "registrations": 5,
    }
    origin.nodes = [{**node, "heartbeatAt": "2026-11-21T17:05:00.000Z"}]
    console.click("[data-view=fleet]")
    expect(console.locator("[data-node-id=node-1]")).to_contain_text("21 van 500 gesprekken (4%)")
    expect(console.locator("#fleet-total")).to_contain_text("1 server, 3 gesprekken nu")
    origin.nodes[0]["calls"] = 4
    expect(console.locator("#fleet-total")).to_contain_text("4 gesprekken nu")
    now = datetime.now(UTC)
    origin.samples["node-1"] = [
        {"at": (now - timedelta(minutes=ago)).isoformat(), "values": {"calls": calls, "memory_bytes": 90_000_000}}
        for ago, calls in ((300, 2), (20, 4), (15, 8), (10, 6))
    ]
    button = console.get_by_role("button", name="node-1")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    calls = console.locator("[data-metric=calls]")
    expect(calls.get_by_role("img")).to_have_attribute(
        "aria-label", "Gesprekken tegelijk: laatst 6, laagste 2, hoogste 8"
    )
    drawn = calls.locator(".spark__line").get_attribute("d")
    assert drawn and drawn.count("M") == 2, "the line is broken where nothing was measured for hours"
    expect(console.locator("[data-metric=memory_bytes] strong")).to_have_text("90 MB")
    expect(console.locator("[data-metric=mos]")).to_contain_text("niet gemeten")
    button.click()
    expect(console.locator("#node-metrics-view")).to_be_hidden()


def test_an_odd_order_stands_out_with_its_reasons(console: Page, origin: Origin) -> None:
    odd = place(origin, company="Kwik", website="https://example.nl")
    expect(console.locator(f"[data-order-id='{odd}']")).to_contain_text("Spamscore 60")
    console.click(f"[data-order-id='{odd}']")
    expect(console.locator("#spam")).to_contain_text("Bel deze klant")
    expect(console.locator("#spam li")).to_contain_text("60 punten")


def test_keys_do_what_the_list_of_keys_says_and_can_be_switched_off(console: Page, origin: Origin) -> None:
    place(origin, company="Fietsenmaker")
    expect(console.locator("[data-order-id]")).to_have_count(2)
    console.locator("h1").click()
    console.keyboard.press("j")
    console.keyboard.press("x")
    expect(console.locator("#bulk-count")).to_contain_text("1 bestelling")
    console.keyboard.press("Enter")
    expect(console.locator("#detail-title")).to_be_focused()
    console.keyboard.press("a")
    expect(console.locator("#approve")).to_be_focused()
    console.keyboard.press("t")
    expect(console.locator("#reason")).to_be_focused()
    console.keyboard.type("j / ? a")
    expect(console.locator("#reason")).to_have_value("j / ? a")
    console.keyboard.press("Tab")
    console.keyboard.press("u")
    expect(console.locator("#detail")).to_be_hidden()
    expect(console.locator("[data-order-id] a").first).to_be_focused()
    console.keyboard.press("/")
    expect(console.locator("#q")).to_be_focused()
    console.focus("#export")
    console.keyboard.press("?")
    expect(console.locator("#keys")).to_be_visible()
    console.uncheck("#keys-enabled")
    console.keyboard.press("Escape")
    expect(console.locator("#keys")).to_be_hidden()
    console.reload()
    expect(console.locator("[data-order-id]")).to_have_count(2)
    console.keyboard.press("?")
    console.keyboard.press("/")
    expect(console.locator("#keys")).to_be_hidden()
    expect(console.locator("#q")).not_to_be_focused()


@sizes
def test_two_colleagues_in_conflict_the_second_sees_what_changed_and_keeps_what_was_typed(
    console: Page, origin: Origin, chromium: Browser
) -> None:
    order_id = only(origin)
    second = chromium.new_context(locale="nl-NL").new_page()
    second.goto(f"{origin.url}/console/?order={order_id}")
    second.fill("#reason", "Wij leveren niet in dat gebied")
    # A browser in the background does not ask: this one hears nothing of the first.
    second.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
    console.click("[data-order-id]")
    console.click("#approve")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "inProgress")
    second.click("#reject")
    expect(second.locator("#problem")).to_contain_text("al goedgekeurd")
    expect(second.locator("#changes")).to_contain_text("In behandeling")
    expect(second.locator("#changes")).to_contain_text("verkoop@example.nl")
    expect(second.locator("#reason")).to_have_value("Wij leveren niet in dat gebied")
    expect(second.locator("#order-state")).to_have_attribute("data-state", "inProgress")
    assert origin.orders[order_id].state is State.IN_PROGRESS


def test_each_order_keeps_its_own_draft(console: Page, origin: Origin) -> None:
    other = place(origin, company="Fietsenmaker")
    console.click(f"[data-order-id='{only_but(origin, other)}']")
    console.fill("#reason", "Eerste")
    console.click(f"[data-order-id='{other}']")
    expect(console.locator("#reason")).to_have_value("")
    console.click(f"[data-order-id='{only_but(origin, other)}']")
    expect(console.locator("#reason")).to_have_value("Eerste")


def test_a_session_that_expired_at_the_moment_of_deciding_loses_nothing(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    console.fill("#reason", "Buiten ons gebied")
    console.evaluate("sessionStorage.setItem('console.since', '0')")
    console.route("**/api/sales/orders?*", lambda route: route.abort())
    console.route(re.compile(r"/api/sales/orders/[0-9A-Z]+$"), lambda route: route.abort())
    origin.expire_sessions()
    with console.expect_request("**/oauth2/token"):
        console.click("#reject")
    console.unroute_all()
    expect(console.locator("#reason")).to_have_value("Buiten ons gebied")
    expect(console.locator("#order-id")).to_have_text(only(origin))
    assert origin.orders[only(origin)].state is State.ACKNOWLEDGED


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


def test_an_expired_session_signs_in_again_without_losing_what_was_typed(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    console.fill("#q", "gara")
    console.fill("#reason", "Het adres klopt niet met")
    console.evaluate("sessionStorage.setItem('console.since', '0')")  # it is long since signing in
    with console.expect_request("**/oauth2/token"):
        origin.expire_sessions()
    expect(console.locator("#reason")).to_have_value("Het adres klopt niet met")
    expect(console.locator("#q")).to_have_value("gara")
    expect(console.locator("#order-id")).to_have_text(only(origin))
    assert len(origin.access_tokens) == 1


def test_a_token_that_is_refused_at_once_does_not_go_round_in_circles(page: Page, origin: Origin) -> None:
    page.route("**/api/sales/**", lambda route: route.fulfill(status=401, json={"message": "Unauthorized"}))
    page.goto(f"{origin.url}/console/")
    expect(page.locator("#problem")).to_contain_text("U hebt geen toegang")


def test_polling_leaves_what_is_being_typed_and_the_focus_alone(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    console.fill("#reason", "Ik ben nog aan het")
    for _ in range(2):
        with console.expect_response("**/api/sales/changes?*"):
            pass
    expect(console.locator("#reason")).to_be_focused()
    expect(console.locator("#reason")).to_have_value("Ik ben nog aan het")


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until something has the focus."""
    for _ in range(60):
        if page.locator(selector).evaluate("(element) => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not come to {selector}")


@sizes
def test_the_keyboard_alone_will_do(console: Page, origin: Origin) -> None:
    first, second = only(origin), place(origin, company="Fietsenmaker")
    expect(console.locator("[data-order-id]")).to_have_count(2)
    tab_to(console, f"[data-order-id='{first}'] a")
    console.keyboard.press("Enter")
    expect(console.locator("#detail-title")).to_be_focused()
    tab_to(console, "#approve")
    console.keyboard.press("Enter")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "inProgress")
    expect(console.locator("#detail-title")).to_be_focused()
    console.keyboard.press("u")
    expect(console.locator("#detail")).to_be_hidden()
    tab_to(console, f"[data-order-id='{second}'] a")
    console.keyboard.press("Enter")
    expect(console.locator("#detail-title")).to_be_focused()
    tab_to(console, "#reason")
    console.keyboard.type("Buiten ons gebied")
    tab_to(console, "#reject")
    console.keyboard.press("Enter")
    expect(console.locator("#confirm")).to_contain_text(f"{second}, Fietsenmaker")
    tab_to(console, "#confirm-yes")
    console.keyboard.press("Enter")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "rejected")
    expect(console.locator("#detail-title")).to_be_focused()
    assert [origin.orders[one].state for one in (first, second)] == [State.IN_PROGRESS, State.REJECTED]


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


def place_many(origin: Origin, number: int) -> list[str]:
    return [place(origin, company=f"Bedrijf {index:03}", email=f"b{index}@example.nl") for index in range(number)]


def test_select_all_selects_all_and_unselects_them(console: Page, origin: Origin) -> None:
    place_many(origin, 49)
    expect(console.locator("[data-order-id]")).to_have_count(50)
    console.check("#select-all")
    expect(console.locator("#bulk-count")).to_have_text("50 bestellingen geselecteerd")
    expect(console.locator(".select:checked")).to_have_count(50)
    console.uncheck("#select-all")
    expect(console.locator("#bulk")).to_be_hidden()
    expect(console.locator(".select:checked")).to_have_count(0)


@pytest.mark.parametrize("row", [2, 25, 45, 49])
def test_the_detail_comes_to_the_row_that_was_clicked(console: Page, origin: Origin, row: int) -> None:
    place_many(origin, 49)
    expect(console.locator("[data-order-id]")).to_have_count(50)
    clicked = console.locator("#orders tr").nth(row)
    clicked.scroll_into_view_if_needed()
    before = clicked.bounding_box()
    clicked.locator("th").click()
    expect(console.locator("#detail-title")).to_be_focused()
    after = clicked.bounding_box()
    assert before and after and after["y"] == pytest.approx(before["y"], abs=60)
    expect(clicked).to_be_in_viewport()
    expect(console.locator("#detail-title")).to_be_in_viewport()


def test_a_cancellation_is_refused_with_a_reason_that_the_customer_reads(console: Page, origin: Origin) -> None:
    order_id = only(origin)
    origin.move(order_id, State.IN_PROGRESS, SALES)
    origin.move(order_id, State.ASSESSING_CANCELLATION, CUSTOMER, "Toch niet")
    expect(console.locator("#waiting")).to_contain_text("Annulering gevraagd: 1")
    console.click("#waiting a")
    console.click("[data-order-id]")
    console.click("#refuse")
    expect(console.locator("#reason-error")).to_contain_text("waarom annuleren niet meer kan")
    console.fill("#reason", "Uw nummer is al overgezet.")
    console.fill("#note", "Klant was boos")
    console.click("#refuse")
    expect(console.locator("#confirm-quote")).to_contain_text("Uw nummer is al overgezet.")
    expect(console.locator("#confirm")).not_to_contain_text("boos")
    console.click("#confirm-yes")
    expect(console.locator("#order-state")).to_have_attribute("data-state", "inProgress")
    expect(console.locator("#timeline")).to_contain_text("Klant was boos")
    for field in ("#reason", "#note"):
        expect(console.locator(field)).to_have_value("")
    told = origin.answer("GET", f"/bestelling/{order_id}?token={origin.tokens[order_id]}", {}, b"").body
    assert "al overgezet" in str(told) and "boos" not in str(told)


def test_an_order_that_cannot_be_read_holds_up_no_other(console: Page, origin: Origin) -> None:
    [odd, *_] = place_many(origin, 3)
    origin.unreadable.add(odd)
    console.reload()
    expect(console.locator("#orders tr")).to_have_count(4)
    expect(console.locator(f"[data-unreadable='{odd}']")).to_contain_text("Onleesbaar")
    console.locator("[data-order-id]").first.locator("th").click()
    expect(console.locator("#facts")).to_contain_text("Bedrijf")


def test_the_cost_of_asking_again_does_not_grow_with_what_is_shown(console: Page, origin: Origin) -> None:
    place_many(origin, 130)
    console.reload()
    for shown in (50, 100, 131):
        expect(console.locator("[data-order-id]")).to_have_count(shown)
        if shown < 131:
            console.click("#more")
    origin.asked.clear()
    console.wait_for_timeout(7500)
    assert 1 <= len(origin.asked) <= 4 and set(origin.asked) == {"GET changes"}
    place(origin, company="Nieuw", email="nieuw@example.nl")
    expect(console.locator("[data-order-id]").first).to_contain_text("Nieuw")
    expect(console.locator("[data-order-id]")).to_have_count(132)
    assert origin.asked.count("GET orders") == 1


def test_a_typing_error_is_corrected_and_what_stood_there_stays_in_the_history(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    console.click("#more-actions > summary")
    console.fill("#correct-email", "geen adres")
    console.click("#correct button")
    expect(console.locator("#correct-email-error")).to_have_text("Vul een e-mailadres in")
    console.fill("#correct-email", "bakkerij@example.nl")
    console.click("#correct button")
    expect(console.locator("#facts")).to_contain_text("bakkerij@example.nl")
    expect(console.locator("#timeline li").first).to_contain_text("bakker@example.nl → bakkerij@example.nl")


def test_the_mail_with_the_link_is_sent_again(console: Page, origin: Origin) -> None:
    console.click("[data-order-id]")
    console.click("#more-actions > summary")
    expect(console.locator("#credentials")).to_be_hidden()
    console.click("#mail")
    expect(console.locator("#confirm")).to_contain_text("met de link naar de eigen pagina")
    console.click("#confirm-yes")
    expect(console.locator("#timeline li").first).to_contain_text("E-mail opnieuw verstuurd")


def test_the_other_orders_of_a_customer_stand_together(console: Page, origin: Origin) -> None:
    first = only(origin)
    other = place(origin, category="quote", subject="Meer", text="Nog iets.")
    console.locator(f"#orders [data-order-id='{first}'] th").click()
    expect(console.locator("#related")).to_contain_text("Offerte")
    console.click(f"#related [data-order-id='{other}']")
    expect(console.locator("#order-id")).to_have_text(other)


def test_a_name_of_a_hundred_letters_pushes_nothing_off_the_screen(console: Page, origin: Origin) -> None:
    place(origin, company="A" * 100, email="a@example.nl")
    expect(console.locator("[data-order-id]")).to_have_count(2)
    assert console.evaluate(
        "document.querySelector('#list').scrollWidth <= document.querySelector('#list').clientWidth"
    )
    assert console.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_console_has_a_frame_of_its_own(console: Page) -> None:
    expect(console.locator(".site-header, .site-footer")).to_have_count(0)
    expect(console.locator(".console__head h1")).to_contain_text("Verkoop")
