"""What this node has to serve: the assignments in its own partition of the fleet table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from media_node.call.directory import Environment, Phone
from media_node.control.aws import from_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PREFIX = "ASSIGNMENT#"


@dataclass(frozen=True)
class Assigned:
    """The environments to serve, and what is wrong with items that are none: one bad item does not take the others
    away.
    """

    environments: tuple[Environment, ...]
    errors: tuple[str, ...] = ()


def read(client: DynamoDBClient, table: str, arn: str) -> Assigned:
    """All assignments, read consistently; blocks. Raises aws.Unavailable."""
    pages = client.get_paginator("query").paginate(
        TableName=table,
        ConsistentRead=True,
        KeyConditionExpression="pk = :node AND begins_with(sk, :prefix)",
        ExpressionAttributeValues={":node": {"S": arn}, ":prefix": {"S": PREFIX}},
    )
    environments, errors = list[Environment](), list[str]()
    for item in (from_item(item) for page in pages for item in page["Items"]):
        try:
            environments.append(parse(item))
        except ValueError as error:
            errors.append(f"{item['sk']}: {error}")
    return Assigned(tuple(environments), tuple(errors))


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
                    previous_ha1=dict(phone.get("previousHa1") or {}),
                    previous_until=_moment(phone.get("previousUntil")),
                )
                for phone in item["phones"]
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an assignment: {error}") from error


def _moment(text: str | None) -> datetime | None:
    """An ISO 8601 moment, in UTC where it names no zone. Raises ValueError."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
