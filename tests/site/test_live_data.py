"""The live catalogue, brand and retention table have the shape that the code reads; what they say is theirs to change."""

import tomllib
from datetime import date

from callvoip.texts.check import texts
from ordering import catalogue
from tests.support.own_data import LIVE, OWN, ROOT


def test_the_catalogue_can_be_read_and_sells_what_the_forms_offer() -> None:
    document = tomllib.loads((LIVE / "catalogue.toml").read_text())
    read = catalogue.parse(document)
    today = date.today()
    for offering in ("tls", "srtp", "unlimited-nl", "unlimited-eu", "connection"):
        assert read.offering(offering, today).unit_price_cents >= 0
    assert 0 <= read.vat_rate_percent(today) <= 100
    versions = [(one["id"], one["version"]) for one in document["offering"]]
    assert len(versions) == len(set(versions))


def test_the_tests_own_files_have_the_keys_of_the_live_ones() -> None:
    for own in OWN.glob("*.toml"):
        mine, live = (tomllib.loads(file.read_text()) for file in (own, LIVE / own.name))
        assert mine.keys() <= live.keys() | {"promotion"}, own.name


def test_the_live_texts_may_be_published() -> None:
    assert [str(slip) for slip in texts(ROOT).slips] == []
