"""What other contexts may ask the fleet: which nodes there are, and where an environment is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet.node import NodeState
from fleet.observed import Metrics
from fleet.store import FleetStore
from shared import dynamodb, settings


@dataclass(frozen=True)
class NodeSeen:
    """A node as the ledger has it, with its newest sign of life; what it has not said of itself is None."""

    id: str
    state: str
    address: str
    zone: str
    release: str
    capacity: int
    allocated: int
    reason: str
    calls: int | None
    registrations: int | None
    heartbeat_at: datetime | None


@dataclass(frozen=True)
class Serving:
    """The node that serves an environment now, the one that stands by, and the newest probe call through the former."""

    node_id: str
    state: str
    address: str
    standby: str
    probe: Mapping[str, Any] | None


def nodes() -> list[NodeSeen]:
    """All nodes that have not ended."""
    store = FleetStore(settings.fleet_table())
    rows = [node for node in store.nodes() if node.state is not NodeState.TERMINATED]
    beats = store.heartbeats([node.instance_arn for node in rows if node.instance_arn])
    seen = []
    for node in rows:
        beat = beats.get(node.instance_arn)
        seen.append(
            NodeSeen(
                id=node.id,
                state=node.state.value,
                address=node.address,
                zone=node.zone,
                release=node.release,
                capacity=node.capacity,
                allocated=node.primary,
                reason=node.reason,
                calls=beat.calls if beat else None,
                registrations=beat.registrations if beat else None,
                heartbeat_at=beat.at if beat else None,
            )
        )
    return seen


def metrics(node_id: str, since: datetime) -> list[Metrics]:
    """What a node measured from then on, the oldest first; nothing of one that there is not."""
    store = FleetStore(settings.fleet_table())
    node = store.node(node_id)
    return store.metrics(node.instance_arn, since) if node and node.instance_arn else []


def of(environment_id: str) -> Serving | None:
    """Where an environment is served; None while it is nowhere."""
    store = FleetStore(settings.fleet_table())
    placement = store.placement(environment_id)
    primary = placement.primary if placement else None
    node = store.node(primary.node_id) if primary else None
    if placement is None or primary is None or node is None:
        return None
    report = dynamodb.get(settings.fleet_table(), primary.instance_arn, "REPORT") or {}
    told = (report.get("assignments") or {}).get(environment_id) or {}
    standby = placement.standbys[0].node_id if placement.standbys else ""
    return Serving(node.id, node.state.value, node.address, standby, told.get("probe"))


def registrations(environment_id: str) -> Mapping[str, Any]:
    """What the node that serves an environment last wrote of its registered phones, by user name; empty while it is nowhere."""
    store = FleetStore(settings.fleet_table())
    placement = store.placement(environment_id)
    primary = placement.primary if placement else None
    if primary is None:
        return {}
    told = dynamodb.get(settings.fleet_table(), primary.instance_arn, f"REGISTRATIONS#{environment_id}") or {}
    phones = told.get("phones")
    return phones if isinstance(phones, Mapping) else {}
