"""A rolling replacement of all nodes (`./dev fleet roll`) of a local system under running calls: how many of them are lost.

Pairs of phones find their server by name, call, talk 6 to 14 s over SRTP, hang up and call again, as many at a time as `--calls` says,
until both nodes are replaced. A call is lost when it ends before its time, when its end does not arrive, or when one side did not hear what
the other said. An attempt that is refused while an environment is handed over is made again and counted apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from callvoip.client import Client  # noqa: E402
from callvoip.commands import failover  # noqa: E402
from callvoip.system import LocalSystem  # noqa: E402
from media_node.probe import stream  # noqa: E402
from tests.support.roll import roll  # noqa: E402

CUSTOMERS = 5
PHONES = 50
"""Of each customer: room for a fifth of 50 calls at a time, with some to spare."""


def main() -> int:
    """Exit status 0 when the roll was carried out and no call was lost."""
    parser = argparse.ArgumentParser(prog="./dev bench roll", description=__doc__)
    parser.add_argument("--calls", type=int, default=50, help="so many at a time")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument(
        "--packets", type=int, default=50, help="packets a second that each phone says (50 is what phones do)"
    )
    options = parser.parse_args()
    stream.INTERVAL = 1 / options.packets  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as directory, LocalSystem.start(quiet=options.json) as system:
        sales = Client.signed_in(system.site, system.api, system.sales_user, system.sales_password)

        def office(number: int) -> failover.Served:
            company, email = f"Bedrijf {number}", f"rol{number}@example.nl"
            return failover.another(system, sales, 180, company=company, email=email, phones=PHONES)

        with ThreadPoolExecutor(CUSTOMERS) as pool:
            offices = list(pool.map(office, range(CUSTOMERS)))
        began = time.monotonic()
        rolled = asyncio.run(roll(system, offices, options.calls, Path(directory), (6, 14)))
        seconds = round(time.monotonic() - began, 1)
    if options.json:
        print(json.dumps({**asdict(rolled), "calls": options.calls, "packets": options.packets, "seconds": seconds}))
    else:
        print(rolled.said)
        print(
            f"{options.calls} calls at a time for {seconds} s: {rolled.whole} whole, {sum(rolled.lost.values())} lost {rolled.lost or ''}; "
            f"attempts made again: {rolled.refused or 'none'}; fewest at a time: {rolled.fewest}"
        )
    return 0 if rolled.status == 0 and not rolled.lost else 1


if __name__ == "__main__":
    sys.exit(main())
