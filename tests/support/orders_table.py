"""The orders table of a local system, read past the API."""

from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer

from callvoip.system import LocalSystem


def items(system: LocalSystem) -> list[dict[str, Any]]:
    """All that stands in it: orders, events, and what belongs to them."""
    client = boto3.client(
        "dynamodb",
        endpoint_url=system.aws_endpoint,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    (table,) = [name for name in client.list_tables()["TableNames"] if "orders" in name.lower()]
    read = TypeDeserializer().deserialize
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [{name: read(value) for name, value in item.items()} for page in pages for item in page["Items"]]
