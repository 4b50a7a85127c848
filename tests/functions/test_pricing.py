"""ordering.catalogue and ordering.pricing: cents, versions and promotions."""

import tomllib
from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordering import catalogue as catalogues
from ordering import pricing
from ordering.catalogue import Catalogue, Offering, Promotion, UnknownOfferingError, VatRate
from tests.support.own_data import DATA

DOCUMENT = tomllib.loads((DATA / "catalogue.toml").read_text())
CATALOGUE = catalogues.parse(DOCUMENT)
TODAY = date(2026, 11, 21)

days = st.dates(date(2026, 1, 1), date(2030, 1, 1))
cents = st.integers(0, 10**7)
percents = st.integers(0, 100)
quantities = st.integers(1, 10**4)


def offering(version: int, valid_from: date, price: int) -> Offering:
    return Offering("srtp", version, valid_from, "SRTP", "phone", "month", price)


def test_five_phones_cost_ten_euro_a_month() -> None:
    price = pricing.price(CATALOGUE, [("srtp", 5)], TODAY)
    assert price.monthly_total_cents == 1000
    assert price.monthly_total_incl_vat_cents == 1210
    assert price.one_time_total_cents == 0


def test_tls_costs_nothing() -> None:
    assert pricing.price(CATALOGUE, [("tls", 5), ("srtp", 5)], TODAY).monthly_total_cents == 1000


def test_the_connection_is_half_price_up_to_and_including_the_last_day() -> None:
    def once(day: date) -> int:
        return pricing.price(CATALOGUE, [("connection", 1)], day).one_time_total_cents

    assert [once(day) for day in (date(2026, 12, 31), date(2027, 1, 1))] == [2500, 5000]


@given(quantities, quantities, days)
def test_more_phones_cost_proportionally_more(some: int, more: int, day: date) -> None:
    def total(quantity: int) -> int:
        return pricing.price(CATALOGUE, [("srtp", quantity)], day).monthly_total_cents

    assert total(some) + total(more) == total(some + more)


@given(cents, percents)
def test_a_percentage_is_the_nearest_cent(amount: int, percent: int) -> None:
    assert abs(pricing.percentage(amount, percent) - Fraction(amount * percent, 100)) <= Fraction(1, 2)


@given(cents, percents)
def test_a_discount_never_raises_a_price_nor_makes_it_negative(amount: int, percent: int) -> None:
    promotion = Promotion("p", "srtp", percent, TODAY, TODAY)
    assert 0 <= pricing.discounted(amount, promotion) <= amount


@given(st.lists(st.tuples(days, cents), min_size=1, max_size=6), days)
def test_the_newest_valid_version_is_on_sale(versions: list[tuple[date, int]], day: date) -> None:
    offerings = tuple(offering(number, start, price) for number, (start, price) in enumerate(versions, 1))
    catalogue = Catalogue("EUR", offerings, (), (VatRate(21, date.min),))
    valid = [o for o in offerings if o.valid_from <= day]
    if not valid:
        with pytest.raises(UnknownOfferingError):
            catalogue.offering("srtp", day)
        return
    chosen = catalogue.offering("srtp", day)
    assert chosen.valid_from == max(o.valid_from for o in valid)
    assert catalogue.on_sale(day) == (chosen,)


@given(cents, cents, quantities)
def test_a_new_version_leaves_a_priced_order_alone(old: int, new: int, quantity: int) -> None:
    vat = (VatRate(21, date.min),)
    before = pricing.price(Catalogue("EUR", (offering(1, TODAY, old),), (), vat), [("srtp", quantity)], TODAY)
    versions = (offering(1, TODAY, old), offering(2, TODAY + timedelta(days=1), new))
    changed = Catalogue("EUR", versions, (), vat)
    assert pricing.price(changed, [("srtp", quantity)], TODAY) == before
    assert pricing.price(changed, [("srtp", quantity)], TODAY + timedelta(days=1)).monthly_total_cents == new * quantity


@pytest.mark.parametrize("quantity", [0, -1])
def test_nothing_cannot_be_priced(quantity: int) -> None:
    with pytest.raises(ValueError, match=str(quantity)):
        pricing.price(CATALOGUE, [("srtp", quantity)], TODAY)


def test_the_rate_of_vat_follows_the_day() -> None:
    catalogue = Catalogue("EUR", (), (), (VatRate(21, date(2012, 10, 1)), VatRate(23, date(2027, 1, 1))))
    assert [catalogue.vat_rate_percent(day) for day in (TODAY, date(2027, 1, 1))] == [21, 23]
    with pytest.raises(LookupError):
        catalogue.vat_rate_percent(date(2012, 9, 30))


@pytest.mark.parametrize(
    "change",
    [
        {"offering": DOCUMENT["offering"] * 2},
        {"offering": [{**DOCUMENT["offering"][0], "unit_price_cents": -1}]},
        {"promotion": [{**DOCUMENT["promotion"][0], "offering": "fax"}]},
        {"promotion": [{**DOCUMENT["promotion"][0], "discount_percent": 101}]},
        {"promotion": [{**DOCUMENT["promotion"][0], "valid_until": date(2025, 1, 1)}]},
    ],
)
def test_a_wrong_catalogue_is_refused(change) -> None:
    with pytest.raises(ValueError, match=r"offering|promotion"):
        catalogues.parse({**DOCUMENT, **change})
