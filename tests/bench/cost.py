"""./dev bench cost: what a phone costs a month at each size of the whole, from stated prices and measured capacity.

The prices are in tests/bench/prices.toml; what a node carries (`CALLS_PER_WORKER`) was measured by ./dev bench media; how many calls
a customer needs is what the fleet itself reckons with (Erlang B). Nothing is asked of AWS.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from fleet.erlang import ERLANG_PER_PHONE, calls_needed
from media_node.control.heartbeat import INTERVAL
from media_node.node import POLL

NODES = Path(__file__).parents[2] / "infra" / "src" / "infra" / "nodes.py"

SIZES = (10, 100, 1_000, 10_000, 100_000)
PRICES = Path(__file__).parent / "prices.toml"


@dataclass(frozen=True)
class Cost:
    """Of so many phones: nodes, and USD a month; EUR a month and phone."""

    phones: int
    nodes: int
    nodes_usd: float
    traffic_usd: float
    dynamodb_usd: float
    rest_usd: float
    phone_eur: float
    margin_eur: float
    margin_percent: float


def read() -> Mapping[str, Any]:
    """The prices. Raises OSError or ValueError."""
    return tomllib.loads(PRICES.read_text(encoding="utf-8"))


def capacity_calls() -> int:
    """Concurrent calls that a node is sold for, as infra says; read and not imported, which would start CDK."""
    said = dict(re.findall(r"(?m)^(MEDIA_WORKERS|CALLS_PER_WORKER) = (\d+)$", NODES.read_text(encoding="utf-8")))
    return int(said["MEDIA_WORKERS"]) * int(said["CALLS_PER_WORKER"])


def nodes_for(phones: int, per_customer: int, *, standby: bool = True) -> int:
    """So many that each customer's calls fit, and with `standby` still do when any one node is lost."""
    customers = math.ceil(phones / per_customer)
    packed = capacity_calls() // calls_needed(per_customer)
    return max(2 if standby else 1, math.ceil(customers / packed) + standby)


def cost(phones: int, prices: Mapping[str, Any], *, standby: bool = True) -> Cost:
    """What so many phones cost."""
    per_customer = min(phones, prices["phones_per_customer"])
    customers = math.ceil(phones / per_customer)
    nodes = nodes_for(phones, per_customer, standby=standby)
    nodes_usd = nodes * sum(prices["node"].values())
    traffic_usd = phones * _traffic(prices["traffic"])
    dynamodb_usd = _dynamodb(
        prices["dynamodb"], prices["hours_per_month"], nodes, customers * (1 + standby), per_customer
    )
    rest_usd = sum(prices["rest"].values())
    each = (nodes_usd + traffic_usd + dynamodb_usd + rest_usd) * prices["eur_per_usd"] / phones
    margin = prices["price_per_phone_eur"] - each
    return Cost(
        phones=phones,
        nodes=nodes,
        nodes_usd=round(nodes_usd, 2),
        traffic_usd=round(traffic_usd, 2),
        dynamodb_usd=round(dynamodb_usd, 2),
        rest_usd=round(rest_usd, 2),
        phone_eur=round(each, 2),
        margin_eur=round(margin, 2),
        margin_percent=round(100 * margin / prices["price_per_phone_eur"], 0),
    )


def _traffic(prices: Mapping[str, Any]) -> float:
    """USD a month and phone."""
    minutes = (
        ERLANG_PER_PHONE * prices["busy_hours_per_day"] * prices["share_of_busy_hour"] * prices["days_per_month"] * 60
    )
    return float(minutes * prices["megabytes_per_minute"] * prices["ways_out"] / 1024 * prices["per_gb_out"])


def _dynamodb(prices: Mapping[str, Any], hours: float, nodes: int, assignments: int, phones: int) -> float:
    """USD a month: each node's heartbeats, and its look at all its assignments (a read unit is 4 kB)."""
    seconds = hours * 3600
    writes = nodes * seconds / INTERVAL * prices["heartbeat_writes"]
    kilobytes = assignments * (prices["environment_kb"] + phones * prices["phone_kb"])
    reads = seconds / POLL * max(nodes, kilobytes / 4)
    return float(writes * prices["per_million_writes"] + reads * prices["per_million_reads"]) / 1_000_000


def table(costs: list[Cost]) -> str:
    """As docs/benchmarks.md shows it."""
    head = (
        "| phones | nodes | nodes, USD | traffic | DynamoDB | rest | a phone, EUR | margin at EUR 2.00 |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    return head + "".join(
        f"| {one.phones:,} | {one.nodes} | {one.nodes_usd:,.0f} | {one.traffic_usd:,.0f} | {one.dynamodb_usd:,.0f} | "
        f"{one.rest_usd:,.0f} | {one.phone_eur:.2f} | {one.margin_eur:.2f} ({one.margin_percent:.0f} %) |\n"
        for one in costs
    )


def main() -> int:
    """Print the table, or all figures as JSON."""
    parser = argparse.ArgumentParser(prog="./dev bench cost", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-standby", action="store_true", help="as a stage with standby = false")
    options = parser.parse_args()
    costs = [cost(size, read(), standby=not options.no_standby) for size in SIZES]
    print(json.dumps([asdict(one) for one in costs]) if options.json else table(costs), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
