"""customers.migration, on a table whose items the code wrote that knew no customers (old_table.json, made with that code)."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from customers import extensions, fulfilment, migration, numbers
from customers.customer import Kind
from customers.product import State
from customers.store import store
from ordering import fulfilment as ordering
from shared import dynamodb, settings

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
OLD = json.loads((Path(__file__).parent / "old_table.json").read_text())


@pytest.fixture
def old_table(environment: None) -> None:
    for table, items in ((settings.orders_table(), OLD["orders"]), (settings.fleet_table(), OLD["fleet"])):
        for item in items:
            dynamodb.client().put_item(TableName=table, Item=dynamodb.marshal(item))


def everything() -> list[Any]:
    found = [store().find(each) for each in ("abc234", "xyz789", "bcd345", "efg678")]
    return [found, [store().history(account.id) for account in found if account]]


def test_completed_orders_become_products_by_one_step(old_table: None) -> None:
    outcome = migration.run(NOW)
    assert (outcome.seen, outcome.migrated, outcome.failed) == (3, 2, [])
    srtp, plan, quote, waiting = (store().find(each) for each in ("abc234", "xyz789", "bcd345", "efg678"))
    assert quote is None and waiting is None
    assert srtp and plan
    [encrypting] = srtp.products
    assert (encrypting.state, encrypting.quantity, encrypting.started_on) == (State.ACTIVE, 14, date(2026, 11, 1))
    assert srtp.environment.served and srtp.environment.encrypted and not srtp.environment.awaits_proof
    [number] = plan.products
    assert (number.state, number.unit_cents, number.fees[0].unit_cents) == (State.ACTIVE, 2100, 2500)
    assert plan.customer.kind is Kind.CONSUMER and srtp.customer.kind is Kind.BUSINESS
    known = numbers.find("+31855550177")
    assert known and known.customer_id == "xyz789"


def test_phones_keep_their_names_and_passwords_and_none_has_a_short_code(old_table: None) -> None:
    migration.run(NOW)
    account = store().get("abc234")
    before = next(item for item in OLD["fleet"] if item["sk"].startswith("ASSIGNMENT#"))["phones"]
    phones = account.environment.phones
    assert [phone.username for phone in phones] == [phone["username"] for phone in before]
    assert [phone.ha1 for phone in phones] == [phone["ha1"] for phone in before]
    assert any(phone["extension"] == 112 for phone in before)
    assert all(extensions.allowed(phone.extension) for phone in phones)


def test_again_changes_nothing(old_table: None) -> None:
    migration.run(NOW)
    first = everything()
    assert migration.run(NOW).migrated == 0
    assert everything() == first


def test_one_order_that_cannot_be_migrated_does_not_stop_the_others(
    old_table: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = fulfilment.adopt

    def adopt(order: Any, *rest: Any) -> None:
        if order.id == "0123456789":
            raise RuntimeError("odd")
        real(order, *rest)

    monkeypatch.setattr(fulfilment, "adopt", adopt)
    assert migration.main() == 1
    assert "0123456789" in capsys.readouterr().err
    assert store().find("xyz789")
    monkeypatch.setattr(fulfilment, "adopt", real)
    assert migration.main() == 0
    assert store().find("abc234")


def test_the_stream_leaves_what_is_older_than_customers_to_the_migration(old_table: None) -> None:
    fulfilment.fulfil(ordering.find("0123456789"), NOW)
    assert store().find("abc234") is None
