"""Every page, on a telephone and on a desk, light and dark: no fault for axe, no word on the console, no scroll sideways."""

from collections.abc import Callable
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from ordering.order import State
from tests.site.document import pages
from tests.site.origin import SALES, Origin, example

pytestmark = pytest.mark.needs("chromium", "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")

# Without a font nothing is painted, and axe passes with fewer checks.
PAINTED = """() => new Promise((done) => {
  new PerformanceObserver((list) => { if (list.getEntriesByName("first-contentful-paint").length) done(true); })
    .observe({ type: "paint", buffered: true });
  setTimeout(done, 10000, false);
})"""
Scheme = Literal["light", "dark"]
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


def nothing(page: Page) -> None:
    page.wait_for_load_state()


def visit(origin: Origin, chromium: Browser, width: int, scheme: Scheme, address: str, prepare: Callable[[Page], None] = nothing) -> None:
    """Open a page, prepare it, and fail on any fault."""
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, locale="nl-NL", reduced_motion="reduce")
    try:
        page = context.new_page()
        said: list[str] = []
        foreign: list[str] = []
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: None if request.url.startswith(origin.url) else foreign.append(request.url))
        page.goto(origin.url + address)
        prepare(page)
        assert page.evaluate(PAINTED), "nothing was painted; is a font installed?"
        faults = [
            f"{violation['id']}: {[node['html'] for node in violation['nodes']]}" for violation in Axe().run(page).response["violations"]
        ]
        assert faults == []
        assert foreign == []
        expected = "the server responded with a status of 404" if address.startswith("/nergens") else None
        assert [line for line in said if not (expected and expected in line)] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    finally:
        context.close()


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_every_static_page(origin: Origin, chromium: Browser, width: int, scheme: Scheme) -> None:
    for address in pages(origin.site):
        if address not in {"/404.html", "/console/"}:
            visit(origin, chromium, width, scheme, address)
    visit(origin, chromium, width, scheme, "/nergens/")


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_form_with_errors(origin: Origin, chromium: Browser, width: int, scheme: Scheme) -> None:
    visit(origin, chromium, width, scheme, "/versleutelde-telefoongesprekken/", with_errors)


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_page_of_an_order_in_each_state(origin: Origin, chromium: Browser, width: int, scheme: Scheme) -> None:
    for states in ((), (State.IN_PROGRESS,), (State.REJECTED,), (State.IN_PROGRESS, State.COMPLETED)):
        visit(origin, chromium, width, scheme, placed(origin, *states))
    visit(origin, chromium, width, scheme, placed(origin, State.IN_PROGRESS, State.COMPLETED), with_credentials)


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_console(origin: Origin, chromium: Browser, width: int, scheme: Scheme) -> None:
    placed(origin)
    visit(origin, chromium, width, scheme, "/console/", with_orders)
    visit(origin, chromium, width, scheme, "/console/", with_order)


def test_open_questions(origin: Origin, chromium: Browser) -> None:
    for size in SIZES:
        visit(origin, chromium, *size, "/avg-callvoiptelefonie/#waar-en-hoe-lang")


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
