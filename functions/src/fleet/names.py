"""The names by which phones find their environment: what DNS should say, from where it is. Pure.

ID.SIPDOMAIN              A    the primary
_sips._tcp.ID.SIPDOMAIN   SRV  10 the primary, 20 the standby (RFC 3263, RFC 2782)
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.node import GONE, Node
from fleet.placement import Placement

TTL_SECONDS = 30
PRIMARY_PRIORITY = 10
STANDBY_PRIORITY = 20


@dataclass(frozen=True)
class Record:
    """One resource record set (https://docs.aws.amazon.com/Route53/latest/APIReference/API_ResourceRecordSet.html)."""

    name: str
    kind: str
    values: tuple[str, ...]


def addresses(placement: Placement, nodes: Mapping[str, Node]) -> tuple[str, ...] | None:
    """Where phones should go: `NODE ADDRESS PORT`, the primary first; None when nobody is left."""
    primary = placement.primary
    ordered = [*([primary] if primary else []), *sorted(placement.standbys, key=lambda one: one.assigned_at)]
    living = [nodes[one.node_id] for one in ordered if one.node_id in nodes and nodes[one.node_id].state not in GONE]
    return tuple(f"{node.id} {node.address} {node.sip_port}" for node in living[:2] if node.address) or None


def records(environment_id: str, sip_domain: str, said: tuple[str, ...]) -> list[Record]:
    """The record sets for these addresses: the environment's own, and the name that each SRV record points to."""
    targets = [address.split(" ") for address in said]
    service = tuple(
        f"{priority} 10 {port} {node_name(node, sip_domain)}."
        for priority, (node, _, port) in zip((PRIMARY_PRIORITY, STANDBY_PRIORITY), targets, strict=False)
    )
    return [
        *(Record(f"{node_name(node, sip_domain)}.", "A", (address,)) for node, address, _ in targets),
        Record(f"{environment_id}.{sip_domain}.", "A", (targets[0][1],)),
        Record(service_name(environment_id, sip_domain), "SRV", service),
    ]


def node_name(node: str, sip_domain: str) -> str:
    """The name of a node: one label, so that the certificate's wildcard is for it too. None of an environment has a hyphen in it."""
    return f"node-{node}.{sip_domain}"


def service_name(environment_id: str, sip_domain: str) -> str:
    """Where RFC 3263 section 4.1 has a phone look for SIP over TLS."""
    return f"_sips._tcp.{environment_id}.{sip_domain}."
