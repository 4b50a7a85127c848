"""`./dev fleet`: see the nodes and where environments are, and empty, cordon or replace nodes; on a local system or on AWS.

What it writes is a wish: a node's state in the ledger, on the condition that nobody changed it meanwhile. The reconciler does the rest
(docs/node-states.md), and a command that waits shows how far it is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import BotoCoreError, ClientError

from callvoip.aws.endpoint import OPERATOR_KEY, SECRET_KEY

SHARDS = 16
WISHES = {
    "cordon": ("cordoned", ("ready",)),
    "uncordon": ("ready", ("cordoned", "draining")),
    "drain": ("draining", ("ready", "cordoned", "quarantined")),
}
"""Command: the state that is wished, and those in which it may be (docs/node-states.md)."""

Row = Mapping[str, Any]


class FleetError(Exception):
    """The wish cannot be written; the text says why and what to do."""


def main(arguments: list[str]) -> int:
    """Exit status 0 when it is done, 1 when it cannot be or did not happen in time."""
    options = _options(arguments)
    try:
        ledger = Ledger(_table(options))
        return _run(options, ledger)
    except FleetError as error:
        print(f"./dev fleet: {error}", file=sys.stderr)
    except (ClientError, BotoCoreError) as error:
        print(f"./dev fleet: AWS does not do it: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("./dev fleet: stopped looking; the reconciler goes on", file=sys.stderr)
        return 130
    return 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev fleet", description=__doc__)
    parser.add_argument(
        "--ready-file", type=Path, metavar="PATH", help="of the local system; without, AWS with your credentials"
    )
    parser.add_argument("--table", help="the fleet table on AWS; default: the only one whose name says so")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines for people")
    parser.add_argument(
        "--wait",
        type=float,
        default=3600,
        metavar="SECONDS",
        help="how long to follow what it does (default %(default).0f)",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="all nodes that have not ended")
    show = commands.add_parser("show", help="one node or environment, whole")
    show.add_argument("name", metavar="NODE|ENVIRONMENT")
    for name, meaning in (
        ("cordon", "nothing new comes onto the node"),
        ("uncordon", "the node is open again"),
        ("drain", "what is on the node goes to others, its calls are waited for, then it ends"),
    ):
        commands.add_parser(name, help=meaning).add_argument("node")
    commands.add_parser("roll", help="replace every node, one after the other; stops when one does not get ready")
    commands.add_parser("move", help="the standby of an environment becomes its primary").add_argument("environment")
    return parser.parse_args(arguments)


def _table(options: argparse.Namespace) -> Any:
    if options.ready_file:
        ready = json.loads(options.ready_file.read_text(encoding="utf-8"))
        resource = boto3.resource(
            "dynamodb",
            endpoint_url=ready["aws_endpoint"],
            region_name="eu-central-1",
            aws_access_key_id=OPERATOR_KEY,
            aws_secret_access_key=SECRET_KEY,
        )
    else:
        resource = boto3.resource("dynamodb")
    names = (
        [options.table] if options.table else [one.name for one in resource.tables.all() if "TablesFleet" in one.name]
    )
    if len(names) != 1:
        raise FleetError(f"there are {len(names)} fleet tables ({', '.join(names) or 'none'}); say which with --table")
    return resource.Table(names[0])


class Ledger:
    """The fleet table as an operator reads it, and the few attributes that an operator writes."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def nodes(self) -> list[Row]:
        """All nodes that have not ended, with their heartbeats."""
        rows = [row for row in self._partition("NODES") if row["state"] != "terminated"]
        return [
            {**row, "heartbeat": self._get(row["instanceArn"], "HEARTBEAT") if "instanceArn" in row else {}}
            for row in rows
        ]

    def node(self, node_id: str) -> Row:
        """One node. Raises FleetError."""
        if not (found := self._get("NODES", node_id)):
            raise FleetError(f"there is no node {node_id}; ./dev fleet list shows them")
        return found

    def placements(self) -> Iterator[Row]:
        """Where every environment is."""
        for shard in range(SHARDS):
            yield from self._partition(f"PLACEMENTS#{shard:02}")

    def placement(self, environment_id: str) -> Row | None:
        """Where one environment is."""
        return next((row for row in self.placements() if row["environmentId"] == environment_id), None)

    def wish(self, node_id: str, word: str) -> None:
        """Write the state that is wished. Raises FleetError when the node's state does not allow it."""
        target, allowed = WISHES[word]
        row = self.node(node_id)
        if row["state"] == target:
            return
        if row["state"] not in allowed:
            raise FleetError(f"{node_id} is {row['state']}; {word} is for nodes that are {' or '.join(allowed)}")
        self._change(row, state=target, reason=f"operator: {word}", since=_now())

    def leave(self, placement: Row) -> None:
        """Wish that another node than its primary serves an environment."""
        primary = next((one["nodeId"] for one in placement["assignments"] if one["role"] == "primary"), None)
        if primary is None or len(placement["assignments"]) < 2:
            raise FleetError(
                f"{placement['environmentId']} has no standby to move to; ./dev fleet show tells where it is"
            )
        self._change(placement, leaves=primary)

    def _change(self, row: Row, **values: Any) -> None:
        names = {f"#{name}": name for name in (*values, "version")}
        told = ", ".join(f"#{name} = :{name}" for name in values)
        try:
            self._table.update_item(
                Key={"pk": row["pk"], "sk": row["sk"]},
                UpdateExpression=f"SET {told}, #version = #version + :one",
                ConditionExpression=Attr("version").eq(row["version"]),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={":one": 1, **{f":{name}": value for name, value in values.items()}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            raise FleetError(f"{row['sk']} was changed meanwhile; try again") from error

    def _get(self, pk: str, sk: str) -> Row:
        found: Row = self._table.get_item(Key={"pk": pk, "sk": sk}, ConsistentRead=True).get("Item", {})
        return found

    def _partition(self, pk: str) -> Iterator[Row]:
        query: dict[str, Any] = {"KeyConditionExpression": Key("pk").eq(pk), "ConsistentRead": True}
        while True:
            page = self._table.query(**query)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _run(options: argparse.Namespace, ledger: Ledger) -> int:
    match options.command:
        case "list":
            nodes = ledger.nodes()
            print(json.dumps(nodes, default=str) if options.json else _listed(nodes))
        case "show":
            found = ledger.placement(options.name) or ledger.node(options.name)
            print(json.dumps(found, indent=None if options.json else 2, default=str))
        case "cordon" | "uncordon":
            ledger.wish(options.node, options.command)
            print(f"{options.node} is {ledger.node(options.node)['state']}")
        case "drain":
            return 0 if _drain(ledger, options.node, options.wait) else 1
        case "roll":
            return _roll(ledger, options.wait)
        case "move":
            return _move(ledger, options.environment, options.wait)
    return 0


def _drain(ledger: Ledger, node_id: str, patience: float) -> bool:
    ledger.wish(node_id, "drain")

    def progress() -> str:
        row = ledger.node(node_id)
        on_it = sum(any(one["nodeId"] == node_id for one in placed["assignments"]) for placed in ledger.placements())
        calls = (ledger._get(row["instanceArn"], "HEARTBEAT") or {}).get("calls", "?") if "instanceArn" in row else "?"
        return f"{node_id} is {row['state']}: {on_it} environments on it, {calls} calls"

    return _follow(progress, lambda: ledger.node(node_id)["state"] in ("terminated", "lost"), patience)


def _roll(ledger: Ledger, patience: float) -> int:
    old = [row["nodeId"] for row in ledger.nodes() if row["state"] in ("ready", "cordoned")]
    for number, node_id in enumerate(old, 1):
        print(f"{number} of {len(old)}: {node_id}")
        if not _drain(ledger, node_id, patience):
            print(
                f"./dev fleet: {node_id} is not empty; the roll stops here. ./dev fleet list shows why", file=sys.stderr
            )
            return 1
        unserved = [placed["environmentId"] for placed in ledger.placements() if not _served(placed)]
        if unserved:
            print(
                f"./dev fleet: not served after {node_id} left: {', '.join(unserved)}; the roll stops here",
                file=sys.stderr,
            )
            return 1
    return 0


def _move(ledger: Ledger, environment_id: str, patience: float) -> int:
    placed = ledger.placement(environment_id)
    if placed is None:
        raise FleetError(f"there is no environment {environment_id} on any node")
    before = _primary(placed)
    ledger.leave(placed)

    def progress() -> str:
        now = ledger.placement(environment_id) or {"assignments": []}
        return f"{environment_id} is served by {_primary(now) or 'nobody at this moment'}"

    moved = _follow(
        progress, lambda: _primary(ledger.placement(environment_id) or placed) not in ("", before), patience
    )
    return 0 if moved else 1


def _follow(progress: Callable[[], str], is_done: Callable[[], bool], patience: float) -> bool:
    """Print each change until it is done; whether it is in time."""
    deadline, said = time.monotonic() + patience, ""
    while True:
        line = progress()
        if line != said:
            print(f"  {datetime.now(UTC):%H:%M:%S}  {line}", flush=True)
            said = line
        if is_done():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)


def _primary(placed: Row) -> str:
    return str(next((one["nodeId"] for one in placed["assignments"] if one["role"] == "primary"), ""))


def _served(placed: Row) -> bool:
    return bool(_primary(placed)) or "held" in placed


def _listed(nodes: list[Row]) -> str:
    if not nodes:
        return "There are no nodes: nobody is served yet."
    lines = [
        f"{'node':7} {'state':12} {'zone':26} {'release':13} {'calls':>6} {'sold':>5} {'of':>5} {'phones':>7}  address"
    ]
    for row in nodes:
        beat = row["heartbeat"] or {}
        lines.append(
            f"{row['nodeId']:7} {row['state']:12} {row.get('zone', ''):26} {row.get('release', ''):13} {beat.get('calls', '-')!s:>6} "
            f"{row.get('primary', 0)!s:>5} {row['capacity']!s:>5} {beat.get('registrations', '-')!s:>7}  {row.get('address', '')}"
            f"{'  ' + row['reason'] if row.get('reason') else ''}"
        )
    return "\n".join(lines)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
