"""`./dev fleet` on a table: what an operator sees, what is written, and what is refused with a word that helps."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from callvoip.commands import fleet

NODE: dict[str, Any] = {
    "pk": "NODES",
    "version": 3,
    "capacity": 250,
    "primary": 5,
    "zone": "subnet-a",
    "address": "192.0.2.1",
}
PLACED: dict[str, Any] = {
    "pk": "PLACEMENTS#03",
    "sk": "abc234",
    "environmentId": "abc234",
    "version": 4,
    "assignments": [{"nodeId": "n0001", "role": "primary"}, {"nodeId": "n0002", "role": "standby"}],
}


@pytest.fixture(scope="module")
def emulated() -> Iterator[Any]:
    """DynamoDB in this process; making clients takes longer than all the tests."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        yield boto3.resource("dynamodb", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.fixture
def table(emulated: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    made = emulated.create_table(
        TableName="Callvoip-TablesFleet1",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    for name, state in {"n0001": "ready", "n0002": "cordoned", "n0003": "terminated"}.items():
        made.put_item(Item={**NODE, "sk": name, "nodeId": name, "state": state})
    made.put_item(Item=PLACED)
    yield made
    for left in emulated.tables.all():
        left.delete()


def row(table: Any, pk: str, sk: str) -> dict[str, Any]:
    found: dict[str, Any] = table.get_item(Key={"pk": pk, "sk": sk})["Item"]
    return found


def test_the_list_shows_what_has_not_ended(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet.main(["list"]) == 0
    said = capsys.readouterr().out
    assert "n0001" in said and "n0002" in said and "n0003" not in said
    assert fleet.main(["--json", "list"]) == 0
    assert [one["nodeId"] for one in json.loads(capsys.readouterr().out)] == ["n0001", "n0002"]


def test_one_node_or_environment_is_shown_whole(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("n0001", "abc234"):
        assert fleet.main(["show", name]) == 0
        assert name in capsys.readouterr().out


def test_a_wish_is_a_state_with_a_reason_that_wakes_the_reconciler(table: Any) -> None:
    assert fleet.main(["cordon", "n0001"]) == 0
    after = row(table, "NODES", "n0001")
    assert (after["state"], after["version"], after["reason"]) == ("cordoned", 4, "operator: cordon")
    assert fleet.main(["cordon", "n0001"]) == 0
    assert row(table, "NODES", "n0001")["version"] == 4, "a wish that holds already writes nothing"
    assert fleet.main(["uncordon", "n0001"]) == 0
    assert row(table, "NODES", "n0001")["state"] == "ready"


def test_an_environment_is_moved_by_naming_the_node_to_leave(table: Any) -> None:
    assert fleet.main(["--wait", "0", "move", "abc234"]) == 1, "nobody moves it here, and the command says so"
    after = row(table, "PLACEMENTS#03", "abc234")
    assert (after["leaves"], after["version"]) == ("n0001", 5)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["drain", "n0009"], "no node n0009"),
        (["cordon", "n0003"], "n0003 is terminated"),
        (["move", "zzz999"], "no environment zzz999"),
        (["show", "zzz999"], "no node zzz999"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(
    table: Any, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fleet.main(arguments) == 1
    assert told in capsys.readouterr().err


def test_somebody_who_was_quicker_is_not_overwritten(table: Any) -> None:
    ledger = fleet.Ledger(table)
    old = dict(ledger.node("n0001"))
    ledger.wish("n0001", "cordon")
    with pytest.raises(fleet.FleetError, match="changed meanwhile"):
        ledger._change(old, state="draining")


def test_a_table_that_cannot_be_told_is_asked_for(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet.main(["--table", "x", "list"]) == 1
    capsys.readouterr()
    table.delete()
    assert fleet.main(["list"]) == 1
    assert "--table" in capsys.readouterr().err


def test_a_ready_file_leads_to_the_local_system(tmp_path: Path, table: Any) -> None:
    ready = tmp_path / "ready.json"
    ready.write_text(json.dumps({"aws_endpoint": "http://127.0.0.1:9"}))
    assert fleet.main(["--ready-file", str(ready), "list"]) == 1, "nobody listens there"
