"""The node's side of AWS, against the emulation."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from media_node.call.notices import Notices
from media_node.control import assignments, aws, instance, parameters
from media_node.control.heartbeat import StatusWriter, report
from media_node.probe.probed import Probed
from tests.support.node import REGION, Aws, accounts, assignment, metadata_service

DOCUMENT = json.dumps({"instanceId": "i-1", "accountId": "123456789012", "region": REGION})
ARN = f"arn:aws:ec2:{REGION}:123456789012:instance/i-1"


@pytest.fixture
def table(aws: Aws) -> tuple[Any, str]:
    client, name = aws.client("dynamodb"), f"control-{uuid.uuid4()}"
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return client, name


def test_an_instance_knows_itself_by_imds_version_2() -> None:
    paths = {"/latest/dynamic/instance-identity/document": DOCUMENT, "/latest/meta-data/local-ipv4": "10.0.0.5"}
    with metadata_service(paths) as endpoint:
        here = instance.read(endpoint)
    assert (here.arn, here.address, here.announced) == (ARN, "10.0.0.5", "10.0.0.5")
    with metadata_service(paths | {"/latest/meta-data/public-ipv4": "203.0.113.9"}) as endpoint:
        assert instance.read(endpoint).announced == "203.0.113.9"


def test_metadata_that_does_not_answer_is_an_os_error() -> None:
    with pytest.raises(OSError):
        instance.read("http://127.0.0.1:1")


def test_a_node_reads_its_own_assignments_and_nothing_else(table: tuple[Any, str]) -> None:
    client, name = table
    for order in range(40):
        item = assignment(f"abc{order:03d}", accounts(f"abc{order:03d}", 3), credentials=order % 2 == 0)
        client.put_item(
            TableName=name, Item=aws.to_item({"pk": ARN, "sk": f"ASSIGNMENT#{item['environmentId']}", **item})
        )
    client.put_item(TableName=name, Item=aws.to_item({"pk": ARN, "sk": "HEARTBEAT", "at": 1}))
    client.put_item(TableName=name, Item=aws.to_item({"pk": ARN + "0", "sk": "ASSIGNMENT#other", "orderId": "other"}))
    client.put_item(TableName=name, Item=aws.to_item({"pk": ARN, "sk": "ASSIGNMENT#broken", "orderId": "broken"}))
    assigned = assignments.read(client, name, ARN)
    found = assigned.environments
    assert len(found) == 40
    assert assigned.errors == ("ASSIGNMENT#broken: not an assignment: KeyError('customerId')",)
    assert [len(phone.ha1) for phone in found[0].phones] == [2, 2, 2]
    assert [len(phone.ha1) for phone in found[1].phones] == [0, 0, 0]
    assert (found[0].version, found[0].calls, found[0].encrypted) == (1, 10, True)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"environmentId": "o"},
        assignment("abc234", []) | {"phones": None},
        assignment("abc234", []) | {"version": None},
    ],
)
def test_an_item_that_is_no_assignment_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not an assignment"):
        assignments.parse(broken)


def test_heartbeat_and_report_stand_in_the_nodes_own_partition(table: tuple[Any, str]) -> None:
    client, name = table
    key = {"kty": "OKP", "crv": "Ed25519", "x": "x", "kid": "k"}
    voice = StatusWriter(client, name, ARN, key)
    environment = assignments.parse(assignment("abc234", accounts("abc234"))).environment
    voice.beat(state="ready", address="127.0.0.1", sip_port=5061, calls=1, registrations=2)
    voice.report(
        report(
            (environment,),
            {environment.environment_id: Probed(True, 7, ("AES_CM_128_HMAC_SHA1_80",) * 2, 70)},
            {},
            Notices(),
        )
    )
    items = {item["sk"]["S"]: aws.from_item(item) for item in client.scan(TableName=name)["Items"]}
    assert set(items) == {"HEARTBEAT", "REPORT"}
    assert items["HEARTBEAT"]["state"] == "ready"
    assert items["HEARTBEAT"]["at"] > 1_700_000_000_000
    # What the role's policy lets a node write; another attribute would be denied.
    ours = {"pk", "sk", "at", "state", "address", "sipPort", "calls", "registrations", "receiptKey"}
    assert set(items["HEARTBEAT"]) == ours
    assert set(items["REPORT"]) == {"pk", "sk", "at", "assignments"}
    loaded = items["REPORT"]["assignments"][environment.environment_id]
    assert (loaded["version"], loaded["phones"]) == (1, 2)
    assert loaded["probe"] == {
        "ok": True,
        "at": 7,
        "suites": ["AES_CM_128_HMAC_SHA1_80"] * 2,
        "packets": 70,
        "plaintextPackets": 0,
    }


def test_parameters_are_read_decrypted_and_a_missing_one_is_named(aws: Aws) -> None:
    client = aws.client("ssm")
    client.put_parameter(Name="/control/key", Value="secret", Type="SecureString", Overwrite=True)
    assert parameters.read(client, ["/control/key"]) == {"/control/key": "secret"}
    with pytest.raises(LookupError, match="/control/absent"):
        parameters.read(client, ["/control/key", "/control/absent"])
