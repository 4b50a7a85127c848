"""What is seen: EC2's instances, and what the nodes say of themselves in their own partitions. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fleet.node import Node

FRESH = timedelta(seconds=15)
"""A heartbeat comes every 5 seconds; one as young as this says that the node lives."""

STALE = timedelta(seconds=30)
"""A heartbeat as old as this is missing. Between fresh and stale nothing changes."""

LEASE = timedelta(minutes=5)
"""A node that has not renewed its lease for so long accepts no registrations: its own clock tells it, media_node/control/lease.py."""

LEASE_MARGIN = timedelta(seconds=30)
"""So much longer we wait before somebody else serves its environments: clocks drift, answers are under way."""

FORGOTTEN_AFTER = timedelta(minutes=10)
"""An instance as old as this that EC2 does not list is gone; a younger one may not be listed yet."""


@dataclass(frozen=True)
class Instance:
    """What EC2 says of an instance that carries our fleet's tag; `node_id` is its other tag."""

    id: str
    arn: str
    node_id: str
    state: str
    launched_at: datetime
    subnet_id: str = ""
    instance_type: str = ""
    impaired: bool = False
    """EC2's own checks fail: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html"""

    @property
    def alive(self) -> bool:
        """Whether it runs or is about to (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html)."""
        return self.state in ("pending", "running")

    @property
    def ended(self) -> bool:
        """Whether it can do nothing for us any more, or not for long."""
        return self.state in ("shutting-down", "terminated", "stopping", "stopped")

    @property
    def off(self) -> bool:
        """Whether nothing runs on it."""
        return self.state in ("terminated", "stopped")


@dataclass(frozen=True)
class Heartbeat:
    """The newest sign of life of a node; `at` is by its own clock."""

    at: datetime
    state: str
    address: str
    sip_port: int
    calls: int = 0
    registrations: int = 0
    receipt_key: Mapping[str, str] | None = None
    """The public key under which it signs call receipts (RFC 8037)."""

    def fresh(self, now: datetime) -> bool:
        """Whether it says that the node lives and serves."""
        return self.state == "ready" and abs(now - self.at) <= FRESH

    def missed(self, now: datetime) -> bool:
        """Whether the next one should have come long ago, or comes from a clock that is wrong."""
        return abs(now - self.at) > STALE


@dataclass(frozen=True)
class Proof:
    """What a node reports of one assignment: what it loaded, and what its last probe call found; `probe_ok` is None before the first."""

    version: int
    epoch: int
    phones: int
    probe_ok: bool | None = None
    probe_at: datetime | None = None
    error: str = ""
    notices: Mapping[str, str] = field(default_factory=dict)
    """What the customer is to be told, by kind, and the day on which it last was so (customers/notices.py)."""


@dataclass(frozen=True)
class Metrics:
    """A node's numbers of five minutes, by the names of docs/metrics.md; those that it did not tell are not there."""

    at: datetime
    values: Mapping[str, float]


@dataclass(frozen=True)
class Observed:
    """EC2's instances, and heartbeats and reports by instance ARN."""

    instances: tuple[Instance, ...]
    heartbeats: Mapping[str, Heartbeat]
    reports: Mapping[str, Mapping[str, Proof]]

    def instance(self, node: Node) -> Instance | None:
        """The node's own instance, if EC2 tells of it."""
        return next((instance for instance in self.instances if instance.id == node.instance_id), None)

    def heartbeat(self, node: Node) -> Heartbeat | None:
        """The node's newest heartbeat."""
        return self.heartbeats.get(node.instance_arn)

    def report(self, arn: str, environment_id: str) -> Proof | None:
        """What the node says of this environment."""
        return self.reports.get(arn, {}).get(environment_id)

    def lease_is_out(self, node: Node, now: datetime) -> bool:
        """Whether the node certainly accepts no registrations any more, though it may run: by our clock, since we missed it."""
        heartbeat = self.heartbeat(node)
        unheard = node.silent_since is not None and (heartbeat.at if heartbeat else None) == node.silent_beat
        return unheard and node.silent_since is not None and now - node.silent_since > LEASE + LEASE_MARGIN

    def is_gone(self, node: Node, now: datetime) -> bool:
        """Whether EC2 agrees that the node is lost: nothing runs on its instance, or it is on its way down and says no more."""
        instance, heartbeat = self.instance(node), self.heartbeat(node)
        if instance is None:
            old = node.launched_at is not None and now - node.launched_at > FORGOTTEN_AFTER
            return old and (heartbeat is None or heartbeat.missed(now))
        silent = heartbeat is None or heartbeat.state != "ready" or not heartbeat.fresh(now)
        return instance.off or (instance.ended and silent)
