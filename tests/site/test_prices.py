"""What the pages say that something costs is what the catalogue says, by the functions' own arithmetic."""

from datetime import date
from pathlib import Path

from ordering import pricing
from shared import clock
from shared.html import euro
from tests.support.site.document import Document, pages, read
from tests.support.site.origin import prices


def today() -> date:
    return clock.local_day(clock.now())


def net(offering_id: str) -> int:
    return pricing.discounted(
        prices().offering(offering_id, today()).unit_price_cents, prices().promotion(offering_id, today())
    )


def gross(cents: int) -> int:
    return cents + pricing.percentage(cents, prices().vat_rate_percent(today()))


def said(cents: int) -> str:
    """As a page says it, with white space folded."""
    return euro(cents).replace("\u00a0", " ")


def page(site: Path, address: str) -> Document:
    return pages(site)[address]


def test_the_srtp_page_says_the_price_with_and_without_vat(site: Path) -> None:
    text = page(site, "/versleutelde-telefoongesprekken/").text
    assert f"{said(net('srtp'))} excl. btw ({said(gross(net('srtp')))} incl. btw) per telefoon per maand" in text
    assert said(net("srtp")) == "€ 2,00"


def test_the_form_computes_with_the_catalogue(site: Path) -> None:
    for document in (page(site, "/versleutelde-telefoongesprekken/"), read((site / "views/order-form.j2").read_text())):
        [form] = [form.attributes for form in document.all("form") if form.attributes.get("data-offering") == "srtp"]
        assert form["data-unit-cents"] == str(net("srtp"))
        assert form["data-vat-percent"] == str(prices().vat_rate_percent(today()))


def test_every_offering_stands_on_the_page_of_prices(site: Path) -> None:
    text = page(site, "/prijzen/").text
    for offering in prices().on_sale(today()):
        assert offering.name in text
        assert said(net(offering.id)) in text and said(gross(net(offering.id))) in text


def test_the_plans_cost_what_they_cost(site: Path) -> None:
    text = page(site, "/prijzen/").text
    for offering_id in ("unlimited-nl", "unlimited-eu"):
        assert f"{said(net(offering_id))} per maand, excl. btw" in text


def test_a_running_discount_is_told_with_its_last_day(site: Path) -> None:
    document = page(site, "/prijzen/")
    text = document.text
    promotion = prices().promotion("connection", today())
    full = prices().offering("connection", today()).unit_price_cents
    if promotion is None:
        assert f"Eenmalige aansluitkosten: {said(full)} excl. btw" in text
        return
    assert f"Tijdelijk {promotion.discount_percent}% korting op de aansluitkosten" in text
    assert f"geen {said(full)}, maar {said(net('connection'))} excl. btw" in text
    assert str(promotion.valid_until) in [time.attributes["datetime"] for time in document.all("time")]
    assert f"tot en met {promotion.valid_until.day} " in text


def test_no_price_is_typed_by_hand(site: Path) -> None:
    root = Path(__file__).parents[2]
    for file in [*(root / "content").rglob("*.md"), *(root / "site/layouts").rglob("*.html")]:
        lines = [
            line for line in file.read_text().splitlines() if "{{- /*" not in line and "catalogue.toml:" not in line
        ]
        assert not any("€" in line for line in lines), file
