"""`./dev bench console`: what each view of sales' console reads at 10,000 orders, on AWS's DynamoDB Local.

requests and read_units (as DynamoDB bills them) and seconds for: the first page of the queue, a page of one state, a search that finds
one order, a search that finds nothing, a sort by company, the counts alone, a poll when nothing changed, a poll when ten orders changed,
the month, an order. The counts and a poll must not grow with the orders that there are: `--orders N` measures with another number.
"""

import argparse
import importlib
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

from callvoip.paths import ROOT

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.support import functions as called

CLAIMS = {"sub": "1", "username": "anna@example.nl", "cognito:groups": "[sales]"}
BATCH = 25


@dataclass
class Reads:
    """What was asked of DynamoDB: requests, and the read units that it counts."""

    requests: int = 0
    units: float = 0.0


def environment(endpoint: str) -> dict[str, str]:
    """What infra/ gives the functions, on this DynamoDB Local."""
    suffix = uuid.uuid4().hex[:12]
    return {
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": suffix,
        "AWS_SECRET_ACCESS_KEY": "local",
        "SALES_GROUP": "sales",
        "ORDER_KEY": "a key of this benchmark only",
        "SITE_URL": "https://callvoip.example.nl",
        **{name: f"{name.lower()}-{suffix}" for name in called.TABLES},
    }


def fill(count: int, now: datetime) -> str:
    """Write so many orders as the store does, but in batches; a tenth waits, the rest is divided over the states. The last one's id."""
    from ordering import items, order
    from ordering.catalogue import Offering
    from ordering.lists import COUNT_SHARDS
    from ordering.order import RelatedParty, State
    from ordering.pricing import OrderItem, Price
    from ordering.queue import counted_as
    from shared import dynamodb, settings

    srtp = Offering("srtp", 1, now.date(), "SRTP: versleutelde gesprekken", "phone", "month", 200)
    counts: dict[str, int] = {}
    waiting: list[dict[str, Any]] = []
    table = settings.orders_table()
    for n in range(count):
        party = RelatedParty(
            f"Bedrijf {n:05d} B.V.", f"{n:08d}", f"Contact {n}", f"contact{n}@example.nl", "+31851234567"
        )
        found = order.place(
            order_id=f"{n:010d}", category="srtp", customer_id=f"c{n:05d}", related_party=party, note="", token_sha256="0" * 64,
            price=Price((OrderItem(5, srtp),), 21), now=now - timedelta(minutes=count - n),
        )  # fmt: skip
        if n % 10:
            by_sales = order.Actor(order.Role.SALES, "anna@example.nl")
            found = order.move(found, State.IN_PROGRESS, by_sales, found.order_date + timedelta(minutes=1))
            found = (
                order.complete_by_hand(
                    replace(found, category="quote"), by_sales, found.order_date + timedelta(minutes=2)
                )
                if n % 3
                else found
            )
        for name in counted_as(found):
            counts[name] = counts.get(name, 0) + 1
        item = {"pk": f"ORDER#{found.id}", "sk": "ORDER", **items.from_order(found)}
        waiting.append({"PutRequest": {"Item": dynamodb.marshal(item)}})
        if len(waiting) == BATCH or n == count - 1:
            dynamodb.client().batch_write_item(RequestItems={table: waiting})  # type: ignore[dict-item]
            waiting = []
    for shard in range(COUNT_SHARDS):
        share = {
            name: number // COUNT_SHARDS + (number % COUNT_SHARDS if not shard else 0)
            for name, number in counts.items()
        }
        dynamodb.client().put_item(
            TableName=table, Item=dynamodb.marshal({"pk": "COUNTS", "sk": f"SHARD#{shard}", **share})
        )
    return f"{count - 1:010d}"


def watch(reads: Reads) -> None:
    """Have every read of the functions counted."""
    from shared import dynamodb

    def ask(params: dict[str, Any], **_: object) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def told(parsed: Mapping[str, Any], **_: object) -> None:
        consumed = parsed.get("ConsumedCapacity", [])
        reads.requests += 1
        reads.units += sum(each["CapacityUnits"] for each in (consumed if isinstance(consumed, list) else [consumed]))

    for operation in ("GetItem", "Query", "BatchGetItem"):
        dynamodb.client().meta.events.register(f"provide-client-params.dynamodb.{operation}", ask)
        dynamodb.client().meta.events.register(f"after-call.dynamodb.{operation}", told)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench console", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--orders", type=int, default=10_000, help="how many orders there are (default: %(default)s)")
    options = parser.parse_args()
    now = datetime.now(UTC)
    results: dict[str, dict[str, float]] = {}
    with called.dynamodb_local_running() as endpoint:
        os.environ |= environment(endpoint)
        with redirect_stdout(StringIO()):
            from shared import clock, dynamodb

            called.create_tables(dynamodb.client(), os.environ)
            last = fill(options.orders, now)
            api = importlib.import_module("tests.support.functions").Api()
            reads = Reads()
            watch(reads)

            def measure(name: str, target: str) -> Any:
                reads.requests, reads.units = 0, 0.0
                started = time.monotonic()
                answer = api.get(f"/api/sales/{target}", claims=CLAIMS)
                seconds = time.monotonic() - started
                assert answer.status == 200, answer.body
                results[name] = {"requests": reads.requests, "read_units": reads.units, "seconds": round(seconds, 3)}
                return answer

            views: dict[str, str] = {
                "queue": "orders",
                "one state": "orders?state=acknowledged",
                "search that finds one": f"orders?q=contact{options.orders - 1}@example.nl",
                "search that finds nothing": "orders?q=nergens",
                "sort by company": "orders?sort=company&order=asc",
                "poll, nothing changed": f"changes?since={clock.to_iso(now + timedelta(minutes=10))}",
                "poll, ten changed": f"changes?since={clock.to_iso(now - timedelta(minutes=10))}",
                "month": "overview",
                "order": f"orders/{last}",
            }
            for name, target in views.items():
                measure(name, target)
            count_alone(results, reads)
    if options.json:
        print(json.dumps({"orders": options.orders, "views": results}))
        return 0
    print(f"{options.orders} orders on DynamoDB Local\n")
    print(f"{'view':28} {'requests':>9} {'read units':>11} {'seconds':>8}")
    for name, row in results.items():
        print(f"{name:28} {row['requests']:9.0f} {row['read_units']:11.1f} {row['seconds']:8.3f}")
    return 0


def count_alone(results: dict[str, dict[str, float]], reads: Reads) -> None:
    """The counts without a list."""
    from ordering.store import OrderStore
    from shared import settings

    counts: Callable[[], Mapping[str, int]] = OrderStore(settings.orders_table()).counts
    reads.requests, reads.units = 0, 0.0
    started = time.monotonic()
    counts()
    results["counts"] = {
        "requests": reads.requests, "read_units": reads.units, "seconds": round(time.monotonic() - started, 3)
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
