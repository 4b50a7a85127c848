"""Languages: no word is typed in a layout, every key has its translation, and the English page is English."""

import re
import tomllib
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.site.conftest import ROOT
from tests.site.document import pages
from tests.site.origin import Origin, example

I18N = ROOT / "site/i18n"
ENGLISH = "/en/encrypted-calls-with-srtp/"
DUTCH = "/versleutelde-telefoongesprekken/"


def words(language: str) -> dict[str, str]:
    return tomllib.loads((I18N / f"{language}.toml").read_text())


def asked_for() -> set[str]:
    """Every key that a layout or a script asks for by name."""
    texts = [file.read_text() for file in (ROOT / "site/layouts").rglob("*") if file.is_file()]
    named = {key for text in texts for key in re.findall(r'\bT "(\w+)"', text)}
    families = {"unit": ("phone", "number"), "period": ("month", "once"), "retention_by": ("system", "staff", "customer")}
    made = {f"{family}_{one}" for family, ones in families.items() for one in ones}
    scripts = tomllib.loads((ROOT / "site/data/scripts.toml").read_text())
    return named | made | {key for keys in scripts.values() for key in keys}


def test_every_key_that_is_asked_for_is_there_and_every_key_there_is_asked_for() -> None:
    assert set(words("nl")) == asked_for()


def test_the_translation_is_complete_and_fills_in_the_same() -> None:
    dutch, english = words("nl"), words("en")
    assert set(english) == set(dutch)
    for key, text in dutch.items():
        assert sorted(re.findall(r"\{\{?[^}]*\}", text)) == sorted(re.findall(r"\{\{?[^}]*\}", english[key])), key


def test_the_two_languages_of_a_page_point_at_each_other(site: Path) -> None:
    for address in (DUTCH, ENGLISH):
        document = pages(site)[address]
        alternates = {
            link.attributes["hreflang"]: link.attributes["href"] for link in document.all("link") if "hreflang" in link.attributes
        }
        assert {language: re.sub("^https://[^/]+", "", href) for language, href in alternates.items()} == {
            "nl": DUTCH, "en": ENGLISH, "x-default": DUTCH,
        }  # fmt: skip


def test_the_english_page_says_nothing_in_dutch(site: Path) -> None:
    document = pages(site)[ENGLISH]
    assert document.all("html")[0].attributes["lang"] == "en-GB"
    own = document.text
    for link in re.findall(r'<a [^>]*lang="nl-NL"[^>]*>(.*?)</a>', (site / ENGLISH.strip("/") / "index.html").read_text()):
        own = own.replace(re.sub("<[^>]+>", "", link), "")
    dutch = set(re.findall(r"[a-z]+", own.lower())) & {
        "de",
        "het",
        "een",
        "uw",
        "wij",
        "niet",
        "voor",
        "per maand",
        "btw",
        "telefoons",
        "vul",
        "naar",
    }
    assert dutch == set()


def test_both_tell_the_same_price(site: Path) -> None:
    assert "€ 2,00 excl. btw (€ 2,42 incl. btw)" in pages(site)[DUTCH].text
    assert "€2.00 excl. VAT (€2.42 incl. VAT)" in pages(site)[ENGLISH].text


@pytest.mark.needs("chromium")
def test_the_english_form_speaks_english_about_faults_and_prices(page: Page, origin: Origin) -> None:
    page.goto(origin.url + ENGLISH)
    page.click("#order-form button[type=submit]")
    expect(page.locator("#error-summary-title")).to_have_text("Something is not right yet")
    assert page.title().startswith("Error: ")
    page.fill("#phones", "5")
    expect(page.locator("#monthly-total")).to_contain_text("€10.00 per month, excl. VAT (€12.10 incl. 21% VAT)")
    for name, value in example(telephone="0000 000 000").items():
        page.fill(f"#{name}", str(value))
    page.click("#order-form button[type=submit]")
    expect(page.locator("#telephone-error")).to_contain_text("Fill in a telephone number like")  # which only the server knows


@pytest.mark.needs("chromium")
@pytest.mark.parametrize(
    ("address", "sum_of_seven", "sum_of_none"),
    [
        (DUTCH, "7 × € 2,00 = € 14,00 per maand excl. btw (€ 16,94 incl. btw)", "5 telefoons kosten"),
        (ENGLISH, "7 × €2.00 = €14.00", "5 telephones cost"),
    ],
)
def test_the_calculator_sums_in_the_language_of_the_page(
    page: Page, origin: Origin, address: str, sum_of_seven: str, sum_of_none: str
) -> None:
    page.goto(origin.url + address)
    page.fill("#calculator-count", "7")
    expect(page.locator("#calculator-sum")).to_contain_text(sum_of_seven)
    page.click(".calculator__order")
    expect(page.locator("#phones")).to_have_value("7")
    page.fill("#calculator-count", "")
    expect(page.locator("#calculator-sum")).to_contain_text(sum_of_none)


@pytest.mark.needs("chromium")
def test_the_price_rule_is_a_sentence_without_a_script(chromium: Browser, origin: Origin) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(origin.url + DUTCH)
    expect(page.locator("#calculator")).to_contain_text("5 telefoons kosten 5 × € 2,00 = € 10,00 per maand excl. btw (€ 12,10 incl. btw).")
    expect(page.locator("#calculator-count")).to_be_hidden()
    context.close()
