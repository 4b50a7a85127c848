"""What this node has to serve: the assignments in its own partition of the fleet table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from media_node.call.directory import Environment, Phone
from media_node.control.aws import from_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PREFIX = "ASSIGNMENT#"


def read(client: DynamoDBClient, table: str, arn: str) -> tuple[Environment, ...]:
    """All assignments, read consistently; blocks. Raises aws.Unavailable, or ValueError for an item that is not an assignment."""
    pages = client.get_paginator("query").paginate(
        TableName=table,
        ConsistentRead=True,
        KeyConditionExpression="pk = :node AND begins_with(sk, :prefix)",
        ExpressionAttributeValues={":node": {"S": arn}, ":prefix": {"S": PREFIX}},
    )
    return tuple(parse(from_item(item)) for page in pages for item in page["Items"])


def parse(item: Mapping[str, Any]) -> Environment:
    """One ASSIGNMENT item. Raises ValueError for what is not one."""
    try:
        customer, encrypted = str(item["customerId"]), bool(item["encrypted"])
        return Environment(
            order_id=str(item["orderId"]),
            customer_id=customer,
            encrypted=encrypted,
            calls=int(item.get("calls", 0)),
            version=int(item["version"]),
            phones=tuple(
                Phone(
                    username=str(phone["username"]),
                    extension=str(phone["extension"]),
                    customer_id=customer,
                    encrypted=encrypted,
                    ha1=dict(phone.get("ha1") or {}),
                )
                for phone in item["phones"]
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an assignment: {error}") from error
