"""Calls for a long time: whether memory and descriptors grow.

    ./dev bench soak [--minutes 120] [--rate 5] [--talk 2] [--json]

The node's signalling runs in a process of its own with a real media worker; phones register over TLS and call each other
with SRTP both ways. Every few seconds resident memory and open descriptors of both are looked at. What is printed is the
slope of a straight line through all but the first fifth, in kB and descriptors an hour, the memory at six moments, and
how many calls were made and failed. A slope over minutes says less than one over hours: `minutes` stands beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.calls import Load, Served, signalling

PAIRS = 20
SAMPLES = 200
"""Looks at memory, over the whole time."""


def looks(served: Served) -> dict[str, tuple[float, int]]:
    """Resident kB and open descriptors of the signalling and of its worker."""
    found: dict[str, tuple[float, int]] = {}
    for name, pid in (("signalling", served.pid), ("worker", served.workers[0])):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        found[name] = pages * resource.getpagesize() / 1000, len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return found


def slope(times: list[float], values: list[float]) -> float:
    """Of the straight line nearest to the values, per hour."""
    if len(times) < 3:
        return 0.0
    return statistics.linear_regression(times, values).slope * 3600


async def soak(minutes: float, rate: float, talk: float) -> dict[str, Any]:
    """The figures."""
    async with signalling(2 * PAIRS, logged=True) as served:
        load = Load(served, PAIRS, rate, talk, audio=True)
        await load.connect()
        times: list[float] = []
        seen: list[dict[str, tuple[float, int]]] = []
        began = time.monotonic()

        async def watch() -> None:
            while True:
                with contextlib.suppress(OSError, IndexError):  # a worker that is being replaced
                    seen.append(looks(served))
                    times.append(time.monotonic() - began)
                await asyncio.sleep(max(0.2, minutes * 60 / SAMPLES))

        watching = asyncio.get_running_loop().create_task(watch())
        before = served.cpu
        await load.run(minutes * 60)
        watching.cancel()
        spent = served.cpu - before
        await load.close()
    warm, seen = len(times) // 5, seen[: len(times)]
    figures: dict[str, Any] = {"minutes": minutes, "calls": load.done, "failed": load.failed, "reasons": load.reasons}
    for name in ("signalling", "worker"):
        memory = [each[name][0] for each in seen[warm:]]
        descriptors = [float(each[name][1]) for each in seen[warm:]]
        figures[name] = {
            "kb_per_hour": round(slope(times[warm:], memory)),
            "kb": [round(memory[number * (len(memory) - 1) // 5]) for number in range(6)],
            "descriptors_per_hour": round(slope(times[warm:], descriptors), 1),
            "descriptors": [int(descriptors[0]), int(descriptors[-1])],
        }
    figures["cpu_ms_a_call"] = round(spent / max(1, load.done) * 1000, 2)
    return figures


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="dev bench soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--rate", type=float, default=5, help="calls a second")
    parser.add_argument("--talk", type=float, default=2, help="seconds that a call lasts")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    figures = asyncio.run(soak(options.minutes, options.rate, options.talk))
    if options.json:
        print(json.dumps(figures))
        return 0
    print(
        f"{figures['calls']} calls in {options.minutes:g} minutes, {figures['failed']} failed {figures['reasons'] or ''}"
    )
    for name in ("signalling", "worker"):
        each = figures[name]
        print(
            f"{name:11} {each['kb_per_hour']:+} kB an hour ({', '.join(map(str, each['kb']))} kB), "
            f"{each['descriptors_per_hour']:+} descriptors an hour ({each['descriptors'][0]} -> {each['descriptors'][1]})"
        )
    print(f"the signalling's processor time: {figures['cpu_ms_a_call']} ms a call")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
