"""The words that the law asks for stand where it asks for them.

Counsel reads them by the list in docs/compliance.md.
"""

import re
import tomllib
from pathlib import Path

import pytest

from media_node import config
from ordering import source
from shared import html
from tests.site.test_views import check_context
from tests.support.own_data import DATA
from tests.support.site.build import ROOT
from tests.support.site.document import pages

SRTP = "/versleutelde-telefoongesprekken/"
RETENTION = tomllib.loads((DATA / "retention.toml").read_text())


def text(site: Path, address: str) -> str:
    return pages(site)[address].text


@pytest.mark.promise("knop-betalen")
def test_the_button_says_that_it_costs_money(site: Path) -> None:
    kinds = tomllib.loads((ROOT / "site/data/order_kinds.toml").read_text())
    for kind in kinds.values():  # art. 6:230v lid 3 BW
        assert ("betalingsverplichting" in kind["button"]) is kind["paid"]
    check = (site / "views/check.j2").read_text()
    assert re.search(r'<button type="submit"[^>]*value="order"[^>]*>\{\{ kind\.button \}\}</button>', check)
    assert "Bestelling met betalingsverplichting" in text(site, SRTP)


def test_the_total_stands_at_the_button_without_and_with_vat(views: Path) -> None:
    check = html.render("check", **check_context())
    assert check.index("Per maand, excl. btw") < check.index("Per maand, incl. 21% btw") < check.index("place-order")
    english = html.render(
        "check", "en", **check_context()
    )  # the button says it in the language of the order: art. 8(2) Dir. 2011/83/EU
    assert (
        english.index("Per month, excl. VAT")
        < english.index("Per month, incl. 21% VAT")
        < english.index("Order with obligation to pay")
    )


@pytest.mark.promise("prijs-met-btw")
def test_no_amount_stands_without_its_vat_wording(site: Path) -> None:
    for address, document in pages(site).items():
        for amount in re.finditer(r"€ ?\d+[,.]\d\d", document.text):
            near = document.text[max(0, amount.start() - 500) : amount.end() + 160]
            assert re.search(r"btw|VAT", near), (address, near)


@pytest.mark.parametrize("address", ["/", SRTP, "/contact/", "/contractsamenvatting/", "/zoeken/", "/404.html"])
def test_who_the_provider_is_can_be_read_on_every_page(site: Path, address: str) -> None:
    brand = tomllib.loads((DATA / "brand.toml").read_text())
    told = text(site, address)  # art. 3:15d BW
    for key in ("legal_name", "kvk", "btw_id", "email", "telephone_display"):
        assert brand[key] in told, key
    assert brand["address"]["street"] in told and brand["address"]["city"] in told


def test_a_consumer_learns_how_to_withdraw_before_and_after_ordering(site: Path) -> None:
    told = text(site, "/herroepen/")  # art. 6:230o BW and the model form of its annex
    for words in (
        "veertien dagen",
        "geen reden",
        "Modelformulier voor herroeping",
        "herroep",
        "Bestelling intrekken",
        "terug",
        "info@example.nl",
    ):
        assert words in told, words
    for address in ("/", "/voorwaarden/", "/contractsamenvatting/", SRTP):
        assert "/herroepen/" in {link.attributes["href"] for link in pages(site)[address].all("a")}, address
    assert "intrekken" in (site / "views/order.j2").read_text()


def test_the_contract_summary_has_the_headings_of_the_regulation(site: Path) -> None:
    told = text(site, "/contractsamenvatting/")  # Regulation (EU) 2019/2243, annex
    headings = [
        "Diensten en apparatuur", "Internetsnelheid en rechtsmiddelen", "Prijs", "Duur, verlenging en beëindiging",
        "Functies voor eindgebruikers met een beperking", "Andere relevante informatie",
    ]  # fmt: skip
    places = [told.index(heading) for heading in headings]
    assert places == sorted(places)
    assert "€ 2,00" in told and "€ 2,42" in told and "maandelijks opzeggen" in told


def test_conditions_and_privacy_are_one_click_from_the_form(site: Path) -> None:
    links = {link.attributes["href"] for link in pages(site)[SRTP].all("a")}
    assert {"/voorwaarden/", "/privacy/", "/contractsamenvatting/"} <= links


def test_what_the_system_deletes_by_itself_it_deletes_when_the_page_says(site: Path) -> None:
    assert RETENTION["calls"]["days"] == int(re.findall(r'"cdr_days", (\d+)', Path(config.__file__).read_text())[0])
    assert RETENTION["abuse"]["days"] == source._REMEMBERED.days
    # What nodes and logs are told at the deploy comes from the table: tests/infra sees that it arrives.
    told = text(site, "/privacy/")
    for words in (
        "90 dagen na het gesprek",
        "14 dagen",
        "van 0 tot 365 dagen",
        "u kiest zelf",
        "3 maanden na opzegging",
    ):
        assert words in told, words


@pytest.mark.promise("geen-cookies")
def test_nothing_is_kept_in_the_visitors_browser(site: Path) -> None:
    """The page on cookies says so; the console of sales is the exception that it names."""
    for script in (site / "js").glob("*.js"):
        if not script.name.startswith("console"):
            assert not re.search(r"localStorage|sessionStorage|document\.cookie|indexedDB", script.read_text()), (
                script.name
            )
    assert "geen cookies" in text(site, "/cookies/")
