"""What the fleet's control plane speaks with in the simulated cloud: EC2, Route 53 and `customers`."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from fleet.actions import Wanted
from fleet.ec2 import LaunchRefusedError
from fleet.erlang import calls_needed
from fleet.node import Node, Offer, Refusal
from fleet.observed import Instance
from shared.shards import ALL, SHARDS, shard
from tests.functions.fleet.memory_store import Writes

if TYPE_CHECKING:
    from tests.functions.fleet.simulated_cloud import Cloud


class Ec2:
    """EC2 as its documentation has it: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html."""

    def __init__(self, cloud: Cloud) -> None:
        self.all: dict[str, Instance] = {}
        self.full: set[str] = set()
        self.quota = 99
        self.stale = timedelta(0)
        self.throttled = False
        self.history: deque[tuple[datetime, tuple[Instance, ...]]] = deque(maxlen=31)
        self._cloud = cloud
        self._tokens: dict[str, tuple[tuple[str, Offer], str]] = {}

    def remember(self) -> None:
        """How things are now, for who asks later and is told what was."""
        self.history.append((self._cloud.now, tuple(self.all.values())))

    def _answer(self) -> None:
        if self.throttled:
            raise ConnectionError("RequestLimitExceeded")

    def instances(self) -> tuple[Instance, ...]:
        self._answer()
        if self.stale:
            seen = [instances for at, instances in self.history if at <= self._cloud.now - self.stale]
            return seen[-1] if seen else ()
        return tuple(self.all.values())

    def launch(self, node_id: str, offer: Offer, client_token: str) -> Instance:
        self._answer()
        self._cloud.writes.before()
        known = self._tokens.get(client_token)
        if known:
            parameters, instance_id = known
            if parameters != (node_id, offer) or self.all[instance_id].ended:
                raise LaunchRefusedError(Refusal.SPENT)
            return self.all[instance_id]
        if sum(instance.alive for instance in self.all.values()) >= self.quota:
            raise LaunchRefusedError(Refusal.QUOTA)
        if offer.subnet_id in self.full:
            raise LaunchRefusedError(Refusal.NO_CAPACITY)
        number = len(self.all) + 1
        instance_id = f"i-{number:04d}"
        arn = f"arn:aws:ec2:eu-central-1:123456789012:instance/{instance_id}"
        self.all[instance_id] = Instance(instance_id, arn, node_id, "pending", self._cloud.now, offer.subnet_id)
        self._tokens[client_token] = ((node_id, offer), instance_id)
        self._cloud.boot(self.all[instance_id], number)
        self._cloud.writes.after()
        return self.all[instance_id]

    def terminate(self, instance_id: str) -> None:
        self._answer()
        self._cloud.writes.before()
        self.end(instance_id)
        self._cloud.writes.after()

    def end(self, instance_id: str) -> None:
        self.all[instance_id] = replace(self.all[instance_id], state="terminated")
        self._cloud.machines.pop(self.all[instance_id].arn, None)


class Dns:
    """Route 53's zone: what it was told last, and which changes have not reached all of its servers."""

    def __init__(self, cloud: Cloud) -> None:
        self.says: dict[str, tuple[str, ...]] = {}
        self.spreads_in = timedelta(0)
        self.spread_at: list[datetime] = []
        self._cloud = cloud
        self._changed: dict[str, datetime] = {}
        self._writes = cloud.writes

    def spread(self, change: str) -> bool:
        return self._cloud.now >= self.spread_at[int(change)]

    def stands(self, environment_id: str) -> bool:
        """Whether every phone that asks is told what was said last, and not that there is no such name."""
        return environment_id in self.says and self._cloud.now >= self._changed[environment_id]

    def publish(self, changes: Iterable[tuple[str, tuple[str, ...] | None]]) -> dict[str, tuple[str, ...]]:
        self._writes.before()
        changes = list(changes)
        self.spread_at.append(self._cloud.now + self.spreads_in)
        for environment_id, addresses in changes:
            self._changed[environment_id] = self.spread_at[-1]
            if addresses is None:
                self.says.pop(environment_id, None)
            else:
                self.says[environment_id] = addresses
        self._writes.after()
        return {environment_id: (str(len(self.spread_at) - 1),) for environment_id, _ in changes}


class Records:
    """What nodes told of calls that run, and the records of those that they could not end; a node has one call from when it is ready."""

    def __init__(self, writes: Writes) -> None:
        self.running: dict[str, datetime] = {}
        self.broken: dict[str, datetime] = {}
        self._writes = writes

    def end(self, arn: str, last_heard: datetime) -> int:
        self._writes.before()
        if arn in self.running:
            assert arn not in self.broken, "one call has left two records"
            self.broken[arn] = max(last_heard, self.running.pop(arn))
        self._writes.after()
        return len(self.broken)


class Customers:
    """What `customers` wants served, and what it was told."""

    def __init__(self, writes: Writes, dns: Dns) -> None:
        self.served: dict[str, Wanted] = {}
        self.gone: set[str] = set()
        self.aliases: dict[str, list[str]] = {}
        self.told_proven: dict[str, tuple[int, str]] = {}
        self.told_held: dict[str, str] = {}
        self.told_notices: list[tuple[str, dict[str, str]]] = []
        self._writes = writes
        self._dns = dns

    def wanted(self, shards: Collection[int] = ALL) -> dict[str, Wanted]:
        return {name: one for name, one in self.served.items() if len(shards) == SHARDS or shard(name) in shards}

    def document(self, environment_id: str) -> Mapping[str, Any] | None:
        found = self.served.get(environment_id)
        if found is None:
            return None
        return {"version": found.version, "phones": found.phones, "aliases": self.aliases.get(environment_id, [])}

    def join(self, into: str, other: str) -> None:
        """Two customers that are one: an environment becomes part of another, and its phones keep the name that they know."""
        if into == other or not self.served.keys() >= {into, other}:
            return
        gone = self.served.pop(other)
        self.gone.add(other)
        self.aliases[into] = sorted({other, *self.aliases.get(into, ()), *self.aliases.pop(other, ())})
        whole = self.served[into]
        phones = whole.phones + gone.phones
        self.served[into] = replace(whole, version=whole.version + 1, phones=phones, calls=calls_needed(phones))

    def owner(self, environment_id: str) -> str:
        """Which environment it became part of; empty while it is one itself."""
        return next((name for name, aliases in self.aliases.items() if environment_id in aliases), "")

    def ended(self, environment_ids: Iterable[str]) -> Set[str]:
        return {one for one in environment_ids if one in self.gone}

    def proven(self, environment_id: str, version: int, node: Node, at: datetime) -> None:
        self._writes.before()
        assert self._dns.stands(environment_id), f"{environment_id} is proven while its name does not stand"
        assert f"{node.id} {node.address}" in self._dns.says[environment_id][0], "its name leads elsewhere"
        self.told_proven[environment_id] = version, node.id
        self.told_held.pop(environment_id, None)
        self._writes.after()

    def noticed(self, environment_id: str, notices: Mapping[str, str]) -> None:
        self._writes.before()
        self.told_notices.append((environment_id, dict(notices)))
        self._writes.after()

    def held(self, environment_id: str, reason: str) -> None:
        self._writes.before()
        self.told_held[environment_id] = reason
        self._writes.after()
