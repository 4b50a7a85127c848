"""What the console does by itself: it stays up to date, gently, and moves nothing under the hands of who works with
it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Request, expect

from ordering import order
from ordering.order import State
from shared import clock
from tests.site.test_console import console, only, place
from tests.support.site.build import sizes
from tests.support.site.origin import SALES, Origin

__all__ = ["console"]
pytestmark = pytest.mark.needs("chromium")
QUEUE = "**/api/sales/changes?*"


@contextmanager
def asked(page: Page) -> Iterator[list[Request]]:
    """The requests to the API meanwhile."""
    seen: list[Request] = []

    def see(request: Request) -> None:
        if "/api/sales/" in request.url:
            seen.append(request)

    page.on("request", see)
    yield seen
    page.remove_listener("request", see)


def hide(page: Page, hidden: bool) -> None:
    """As if another tab came in front, or this one came back."""
    value = str(hidden).lower()
    page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{ value: {value}, configurable: true }});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def pass_time(page: Page, seconds: int) -> None:
    """Let the page's own clock run, a second at a time, so that what it asks for meanwhile is answered."""
    under_way: set[Request] = set()
    page.on("request", lambda request: under_way.add(request))
    page.on("requestfinished", lambda request: under_way.discard(request))
    page.on("requestfailed", lambda request: under_way.discard(request))
    for _ in range(seconds):
        page.clock.run_for(1000)
        while under_way:
            page.wait_for_timeout(2)
        page.wait_for_timeout(2)


@pytest.fixture
def timed(page: Page, origin: Origin) -> Page:
    """The console, with a clock that runs only when a test lets it."""
    place(origin)
    page.clock.install()
    page.goto(f"{origin.url}/console/")
    page.wait_for_selector("[data-order-id]")
    page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=1))
    return page


def test_an_answer_that_did_not_change_is_not_sent_again_and_changes_nothing(console: Page, origin: Origin) -> None:
    console.click("[data-order-id] a")
    console.wait_for_selector("#detail")
    console.evaluate("document.querySelector('#orders tr').mark = document.querySelector('#facts dd').mark = true")
    for _ in range(2):
        with (
            console.expect_response(QUEUE) as queue,
            console.expect_response(f"**/api/sales/orders/{only(origin)}") as detail,
        ):
            pass
        assert (queue.value.status, detail.value.status) == (200, 304)
    place(origin, company="Fietsenmaker")
    expect(console.locator("[data-order-id]")).to_have_count(2)
    assert console.evaluate(
        "document.querySelector('#orders tr:last-child').mark && document.querySelector('#facts dd').mark"
    )


def test_nothing_is_asked_while_nobody_can_see_it_and_at_once_when_somebody_can(timed: Page, origin: Origin) -> None:
    hide(timed, True)
    with asked(timed) as seen:
        pass_time(timed, 60)
    assert seen == []
    place(origin, company="Fietsenmaker")
    hide(timed, False)
    expect(timed.locator("[data-order-id]")).to_have_count(2)


def test_it_asks_seldom_when_nobody_touches_it(timed: Page) -> None:
    with asked(timed) as busy:
        pass_time(timed, 60)
    pass_time(timed, 70)
    with asked(timed) as idle:
        pass_time(timed, 60)
    assert 15 <= len(busy) <= 20
    assert 3 <= len(idle) <= 5
    with timed.expect_request(QUEUE):
        timed.keyboard.press("Shift")


def test_without_an_answer_it_asks_ever_less_and_says_how_old_it_is(timed: Page) -> None:
    now = str(timed.evaluate("new Date().toTimeString().slice(0, 5)"))
    expect(timed.locator("#fresh-text")).to_have_text(f"Bijgewerkt om {now.replace(':', '.')} uur")
    timed.route("**/api/sales/**", lambda route: route.abort())
    with asked(timed) as seen:
        pass_time(timed, 120)
    assert 4 <= len(seen) <= 8
    expect(timed.locator("#problem")).to_contain_text("Geen verbinding")
    expect(timed.locator("#fresh")).to_contain_text("Bijgewerkt tot")
    timed.unroute("**/api/sales/**")
    timed.click("#refresh")
    expect(timed.locator("#fresh")).to_contain_text("Bijgewerkt om")
    expect(timed.locator("#problem")).to_be_hidden()
    expect(timed.locator("#refresh")).to_be_hidden()


def test_a_fault_of_the_api_is_told_and_goes_away_when_it_answers_again(console: Page) -> None:
    console.route(
        QUEUE,
        lambda route: route.fulfill(status=503, json={"title": "Het is erg druk", "detail": "Probeer het later."}),
    )
    expect(console.locator("#problem")).to_contain_text("Het is erg druk")
    console.unroute(QUEUE)
    expect(console.locator("#problem")).to_be_hidden(timeout=10_000)


def test_without_a_network_it_waits_for_one(timed: Page, origin: Origin) -> None:
    timed.context.set_offline(True)
    expect(timed.locator("#fresh")).to_contain_text("Offline. Bijgewerkt tot")
    with asked(timed) as seen:
        pass_time(timed, 30)
    assert seen == []
    place(origin, company="Fietsenmaker")
    timed.context.set_offline(False)
    expect(timed.locator("[data-order-id]")).to_have_count(2)
    expect(timed.locator("#fresh")).to_contain_text("Bijgewerkt om")


def top(page: Page, selector: str) -> float:
    return float(page.evaluate("(selector) => document.querySelector(selector).getBoundingClientRect().top", selector))


@sizes
def test_the_row_under_the_pointer_stays_there_whatever_comes_and_goes(console: Page, origin: Origin) -> None:
    here = f"[data-order-id='{only(origin)}']"
    first = place(origin, company="Eerste")
    expect(console.locator("[data-order-id]")).to_have_count(2)
    console.hover(f"{here} a")
    before = top(console, here)
    new = place(origin, company="Fietsenmaker")
    expect(console.locator("[data-order-id]")).to_have_count(3)
    assert top(console, here) == pytest.approx(before, abs=1)
    for gone in (new, first):
        origin.move(gone, State.REJECTED, SALES, "Nee")
    expect(console.locator("[data-order-id]")).to_have_count(1)
    assert top(console, here) == pytest.approx(before, abs=1)


def test_the_row_with_the_focus_stays_there(console: Page, origin: Origin) -> None:
    here = f"[data-order-id='{only(origin)}']"
    console.focus(f"{here} a")
    before = top(console, here)
    place(origin, company="Fietsenmaker")
    expect(console.locator("[data-order-id]")).to_have_count(2)
    assert top(console, here) == pytest.approx(before, abs=1)
    expect(console.locator(f"{here} a")).to_be_focused()


@sizes
def test_what_is_being_typed_stays_there_when_a_colleague_changes_the_order(console: Page, origin: Origin) -> None:
    console.emulate_media(reduced_motion="reduce")  # no scrolling that is still under way
    console.click("[data-order-id] a")
    console.fill("#reason", "Ik ben nog aan het")
    before = top(console, "#reason")
    with origin.lock:
        origin._keep(order.add_note(origin.orders[only(origin)], "Gebeld", SALES, clock.now()))
    expect(console.locator("#changes")).to_contain_text("Gebeld")
    assert top(console, "#reason") == pytest.approx(before, abs=1)
    expect(console.locator("#reason")).to_be_focused()
    expect(console.locator("#timeline li")).to_have_count(2)


def test_a_selection_outlives_the_session_also_on_a_further_page(page: Page, origin: Origin) -> None:
    ids = [place(origin, company=f"Bedrijf {number}") for number in range(60)]
    page.goto(f"{origin.url}/console/")
    page.click("#more")
    expect(page.locator("[data-order-id]")).to_have_count(60)
    for order_id in (ids[59], ids[0]):
        page.check(f"[data-order-id='{order_id}'] .select")
    page.click(f"[data-order-id='{ids[0]}'] a")
    expect(page.locator("#order-id")).to_have_text(ids[0])
    page.evaluate("sessionStorage.setItem('console.since', '0')")
    with page.expect_request("**/oauth2/token"):
        origin.expire_sessions()
    expect(page.locator("#bulk-count")).to_have_text("2 bestellingen geselecteerd")
    for order_id in (ids[59], ids[0]):
        expect(page.locator(f"[data-order-id='{order_id}'] .select")).to_be_checked()
    page.click("#bulk-approve")
    page.click("#confirm-yes")
    expect(page.locator("#live")).to_contain_text("2 van 2 bestellingen goedgekeurd")
    expect(page.locator("#bulk")).to_be_hidden()
    assert {one.id for one in origin.orders.values() if one.state is State.IN_PROGRESS} == {ids[59], ids[0]}


def test_a_selection_that_the_session_ended_on_is_approved_on_the_versions_that_were_seen(
    console: Page, origin: Origin
) -> None:
    console.check(".select")
    console.evaluate("sessionStorage.setItem('console.since', '0')")
    console.route(QUEUE, lambda route: route.abort())
    with origin.lock:
        origin._keep(order.add_note(origin.orders[only(origin)], "Gebeld", SALES, clock.now()))
    origin.expire_sessions()
    console.click("#bulk-approve")
    with console.expect_request("**/oauth2/token"):
        console.click("#confirm-yes")
    console.unroute_all()
    expect(console.locator("#bulk-count")).to_have_text("1 bestelling geselecteerd")
    console.click("#bulk-approve")
    console.click("#confirm-yes")
    expect(console.locator("#problem")).to_contain_text("Bekijk haar opnieuw")
    assert origin.orders[only(origin)].state is State.ACKNOWLEDGED
