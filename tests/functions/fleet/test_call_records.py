"""Records of the calls that ran on a node when it was lost: each once, and never in the place of what the node knew better."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.call_records import NODE_LOST, CallRecords, broken
from shared import dynamodb, settings
from shared.clock import to_iso

ARN = "arn:aws:ec2:eu-central-1:123456789012:instance/i-0001"
ANSWERED = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
HEARD = ANSWERED + timedelta(minutes=3)


def begun(number: int, **changes: Any) -> dict[str, Any]:
    sk = f"2026-11-26T11:59:50.000Z#c{number}"
    return {
        "pk": ARN,
        "sk": f"CUSTOMER#abc234/{sk}",
        "callId": f"c{number}",
        "customerId": "abc234",
        "from": "***",
        "to": "***",
        "startedAt": "2026-11-26T11:59:50.000Z",
        "answeredAt": to_iso(ANSWERED),
        "reason": "running",
        "legs": [],
        "beyond": "unknown",
        "expiresAt": 1_800_000_000,
        **changes,
    }


def put(item: dict[str, Any]) -> None:
    dynamodb.client().put_item(TableName=settings.cdr_table(), Item=dynamodb.marshal(item))


def records() -> list[dict[str, Any]]:
    return list(dynamodb.partition(settings.cdr_table(), "CUSTOMER#abc234"))


@pytest.fixture
def store(environment: None) -> CallRecords:
    return CallRecords(settings.cdr_table())


@pytest.mark.needs("java")
def test_each_call_of_a_lost_node_leaves_one_record_that_ends_when_it_was_last_heard(store: CallRecords) -> None:
    for number in range(3):
        put(begun(number))
    assert store.end(ARN, HEARD) == 3
    assert store.end(ARN, HEARD) == 0, "twice does no harm"
    found = records()
    assert [(one["endedAt"], one["reason"]) for one in found] == [(to_iso(HEARD), NODE_LOST)] * 3
    assert [one["callId"] for one in found] == ["c0", "c1", "c2"]
    assert not list(dynamodb.partition(settings.cdr_table(), ARN))


@pytest.mark.needs("java")
def test_a_record_that_the_node_wrote_itself_stands(store: CallRecords) -> None:
    put(begun(1))
    whole = {**begun(1), "pk": "CUSTOMER#abc234", "sk": begun(1)["sk"].partition("/")[2], "reason": "completed"}
    put(whole)
    assert store.end(ARN, HEARD) == 0
    assert [one["reason"] for one in records()] == ["completed"]
    assert not list(dynamodb.partition(settings.cdr_table(), ARN))


@pytest.mark.needs("java")
def test_an_odd_item_stops_no_other(store: CallRecords) -> None:
    put({"pk": ARN, "sk": "CUSTOMER#abc234"})
    put(begun(2, answeredAt="yesterday", startedAt="never"))
    put(begun(3))
    assert store.end(ARN, HEARD) == 1


def test_a_call_that_was_answered_after_the_last_heartbeat_lasted_no_time() -> None:
    assert broken(begun(1), ANSWERED - timedelta(seconds=4))["endedAt"] == to_iso(ANSWERED)
