"""CPU, latency, loss and memory of the media relay, beside rtpengine and beside a loop without crypto, in one run on
one machine.

    python tests/bench/media.py [--calls 250] [--seconds 4] [--rounds 5] [--json]

All subjects stand ready at once and get the same traffic in turn, round after round: 50 packets a second each way and
call, SRTP on both legs, AES_CM_128_HMAC_SHA1_80 on one and _32 on the other (with one suite on both, this rtpengine
would pass packets through undecrypted).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from media_node.suites import Suite
from media_node.worker_link.client import MediaWorker
from tests.bench.media_floor import Floor
from tests.bench.media_rtpengine import Rtpengine
from tests.bench.media_signalling import calls_through_sip, exchange
from tests.bench.media_traffic import Run, Telephone, Traffic, resident_bytes

A_SUITE, B_SUITE = Suite.AES_CM_128_HMAC_SHA1_80, Suite.AES_CM_128_HMAC_SHA1_32
SUBJECTS = ("node", "rtpengine", "floor")
QUIET_US = 2000
"""How late the generator's packets may leave (99th percentile) before the machine counts as busy and the figures as
worthless.
"""


@dataclass
class Subject:
    """Something that relays: its traffic, its processes, and what a call costs it in memory."""

    traffic: Traffic
    pids: list[int]
    bytes_per_call: float


@asynccontextmanager
async def node(calls: int, directory: Path) -> AsyncIterator[Subject]:
    """One media worker, its calls built through the node's signalling."""
    worker = await MediaWorker.start(
        index=0, address="127.0.0.1", announce="127.0.0.1", srtp_port=0, rtp_ports=(52000, 52999), timeout_s=3600,
        run_directory=directory, on_event=print,
    )  # fmt: skip
    try:
        before = resident_bytes([worker.pid])
        async with exchange(worker, calls, directory / "certificate.pem") as (_, port, context):
            traffic = Traffic(await calls_through_sip(port, context, calls, A_SUITE, B_SUITE))
            traffic.acquaint()
            yield Subject(traffic, [worker.pid], (resident_bytes([worker.pid]) - before) / calls)
    finally:
        await worker.stop()


@asynccontextmanager
async def rtpengine(calls: int, directory: Path) -> AsyncIterator[Subject]:
    """Debian's rtpengine with one media thread."""
    daemon = Rtpengine(directory)
    try:
        pid = daemon.process.pid
        before = resident_bytes([pid])
        traffic = Traffic(daemon.calls(calls, A_SUITE, B_SUITE))
        traffic.acquaint()
        yield Subject(traffic, [pid], (resident_bytes([pid]) - before) / calls)
    finally:
        daemon.stop()


@asynccontextmanager
async def floor(calls: int, directory: Path) -> AsyncIterator[Subject]:
    """The same batches without crypto."""
    process = Floor()
    try:
        before = resident_bytes([process.pid])
        pairs = [(Telephone(), Telephone()) for _ in range(calls)]
        process.route([(a.port, b.port) for a, b in pairs])
        for telephone in (each for pair in pairs for each in pair):
            telephone.socket.connect(("127.0.0.1", process.port))
        traffic = Traffic(pairs)
        traffic.acquaint()
        yield Subject(traffic, [process.pid], (resident_bytes([process.pid]) - before) / calls)
    finally:
        process.stop()


def figures(subject: Subject, runs: list[Run]) -> dict[str, float]:
    """Medians over the rounds."""

    def median(value: Callable[[Run], float]) -> float:
        return round(statistics.median(value(run) for run in runs), 3)

    return {
        "cpu_us": median(lambda run: run.cpu_us),
        "cpu_user_us": median(lambda run: run.cpu_user_us),
        "cpu_system_us": median(lambda run: run.cpu_system_us),
        "loss": round(sum(run.lost for run in runs) / sum(run.packets for run in runs), 6),
        "invalid": sum(run.invalid for run in runs),
        "p50_us": median(lambda run: run.percentile(0.5)),
        "p99_us": median(lambda run: run.percentile(0.99)),
        "p999_us": median(lambda run: run.percentile(0.999)),
        "kib_per_call": round(subject.bytes_per_call / 1024, 1),
        "generator_cpu": median(lambda run: run.generator_cpu),
        "generator_late_us": median(lambda run: run.late_us),
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Build all subjects, alternate them, and put the figures side by side."""
    runs: dict[str, list[Run]] = {name: [] for name in options.subjects}
    with tempfile.TemporaryDirectory() as temporary:
        async with AsyncExitStack() as stack:
            makers = {"node": node, "rtpengine": rtpengine, "floor": floor}
            subjects = {
                name: await stack.enter_async_context(makers[name](options.calls, Path(temporary)))
                for name in options.subjects
            }
            for number in range(options.rounds):
                for name, subject in subjects.items():
                    run = subject.traffic.run(options.seconds, subject.pids)
                    runs[name].append(run)
                    if not options.json:
                        print(
                            f"round {number + 1} {name:10} {run.cpu_us:6.2f} us/packet, lost {run.lost}, "
                            f"p50 {run.percentile(0.5):6.0f} us, p99 {run.percentile(0.99):6.0f} us, "
                            f"generator {run.generator_cpu:.0%}, late {run.late_us:.0f} us",
                            flush=True,
                        )
            result: dict[str, Any] = {"calls": options.calls, "seconds": options.seconds, "rounds": options.rounds}
            result |= {name: figures(subject, runs[name]) for name, subject in subjects.items()}
    result["quiet"] = all(run.late_us < QUIET_US for each in runs.values() for run in each)
    if "node" in runs and "rtpengine" in runs:
        ours, theirs = result["node"], result["rtpengine"]
        result["ratio"] = {
            "cpu": round(ours["cpu_us"] / theirs["cpu_us"], 3),
            "p99": round(ours["p99_us"] / theirs["p99_us"], 3),
        }
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; 0 when it could be run, whatever came out."""
    parser = argparse.ArgumentParser(
        prog="callvoip bench media", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=250)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measured run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each subject, taken in turn")
    parser.add_argument("--subjects", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    options = parser.parse_args(arguments)
    result = asyncio.run(measure(options))
    if options.json:
        print(json.dumps(result))
        return 0
    columns = (
        "cpu_us",
        "cpu_user_us",
        "cpu_system_us",
        "loss",
        "p50_us",
        "p99_us",
        "p999_us",
        "kib_per_call",
        "generator_cpu",
    )
    print(f"\n{'':10} " + " ".join(f"{column:>13}" for column in columns))
    for name in options.subjects:
        print(f"{name:10} " + " ".join(f"{result[name][column]:13.6g}" for column in columns))
    if not result["quiet"]:
        print("The machine was busy with other work: packets were sent late, and these figures prove nothing.")
    if "ratio" in result:
        print(f"node to rtpengine: CPU {result['ratio']['cpu']:.2f}, p99 {result['ratio']['p99']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
