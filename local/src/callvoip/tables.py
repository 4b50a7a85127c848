"""The template's tables, made over DynamoDB's own API: they are called the same at each start, and one that is there is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_AS_WRITTEN = (
    "KeySchema",
    "AttributeDefinitions",
    "BillingMode",
    "ProvisionedThroughput",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
)


def make(dynamodb: Any, name: str, properties: Mapping[str, Any]) -> str:
    """Make the table, or the indexes that it lacks; the ARN of its stream, empty without one.

    Raises RuntimeError for a table whose keys are others: what it holds cannot be kept.
    """
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        table = dynamodb.create_table(TableName=name, **_wanted(properties))["TableDescription"]
    if table["KeySchema"] != properties["KeySchema"]:
        raise RuntimeError(f"the table {name} was kept with other keys than the template has now; start with another --data directory")
    there = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", ())}
    for index in properties.get("GlobalSecondaryIndexes", ()):
        if index["IndexName"] not in there:
            attributes = properties["AttributeDefinitions"]
            dynamodb.update_table(TableName=name, AttributeDefinitions=attributes, GlobalSecondaryIndexUpdates=[{"Create": index}])
    return str(table.get("LatestStreamArn", ""))


def _wanted(properties: Mapping[str, Any]) -> dict[str, Any]:
    """CreateTable's parameters; what nothing here acts on (recovery, expiry, encryption) is left out."""
    wanted = {name: properties[name] for name in _AS_WRITTEN if name in properties}
    if "StreamSpecification" in properties:
        wanted["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    return wanted
