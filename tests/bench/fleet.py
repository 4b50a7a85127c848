"""./dev bench fleet: one look of the reconciler and its actions at a large fleet, on DynamoDB Local and an EC2 that throttles as AWS does.

Everything is written as if the fleet had grown so: nodes with their heartbeats and reports, environments with their placements. Then
some environments change and one node is lost, and the reconciler runs until there is nothing left to do.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path[0] = str(Path(__file__).parents[2])  # not this folder, whose fleet.py is no `fleet`

from tests.support.functions import TABLES, create_tables, dynamodb_local_running  # noqa: E402
from tests.support.own_data import DATA  # noqa: E402

CALLS = 6
"""Of a customer with ten phones."""
PARTS = 8
NOW = datetime.now(UTC)
REGION = "eu-central-1"


@dataclass
class Bucket:
    """A token bucket, as EC2 throttles its API: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html."""

    size: float
    a_second: float
    left: float = 0.0
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.left = self.size

    def take(self) -> None:
        """Raises ConnectionError when there is none."""
        now = time.monotonic()
        self.left = min(self.size, self.left + (now - self.at) * self.a_second)
        self.at = now
        if self.left < 1:
            raise ConnectionError("RequestLimitExceeded")
        self.left -= 1


class Ec2:
    """Its instances, and its throttles."""

    def __init__(self, instances: Iterable[Any]) -> None:
        self.all = {instance.id: instance for instance in instances}
        self.describing, self.launching, self.ending = Bucket(100, 20), Bucket(5, 2), Bucket(100, 5)

    def instances(self) -> tuple[Any, ...]:
        for _ in range(1 + len(self.all) // 1000):  # a page each
            self.describing.take()
        return tuple(self.all.values())

    def launch(self, node_id: str, offer: Any, client_token: str) -> Any:
        from fleet.observed import Instance

        self.launching.take()
        number = len(self.all)
        made = Instance(f"i-{number:017x}", _arn(number), node_id, "pending", datetime.now(UTC), offer.subnet_id)
        self.all[made.id] = made
        return made

    def terminate(self, instance_id: str) -> None:
        self.ending.take()
        self.all[instance_id] = replace(self.all[instance_id], state="terminated")


class Dns:
    """Route 53, five requests a second: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html."""

    def __init__(self) -> None:
        self.asking = Bucket(5, 5)
        self.names = 0

    def publish(self, changes: Iterable[tuple[str, tuple[str, ...] | None]]) -> dict[str, tuple[str, ...]]:
        self.asking.take()
        told = list(changes)
        self.names += len(told)
        return {name: () for name, _ in told}

    def spread(self, change: str) -> bool:
        return True


def _arn(number: int) -> str:
    return f"arn:aws:ec2:{REGION}:123456789012:instance/i-{number:017x}"


def _id(number: int) -> str:
    return "".join("abcdefghijkmnpqrstuvwxyz"[number // 24**place % 24] for place in range(6))


def seed(nodes: int, environments: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """(table, item) of everything."""
    from customers import store as customers_store
    from customers.environment import Environment, Phone
    from fleet.items import from_node, from_placement
    from fleet.names import addresses
    from fleet.node import Node, NodeState
    from fleet.placement import Assignment, Placement, Role, Told
    from shared import settings
    from shared.shards import shard

    fleet, customers = settings.fleet_table(), settings.customers_table()
    rows = {
        f"n{number:04d}": Node(
            f"n{number:04d}",
            NodeState.READY,
            version=3,
            capacity=300,
            requested_at=NOW,
            zone=f"subnet-{'abc'[number % 3]}",
            release="r1",
            instance_id=f"i-{number:017x}",
            instance_arn=_arn(number),
            launched_at=NOW - timedelta(days=1),
            address=f"10.20.{number // 250}.{number % 250}",
            sip_port=5061,
            ready_at=NOW - timedelta(days=1),
            since=NOW - timedelta(days=1),
        )
        for number in range(nodes)
    }
    names = list(rows)
    primary: dict[str, int] = dict.fromkeys(names, 0)
    reserve: dict[str, dict[str, int]] = {name: {} for name in names}
    reports: dict[str, dict[str, Any]] = {name: {} for name in names}
    for number in range(environments):
        home = number % nodes
        other = (home + 1 + (number // nodes) * 7) % nodes
        if other == home or rows[names[other]].zone == rows[names[home]].zone:
            other = (other + 1) % nodes
        environment_id = _id(number)
        told = Told(1, names[home], NOW)
        assigned = NOW - timedelta(days=1)
        placement = Placement(
            environment_id,
            version=2,
            epoch=2,
            assignments=(
                Assignment(names[home], _arn(home), Role.PRIMARY, 1, CALLS, 1, assigned),
                Assignment(names[other], _arn(other), Role.STANDBY, 2, CALLS, 1, assigned),
            ),
            proven=told,
        )
        placement = replace(placement, names=addresses(placement, rows))
        yield fleet, {"pk": f"PLACEMENTS#{shard(environment_id):02}", "sk": environment_id, **from_placement(placement)}
        primary[names[home]] += CALLS
        reserve[names[other]][names[home]] = reserve[names[other]].get(names[home], 0) + CALLS
        proof = {"version": 1, "epoch": 2, "phones": 10, "probe": {"ok": True, "at": int(NOW.timestamp() * 1000)}}
        reports[names[home]][environment_id] = reports[names[other]][environment_id] = proof
        phones = tuple(Phone(f"{environment_id}-{201 + n}", 201 + n) for n in range(10))
        found = Environment(environment_id, served=True, encrypted=True, phones=phones)
        yield (
            customers,
            {"pk": f"CUSTOMER#{environment_id}", "sk": "ENVIRONMENT", **customers_store._environment_item(found)},
        )
    for number, (name, node) in enumerate(rows.items()):
        loaded = replace(node, primary=primary[name], reserve=reserve[name])
        yield fleet, {"pk": "NODES", "sk": name, **from_node(loaded)}
        beat = {"at": 0, "state": "ready", "address": node.address, "sipPort": 5061, "calls": 3, "registrations": 99}
        yield fleet, {"pk": _arn(number), "sk": "HEARTBEAT", **beat}
        yield fleet, {"pk": _arn(number), "sk": "REPORT", "at": 0, "assignments": reports[name]}


def write(items: Iterable[tuple[str, dict[str, Any]]]) -> int:
    """Write them, 25 at a time, eight requests at once."""
    from shared import dynamodb

    def put(batch: list[tuple[str, dict[str, Any]]]) -> None:
        wanted: dict[str, list[Any]] = {}
        for table, item in batch:
            wanted.setdefault(table, []).append({"PutRequest": {"Item": dynamodb.marshal(item)}})
        while wanted:
            wanted = dynamodb.client().batch_write_item(RequestItems=wanted)["UnprocessedItems"]

    written, batch = 0, list[tuple[str, dict[str, Any]]]()
    with ThreadPoolExecutor(8) as pool:
        waiting = []
        for item in items:
            batch.append(item)
            written += 1
            if len(batch) == 25:
                waiting.append(pool.submit(put, batch))
                batch = []
                if len(waiting) > 200:
                    for one in waiting:
                        one.result()
                    waiting = []
        put(batch)
        for one in waiting:
            one.result()
    return written


def beat(nodes: int, lost: int) -> None:
    """All nodes but the lost one have just been heard."""
    from shared import settings

    at = int(datetime.now(UTC).timestamp() * 1000)
    write(
        (
            settings.fleet_table(),
            {
                **{"pk": _arn(number), "sk": "HEARTBEAT", "at": at, "state": "ready", "sipPort": 5061, "calls": 3},
                **{"address": f"10.20.{number // 250}.{number % 250}", "registrations": 99},
            },
        )
        for number in range(nodes)
        if number != lost
    )


def timed(target: Any, spent: dict[str, float], *names: str) -> None:
    """Let these methods note how much of the processor they take."""
    for name in names:
        method = vars(target).get(name) or getattr(target, name)

        def asked(*args: Any, _method: Callable[..., Any] = method, _name: str = name) -> Any:
            began = time.process_time()
            try:
                return _method(*args)
            finally:
                spent[_name] = spent.get(_name, 0.0) + time.process_time() - began

        setattr(target, name, asked)


def run(nodes: int, environments: int, changed: int, looks: int, say: Callable[[str], None]) -> Mapping[str, Any]:
    """Seed, change, look; the figures."""
    from fleet import plan as planning
    from fleet.demand import Demand
    from fleet.limits import Limits
    from fleet.observed import Instance
    from fleet.part import WHOLE, Part
    from fleet.reconciler import Reconciler
    from fleet.store import FleetStore
    from shared import dynamodb, settings

    began = time.perf_counter()
    written = write(seed(nodes, environments))
    say(f"{written:,} items written in {time.perf_counter() - began:.0f} s")
    launched = NOW - timedelta(days=1)
    ec2 = Ec2(
        Instance(f"i-{n:017x}", _arn(n), f"n{n:04d}", "running", launched, f"subnet-{'abc'[n % 3]}")
        for n in range(nodes)
    )
    store, demand, dns = FleetStore(settings.fleet_table()), Demand(), Dns()
    limits = Limits("test", ("subnet-a", "subnet-b", "subnet-c"), (), 300, nodes + 50, release="r1")
    reconciler = Reconciler(
        store, demand, ec2, dns, SimpleNamespace(end=lambda arn, last_heard: 0), limits, lambda: datetime.now(UTC)
    )
    figures: dict[str, Any] = {"nodes": nodes, "environments": environments}

    def look(name: str, part: Part) -> None:
        spent = dict[str, float]()
        timed(store, spent, "nodes", "placements", "heartbeats", "reports", "rearrange", "note")
        timed(demand, spent, "wanted")
        whole = planning.plan
        timed(planning, spent, "plan")
        began, worked = time.perf_counter(), time.process_time()
        done = reconciler.run(part=part)
        figures[name] = {
            "seconds": round(time.perf_counter() - began, 1),
            "of_the_processor": round(time.process_time() - worked, 1),
            "actions": done,
            "spent": {part: round(seconds, 1) for part, seconds in spent.items()},
            "resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        planning.plan = whole
        for target in (store, demand):
            vars(target).clear() if target is demand else [vars(target).pop(part, None) for part in spent]
        say(f"{name}: {json.dumps(figures[name])}")

    beat(nodes, lost=-1)
    look("all, nothing to do", WHOLE)
    look("a part, nothing to do", Part(0, PARTS))
    for number in range(changed):
        dynamodb.transact(
            dynamodb.update(
                settings.customers_table(),
                {"pk": f"CUSTOMER#{_id(number * 97 % environments)}", "sk": "ENVIRONMENT"},
                "SET #version = :version",
                lambda _: RuntimeError("there is no such environment"),
                "attribute_exists(pk)",
                version=2,
            )
        )
    lost = ec2.all[f"i-{7:017x}"]
    ec2.all[lost.id] = replace(lost, state="terminated")
    parts = f"{changed} environments changed and a node lost: part"
    for number in range(looks):
        beat(nodes, lost=7)
        look(f"{parts} {number + 1} of {PARTS}", Part(number, PARTS))
    return figures


def main() -> int:
    """Run it, print the figures."""
    parser = argparse.ArgumentParser(prog="./dev bench fleet", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--nodes", type=int, default=2500)
    parser.add_argument("--environments", type=int, default=100_000)
    parser.add_argument("--changed", type=int, default=100)
    parser.add_argument("--looks", type=int, default=PARTS, help="at so many of the parts")
    options = parser.parse_args()
    with dynamodb_local_running() as endpoint:
        suffix = uuid.uuid4().hex[:12]
        os.environ |= {
            "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": suffix,
            "AWS_SECRET_ACCESS_KEY": "local",
            "POWERTOOLS_TRACE_DISABLED": "true",
            "LOG_LEVEL": "ERROR",
            "DATA_DIR": str(DATA),
            **{name: f"{name.lower()}-{suffix}" for name in TABLES},
        }
        from shared import dynamodb

        create_tables(dynamodb.client(), dict(os.environ))
        figures = run(
            options.nodes,
            options.environments,
            options.changed,
            options.looks,
            lambda text: print(text, file=sys.stderr, flush=True),
        )
    print(json.dumps(figures) if options.json else json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
