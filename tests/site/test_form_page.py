"""The order form as a visitor meets it: with JavaScript, without it, and when things go wrong."""

import re

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.site.origin import Origin, example

pytestmark = pytest.mark.needs("chromium")

SRTP = "/versleutelde-telefoongesprekken/"


def fill(page: Page, **changes: object) -> None:
    for name, value in example(**changes).items():
        page.fill(f"#{name}", str(value))


def send(page: Page) -> None:
    page.click("#order-form button[type=submit]")


def test_the_visitor_sees_the_price_before_ordering(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    output = page.locator("#monthly-total")
    expect(output).to_contain_text("€ 2,00 per telefoon per maand, excl. btw")
    page.fill("#phones", "5")
    expect(output).to_contain_text("€ 10,00 per maand, excl. btw (€ 12,10 incl. 21% btw)")
    page.fill("#phones", "501")
    expect(output).to_contain_text("€ 2,00 per telefoon per maand")
    page.fill("#phones", "0")
    expect(output).to_contain_text("€ 2,00 per telefoon per maand")


def test_an_order_leads_to_its_own_page(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)
    send(page)
    page.wait_for_url(re.compile(r"/bestelling/[0-9A-Z]{10}\?token="))
    expect(page.locator("#order-state")).to_have_attribute("data-state", "acknowledged")
    expect(page.locator("main")).to_contain_text("€ 10,00")
    assert origin.posts == 1


def test_an_empty_form_gets_a_focused_summary_and_nothing_is_sent(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    send(page)
    expect(page.locator("#error-summary")).to_be_focused()
    assert page.title().startswith("Fout: ")
    links = page.locator("#error-summary a")
    assert links.all_inner_texts() == [
        "Vul de naam van uw bedrijf in",
        "Vul uw naam in",
        "Vul uw e-mailadres in",
        "Vul uw telefoonnummer in",
        "Vul in hoeveel telefoons u hebt",
    ]
    for field in ("company", "name", "email", "telephone", "phones"):
        expect(page.locator(f"#{field}")).to_have_attribute("aria-invalid", "true")
        expect(page.locator(f"#{field}-error")).to_be_visible()
    links.nth(2).click()
    expect(page.locator("#email")).to_be_focused()
    assert origin.posts == 0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("phones", "0", "U bestelt voor minstens 1 telefoon"),
        ("phones", "-1", "U bestelt voor minstens 1 telefoon"),
        ("phones", "1e9", "Vul het aantal telefoons in als getal, zoals 5"),
        ("phones", "vijf", "Vul het aantal telefoons in als getal, zoals 5"),
        ("phones", "1000000000", "Tot en met 500 telefoons bestelt u hier; bel ons voor meer"),
        ("company", "x" * 300, "De bedrijfsnaam mag hoogstens 100 tekens lang zijn"),
        ("email", "bakker.example.nl", "Vul een e-mailadres in zoals naam@example.nl"),
    ],
)
def test_a_wrong_value_is_told_in_the_same_words_twice(page: Page, origin: Origin, field: str, value: str, message: str) -> None:
    page.goto(origin.url + SRTP)
    fill(page, **{field: value})
    send(page)
    assert page.locator("#error-summary a").all_inner_texts() == [message]
    expect(page.locator(f"#{field}-error")).to_have_text(message)
    expect(page.locator(f"#{field}")).to_have_value(value)
    assert origin.posts == 0


def test_a_mended_form_loses_its_errors(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    send(page)
    fill(page)
    send(page)
    page.wait_for_url("**/bestelling/**")
    assert not page.title().startswith("Fout: ")


def test_what_only_the_server_knows_is_told_at_the_field(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page, telephone="0000 000 000")
    send(page)
    expect(page.locator("#telephone-error")).to_contain_text("Vul een telefoonnummer in zoals")
    expect(page.locator("#error-summary")).to_be_focused()
    assert origin.posts == 1 and not origin.orders


def test_a_double_click_orders_once(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)
    page.dblclick("#order-form button[type=submit]")
    page.wait_for_url("**/bestelling/**")
    assert origin.posts == 1 and len(origin.orders) == 1


def test_a_lost_answer_keeps_what_was_typed_and_orders_once(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)

    def lose(route: Route) -> None:
        route.fetch()  # the order arrives, its answer does not
        route.abort("connectionreset")

    page.route("**/api/orders", lose)
    send(page)
    expect(page.locator("#error-summary")).to_contain_text("Geen verbinding")
    expect(page.locator("#error-summary")).to_contain_text("Alles wat u hebt ingevuld, staat er nog")
    expect(page.locator("#company")).to_have_value("Bakkerij De Oven")
    page.unroute("**/api/orders")
    send(page)
    page.wait_for_url("**/bestelling/**")
    assert origin.posts == 2 and len(origin.orders) == 1


def test_a_price_that_changed_is_shown_before_ordering_again(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    origin.price_offset_cents = 50
    fill(page)
    send(page)
    expect(page.locator("#error-summary")).to_contain_text("€ 12,50")
    expect(page.locator("#monthly-total")).to_contain_text("€ 12,50 per maand")
    assert not origin.orders
    send(page)
    page.wait_for_url("**/bestelling/**")
    expect(page.locator("main")).to_contain_text("€ 12,50")


def test_coming_back_from_the_order_does_not_order_again(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)
    send(page)
    page.wait_for_url("**/bestelling/**")
    page.go_back()
    expect(page.locator("#form-status")).to_be_empty()
    assert len(origin.orders) == 1


def test_the_form_can_be_filled_in_with_the_keyboard_alone(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    page.focus("#company")
    for value in example().values():
        page.keyboard.type(str(value))
        page.keyboard.press("Tab")
    for _ in range(3):  # terms, privacy, button
        if page.evaluate("document.activeElement.type") == "submit":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/bestelling/**")


@pytest.fixture
def plain(chromium: Browser) -> Page:
    """A page without JavaScript."""
    return chromium.new_context(java_script_enabled=False, locale="nl-NL").new_page()


def test_without_javascript_an_order_leads_to_its_own_page(plain: Page, origin: Origin) -> None:
    plain.goto(origin.url + SRTP)
    fill(plain)
    send(plain)
    plain.wait_for_url("**/bestelling/**")
    expect(plain.locator("#order-state")).to_have_text("Ontvangen")


def test_without_javascript_a_wrong_form_comes_back_with_its_answers(plain: Page, origin: Origin) -> None:
    plain.goto(origin.url + SRTP)
    fill(plain, phones="vijf", note="Regel 1\nRegel 2")
    send(plain)
    expect(plain.locator("#error-summary a")).to_have_text("Vul het aantal telefoons in als getal, zoals 5")
    assert plain.title().startswith("Fout: ")
    expect(plain.locator("#company")).to_have_value("Bakkerij De Oven")
    expect(plain.locator("#note")).to_have_value("Regel 1\nRegel 2")
    plain.fill("#phones", "5")
    send(plain)
    plain.wait_for_url("**/bestelling/**")
    assert len(origin.orders) == 1
