"""Every page, on a telephone and on a desk, light and dark: no fault for axe, no word on the console, nothing heavy, no
scroll sideways.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page

from ordering.order import State
from tests.support.site.document import pages
from tests.support.site.measure import Scheme, Visit, visit
from tests.support.site.origin import SALES, Origin, example
from tests.support.site.reader import Reader

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


def with_detail(page: Page) -> None:
    page.wait_for_selector("#node-part")


def with_plan_errors(page: Page) -> None:
    page.click("#order-form button[type=submit]")
    page.wait_for_selector("#error-summary")


def with_check(page: Page) -> None:
    for name, value in example().items():
        page.fill(f"#{name}", str(value))
    page.click("#order-form button[type=submit]")
    page.wait_for_selector("#check")


def with_cancel(page: Page) -> None:
    page.click("#cancel summary")


def with_selection(page: Page) -> None:
    with_orders(page)
    page.check(".select")


def with_confirmation(page: Page) -> None:
    with_order(page)
    page.fill("#reason", "Buiten ons gebied")
    page.click("#reject")
    page.wait_for_selector("#confirm[open]")


def with_keys(page: Page) -> None:
    with_orders(page)
    page.click("#keys-open")


def with_month(page: Page) -> None:
    page.wait_for_selector(".chart__bar")
    page.click("#month-figures summary")


def with_nodes(page: Page) -> None:
    page.click("[data-charts]")
    page.wait_for_selector("#node-metrics-view figure")


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
    origin: Origin,
    chromium: Browser,
    width: int,
    scheme: Scheme,
    address: str,
    prepare: Callable[[Page], None] | None = None,
) -> Visit:
    """Fail on any fault of a page."""
    seen = visit(chromium, origin.url + address, width=width, scheme=scheme, prepare=prepare)
    assert seen.faults == [], address
    return seen


@pytest.mark.parametrize(("width", "scheme"), SIZES)
@pytest.mark.promise("toegankelijk")
def test_every_static_page_is_without_fault_and_light(
    origin: Origin, chromium: Browser, width: int, scheme: Scheme
) -> None:
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
    check(origin, chromium, width, scheme, placed(origin, State.PENDING))
    check(origin, chromium, width, scheme, placed(origin), with_cancel)


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_step_of_checking_and_the_other_forms(
    origin: Origin, chromium: Browser, width: int, scheme: Scheme
) -> None:
    check(origin, chromium, width, scheme, "/versleutelde-telefoongesprekken/", with_check)
    for address in ("/nummer-aanvragen/", "/offerte-aanvragen/", "/verwerkersovereenkomst-aanvragen/"):
        check(origin, chromium, width, scheme, address, with_plan_errors)


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_console(origin: Origin, chromium: Browser, width: int, scheme: Scheme) -> None:
    placed(origin)
    node = {
        "id": "node-1",
        "state": "ready",
        "address": "203.0.113.7",
        "capacity": 500,
        "allocated": 21,
        "calls": 3,
        "registrations": 5,
    }
    origin.nodes = [{**node, "heartbeatAt": None}]
    measured = {"at": datetime.now(UTC).isoformat(), "values": {"calls": 3, "mos": 4.2, "memory_bytes": 9e7}}
    origin.samples["node-1"] = [measured]
    done = order_id(placed(origin, State.IN_PROGRESS, State.COMPLETED))
    placed(origin, State.IN_PROGRESS, State.HELD)
    origin.place(example(website="filled in"))
    for prepare in (with_orders, with_order, with_selection, with_confirmation, with_keys):
        check(origin, chromium, width, scheme, "/console/", prepare)
    check(origin, chromium, width, scheme, f"/console/?state=all&q=oven&order={done}", with_detail)
    check(origin, chromium, width, scheme, "/console/?view=overview", with_month)
    check(origin, chromium, width, scheme, "/console/?view=fleet", with_nodes)


def with_nothing(page: Page) -> None:
    page.wait_for_selector("#empty")


def with_no_nodes(page: Page) -> None:
    page.wait_for_selector("#nodes-empty")


def with_missing_reason(page: Page) -> None:
    with_order(page)
    page.click("#reject")
    page.wait_for_selector("#reason-error")


def with_problem(page: Page) -> None:
    page.wait_for_selector("#problem")


def with_no_network(page: Page) -> None:
    with_orders(page)
    page.context.set_offline(True)
    page.wait_for_selector("#refresh")
    page.context.set_offline(False)


def with_empty_month(page: Page) -> None:
    page.wait_for_selector("#month-empty")


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_console_with_nothing_to_show_or_something_wrong(
    origin: Origin, chromium: Browser, width: int, scheme: Scheme
) -> None:
    check(origin, chromium, width, scheme, "/console/?view=fleet", with_no_nodes)
    check(origin, chromium, width, scheme, "/console/", with_nothing)
    check(origin, chromium, width, scheme, "/console/?view=overview&month=2025-01", with_empty_month)
    check(origin, chromium, width, scheme, "/console/?state=all&category=quote&q=niets", with_nothing)
    placed(origin)
    check(origin, chromium, width, scheme, "/console/", with_missing_reason)
    check(origin, chromium, width, scheme, "/console/", with_no_network)
    seen = visit(chromium, f"{origin.url}/console/?order=ZZZZZZZZZZ", width=width, scheme=scheme, prepare=with_problem)
    assert [fault for fault in seen.faults if "status of 404" not in fault] == []


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_console_when_two_decide_at_once(origin: Origin, chromium: Browser, width: int, scheme: Scheme) -> None:
    order = order_id(placed(origin))

    def overtaken(page: Page) -> None:
        page.fill("#reason", "Wij leveren niet in dat gebied")
        page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
        origin.move(order, State.IN_PROGRESS, SALES)
        page.click("#reject")
        page.wait_for_selector("#changes")

    seen = visit(chromium, f"{origin.url}/console/?order={order}", width=width, scheme=scheme, prepare=overtaken)
    assert [fault for fault in seen.faults if "status of 409" not in fault] == []


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


def test_a_screen_reader_hears_what_a_page_shows(origin: Origin, page: Page) -> None:
    """Every stop has a name in its language, a wrong field says why, headings go down one level at a time, what happens is announced."""
    reader = Reader(page)
    faults: list[str] = []
    for address in ("/", "/hulp/", "/nummer-aanvragen/", "/zoeken/?q=srtp", "/en/", "/en/encrypted-calls-with-srtp/"):
        page.goto(origin.url + address)
        faults += reader.faults()
    page.goto(f"{origin.url}/versleutelde-telefoongesprekken/")
    with_errors(page)
    assert reader.here().name == "Er klopt iets nog niet"
    assert "Vul uw naam in" in reader.alerts()
    faults += reader.faults()
    page.focus("#phones")
    wrong = reader.here()
    assert wrong.states["invalid"] == "true" and "als getal" in wrong.description, wrong
    with_check(page)
    assert reader.here().role == "heading"
    faults += reader.faults()
    page.click("#place-order")
    page.wait_for_selector("#order-state")
    faults += reader.faults()
    page.goto(origin.url + placed(origin, State.IN_PROGRESS, State.COMPLETED))
    with_credentials(page)
    faults += reader.faults()
    page.goto(f"{origin.url}/console/")
    with_missing_reason(page)
    reason = reader.here()
    assert reason.states["invalid"] == "true" and "Vul" in reason.description, reason
    faults += reader.faults()
    assert faults == []
