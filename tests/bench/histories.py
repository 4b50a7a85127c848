"""How many random histories of a failing cloud the fleet's planner lives through, and in what time.

Each is a history of tests/functions/fleet/histories.py: the control plane killed between any two writes, stale reads, lost answers, zones
and nodes that go, no capacity, quotas, throttling, partitions, wrong clocks. One that ends badly is shrunk, printed, and makes this fail.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "functions" / "src")]

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402

from tests.functions.fleet.histories import Event, histories, live  # noqa: E402


def main() -> int:
    """Exit status 0 when all held."""
    parser = argparse.ArgumentParser(prog="./dev bench histories", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="so many histories")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    options = parser.parse_args()
    tried = 0

    @settings(
        max_examples=options.count,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(histories)
    def attempt(history: list[Event]) -> None:
        nonlocal tried
        tried += 1
        live(history)

    began, used = time.monotonic(), time.process_time()
    attempt()
    seconds, cpu = round(time.monotonic() - began, 1), round(time.process_time() - used, 1)
    result = {"histories": tried, "failed": 0, "seconds": seconds, "cpu_seconds": cpu}
    print(json.dumps(result) if options.json else f"{tried} histories in {seconds} s ({cpu} s of one core): all held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
