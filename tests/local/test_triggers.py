"""What starts functions by itself, against a real stream, a real queue and real functions."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from callvoip.aws.deployment import Deployment
from callvoip.aws.endpoint import Emulated
from callvoip.lambdas import streams, triggers
from callvoip.lambdas.runtime import Runtime
from callvoip.lambdas.triggers import Triggers, event

CODE = """
import json

def keep(event, context):
    with open("../kept", "a") as file:
        file.write(json.dumps(event) + "\\n")

def fail(event, context):
    raise ValueError("no")
"""


def function(name: str) -> tuple[str, str, dict[str, Any]]:
    return "AWS::Lambda::Function", name, {"Handler": f"app.{name}", "Role": "role", "Code": {"S3Key": "hash.zip"}}


def arn(name: str) -> str:
    return f"arn:aws:x:eu-central-1:123456789012:{name}"


@pytest.fixture
def table(emulated: Emulated) -> str:
    """A table with a stream; the stream's ARN."""
    made = emulated.client("dynamodb").create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return str(made["TableDescription"]["LatestStreamArn"])


@pytest.fixture
def queue(emulated: Emulated) -> Callable[[], list[Any]]:
    """A dead-letter queue; what is in it."""
    client = emulated.client("sqs")
    url = client.create_queue(QueueName="dead")["QueueUrl"]
    return lambda: [json.loads(message["Body"]) for message in client.receive_message(QueueUrl=url).get("Messages", [])]


@pytest.fixture
async def running(
    emulated: Emulated, deployment: Callable[..., Deployment], table: str, queue: object, tmp_path: Path, monkeypatch
) -> AsyncIterator[Triggers]:
    monkeypatch.setattr(triggers, "RETRY_SECONDS", 0.05)
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text(CODE)
    failure = {"OnFailure": {"Destination": "arn:aws:sqs:eu-central-1:123456789012:dead"}}

    def source(name: str, pattern: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
        return "AWS::Lambda::EventSourceMapping", f"source-{name}", {
            "EventSourceArn": table,
            "FunctionName": name,
            "StartingPosition": "TRIM_HORIZON",
            "MaximumRetryAttempts": 1,
            "FilterCriteria": {"Filters": [{"Pattern": json.dumps(pattern)}]},
            "DestinationConfig": failure,
        }  # fmt: skip

    def rule(name: str, source: str) -> tuple[str, str, dict[str, Any]]:
        return (
            "AWS::Events::Rule",
            f"rule-{name}",
            {"EventPattern": {"source": [source]}, "Targets": [{"Arn": arn(name)}]},
        )

    made = deployment(
        ("AWS::IAM::Role", "role", {}),
        function("keep"),
        function("fail"),
        source("keep", {"dynamodb": {"Keys": {"pk": {"S": [{"anything-but": ["noise", "bad"]}]}}}}),
        source("fail", {"dynamodb": {"Keys": {"pk": {"S": ["bad"]}}}}),
        rule("keep", "good.source"),
        rule("fail", "bad.source"),
        (
            "AWS::Lambda::EventInvokeConfig",
            "config",
            {"FunctionName": "fail", "MaximumRetryAttempts": 1, "DestinationConfig": failure},
        ),
        ("Custom::Trigger", "load", {"HandlerArn": arn("keep") + ":1"}),
        assets={"hash": code},
    )
    async with (
        Runtime(made, emulated, logs=tmp_path / "logs", scratch=tmp_path) as runtime,
        Triggers(made, emulated, runtime) as started,
    ):
        yield started


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[], list[Any]]:
    """The events that the function `keep` got."""
    path = tmp_path / "kept"
    return lambda: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def eventually(check: Callable[[], Any], seconds: float = 15) -> Any:
    for _ in range(int(seconds / 0.05)):
        if found := await asyncio.to_thread(check):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen")


def put(emulated: Emulated, key: str) -> None:
    emulated.client("dynamodb").put_item(TableName="t", Item={"pk": {"S": key}, "bytes": {"B": b"\0"}})


def keys(events: list[Any]) -> list[str]:
    return [record["dynamodb"]["Keys"]["pk"]["S"] for happened in events for record in happened.get("Records", [])]


def happened(source: str) -> dict[str, Any]:
    return event(source, "Something", {"a": 1}, [], region="eu-central-1", now=datetime.now(UTC))


async def test_the_deploy_starts_what_it_has_to(running, kept):
    assert kept() == [{}]


async def test_a_change_reaches_the_function_unless_it_is_filtered(running, emulated, kept):
    for key in ("a", "noise", "b"):
        await asyncio.to_thread(put, emulated, key)
    await eventually(lambda: keys(kept()) == ["a", "b"])
    record = next(one for one in kept() if "Records" in one)["Records"][0]
    assert record["eventName"] == "INSERT"
    assert record["dynamodb"]["NewImage"] == {"pk": {"S": "a"}, "bytes": {"B": "AA=="}}
    assert record["eventSourceARN"].startswith("arn:aws:dynamodb:")
    assert isinstance(record["dynamodb"]["ApproximateCreationDateTime"], int | float)


async def test_a_stream_goes_on_after_a_transaction_that_failed(running, emulated, kept):
    await asyncio.to_thread(put, emulated, "a")
    await eventually(lambda: keys(kept()) == ["a"])
    write = {"Put": {"TableName": "t", "Item": {"pk": {"S": "x"}}, "ConditionExpression": "attribute_exists(pk)"}}
    with pytest.raises(ClientError):
        await asyncio.to_thread(emulated.client("dynamodb").transact_write_items, TransactItems=[write])
    await asyncio.to_thread(put, emulated, "b")
    await eventually(lambda: keys(kept()) == ["a", "b"])


async def test_a_stream_is_read_on_after_a_read_that_failed(running, emulated, kept, monkeypatch):
    read, failed = streams._Reader.read, list[bool]()

    def first_failing(reader, after):
        if not failed:
            failed.append(True)
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": "try again"}}, "GetRecords")
        return read(reader, after)

    monkeypatch.setattr(streams._Reader, "read", first_failing)
    await asyncio.to_thread(put, emulated, "a")
    await eventually(lambda: failed and keys(kept()) == ["a"])


async def test_records_that_a_function_keeps_failing_on_are_told_to_the_queue(running, emulated, queue):
    await asyncio.to_thread(put, emulated, "bad")
    [letter] = await eventually(queue)
    assert letter["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert letter["DDBStreamBatchInfo"]["batchSize"] == 1


async def test_an_event_reaches_the_target_of_the_rule_it_matches(running, kept):
    sent = happened("good.source")
    running.publish(sent)
    running.publish(happened("another.source"))
    await eventually(lambda: sent in kept())
    assert len(kept()) == 2


async def test_an_event_that_a_function_keeps_failing_on_goes_to_the_queue(running, queue):
    sent = happened("bad.source")
    running.publish(sent)
    [letter] = await eventually(queue)
    assert letter["requestPayload"] == sent
    assert letter["requestContext"]["condition"] == "RetriesExhausted"
    assert "ValueError" in letter["responsePayload"]
