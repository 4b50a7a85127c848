"""The template's tables, made over DynamoDB's own API: they are called the same at each start, and one that is there is
kept.
"""

from __future__ import annotations

import time
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

_POLLS = 100
_POLL_SECONDS = 0.1


def make(dynamodb: Any, name: str, properties: Mapping[str, Any]) -> str:
    """Make the table, or the indexes that it lacks or has in another shape; the ARN of its stream, empty without one.

    Raises RuntimeError for a table whose keys are others: what it holds cannot be kept.
    """
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        table = dynamodb.create_table(TableName=name, **_wanted(properties))["TableDescription"]
    if table["KeySchema"] != properties["KeySchema"]:
        raise RuntimeError(
            f"the table {name} was kept with other keys than the template has now; start with another --data directory"
        )
    there = {index["IndexName"]: _shape(index) for index in table.get("GlobalSecondaryIndexes", ())}
    for index in properties.get("GlobalSecondaryIndexes", ()):
        name_of_index = index["IndexName"]
        if there.get(name_of_index) == _shape(index):
            continue
        if name_of_index in there:
            _change_index(dynamodb, name, properties, {"Delete": {"IndexName": name_of_index}})
        _change_index(dynamodb, name, properties, {"Create": index})
    return str(table.get("LatestStreamArn", ""))


def _shape(index: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes an index another one."""
    projection = index["Projection"]
    return index["KeySchema"], projection["ProjectionType"], sorted(projection.get("NonKeyAttributes", ()))


def _change_index(dynamodb: Any, table: str, properties: Mapping[str, Any], change: Mapping[str, Any]) -> None:
    """One change of one index, and the wait for it: a table has one change at a time."""
    dynamodb.update_table(
        TableName=table, AttributeDefinitions=properties["AttributeDefinitions"], GlobalSecondaryIndexUpdates=[change]
    )
    for _ in range(_POLLS):
        described = dynamodb.describe_table(TableName=table)["Table"]
        states = {
            described["TableStatus"],
            *(index["IndexStatus"] for index in described.get("GlobalSecondaryIndexes", ())),
        }
        if states == {"ACTIVE"}:
            return
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"the index of {table} is not ready; start again")


def _wanted(properties: Mapping[str, Any]) -> dict[str, Any]:
    """CreateTable's parameters; what nothing here acts on (recovery, expiry, encryption) is left out."""
    wanted = {name: properties[name] for name in _AS_WRITTEN if name in properties}
    if "StreamSpecification" in properties:
        wanted["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    return wanted
