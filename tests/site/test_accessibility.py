"""Every page, on a telephone and on a desk, light and dark: no fault for axe, no word on the console, nothing heavy, no scroll sideways."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page

from ordering.order import State
from tests.site.document import pages
from tests.site.measure import Scheme, Visit, visit
from tests.site.origin import SALES, Origin, example

pytestmark = pytest.mark.needs("chromium", "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")

MAX_BYTES, MAX_REQUESTS = 50_000, 8
HEAVY: set[str] = set()
SIZES: list[tuple[int, Scheme]] = [(360, "light"), (1280, "dark")]


def order_id(href: str) -> str:
    """The id in an order's address."""
    return href.split("/")[2].split("?")[0]


def placed(origin: Origin, *states: State) -> str:
    """The address of an order that went through these states."""
    href = origin.place(example())
    for state in states:
        if state is State.COMPLETED:
            origin.complete(order_id(href))
        else:
            origin.move(order_id(href), state, SALES, "Omdat het moet")
    return href


def with_errors(page: Page) -> None:
    page.fill("#phones", "vijf")
    page.click("button[type=submit]")
    page.wait_for_selector("#error-summary")


def with_credentials(page: Page) -> None:
    page.click("#issue-credentials")
    page.wait_for_selector("#credentials")


def with_orders(page: Page) -> None:
    page.wait_for_selector("[data-order-id]")


def with_order(page: Page) -> None:
    with_orders(page)
    page.click("[data-order-id]")
    page.wait_for_selector("#detail")


def check(
    origin: Origin, chromium: Browser, width: int, scheme: Scheme, address: str, prepare: Callable[[Page], None] | None = None
) -> Visit:
    """Fail on any fault of a page."""
    seen = visit(chromium, origin.url + address, width=width, scheme=scheme, prepare=prepare)
    assert seen.faults == [], address
    return seen


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_every_static_page_is_without_fault_and_light(origin: Origin, chromium: Browser, width: int, scheme: Scheme) -> None:
    for address in pages(origin.site):
        if address not in {"/404.html", "/console/"}:
            cost = check(origin, chromium, width, scheme, address)
            assert (cost.bytes <= MAX_BYTES and cost.requests <= MAX_REQUESTS) or address in HEAVY, (address, cost)
            assert cost.cls == 0, address
    check(origin, chromium, width, scheme, "/nergens/")


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_form_with_errors(origin: Origin, chromium: Browser, width: int, scheme: Scheme) -> None:
    check(origin, chromium, width, scheme, "/versleutelde-telefoongesprekken/", with_errors)


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_page_of_an_order_in_each_state(origin: Origin, chromium: Browser, width: int, scheme: Scheme) -> None:
    for states in ((), (State.IN_PROGRESS,), (State.REJECTED,), (State.IN_PROGRESS, State.COMPLETED)):
        check(origin, chromium, width, scheme, placed(origin, *states))
    check(origin, chromium, width, scheme, placed(origin, State.IN_PROGRESS, State.COMPLETED), with_credentials)


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_console(origin: Origin, chromium: Browser, width: int, scheme: Scheme) -> None:
    placed(origin)
    check(origin, chromium, width, scheme, "/console/", with_orders)
    check(origin, chromium, width, scheme, "/console/", with_order)


def test_open_questions(origin: Origin, chromium: Browser) -> None:
    for size in SIZES:
        check(origin, chromium, *size, "/avg-callvoiptelefonie/#waar-en-hoe-lang")


def test_nothing_scrolls_sideways_on_the_narrowest_screen(origin: Origin, chromium: Browser) -> None:
    context = chromium.new_context(viewport={"width": 320, "height": 640})
    page = context.new_page()
    shown = [address for address in pages(origin.site) if address not in {"/404.html", "/console/"}]
    for address in [*shown, "/nergens/", placed(origin), placed(origin, State.IN_PROGRESS, State.COMPLETED)]:
        page.goto(origin.url + address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, address
    with_credentials(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.goto(f"{origin.url}/console/")
    with_order(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    context.close()
