"""The fleet table: the ledger of nodes and placements, the nodes' assignments, and what the nodes say of themselves."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from fleet import placement as placements
from fleet.items import UNREADABLE, from_node, from_placement, to_heartbeat, to_metrics, to_node, to_placement, to_proof
from fleet.node import Node
from fleet.observed import Heartbeat, Metrics, Proof
from fleet.placement import Assignment, Placement
from fleet.receipt_keys import ReceiptKeyStore
from shared import dynamodb
from shared.clock import to_iso
from shared.dynamodb import Item, Write
from shared.shards import ALL, shard
from shared.telemetry import count, logger

T = TypeVar("T")

_NODES = "NODES"
_METRICS = "METRICS#"


class ChangedMeanwhileError(Exception):
    """Somebody else wrote first; nothing was written, and the next plan sees what they wrote."""


class FleetStore:
    """One fleet table."""

    def __init__(self, fleet_table: str) -> None:
        self._table = fleet_table
        self._receipt_keys = ReceiptKeyStore(fleet_table)

    def nodes(self) -> tuple[Node, ...]:
        """All nodes that ever were, in the order of their names."""
        return tuple(_each(dynamodb.partition(self._table, _NODES), to_node))

    def node(self, node_id: str) -> Node | None:
        """One node's row as it is."""
        item = dynamodb.get(self._table, _NODES, node_id)
        return to_node(item) if item else None

    def add(self, node: Node) -> None:
        """Write a new node; raises ChangedMeanwhileError when the name is taken."""
        dynamodb.transact(self._put_node(node, "attribute_not_exists(pk)"))

    def replace(self, before: Node, after: Node) -> None:
        """Write a node's change; raises ChangedMeanwhileError."""
        dynamodb.transact(self._put_changed(before, after))

    def keep_receipt_key(self, jwk: Mapping[str, str], node_id: str, since: datetime) -> None:
        """Write down under which key a node signs call receipts."""
        self._receipt_keys.keep(jwk, node_id, since)

    def placements(self, shards: Collection[int] = ALL) -> dict[str, Placement]:
        """Where every environment of these shards is."""
        found = (one for shard in shards for one in dynamodb.partition(self._table, f"PLACEMENTS#{shard:02}"))
        return {one.environment_id: one for one in _each(found, to_placement)}

    def placement(self, environment_id: str) -> Placement | None:
        """Where one environment is."""
        item = dynamodb.get(self._table, _shard(environment_id), environment_id)
        return to_placement(item) if item else None

    def rearrange(
        self, before: Placement, after: Placement, document: Mapping[str, Any] | None, now: datetime
    ) -> Placement:
        """Write another placement, the assignments that it changes and their nodes' loads: all of it, or nothing.

        `document` is what the nodes are told of the environment; None says that it ends and leaves the rest of what they were told.
        Answers the placement as it was written. Raises ChangedMeanwhileError, also when a node has no room or takes no more.
        """
        touched = dict.fromkeys(one.node_id for one in (*before.assignments, *after.assignments))
        nodes = {node.id: node for node in map(self.node, touched) if node}
        try:
            rows = placements.settle(nodes, before, after, now)
        except placements.NoRoomError:
            raise ChangedMeanwhileError from None
        written = replace(after, version=before.version + 1)
        gone = [one for one in before.assignments if after.on(one.node_id) is None]
        dynamodb.transact(
            self._put_placement(before, written),
            *(self._put_changed(nodes[name], row) for name, row in rows.items()),
            *(self._put_assignment(one, after, document) for one in after.assignments if before.on(one.node_id) != one),
            *(
                dynamodb.delete(self._table, self._assignment_key(one, before), _changed, "attribute_exists(pk)")
                for one in gone
            ),
        )
        return written

    def note(self, before: Placement, after: Placement) -> Placement:
        """Write what is known of a placement: its names, its proof, why it is held. Raises ChangedMeanwhileError."""
        written = replace(after, version=before.version + 1)
        dynamodb.transact(self._put_placement(before, written))
        return written

    def forget(self, placement: Placement) -> None:
        """Delete a placement's row. Raises ChangedMeanwhileError."""
        key = {"pk": _shard(placement.environment_id), "sk": placement.environment_id}
        dynamodb.transact(dynamodb.delete(self._table, key, _changed, "#version = :version", version=placement.version))

    def heartbeats(self, arns: Iterable[str]) -> dict[str, Heartbeat]:
        """The nodes' newest heartbeats, of those that ever sent one."""
        items = dynamodb.batch_get(self._table, [(arn, "HEARTBEAT") for arn in arns])
        return {arn: beat for (arn, _), item in items.items() for beat in _each([item], to_heartbeat)}

    def reports(self, arns: Iterable[str]) -> dict[str, Mapping[str, Proof]]:
        """What the nodes report of each environment."""
        items = dynamodb.batch_get(self._table, [(arn, "REPORT") for arn in arns])
        return {arn: _proofs(item) for (arn, _), item in items.items()}

    def metrics(self, arn: str, since: datetime) -> list[Metrics]:
        """What a node wrote of itself from then on, the oldest first."""
        samples = _each(dynamodb.partition(self._table, arn, _METRICS), to_metrics)
        return [sample for sample in samples if sample.at >= since]

    def _put_changed(self, before: Node, after: Node) -> Write:
        return self._put_node(
            after, "#version = :version AND #state = :state", version=before.version, state=before.state.value
        )

    def _put_node(self, node: Node, condition: str, **values: Any) -> Write:
        return dynamodb.put(
            self._table, {"pk": _NODES, "sk": node.id, **from_node(node)}, _changed, condition, **values
        )

    def _put_placement(self, before: Placement, after: Placement) -> Write:
        item = {"pk": _shard(after.environment_id), "sk": after.environment_id, **from_placement(after)}
        if not before.version:
            return dynamodb.put(self._table, item, _changed, "attribute_not_exists(pk)")
        return dynamodb.put(self._table, item, _changed, "#version = :version", version=before.version)

    def _put_assignment(self, one: Assignment, placement: Placement, document: Mapping[str, Any] | None) -> Write:
        if document is None:
            # Its environment ends: the node says so to phones, and does not send them elsewhere.
            told = "SET #role = :role, epoch = :epoch, #calls = :calls, served = :served"
            key = self._assignment_key(one, placement)
            values = {"role": one.role.value, "epoch": one.epoch, "calls": one.calls, "served": False}
            return dynamodb.update(self._table, key, told, _changed, "attribute_exists(pk)", **values)
        item = {
            **document,
            **self._assignment_key(one, placement),
            "role": one.role.value,
            "epoch": one.epoch,
            "calls": one.calls,
            "assignedAt": to_iso(one.assigned_at),
        }
        return dynamodb.put(self._table, item, _changed, "attribute_exists(pk) OR attribute_not_exists(pk)")

    @staticmethod
    def _assignment_key(one: Assignment, placement: Placement) -> dict[str, str]:
        return {"pk": one.instance_arn, "sk": f"ASSIGNMENT#{placement.environment_id}"}


def _shard(environment_id: str) -> str:
    return f"PLACEMENTS#{shard(environment_id):02}"


def _changed(_: Item | None) -> Exception:
    return ChangedMeanwhileError()


def _each(items: Iterable[Item], parse: Callable[[Item], T]) -> Iterator[T]:
    """Every item that can be read. One that cannot does not hide the others: it is logged and counted."""
    for item in items:
        try:
            yield parse(item)
        except UNREADABLE as error:
            keys = {name: item.get(name) for name in ("pk", "sk")} if isinstance(item, Mapping) else {}
            logger.error("fleet: odd item", extra={**keys, "error": repr(error)})
            count("FleetOddItem")


def _proofs(item: Item) -> dict[str, Proof]:
    told = item.get("assignments")
    if not isinstance(told, Mapping):
        told = {}
    return {name: proof for name, report in told.items() for proof in _each([report], to_proof)}
