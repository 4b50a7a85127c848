"""ordering.prices_api and ordering.catalogue_loader on AWS's DynamoDB Local."""

import importlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ordering.catalogue_store import ChangedOfferingError
from shared import clock, dynamodb, settings
from tests.support.own_data import DATA

pytestmark = pytest.mark.needs("java")

CATALOGUE = DATA / "catalogue.toml"


def load(directory: Path, text: str, monkeypatch: pytest.MonkeyPatch, context) -> dict[str, int]:
    (directory / "catalogue.toml").write_text(text)
    monkeypatch.setenv("DATA_DIR", str(directory))
    settings.data_directory.cache_clear()
    result: dict[str, int] = importlib.import_module("ordering.catalogue_loader").handler({}, context)
    return result


def offered(api, offering_id: str):
    return next(offering for offering in api.get("/api/prices").json["offerings"] if offering["id"] == offering_id)


def test_prices_of_today_are_told_to_everyone(api, monkeypatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 21, tzinfo=UTC))
    answer = api.get("/api/prices")
    assert (answer.status, answer.headers["cache-control"]) == (200, "public, max-age=60")
    assert (answer.json["currency"], answer.json["vatRatePercent"]) == ("EUR", 21)
    assert offered(api, "srtp") == {
        "id": "srtp",
        "version": 1,
        "name": "SRTP: versleutelde gesprekken",
        "unit": "phone",
        "period": "month",
        "unitPriceCents": 200,
    }
    assert offered(api, "connection")["promotion"] == {
        "id": "half-price-connection",
        "discountPercent": 50,
        "validUntil": "2026-12-31",
        "unitPriceCents": 2500,
    }


@pytest.mark.parametrize(("moment", "promoted"), [("2026-12-31T22:59:59Z", True), ("2026-12-31T23:00:00Z", False)])
def test_a_promotion_ends_at_midnight_in_the_netherlands(api, monkeypatch, moment: str, promoted: bool) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime.fromisoformat(moment))
    assert ("promotion" in offered(api, "connection")) is promoted


def test_loading_again_changes_nothing(api, context) -> None:
    def kept() -> list[str]:
        items = dynamodb.client().scan(TableName=settings.catalogue_table())["Items"]
        return sorted(json.dumps(item, sort_keys=True) for item in items)

    before = kept()
    result = importlib.import_module("ordering.catalogue_loader").handler({}, context)
    assert result == {"offerings": 5, "promotions": 1, "vat": 1}
    assert kept() == before


def test_a_new_version_is_sold_from_its_day_and_leaves_orders_alone(api, tmp_path, monkeypatch, context) -> None:
    fields = {
        "company": "Jansen",
        "name": "Jansen",
        "email": "jansen@example.nl",
        "telephone": "0851234567",
        "phones": "5",
    }
    order = api.post("/api/orders", json_body=fields).json
    version = '\n[[offering]]\nid = "srtp"\nversion = 2\nvalid_from = 2026-02-01\nname = "SRTP"\nunit = "phone"\nperiod = "month"\n'
    load(tmp_path, CATALOGUE.read_text() + version + "unit_price_cents = 250\n", monkeypatch, context)
    assert (offered(api, "srtp")["version"], offered(api, "srtp")["unitPriceCents"]) == (2, 250)
    monkeypatch.setenv("DATA_DIR", str(CATALOGUE.parent))
    settings.data_directory.cache_clear()
    seen = api.get(f"/api/orders/{order['id']}?token={order['token']}").json
    assert (seen["monthlyTotalCents"], seen["productOrderItem"][0]["productOffering"]["version"]) == (1000, 1)


def test_a_price_changed_in_place_fails_the_deploy_and_changes_nothing(api, tmp_path, monkeypatch, context) -> None:
    with pytest.raises(ChangedOfferingError, match="OFFERING#srtp#0001"):
        load(
            tmp_path,
            CATALOGUE.read_text().replace("unit_price_cents = 200", "unit_price_cents = 1"),
            monkeypatch,
            context,
        )
    assert offered(api, "srtp")["unitPriceCents"] == 200


def test_a_promotion_taken_off_the_list_is_over(api, tmp_path, monkeypatch, context) -> None:
    load(tmp_path, CATALOGUE.read_text().partition("[[promotion]]")[0], monkeypatch, context)
    assert "promotion" not in offered(api, "connection")


def test_without_a_catalogue_the_fault_is_ours(environment, api) -> None:
    for item in dynamodb.partition(settings.catalogue_table(), "CATALOGUE"):
        key = dynamodb.marshal({"pk": "CATALOGUE", "sk": item["sk"]})
        dynamodb.client().delete_item(TableName=settings.catalogue_table(), Key=key)
    assert api.get("/api/prices").status == 500
