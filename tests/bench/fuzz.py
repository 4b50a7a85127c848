"""Mutated messages: guided by coverage through the node's own code, then the same kind against a running node.

    python tests/bench/fuzz.py [--runs 200000] [--live 20000] [--keep] [--json]

`strangers`: what a stranger's messages go through; `phones`: what a known phone's do, in a whole exchange with calls, a tenth
as many; `media`: datagrams to a relay with calls, a tenth as many. Of each: runs without an exception, how many inputs reach
something new, and how much memory grew after the first tenth.
`live`: messages sent by strangers over TLS while a registered phone sends OPTIONS: the longest it waited in milliseconds
(`without` strangers too, which is the machine's own share), the processor time of the longest `turn` of the node's loop, what
the node's memory grew by in MB, and whether it lives.
--keep adds what reached something new to the corpus.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.edge import ELSEWHERE, STRANGERS, Watch, node
from tests.bench.edge_wire import WirePhone, trusting
from tests.media_node.fuzzing import CORPUS, DICTIONARY, MESSAGES, TORTURE, Edge, mutations, seeds
from tests.media_node.fuzzing_media import media_seeds

MAX_LENGTH = 4096
TARGETS = ("strangers", "phones", "media")


def fuzz(target: str, arguments: list[str]) -> None:
    """Runs the coverage-guided fuzzer in this process, and ends it."""
    import atheris

    for name in [name for name in sys.modules if name.startswith(("media_node", "sipmessage", "tests."))]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["media_node", "sipmessage"]):
        import media_node.sip.message  # noqa: F401
        from tests.media_node.fuzzing import Edge
        from tests.media_node.fuzzing_inside import Inside
        from tests.media_node.fuzzing_media import MediaEdge

    def strangers() -> Callable[[bytes], None]:
        edge = Edge()

        def one(data: bytes) -> None:
            edge.stream(data)
            edge.packet(data)

        return one

    targets: dict[str, Callable[[], Callable[[bytes], None]]] = {
        "strangers": strangers,
        "phones": lambda: Inside().message,
        "media": lambda: MediaEdge().datagram,
    }
    atheris.Setup([sys.argv[0], *arguments], targets[target]())
    atheris.Fuzz()


def guided(target: str, runs: int, keep: bool) -> dict[str, Any]:
    """A coverage-guided part, in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        found, kinds = Path(directory, "found"), Path(directory, "kinds")
        found.mkdir()
        kinds.mkdir()
        for number, data in enumerate(media_seeds() if target == "media" else ()):
            (kinds / str(number)).write_bytes(data)
        corpora = {"media": [kinds], "phones": [MESSAGES, TORTURE], "strangers": [CORPUS, TORTURE, MESSAGES]}[target]
        command = [
            *(sys.executable, __file__, "--fuzz", target, str(found), *map(str, corpora)),
            *(f"-dict={DICTIONARY}", f"-max_len={MAX_LENGTH}", f"-atheris_runs={runs}", "-rss_limit_mb=600"),
            *("-timeout=5", "-print_final_stats=1", f"-artifact_prefix={directory}/"),
        ]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True)
        reached = re.findall(r"#(\d+)\s.*cov: (\d+) .*rss: (\d+)Mb", done.stderr)
        crashes = [path.read_bytes() for path in Path(directory).glob("*-*") if path.is_file()]
        if keep:
            minimise(found)
        early = next((int(rss) for number, _, rss in reached if int(number) >= runs / 10), 0)
        return {
            "runs": max((int(number) for number, _, _ in reached), default=0),
            "seconds": round(time.monotonic() - began),
            "new": len(list(found.iterdir())),
            "coverage": int(reached[-1][1]) if reached else 0,
            "growth_mb": int(reached[-1][2]) - early if reached and early else 0,
            "faults": [crash.decode("latin-1") for crash in crashes],
            "error": done.stderr[-2000:] if crashes or not reached else "",
        }


def minimise(found: Path) -> None:
    """Makes the corpus few inputs that reach every line, and step from line to line, that it and `found` reach."""
    inputs = [path.read_bytes() for folder in (CORPUS, found) for path in folder.iterdir()]
    reached = [(data, _steps(data)) for data in sorted(set(inputs), key=len)]
    missing = set().union(*(steps for _, steps in reached)) - set().union(
        *(_steps(data) for data in seeds(TORTURE, MESSAGES))
    )
    kept: list[bytes] = []
    while missing:
        data, steps = max(reached, key=lambda each: len(each[1] & missing))
        missing -= steps
        kept.append(data)
    for path in CORPUS.iterdir():
        path.unlink()
    for data in kept:
        (CORPUS / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def _steps(data: bytes) -> set[tuple[str, int, int]]:
    """The steps from line to line that an input takes through the node's signalling."""
    steps: set[tuple[str, int, int]] = set()

    def local(frame: FrameType, event: str, argument: object) -> Any:
        line = frame.f_lineno
        steps.add((frame.f_code.co_filename, last.get(id(frame), 0), line))
        last[id(frame)] = line
        return local

    def called(frame: FrameType, event: str, argument: object) -> Any:
        return local if "media_node/sip" in frame.f_code.co_filename else None

    last: dict[int, int] = {}
    edge = Edge()
    sys.settrace(called)
    try:
        edge.stream(data)
        edge.packet(data)
    finally:
        sys.settrace(None)
    return steps


def live(number: int) -> dict[str, Any]:
    """The same kind of messages against the node's port."""
    with node(2) as served:
        phone = WirePhone(0, served.port, ELSEWHERE, trusting())
        phone.connect()
        phone.register()
        with Watch(phone) as quiet:
            time.sleep(3)
        served.longest_turn()
        sent = connections = 0
        stranger: WirePhone | None = None
        grown = rss = 0.0
        with Watch(phone) as watch:
            for data in mutations(time.time_ns(), number):
                try:
                    if stranger is None:
                        stranger = WirePhone(1, served.port, STRANGERS, trusting())
                        stranger.connect()
                        stranger.socket.settimeout(5)
                        connections += 1
                    stranger.socket.sendall(data)
                except OSError:
                    stranger = None
                sent += 1
                if stranger is not None and sent % 5 == 0:
                    with contextlib.suppress(OSError):
                        stranger.socket.close()
                    stranger = None
                if sent == number // 10:
                    rss = served.rss
            grown, turn = served.rss - rss, served.longest_turn()
        lives = phone.ask("OPTIONS").startswith("SIP/2.0 200")
        longest = max(watch.waits, default=0.0) * 1000
        return {
            "sent": sent,
            "connections": connections,
            **{**watch.figures(), "longest": round(longest, 1), "turn": turn},
            "without": {**quiet.figures(), "longest": round(max(quiet.waits, default=0.0) * 1000, 1)},
            "growth_mb": round(grown, 1),
            "lives": lives,
        }


def main(arguments: list[str]) -> int:
    """Fuzz and print."""
    if arguments[:1] == ["--fuzz"]:
        fuzz(arguments[1], arguments[2:])
        return 0
    parser = argparse.ArgumentParser(
        prog="dev bench fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200_000, help="inputs of the coverage-guided fuzzer; 0 for none")
    parser.add_argument("--targets", nargs="*", choices=TARGETS, default=list(TARGETS), help="what is fuzzed")
    parser.add_argument("--live", type=int, default=20_000, help="messages to a running node; 0 for none")
    parser.add_argument("--keep", action="store_true", help="add what reached something new to the corpus")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    figures: dict[str, Any] = {}
    if options.runs:
        try:
            import atheris  # noqa: F401
        except ImportError:
            print("dev: atheris is not made for this machine; its messages are mutated without coverage.")
            edge, began = Edge(), time.monotonic()
            for data in mutations(time.time_ns(), options.runs):
                edge.stream(data)
            figures["unguided"] = {"runs": options.runs, "seconds": round(time.monotonic() - began), "faults": []}
        else:
            for target in options.targets:
                share = 1 if target == "strangers" else 10
                figures[target] = guided(target, options.runs // share, options.keep and share == 1)
    if options.live:
        figures["live"] = live(options.live)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, each in figures.items():
            print(name, ", ".join(f"{key} {value}" for key, value in each.items() if value != ""))
    faults = any(each.get("faults") or each.get("error") for each in figures.values())
    return 1 if faults or not figures.get("live", {"lives": True})["lives"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
