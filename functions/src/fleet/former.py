"""What the fleet wrote of an order's phones when it still served orders: read once, when those orders become customers."""

from collections.abc import Mapping

from shared import dynamodb, settings

Known = tuple[str, Mapping[str, str] | None]
"""A SIP user name and the hashes of its password, None when it was never handed out."""


def phones(order_id: str) -> tuple[Known, ...]:
    """The phones of an order that had its place on a node; empty when it had none."""
    table = settings.fleet_table()
    allocation = dynamodb.get(table, f"ALLOCATION#{order_id}", "ALLOCATION")
    assignment = allocation and dynamodb.get(table, allocation["instanceArn"], f"ASSIGNMENT#{order_id}")
    found = sorted((assignment or {}).get("phones", []), key=lambda phone: phone["extension"])
    return tuple((phone["username"], phone.get("ha1")) for phone in found)
