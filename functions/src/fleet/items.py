"""The ledger's rows as items of DynamoDB, and back. Attributes that say nothing are left out. Pure."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

from fleet.node import Node, NodeState, Refusal
from fleet.observed import Heartbeat, Metrics, Proof
from fleet.placement import Assignment, HoldReason, Placement, Role, Told
from fleet.receipt_keys import is_receipt_key
from shared.clock import from_iso, to_iso

Item = dict[str, Any]

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, OSError)
"""What reading an odd item raises: an attribute is absent or of another type, or a moment is beyond all clocks."""

MOST_NOTICES = 20
"""So many kinds of notices are read of one environment."""
_ENDED_ROWS_LAST = timedelta(days=30)
_MOMENTS = ("retryAt", "launchedAt", "readyAt", "since", "emptiedAt", "silentSince", "silentBeat", "endedAt")


def from_node(node: Node) -> Item:
    """A node's row but for its keys."""
    attributes = {
        "nodeId": node.id,
        "state": node.state.value,
        "version": node.version,
        "capacity": node.capacity,
        "primary": node.primary,
        # DynamoDB takes an empty name in a map, and people do not see it.
        "reserve": {name or "-": calls for name, calls in node.reserve.items()} or None,
        "dedicatedTo": node.dedicated_to,
        "requestedAt": to_iso(node.requested_at),
        "home": node.home,
        "attempt": node.attempt,
        "refusal": node.refusal and node.refusal.value,
        "zone": node.zone,
        "instanceType": node.instance_type,
        "release": node.release,
        "clientToken": node.client_token,
        "instanceId": node.instance_id,
        "instanceArn": node.instance_arn,
        "address": node.address,
        "sipPort": node.sip_port,
        "reason": node.reason,
        "callsEnded": node.calls_ended or None,
        # Until then it tells what became of it; long after EC2 has forgotten its instance and its client tokens.
        "expiresAt": node.ended_at and int((node.ended_at + _ENDED_ROWS_LAST).timestamp()),
        **{name: _iso(getattr(node, _snake(name))) for name in _MOMENTS},
    }
    return {name: value for name, value in attributes.items() if value not in (None, "")}


def to_node(item: Mapping[str, Any]) -> Node:
    """Raises KeyError or ValueError for what is no node's row."""
    return Node(
        id=item["nodeId"],
        state=NodeState(item["state"]),
        version=item["version"],
        capacity=item["capacity"],
        requested_at=from_iso(item["requestedAt"]),
        primary=item.get("primary", 0),
        reserve={"" if name == "-" else name: calls for name, calls in item.get("reserve", {}).items()},
        dedicated_to=item.get("dedicatedTo", ""),
        home=item.get("home", 0),
        attempt=item.get("attempt", 0),
        refusal=Refusal(item["refusal"]) if "refusal" in item else None,
        zone=item.get("zone", ""),
        instance_type=item.get("instanceType", ""),
        release=item.get("release", ""),
        client_token=item.get("clientToken", ""),
        instance_id=item.get("instanceId", ""),
        instance_arn=item.get("instanceArn", ""),
        address=item.get("address", ""),
        sip_port=item.get("sipPort", 0),
        reason=item.get("reason", ""),
        calls_ended=item.get("callsEnded", False),
        **{_snake(name): from_iso(item[name]) for name in _MOMENTS if name in item},
    )


def from_placement(placement: Placement) -> Item:
    """A placement's row but for its keys."""
    attributes = {
        "environmentId": placement.environment_id,
        "version": placement.version,
        "epoch": placement.epoch,
        "assignments": [_from_assignment(one) for one in placement.assignments],
        "names": None if placement.names is None else list(placement.names),
        "aliases": list(placement.aliases) or None,
        "named": list(placement.named) or None,
        "spreading": list(placement.spreading) or None,
        "proven": placement.proven
        and {
            "version": placement.proven.version,
            "nodeId": placement.proven.node_id,
            "at": to_iso(placement.proven.at),
        },
        "held": placement.held and placement.held.value,
        "noticed": dict(placement.noticed) or None,
        "dedicated": placement.dedicated or None,
        "leaves": placement.leaves or None,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def to_placement(item: Mapping[str, Any]) -> Placement:
    """Raises KeyError or ValueError for what is no placement's row."""
    proven = item.get("proven")
    return Placement(
        environment_id=item["environmentId"],
        version=item["version"],
        epoch=item["epoch"],
        assignments=tuple(_to_assignment(one) for one in item["assignments"]),
        names=tuple(item["names"]) if "names" in item else None,
        aliases=tuple(item.get("aliases", ())),
        named=tuple(item.get("named", ())),
        spreading=tuple(item.get("spreading", ())),
        proven=Told(proven["version"], proven["nodeId"], from_iso(proven["at"])) if proven else None,
        held=HoldReason(item["held"]) if "held" in item else None,
        noticed=item.get("noticed", {}),
        dedicated=item.get("dedicated", False),
        leaves=item.get("leaves", ""),
    )


def _from_assignment(one: Assignment) -> Item:
    return {
        "nodeId": one.node_id,
        "instanceArn": one.instance_arn,
        "role": one.role.value,
        "epoch": one.epoch,
        "calls": one.calls,
        "version": one.version,
        "assignedAt": to_iso(one.assigned_at),
        "demoted": one.demoted,
    }


def _to_assignment(item: Mapping[str, Any]) -> Assignment:
    return Assignment(
        node_id=item["nodeId"],
        instance_arn=item["instanceArn"],
        role=Role(item["role"]),
        epoch=item["epoch"],
        calls=item["calls"],
        version=item["version"],
        assigned_at=from_iso(item["assignedAt"]),
        demoted=item["demoted"],
    )


def to_heartbeat(item: Mapping[str, Any]) -> Heartbeat:
    """What a node wrote as its HEARTBEAT; `at` is epoch milliseconds. Raises UNREADABLE."""
    return Heartbeat(
        at=_moment(item["at"]),
        state=str(item["state"]),
        address=str(item["address"]),
        sip_port=int(item["sipPort"]),
        calls=int(item.get("calls", 0)),
        registrations=int(item.get("registrations", 0)),
        receipt_key=item.get("receiptKey") if is_receipt_key(item.get("receiptKey")) else None,
    )


def to_proof(report: Mapping[str, Any]) -> Proof:
    """One environment in a node's REPORT. Raises UNREADABLE."""
    probe = report.get("probe") or {}
    return Proof(
        version=int(report["version"]),
        epoch=int(report.get("epoch", 0)),
        phones=int(report["phones"]),
        probe_ok=bool(probe["ok"]) if "ok" in probe else None,
        probe_at=_moment(probe["at"]) if "at" in probe else None,
        error=str(probe.get("error", "")),
        notices={
            str(kind)[:40]: date.fromisoformat(str(day)).isoformat()
            for kind, day in islice((report.get("notices") or {}).items(), MOST_NOTICES)
        },
    )


def to_metrics(item: Mapping[str, Any]) -> Metrics:
    """One METRICS item. Raises UNREADABLE."""
    return Metrics(_moment(item["at"]), {str(name): float(value) for name, value in item["values"].items()})


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _iso(moment: datetime | None) -> str | None:
    return to_iso(moment) if moment else None


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
