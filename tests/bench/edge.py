"""What strangers cost the node and its registered phones: resident memory, the delay of a registered phone's OPTIONS, and
how soon a new phone gets in, while they attack and after.

    python tests/bench/edge.py [--phones 1000] [--seconds 8] [--attacks silent unauthenticated slow tabs] [--json]

The node's signalling runs in a process of its own, as do the strangers. They come from 127.0.0.2, as do phones of one office;
another phone is at 127.0.0.1. `rss` is in MB: before, at most, and 5 s after the strangers have gone. `p50` and `p99` are
milliseconds from a registered phone's OPTIONS to the answer, 50 a second. `turn` is the processor time in milliseconds of the
longest turn of the node's loop, which does not depend on what else the machine does. `joins` are the seconds that a new phone needs
to connect and register meanwhile, from the strangers' own address and from another.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.edge_wire import WirePhone, request, trusting

SERVED = Path(__file__).with_name("served.py")
STRANGERS, ELSEWHERE = "127.0.0.2", "127.0.0.1"
ATTACKS = ("silent", "unauthenticated", "slow", "tabs")
SILENT, UNAUTHENTICATED, SLOW = 7000, 5000, 1000
SETTLE = 5.0
"""Seconds after an attack until memory is looked at."""


# The node's process.


@dataclass
class Node:
    """The node's process."""

    process: subprocess.Popen[str]
    port: int
    most: float = 0

    @property
    def rss(self) -> float:
        """Resident memory in MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        found = pages * resource.getpagesize() / 1e6
        self.most = max(self.most, found)
        return found

    def longest_turn(self) -> float:
        """Milliseconds of processor time of the loop's longest turn since it was last asked: no phone is served meanwhile, and
        what else the machine does has no part in it.
        """
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return round(1000 * float(self.process.stdout.readline()), 1)

    @property
    def cpu(self) -> float:
        """Seconds of processor time."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


@contextlib.contextmanager
def node(accounts: int) -> Iterator[Node]:
    """Starts the node's process and ends it."""
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [sys.executable, SERVED, str(accounts), f"{directory}/certificate.pem"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin and process.stdout
        try:
            yield Node(process, int(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(20)


# The strangers' process.


def attack(kind: str, port: int, seconds: float) -> int:
    """Attacks for that long, then leaves; prints how often it got through to the node."""
    end = time.monotonic() + seconds
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    made = {"silent": _silent, "unauthenticated": _unauthenticated, "slow": _slow, "tabs": _tabs}[kind](port, end)
    time.sleep(max(0.0, end - time.monotonic()))
    print(made, flush=True)
    return 0


def _plain(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(STRANGERS, 0))


def _silent(port: int, end: float) -> int:
    """Connections that never say a word."""
    kept: list[socket.socket] = []
    pause = max(0.0, end - time.monotonic()) / SILENT / 4
    while len(kept) < SILENT and time.monotonic() < end:
        with contextlib.suppress(OSError):
            kept.append(_plain(port))
        time.sleep(pause)
    time.sleep(max(0.0, end - time.monotonic()))
    return len(kept)


def _unauthenticated(port: int, end: float) -> int:
    """Connections that shake hands and send one OPTIONS each, four at a time; all of them, however long it takes."""
    kept: list[ssl.SSLSocket] = []
    context = trusting()

    def run() -> None:
        while len(kept) < UNAUTHENTICATED and time.monotonic() < end + 60:
            with contextlib.suppress(OSError):
                secure = context.wrap_socket(_plain(port))
                secure.sendall(request("OPTIONS", "nobody", 1))
                kept.append(secure)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(kept)


def _slow(port: int, end: float) -> int:
    """Connections that trickle a request, an octet at a time."""
    kept: list[ssl.SSLSocket] = []
    context, data = trusting(), request("OPTIONS", "nobody", 1)
    while len(kept) < SLOW and time.monotonic() < end:
        with contextlib.suppress(OSError):
            kept.append(context.wrap_socket(_plain(port)))
    at = 0
    while time.monotonic() < end:
        for each in kept:
            with contextlib.suppress(OSError):
                each.send(data[at % len(data) :][:1])
        at += 1
    return len(kept)


def _tabs(port: int, end: float) -> int:
    """Requests with a header of tabs, as fast as they go."""
    data = request("OPTIONS", "nobody", 1, "X-Tabs: a" + "\t" * 15_000 + "b") * 10
    sent, context = 0, trusting()
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            secure = context.wrap_socket(_plain(port))
            while time.monotonic() < end:
                secure.sendall(data)
                sent += 10
    return sent


# What phones see meanwhile.


@dataclass
class Watch:
    """A registered phone that sends OPTIONS, and what it waited for each answer in seconds."""

    phone: WirePhone
    waits: list[float] = field(default_factory=list)
    lost: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            began = time.perf_counter()
            try:
                self.phone.ask("OPTIONS")
            except OSError:
                self.lost += 1
                return
            self.waits.append(time.perf_counter() - began)

    def figures(self) -> dict[str, float]:
        """Milliseconds."""
        cuts = statistics.quantiles(self.waits, n=100) if len(self.waits) > 1 else [0.0] * 99
        return {"p50": round(cuts[49] * 1000, 2), "p99": round(cuts[98] * 1000, 2), "lost": self.lost}


def joins(port: int, number: int, address: str) -> float | None:
    """Seconds a new phone needs to connect and register, or None when it cannot within 30 s."""
    began = time.perf_counter()
    while time.perf_counter() - began < 30:
        phone = WirePhone(number, port, address, trusting())
        try:
            phone.connect()
            phone.register()
            phone.socket.close()
            return round(time.perf_counter() - began, 3)
        except (OSError, RuntimeError):
            time.sleep(0.2)
    return None


def measure(served: Node, kind: str, seconds: float, phone: WirePhone) -> dict[str, Any]:
    """One attack: before, during and after."""
    with Watch(phone) as before:
        time.sleep(2)
    served.most = 0
    served.longest_turn()
    rss, cpu = served.rss, served.cpu
    strangers = subprocess.Popen(
        [sys.executable, __file__, "--attack", kind, "--port", str(served.port), "--seconds", str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    newcomers: dict[str, float | None] = {}
    with Watch(phone) as during:
        end = time.monotonic() + seconds
        asked = False
        while time.monotonic() < end or strangers.poll() is None:
            _ = served.rss
            if not asked and time.monotonic() > end - seconds / 2:
                asked = True
                newcomers = {
                    "same address": joins(served.port, 1, STRANGERS),
                    "elsewhere": joins(served.port, 2, ELSEWHERE),
                }
            time.sleep(0.05)
    made = int(strangers.communicate(timeout=90)[0])
    recovered = joins(served.port, 3, STRANGERS)
    spent = served.cpu - cpu
    time.sleep(SETTLE)
    most, turn = served.most, served.longest_turn()
    return {
        "made": made,
        "rss": {"before": round(rss, 1), "most": round(most, 1), "after": round(served.rss, 1)},
        "before": before.figures(),
        "during": during.figures(),
        "turn": turn,
        "joins": newcomers,
        "recovered": recovered,
        "cpu": round(spent, 2),
    }


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="dev bench edge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--phones", type=int, default=1000, help="registered phones of which one costs so much")
    parser.add_argument("--seconds", type=float, default=10, help="of each attack")
    parser.add_argument("--attacks", nargs="*", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.attack:
        return attack(options.attack, options.port, options.seconds)
    figures: dict[str, Any] = {}
    with node(options.phones + 10) as served:
        context = trusting()
        watched = WirePhone(0, served.port, ELSEWHERE, context)
        watched.connect()
        watched.register()
        empty = served.rss
        phones = [WirePhone(10 + number, served.port, STRANGERS, context) for number in range(options.phones)]
        for phone in phones:
            phone.connect()
            phone.register()
        time.sleep(3)
        figures["phone_kb"] = round((served.rss - empty) * 1000 / max(1, options.phones), 1)
        for kind in options.attacks:
            figures[kind] = measure(served, kind, options.seconds, watched)
        alive = 0
        for phone in phones:
            with contextlib.suppress(OSError):
                alive += phone.ask("OPTIONS").startswith("SIP/2.0 200")
        figures["phones_alive"] = alive
    if options.json:
        print(json.dumps(figures))
        return 0
    print(f"a registered, idle phone: {figures['phone_kb']} kB; alive after all: {figures['phones_alive']}")
    for kind in options.attacks:
        each = figures[kind]
        rss, before, during = each["rss"], each["before"], each["during"]
        print(
            f"{kind:16} made {each['made']:6}, rss {rss['before']} -> {rss['most']} -> {rss['after']} MB, "
            f"OPTIONS p50 {before['p50']} -> {during['p50']} ms, p99 {before['p99']} -> {during['p99']} ms, "
            f"longest turn {each['turn']} ms, lost {during['lost']}, joins {each['joins']}, "
            f"recovered {each['recovered']} s, cpu {each['cpu']} s"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
