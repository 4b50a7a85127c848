"""A customer's choice of days for its call history holds for its last calls too, when its environment has left the node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.media_node.test_node import hang_up, talking
from tests.support.node import NodeFactory, NodeUnderTest, accounts, assignment, wait_until

CUSTOMER = "abc234"


def told(node: NodeUnderTest) -> list[str]:
    """The calls that the node tells of in its own partition."""
    answer = node.dynamodb.query(
        TableName=node.cdr_table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": node.arn}},
        ConsistentRead=True,
    )
    return [item["sk"]["S"] for item in answer["Items"]]


async def seen(condition: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(wait_until, condition, 30)


@pytest.mark.parametrize("days", [0, 30])
async def test_a_call_that_outlives_its_environment_is_recorded_as_the_customer_chose(
    new_node: NodeFactory, days: int
) -> None:
    node = await asyncio.to_thread(new_node)
    phones = accounts(CUSTOMER)
    put = {**assignment(CUSTOMER, phones), "callHistoryDays": days}
    await asyncio.to_thread(node.put, f"ASSIGNMENT#{CUSTOMER}", put)
    await seen(lambda: CUSTOMER in node.item("REPORT").get("assignments", {}))
    ours, theirs = await talking(node, phones)
    if days:
        await seen(lambda: len(told(node)) == 1)
    key = {"pk": {"S": node.arn}, "sk": {"S": f"ASSIGNMENT#{CUSTOMER}"}}
    await asyncio.to_thread(node.dynamodb.delete_item, TableName=node.fleet_table, Key=key)
    await seen(lambda: CUSTOMER not in node.item("REPORT").get("assignments", {}))
    await hang_up(ours, theirs)
    if days:
        [record] = await seen(lambda: node.records(CUSTOMER))
        last = datetime.fromisoformat(record["endedAt"]).timestamp()
        assert int(record["expiresAt"]) - last == pytest.approx(days * 86_400, abs=2)
    await asyncio.to_thread(node.stop)
    assert len(node.records(CUSTOMER)) == (1 if days else 0)
    assert told(node) == []
