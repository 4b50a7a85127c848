"""The order form as a visitor meets it: with JavaScript, without it, and when things go wrong."""

import base64
import json
import re

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.site.build import sizes
from tests.support.site.origin import Origin, example

pytestmark = pytest.mark.needs("chromium")

SRTP = "/versleutelde-telefoongesprekken/"


def fill(page: Page, **changes: object) -> None:
    for name, value in example(**changes).items():
        page.fill(f"#{name}", str(value))


def send(page: Page) -> None:
    """Ask for the step in which the answers are checked."""
    page.click("#order-form button[type=submit]")


def place(page: Page) -> None:
    """Order, in the step in which the answers are checked."""
    expect(page.locator("#check-title")).to_be_visible()
    page.click("#place-order")


def order(page: Page) -> None:
    """Both."""
    send(page)
    place(page)


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


@sizes
def test_an_order_leads_to_its_own_page(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)
    order(page)
    page.wait_for_url(re.compile(r"/bestelling/[0-9A-Z]{10}\?token="))
    expect(page.locator("#order-state")).to_have_attribute("data-state", "acknowledged")
    expect(page.locator("main")).to_contain_text("€ 10,00")
    assert origin.posts == 1


@sizes
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
def test_a_wrong_value_is_told_in_the_same_words_twice(
    page: Page, origin: Origin, field: str, value: str, message: str
) -> None:
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
    order(page)
    page.wait_for_url("**/bestelling/**")
    assert not page.title().startswith("Fout: ")


def test_what_only_the_server_knows_is_told_at_the_field(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page, telephone="0000 000 000")
    send(page)
    expect(page.locator("#telephone-error")).to_contain_text("Vul een telefoonnummer in zoals")
    expect(page.locator("#error-summary")).to_be_focused()
    assert origin.posts == 0 and not origin.orders


def test_a_double_click_orders_once(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)
    page.dblclick("#order-form button[type=submit]")
    expect(page.locator("#check")).to_have_count(1)
    page.dblclick("#place-order")
    page.wait_for_url("**/bestelling/**")
    assert origin.posts == 1 and len(origin.orders) == 1


def test_a_lost_answer_keeps_what_was_typed_and_orders_once(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)

    def lose(route: Route) -> None:
        route.fetch()  # the order arrives, its answer does not
        route.abort("connectionreset")

    page.route("**/api/orders", lambda route: route.abort("connectionreset"))
    send(page)
    expect(page.locator("#error-summary")).to_contain_text("Geen verbinding")
    expect(page.locator("#error-summary")).to_contain_text("Alles wat u hebt ingevuld, staat er nog")
    expect(page.locator("#company")).to_have_value("Bakkerij De Oven")
    page.unroute("**/api/orders")
    send(page)
    expect(page.locator("#check")).to_be_visible()
    page.route("**/api/orders", lose)
    place(page)
    expect(page.locator("#check-problem")).to_contain_text("Geen verbinding")
    page.unroute("**/api/orders")
    place(page)
    page.wait_for_url("**/bestelling/**")
    assert origin.posts == 2 and len(origin.orders) == 1


def test_a_price_that_changed_is_shown_before_ordering_again(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)
    send(page)
    expect(page.locator("#check")).to_contain_text("€ 10,00")
    origin.price_offset_cents = 50
    place(page)
    expect(page.locator("#check-problem")).to_contain_text("€ 12,50")
    expect(page.locator("#check .bill__total")).to_contain_text("€ 12,50")
    assert not origin.orders
    place(page)
    page.wait_for_url("**/bestelling/**")
    expect(page.locator("main")).to_contain_text("€ 12,50")


@sizes
def test_the_answers_are_shown_before_ordering_and_can_be_changed(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page, telephone="085-555 01 00", note="Regel 1\nRegel 2")
    send(page)
    expect(page.locator("#check-title")).to_be_focused()
    expect(page.locator("#order-form")).to_be_hidden()
    said = page.inner_text("#check").replace("\u00a0", " ")
    for answer in ("Bakkerij De Oven", "+31855550100", "Regel 1\nRegel 2", "€ 10,00", "€ 12,10", "nog niet verstuurd"):
        assert answer in said
    page.click("#change-order")
    expect(page.locator("#check")).to_have_count(0)
    expect(page.locator("#company")).to_be_focused()
    expect(page.locator("#telephone")).to_have_value("085-555 01 00")
    page.fill("#phones", "7")
    order(page)
    page.wait_for_url("**/bestelling/**")
    expect(page.locator("main")).to_contain_text("€ 14,00")
    assert not origin.forms[0].get("website")


def test_back_from_the_check_step_is_the_form(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)
    send(page)
    expect(page.locator("#check")).to_be_visible()
    page.go_back()
    expect(page.locator("#order-form")).to_be_visible()
    expect(page.locator("#company")).to_have_value("Bakkerij De Oven")
    assert origin.posts == 0


def test_coming_back_from_the_order_does_not_order_again(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)
    order(page)
    page.wait_for_url("**/bestelling/**")
    page.go_back()
    expect(page.locator("#form-status")).to_be_empty()
    assert len(origin.orders) == 1


@sizes
def test_a_second_open_order_is_told_to_be_there(page: Page, origin: Origin) -> None:
    origin.place(example())
    page.goto(origin.url + SRTP)
    fill(page)
    order(page)
    expect(page.locator("#check-problem")).to_contain_text("U hebt al een bestelling van SRTP")
    assert len(origin.orders) == 1


def test_the_work_is_proven_by_the_time_of_ordering(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)
    order(page)
    page.wait_for_url("**/bestelling/**")
    proof = json.loads(base64.b64decode(str(origin.forms[0]["altcha"])))
    assert proof["number"] == origin.difficulty and proof["signature"] == "signed"


@pytest.mark.parametrize("difficulty", [None, 10**12])
def test_nobody_is_kept_waiting_for_a_proof_of_work(page: Page, origin: Origin, difficulty: int | None) -> None:
    origin.difficulty = difficulty
    page.goto(origin.url + SRTP)
    fill(page)
    order(page)
    page.wait_for_url("**/bestelling/**", timeout=8000)
    assert origin.forms[0]["altcha"] == ""


def test_the_trap_is_seen_by_programs_only(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    expect(page.locator("#website")).to_be_hidden()
    assert page.get_by_role("textbox", name="Laat dit veld leeg").count() == 0


def test_the_form_can_be_filled_in_with_the_keyboard_alone(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    page.focus("#company")
    for name, value in example().items():
        if name == "kvk":
            page.keyboard.press("Tab")  # the country is chosen already
        page.keyboard.type(str(value))
        page.keyboard.press("Tab")
    for _ in range(14):  # addresses, at once, note, terms, privacy, button
        if page.evaluate("document.activeElement.type") == "submit":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#check-title")).to_be_focused()
    for _ in range(4):  # summary of the contract, terms, privacy, button
        page.keyboard.press("Tab")
    expect(page.locator("#place-order")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/bestelling/**")


PLAN = {
    "company": "Bakkerij De Oven",
    "name": "A. Bakker",
    "email": "bakker@example.nl",
    "telephone": "+31 85 555 01 00",
}


def fill_in_plan(page: Page) -> None:
    page.check("[name=offering][value=unlimited-eu]")
    page.check("[name=country][value=be]")
    page.check("[name=porting][value=yes]")
    for name, value in PLAN.items():
        page.fill(f"#{name}", value)


@sizes
def test_a_plan_asks_for_the_number_that_is_taken_along_and_names_both_prices(page: Page, origin: Origin) -> None:
    page.goto(f"{origin.url}/nummer-aanvragen/")
    send(page)
    expect(page.locator("#error-summary a").first).to_have_text("Kies een abonnement")
    page.locator("#error-summary a").first.click()
    expect(page.locator("[name=offering]").first).to_be_focused()
    expect(page.locator("#offering-group")).to_have_attribute("aria-invalid", "true")
    fill_in_plan(page)
    expect(page.locator("#monthly-total")).to_contain_text("€ 28,00 per maand")
    send(page)
    expect(page.locator("#portingNumber-error")).to_have_text("Vul het nummer in dat u meeneemt")
    page.fill("#portingNumber", "+31 20 555 01 00")
    send(page)
    expect(page.locator("#portingNumber-error")).to_contain_text("Dit nummer is van een ander land dan u koos")
    page.fill("#portingNumber", "+32 3 555 01 00")
    send(page)
    expect(page.locator("#check .bill")).to_contain_text("€ 28,00")
    expect(page.locator("#check .bill")).to_contain_text("Eenmalig, excl. btw")
    expect(page.locator("#check > .facts")).to_contain_text("België")
    place(page)
    page.wait_for_url("**/bestelling/**")
    expect(page.locator("h1")).to_have_text("Uw bestelling van een belplan")
    expect(page.locator("main")).to_contain_text("€ 28,00")


@sizes
def test_a_quote_costs_nothing_and_says_so(page: Page, origin: Origin) -> None:
    page.goto(f"{origin.url}/offerte-aanvragen/")
    for name, value in {**PLAN, "subject": "Vijf vestigingen", "text": "Wij verhuizen."}.items():
        page.fill(f"#{name}", value)
    send(page)
    expect(page.locator("#check")).to_contain_text("Deze aanvraag kost niets")
    expect(page.locator("#place-order")).to_have_text("Aanvraag versturen")
    place(page)
    page.wait_for_url("**/bestelling/**")
    expect(page.locator("h1")).to_have_text("Uw aanvraag van een offerte")
    assert origin.forms[0]["subject"] == "Vijf vestigingen"


@sizes
def test_a_processing_agreement_is_asked_for_by_who_may(page: Page, origin: Origin) -> None:
    page.goto(f"{origin.url}/verwerkersovereenkomst-aanvragen/")
    for name, value in {**PLAN, "kvk": "12345678"}.items():
        page.fill(f"#{name}", value)
    send(page)
    expect(page.locator("#authorised-error")).to_be_visible()
    page.check("#authorised")
    order(page)
    page.wait_for_url("**/bestelling/**")
    assert origin.forms[0]["authorised"] == "yes"


@pytest.fixture
def plain(chromium: Browser) -> Page:
    """A page without JavaScript."""
    return chromium.new_context(java_script_enabled=False, locale="nl-NL").new_page()


@pytest.mark.promise("zonder-javascript")
def test_without_javascript_an_order_leads_to_its_own_page(plain: Page, origin: Origin) -> None:
    plain.goto(origin.url + SRTP)
    fill(plain)
    order(plain)
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
    plain.click("#change-order")
    expect(plain.locator("#note")).to_have_value("Regel 1\nRegel 2")
    plain.fill("#phones", "6")
    order(plain)
    plain.wait_for_url("**/bestelling/**")
    expect(plain.locator("main")).to_contain_text("€ 12,00")
    assert len(origin.orders) == 1


def test_without_javascript_the_check_step_sends_its_order_once(plain: Page, origin: Origin) -> None:
    plain.goto(origin.url + SRTP)
    fill(plain)
    send(plain)
    assert plain.get_attribute("[name=idempotencyKey]", "value")
    place(plain)
    plain.wait_for_url("**/bestelling/**")
    plain.go_back()  # the browser shows the check step again
    place(plain)
    plain.wait_for_url("**/bestelling/**")
    assert origin.posts == 2 and len(origin.orders) == 1


def test_without_javascript_a_choice_comes_back_as_it_was(plain: Page, origin: Origin) -> None:
    plain.goto(f"{origin.url}/nummer-aanvragen/")
    fill_in_plan(plain)
    send(plain)
    expect(plain.locator("#error-summary a")).to_have_text("Vul het nummer in dat u meeneemt")
    expect(plain.locator("[name=country][value=be]")).to_be_checked()
    plain.check("[name=porting][value=no]")
    plain.fill("#areaCode", "03")
    order(plain)
    plain.wait_for_url("**/bestelling/**")


def test_the_button_of_a_plan_chooses_that_plan(page: Page, origin: Origin) -> None:
    for plan, other in (("unlimited-nl", "unlimited-eu"), ("unlimited-eu", "unlimited-nl")):
        page.goto(f"{origin.url}/prijzen/")
        page.click(f"section[aria-labelledby=plan-{plan}] a")
        expect(page.locator(f"[name=offering][value={plan}]")).to_be_checked()
        expect(page.locator(f"[name=offering][value={other}]")).not_to_be_checked()
        expect(page.locator("#monthly-total")).to_contain_text("per maand, excl. btw")


def test_the_button_of_a_plan_chooses_that_plan_without_a_script(chromium: Browser, origin: Origin) -> None:
    page = chromium.new_context(java_script_enabled=False, locale="nl-NL").new_page()
    page.goto(f"{origin.url}/prijzen/")
    plan = page.locator("section[aria-labelledby=plan-unlimited-eu]")
    expect(plan.locator("a.button")).to_be_hidden()
    plan.locator("button").click()
    expect(page.locator("[name=offering][value=unlimited-eu]")).to_be_checked()
    expect(page.locator("[name=offering][value=unlimited-nl]")).not_to_be_checked()
    expect(page.locator("#error-summary")).to_be_hidden()
    page.context.close()


def test_an_address_fills_in_only_what_the_form_offers(page: Page, origin: Origin) -> None:
    page.goto(f"{origin.url}/nummer-aanvragen/?offering=gratis&company=Vreemd&note=x&porting=yes")
    expect(page.locator("[name=offering]:checked")).to_have_count(0)
    expect(page.locator("#company")).to_have_value("")
    expect(page.locator("[name=porting][value=yes]")).to_be_checked()


def test_a_reload_in_the_check_step_loses_nothing(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page, company="Café De Oven")
    send(page)
    expect(page.locator("#check-title")).to_be_visible()
    key = page.get_attribute("#check-form [name=idempotencyKey]", "value")
    page.reload()
    expect(page.locator("#check > .facts")).to_contain_text("Café De Oven")
    assert page.get_attribute("#check-form [name=idempotencyKey]", "value") == key
    page.click("#change-order")
    expect(page.locator("#company")).to_have_value("Café De Oven")


def test_back_from_the_order_and_ordering_again_is_one_order(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)
    order(page)
    page.wait_for_url("**/bestelling/**")
    first = page.url.partition("?")[0]
    page.go_back()
    expect(page.locator("#check-title")).to_be_visible()
    page.click("#place-order")
    page.wait_for_url("**/bestelling/**")
    assert page.url.partition("?")[0] == first
    assert len(origin.orders) == 1


def test_what_the_other_answers_leave_nothing_to_ask_about_is_not_asked(page: Page, origin: Origin) -> None:
    page.goto(f"{origin.url}/nummer-aanvragen/")
    page.check("[name=porting][value=yes]")
    expect(page.locator("#areaCode")).to_be_hidden()
    expect(page.locator("#portingNumber")).to_be_visible()
    page.check("[name=porting][value=no]")
    expect(page.locator("#areaCode")).to_be_visible()
    expect(page.locator("#portingNumber")).to_be_hidden()


def test_the_summary_of_the_contract_stands_before_the_button(page: Page, origin: Origin) -> None:
    page.goto(origin.url + SRTP)
    fill(page)
    send(page)
    expect(page.locator("#place-order")).to_be_visible()
    assert page.evaluate(
        "Boolean(document.querySelector('#contract-summary').compareDocumentPosition(document.querySelector('#place-order'))"
        " & Node.DOCUMENT_POSITION_FOLLOWING)"
    )
    page.click("#contract-summary > summary")
    expect(page.locator("#contract-summary")).to_contain_text("Duur, verlenging en beëindiging")
    expect(page.locator("#check [aria-current=step]")).to_have_text("Controleren")
    expect(page).to_have_title(re.compile("Controleer"))
