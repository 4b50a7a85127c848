"""Ordering and searching with the keyboard alone, on a desk and at 400 % zoom (1280 by 1024 becomes 320 by 256 CSS
pixels).
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.support.site.origin import Origin, example
from tests.support.site.walk import Walk

pytestmark = pytest.mark.needs("chromium", "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")

SRTP = "/versleutelde-telefoongesprekken/"
NEXT = "#order-form button[type=submit]"


@pytest.fixture(params=[1, 4], ids=["desk", "zoom-400"])
def page(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Page]:
    """A screen of 1280 by 1024, at this zoom: Chromium's zoom is fewer CSS pixels, each made of more of the
    screen's.
    """
    viewport = ViewportSize(width=1280 // request.param, height=1024 // request.param)
    context = chromium.new_context(
        locale="nl-NL", viewport=viewport, device_scale_factor=request.param, reduced_motion="reduce"
    )
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.mark.promise("toetsenbord")
def test_an_order_with_the_keyboard_alone(page: Page, origin: Origin) -> None:
    walk = Walk(page)
    page.goto(origin.url)
    walk.press("Tab")
    assert walk.here().endswith("Naar de inhoud")
    page.keyboard.press("Enter")
    walk.arrives("main")
    walk.go(".hero__actions .button")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{SRTP}#bestellen")

    fields = {name: str(value) for name, value in example(phones="vijf").items() if value}
    for name, value in fields.items():
        walk.type(f"#{name}", value)
    walk.go("#note")
    walk.go("#phones", "Shift+Tab")
    walk.go(NEXT)
    page.keyboard.press("Enter")
    walk.arrives("#error-summary")
    walk.look()
    walk.go("#error-summary a")
    page.keyboard.press("Enter")
    walk.arrives("#phones")
    walk.look()
    walk.write("5")
    walk.go(NEXT)
    page.keyboard.press("Space")

    walk.arrives("#check-title")
    assert origin.posts == 0
    walk.go("#change-order")
    page.keyboard.press("Enter")
    walk.arrives("#company")
    walk.type("#phones", "6")
    page.keyboard.press("Enter")
    walk.arrives("#check-title")
    expect(page.locator("#check")).to_contain_text("€ 12,00")
    walk.go("#place-order")
    page.keyboard.press("Space")
    page.wait_for_url(re.compile("/bestelling/"))
    assert origin.posts == 1
    (placed,) = origin.orders.values()
    assert placed.related_party.company == fields["company"] and placed.quantity == 6

    walk.go("#cancel summary")
    page.keyboard.press("Space")
    walk.type("#cancel-reason", "Verkeerd aantal")
    walk.go("#cancel-order")
    page.keyboard.press("Enter")
    walk.arrives("#order-state")
    expect(page.locator("#order-state")).to_have_attribute("data-state", "cancelled")


def test_a_choice_is_made_with_the_arrows(page: Page, origin: Origin) -> None:
    walk = Walk(page)
    page.goto(f"{origin.url}/nummer-aanvragen/")
    walk.go("[name=offering]")
    assert walk.page.evaluate("document.activeElement.checked") is False
    page.keyboard.press("Space")
    expect(page.locator("[name=offering]").first).to_be_checked()
    walk.press("ArrowDown")
    expect(page.locator("[name=offering]").nth(1)).to_be_checked()
    walk.press("Tab")
    assert page.evaluate("document.activeElement.name") != "offering"  # a group is one stop
    walk.go(NEXT)
    page.keyboard.press("Enter")
    walk.arrives("#error-summary")
    for link in page.locator("#error-summary a").all():
        target = (link.get_attribute("href") or "").removeprefix("#")
        walk.press("Tab")
        page.keyboard.press("Enter")
        walk.arrives(f"[id='{target}']")
        walk.look()
        link.focus()


@pytest.mark.promise("toetsenbord")
def test_search_with_the_keyboard_alone(page: Page, origin: Origin) -> None:
    walk = Walk(page)
    page.goto(origin.url)
    walk.go("nav a[href='/zoeken/']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/zoeken/")
    walk.type("#search-query", "srtp")
    page.keyboard.press("Enter")
    expect(page.locator(".results__title a").first).to_have_attribute("href", SRTP)
    walk.press("ArrowDown")
    walk.arrives(".results__title a >> nth=0")
    walk.press("ArrowDown")
    walk.arrives(".results__title a >> nth=1")
    walk.press("ArrowUp")
    walk.press("ArrowUp")
    walk.arrives("#search-query")
    walk.go("#search-form button")
    for _ in range(page.locator(".results a").count()):
        walk.press("Tab")
    walk.go(".all-pages a")
    walk.go("#search-query", "Shift+Tab")
    walk.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{SRTP}")
    page.go_back()
    expect(page.locator("#search-query")).to_have_value("srtp")
    expect(page.locator(".results__title a").first).to_be_visible()


def test_every_stop_of_the_longest_pages_is_seen(page: Page, origin: Origin) -> None:
    for address in (SRTP, "/avg-callvoiptelefonie/", "/prijzen/"):
        page.goto(origin.url + address)
        walk = Walk(page)
        for _ in range(
            page.locator("main :is(a, button, input, textarea, summary, [tabindex='0']):visible").count() + 5
        ):
            walk.press("Tab")
