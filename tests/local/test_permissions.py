"""Policies are held to in the emulated AWS: what a role may not do on AWS it may not do here."""

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError

from callvoip.aws.endpoint import Emulated
from callvoip.aws.permissions import Asked, Principal
from callvoip.aws.request_context import asked

ARN = "arn:aws:ec2:eu-central-1:123456789012:instance/i-1"
TABLE = "arn:aws:dynamodb:eu-central-1:123456789012:table/fleet"
OWN = {"dynamodb:LeadingKeys": ["${ec2:SourceInstanceARN}"]}
# As infra/ writes them for a node.
NODE = Principal(
    "node",
    (
        {
            "Effect": "Allow",
            "Action": "dynamodb:Query",
            "Resource": TABLE,
            "Condition": {"ForAllValues:StringEquals": OWN},
        },
        {
            "Effect": "Allow",
            "Action": "dynamodb:PutItem",
            "Resource": TABLE,
            "Condition": {
                "ForAllValues:StringEquals": {**OWN, "dynamodb:Attributes": ["pk", "sk", "at"]},
                "StringEqualsIfExists": {"dynamodb:ReturnValues": ["NONE"]},
            },
        },
    ),
    {"ec2:SourceInstanceARN": [ARN]},
)


def statement(**changes: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **changes}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], False),
        ([statement()], True),
        ([statement(Action=["s3:Put*", "s3:get*"])], True),
        ([statement(Action="s3:PutObject")], False),
        ([statement(Resource=["arn:a", "arn:b/*"])], True),
        ([statement(Resource="arn:b")], False),
        ([statement(), statement(Effect="Deny")], False),
        ([statement(Condition={"StringEquals": {"k": "1"}})], True),
        ([statement(Condition={"StringEquals": {"k": ["0", "1"]}})], True),
        ([statement(Condition={"StringEquals": {"k": "0"}})], False),
        ([statement(Condition={"StringEquals": {"absent": "1"}})], False),
        ([statement(Condition={"StringEqualsIfExists": {"absent": "1"}})], True),
        ([statement(Condition={"StringLike": {"k": "?"}, "StringEquals": {"k": "0"}})], False),
        ([statement(Condition={"ForAllValues:StringEquals": {"many": ["a", "b", "c"]}})], True),
        ([statement(Condition={"ForAllValues:StringEquals": {"many": ["a"]}})], False),
        ([statement(Condition={"ForAnyValue:StringEquals": {"many": ["a"]}})], True),
        ([statement(Condition={"ArnEquals": {"k": "${k}"}})], True),
        ([statement(Condition={"StringEquals": {"k": "${absent}"}})], False),
    ],
)
def test_a_policy_is_evaluated_as_iam_does(statements, expected):
    wanted = Asked("s3:GetObject", "arn:b/x", {"k": ["1"], "many": ["a", "b"]})
    assert Principal("p", tuple(statements)).may(wanted) is expected


def test_an_unknown_operator_is_refused_rather_than_ignored():
    with pytest.raises(NotImplementedError, match="IpAddress"):
        Principal("p", (statement(Condition={"IpAddress": {"k": "10.0.0.0/8"}}),)).may(Asked("s3:GetObject", "x"))


def words(service: str, action: str, body: bytes, tags=None) -> list[tuple[str, str]]:
    found = asked(service, action, body, region="eu-central-1", account="123456789012", tags=lambda _: tags or {})
    return [
        (one.action, one.resource.removeprefix("arn:aws:").replace("eu-central-1:123456789012:", "")) for one in found
    ]


def test_a_transaction_asks_for_each_of_its_writes():
    body = b"""{"TransactItems": [
        {"Put": {"TableName": "a", "Item": {"pk": {"S": "1"}}}},
        {"ConditionCheck": {"TableName": "b", "Key": {"pk": {"S": "1"}}}}]}"""
    assert words("dynamodb", "TransactWriteItems", body) == [
        ("dynamodb:PutItem", "dynamodb:table/a"),
        ("dynamodb:ConditionCheckItem", "dynamodb:table/b"),
    ]


def test_a_query_on_an_index_asks_for_the_index():
    body = b"""{"TableName": "t", "IndexName": "by-state", "KeyConditionExpression": "#s = :s",
        "ExpressionAttributeValues": {":s": {"S": "x"}}}"""
    assert words("dynamodb", "Query", body) == [("dynamodb:Query", "dynamodb:table/t/index/by-state")]


def test_a_launch_asks_for_everything_it_makes_and_uses():
    form = b"LaunchTemplate.LaunchTemplateId=lt-1&SubnetId=subnet-1&TagSpecification.1.ResourceType=instance"
    assert words("ec2", "RunInstances", form) == [
        ("ec2:RunInstances", "ec2:instance/*"),
        ("ec2:RunInstances", "ec2:volume/*"),
        ("ec2:RunInstances", "ec2:network-interface/*"),
        ("ec2:RunInstances", "ec2:launch-template/lt-1"),
        ("ec2:RunInstances", "ec2:subnet/subnet-1"),
        ("ec2:CreateTags", "ec2:instance/*"),
    ]


def test_an_end_is_asked_of_each_instance_by_its_tags():
    [found] = asked(
        "ec2",
        "TerminateInstances",
        b"InstanceId.1=i-1",
        region="r",
        account="a",
        tags=lambda _: {"callvoip:fleet": "F"},
    )
    assert found == Asked(
        "ec2:TerminateInstances", "arn:aws:ec2:r:a:instance/i-1", {"aws:ResourceTag/callvoip:fleet": ["F"]}
    )


@pytest.fixture
async def node(emulated: Emulated):
    """A DynamoDB client with a node's credentials, and the table."""
    keys = [("pk", "HASH"), ("sk", "RANGE")]
    await asyncio.to_thread(
        emulated.client("dynamodb").create_table,
        TableName="fleet",
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    await emulated.announce("ASIANODE", NODE)
    return emulated.client("dynamodb", "ASIANODE")


def item(pk: str, **more: dict[str, str]):
    return {"pk": {"S": pk}, "sk": {"S": "HEARTBEAT"}, "at": {"N": "1"}, **more}


def ask(client, pk: str):
    return client.query(
        TableName="fleet", KeyConditionExpression="pk = :n", ExpressionAttributeValues={":n": {"S": pk}}
    )["Items"]


def test_a_node_writes_and_reads_its_own_partition(node):
    node.put_item(TableName="fleet", Item=item(ARN))
    assert ask(node, ARN) == [item(ARN)]


def test_a_node_gets_nothing_of_another_node(node):
    with pytest.raises(ClientError, match=r"AccessDenied.*dynamodb:Query"):
        ask(node, ARN[:-1] + "2")
    with pytest.raises(ClientError, match=r"AccessDenied.*dynamodb:PutItem"):
        node.put_item(TableName="fleet", Item=item(ARN[:-1] + "2"))


def test_a_node_writes_no_assignment_and_reads_none_by_the_way(node):
    with pytest.raises(ClientError, match="AccessDenied"):
        node.put_item(TableName="fleet", Item=item(ARN, phones={"S": "x"}))
    with pytest.raises(ClientError, match="AccessDenied"):
        node.put_item(TableName="fleet", Item=item(ARN), ReturnValues="ALL_OLD")


def test_what_is_not_granted_is_refused(node, emulated):
    for attempt in (
        lambda: node.scan(TableName="fleet"),
        lambda: node.delete_item(TableName="fleet", Key={"pk": {"S": ARN}, "sk": {"S": "HEARTBEAT"}}),
        node.list_tables,
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()


def test_the_refusal_of_ec2_has_its_own_name(emulated, node):
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        emulated.client("ec2", "ASIANODE").describe_instances()
