"""AWS clients with short patience: a node serves calls whether AWS answers or not."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_ssm import SSMClient

Unavailable = (BotoCoreError, ClientError)
"""What a call to AWS may raise: try again later."""

_CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})


def dynamodb(region: str) -> DynamoDBClient:
    """A DynamoDB client; clients may be shared between threads."""
    return boto3.client("dynamodb", region_name=region, config=_CONFIG)


def ssm(region: str) -> SSMClient:
    """A Systems Manager client."""
    return boto3.client("ssm", region_name=region, config=_CONFIG)


def logs(region: str) -> CloudWatchLogsClient:
    """A CloudWatch Logs client."""
    return boto3.client("logs", region_name=region, config=_CONFIG)


def to_item(values: dict[str, Any]) -> dict[str, Any]:
    """Plain JSON types as a DynamoDB item."""
    serialise = TypeSerializer().serialize
    return {name: serialise(_exact(value)) for name, value in values.items()}


def from_item(item: dict[str, Any]) -> dict[str, Any]:
    """A DynamoDB item as plain types; numbers are Decimal."""
    deserialise = TypeDeserializer().deserialize
    return {name: deserialise(value) for name, value in item.items()}


def _exact(value: Any) -> Any:
    """DynamoDB takes no binary floats."""
    match value:
        case float():
            return Decimal(str(value))
        case dict():
            return {name: _exact(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_exact(inner) for inner in value]
    return value
