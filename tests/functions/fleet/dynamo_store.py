"""FleetStore on DynamoDB Local as the simulated cloud wants it: with what nodes write, and with what checks read."""

from collections.abc import Mapping
from typing import Any

from fleet.node import Node
from fleet.observed import Heartbeat, Proof
from fleet.placement import Placement, Role
from fleet.store import FleetStore
from shared import dynamodb, settings
from tests.functions.fleet.memory_store import Writes


class DynamoStore(FleetStore):
    """The table's own words, in the attributes of MemoryStore."""

    def __init__(self) -> None:
        super().__init__(settings.fleet_table())
        self.writes = Writes()

    @property
    def rows(self) -> dict[str, Node]:
        return {node.id: node for node in self.nodes()}

    @property
    def placed(self) -> dict[str, Placement]:
        return self.placements()

    @property
    def assignments(self) -> dict[str, dict[str, tuple[Role, int, int, int]]]:
        found: dict[str, dict[str, tuple[Role, int, int, int]]] = {}
        for raw in dynamodb.client().scan(TableName=settings.fleet_table(), ConsistentRead=True)["Items"]:
            item = dynamodb.unmarshal(raw)
            kind, _, name = item["sk"].partition("#")
            if kind == "ASSIGNMENT":
                found.setdefault(item["pk"], {})[name] = (
                    Role(item["role"]),
                    item["epoch"],
                    item["version"],
                    item["phones"],
                )
        return found

    @property
    def beats(self) -> Mapping[str, Heartbeat]:
        return self.heartbeats([node.instance_arn for node in self.nodes() if node.instance_arn])

    @property
    def told(self) -> Mapping[str, Mapping[str, Proof]]:
        return self.reports([node.instance_arn for node in self.nodes() if node.instance_arn])

    def beat(self, arn: str, heartbeat: Heartbeat) -> None:
        self._node_writes(
            arn,
            "HEARTBEAT",
            {
                "at": int(heartbeat.at.timestamp() * 1000),
                "state": heartbeat.state,
                "address": heartbeat.address,
                "sipPort": heartbeat.sip_port,
                "calls": heartbeat.calls,
            },
        )

    def report(self, arn: str, proofs: dict[str, Proof]) -> None:
        told = {
            name: {
                "version": proof.version,
                "epoch": proof.epoch,
                "phones": proof.phones,
                **(
                    {"probe": {"ok": proof.probe_ok, "at": int(proof.probe_at.timestamp() * 1000)}}
                    if proof.probe_at
                    else {}
                ),
            }
            for name, proof in proofs.items()
        }
        self._node_writes(arn, "REPORT", {"assignments": told})

    def _node_writes(self, arn: str, kind: str, values: dict[str, Any]) -> None:
        item = {"pk": arn, "sk": kind, **values}
        dynamodb.client().put_item(TableName=settings.fleet_table(), Item=dynamodb.marshal(item))
