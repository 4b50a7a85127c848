"""The fleet table: the ledger of nodes, the orders' places on them, and what the nodes say of themselves."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.node import Node, NodeState, Refusal
from fleet.plan import Allocation, Demand, Heartbeat, Proof
from shared import dynamodb
from shared.clock import from_iso, to_iso
from shared.dynamodb import Item, Write

FIRST_EXTENSION = 101
_NODES = "NODES"
_ENDED_ROWS_LAST = timedelta(days=30)


class ChangedMeanwhileError(Exception):
    """Somebody else wrote first; nothing was written, and the next plan sees what they wrote."""


class FleetStore:
    """One fleet table, and the condition on the orders table under which a place is given."""

    def __init__(self, fleet_table: str, orders_table: str) -> None:
        self._table = fleet_table
        self._orders = orders_table

    def nodes(self) -> tuple[Node, ...]:
        """All nodes that ever were, in the order of their names."""
        return tuple(_to_node(item) for item in dynamodb.partition(self._table, _NODES))

    def add(self, node: Node) -> None:
        """Write a new node; raises ChangedMeanwhileError when the name is taken."""
        dynamodb.transact(self._put_node(node, "attribute_not_exists(pk)"))

    def replace(self, before: Node, after: Node) -> None:
        """Write a node's change; raises ChangedMeanwhileError."""
        dynamodb.transact(self._put_changed(before, after))

    def allocations(self, order_ids: Iterable[str]) -> dict[str, Allocation]:
        """The places of these orders, of those that have one."""
        items = dynamodb.batch_get(self._table, [(f"ALLOCATION#{order_id}", "ALLOCATION") for order_id in order_ids])
        return {item["orderId"]: _to_allocation(item) for item in items.values()}

    def allocate(self, demand: Demand, node: Node, after: Node, calls: int, now: datetime) -> None:
        """Give an approved order its place: all of it, or nothing. Raises ChangedMeanwhileError."""
        customer = demand.customer_id
        assignment = {
            "pk": node.instance_arn,
            "sk": f"ASSIGNMENT#{demand.order_id}",
            "orderId": demand.order_id,
            "customerId": customer,
            "encrypted": True,
            "calls": calls,
            "version": 1,
            "phones": [
                {"username": f"{customer}-{extension}", "extension": extension}
                for extension in range(FIRST_EXTENSION, FIRST_EXTENSION + demand.phones)
            ],
            "assignedAt": to_iso(now),
        }
        allocation = {
            "pk": f"ALLOCATION#{demand.order_id}",
            "sk": "ALLOCATION",
            "orderId": demand.order_id,
            "customerId": customer,
            "nodeId": node.id,
            "instanceArn": node.instance_arn,
            "calls": calls,
            "assignedAt": to_iso(now),
        }
        order = {"pk": f"ORDER#{demand.order_id}", "sk": "ORDER"}
        dynamodb.transact(
            dynamodb.check(self._orders, order, _changed, "#state = :state", state="inProgress"),
            dynamodb.put(self._table, allocation, _changed, "attribute_not_exists(pk)"),
            dynamodb.put(self._table, assignment, _changed, "attribute_not_exists(pk)"),
            self._put_changed(node, after),
        )

    def release(self, allocation: Allocation, node: Node, after: Node) -> None:
        """Take an order off its node. Raises ChangedMeanwhileError."""
        assignment = {"pk": allocation.instance_arn, "sk": f"ASSIGNMENT#{allocation.order_id}"}
        dynamodb.transact(
            dynamodb.delete(
                self._table,
                {"pk": f"ALLOCATION#{allocation.order_id}", "sk": "ALLOCATION"},
                _changed,
                "instanceArn = :arn",
                arn=allocation.instance_arn,
            ),
            dynamodb.delete(self._table, assignment, _changed, "attribute_exists(pk)"),
            self._put_changed(node, after),
        )

    def still_on(self, allocation: Allocation) -> Write:
        """The condition, for another transaction, that the order has this place."""
        key = {"pk": f"ALLOCATION#{allocation.order_id}", "sk": "ALLOCATION"}
        return dynamodb.check(self._table, key, _changed, "instanceArn = :arn", arn=allocation.instance_arn)

    def heartbeat(self, instance_arn: str) -> Heartbeat | None:
        """The node's newest heartbeat."""
        item = dynamodb.get(self._table, instance_arn, "HEARTBEAT")
        if item is None:
            return None
        return Heartbeat(
            datetime.fromtimestamp(item["at"] / 1000, UTC), item["state"], item["address"], item["sipPort"]
        )

    def report(self, instance_arn: str) -> dict[str, Proof]:
        """What the node reports of each order."""
        item = dynamodb.get(self._table, instance_arn, "REPORT") or {}
        assignments: Mapping[str, Mapping[str, Any]] = item.get("assignments", {})
        return {
            order_id: Proof(report["version"], report["phones"], bool(report.get("probe", {}).get("ok")))
            for order_id, report in assignments.items()
        }

    def _put_changed(self, before: Node, after: Node) -> Write:
        return self._put_node(
            after, "#version = :version AND #state = :state", version=before.version, state=before.state.value
        )

    def _put_node(self, node: Node, condition: str, **values: Any) -> Write:
        return dynamodb.put(
            self._table, {"pk": _NODES, "sk": node.id, **_from_node(node)}, _changed, condition, **values
        )


def _changed(_: Item | None) -> Exception:
    return ChangedMeanwhileError()


def _from_node(node: Node) -> Item:
    attributes = {
        "nodeId": node.id,
        "state": node.state.value,
        "version": node.version,
        "capacity": node.capacity,
        "allocated": node.allocated,
        "requestedAt": to_iso(node.requested_at),
        "attempt": node.attempt,
        "retryAt": node.retry_at and to_iso(node.retry_at),
        "refusal": node.refusal and node.refusal.value,
        "zone": node.zone,
        "instanceType": node.instance_type,
        "clientToken": node.client_token,
        "instanceId": node.instance_id,
        "instanceArn": node.instance_arn,
        "launchedAt": node.launched_at and to_iso(node.launched_at),
        "address": node.address,
        "sipPort": node.sip_port,
        "readyAt": node.ready_at and to_iso(node.ready_at),
        "reason": node.reason,
        "endedAt": node.ended_at and to_iso(node.ended_at),
        # Until then it tells what became of it; long after EC2 has forgotten its instance and its client tokens.
        "expiresAt": node.ended_at and int((node.ended_at + _ENDED_ROWS_LAST).timestamp()),
    }
    return {name: value for name, value in attributes.items() if value not in (None, "")}


def _to_node(item: Item) -> Node:
    def moment(name: str) -> datetime | None:
        return from_iso(item[name]) if name in item else None

    return Node(
        id=item["nodeId"],
        state=NodeState(item["state"]),
        version=item["version"],
        capacity=item["capacity"],
        allocated=item["allocated"],
        requested_at=from_iso(item["requestedAt"]),
        attempt=item["attempt"],
        retry_at=moment("retryAt"),
        refusal=Refusal(item["refusal"]) if "refusal" in item else None,
        zone=item.get("zone", ""),
        instance_type=item.get("instanceType", ""),
        client_token=item.get("clientToken", ""),
        instance_id=item.get("instanceId", ""),
        instance_arn=item.get("instanceArn", ""),
        launched_at=moment("launchedAt"),
        address=item.get("address", ""),
        sip_port=item.get("sipPort", 0),
        ready_at=moment("readyAt"),
        reason=item.get("reason", ""),
        ended_at=moment("endedAt"),
    )


def _to_allocation(item: Item) -> Allocation:
    return Allocation(item["orderId"], item["nodeId"], item["instanceArn"], item["calls"], from_iso(item["assignedAt"]))
