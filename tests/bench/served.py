"""The node's signalling as a process of its own, for benchmarks: says its port, and serves until its input ends.

    python tests/bench/served.py ACCOUNTS CERTIFICATE [--media DIRECTORY] [--log]

Each line it is given is answered with the seconds of processor time of the loop's longest turn since the one before. The
certificate is made; `--media` is where a media worker may have its socket, and without it there is none.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from media_node.call import directory
from media_node.call.exchange import Exchange
from media_node.collector import Collector
from media_node.log import Log, log, silent
from media_node.sip.digest import Algorithm
from media_node.sip.listener import listen_tls, server_context
from media_node.worker_link.client import MediaWorker
from media_node.workers import Workers
from tests.bench import media_signalling
from tests.bench.edge_wire import CUSTOMER, DOMAIN, PASSWORD, username


async def serve(accounts: int, certificate: str, log: Log, media: str = "") -> None:
    """The node's signalling; says its port and then serves until its input ends. `media` is where a media worker may
    have its socket; without it there is none.
    """
    port = free_ports()

    async def start(index: int, on_event: Callable[[dict[str, Any]], None]) -> MediaWorker:
        return await MediaWorker.start(
            index=index,
            address="127.0.0.1",
            announce="127.0.0.1",
            srtp_port=port,
            rtp_ports=(21000, 21098),
            timeout_s=60,
            run_directory=Path(media),
            on_event=on_event,
        )

    # As the node does: one that is killed is replaced.
    workers = Workers(start, lambda event: exchange.media_event(event))
    file = Path(certificate)
    media_signalling.certificate(file)
    context = server_context()
    context.load_cert_chain(file)
    phones = tuple(
        directory.Phone(
            username=username(number),
            extension=str(201 + number),
            customer_id=CUSTOMER,
            encrypted=True,
            ha1={name.value: name.ha1(username(number), DOMAIN, PASSWORD) for name in Algorithm},
        )
        for number in range(accounts)
    )
    environment = directory.Environment(
        environment_id="bench", customer_id=CUSTOMER, encrypted=True, calls=1000, version=1, phones=phones
    )
    exchange = Exchange(domain=DOMAIN, media=workers.plane, records=lambda record: None, log=log)
    await workers.start(1 if media else 0)
    exchange.assign(directory.Directory((environment,)))
    Collector().begin()
    listener = await listen_tls(exchange.transactions, host="127.0.0.1", port=0, context=context, log=log)
    print(listener.local.port, flush=True)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, MeasuredLoop)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(loop.longest_turn(), flush=True)
    await workers.stop()


class MeasuredLoop(asyncio.SelectorEventLoop):
    """Knows how much processor time its longest turn took: what nobody was served for, whatever else the machine does."""

    _longest = 0.0

    def _run_once(self) -> None:
        began = time.thread_time()
        super()._run_once()  # type: ignore[misc]
        self._longest = max(self._longest, time.thread_time() - began)

    def longest_turn(self) -> float:
        """Seconds of the longest turn since the last question."""
        longest, self._longest = self._longest, 0.0
        return longest


def free_ports() -> int:
    """An even port that is free together with the three above."""
    while True:
        with contextlib.ExitStack() as sockets, contextlib.suppress(OSError):
            first = 0
            for offset in range(4):
                each = sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM))
                each.bind(("127.0.0.1", first + offset if first else 0))
                first = first or int(each.getsockname()[1])
            if first % 2 == 0:
                return first


def main(arguments: list[str]) -> int:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("accounts", type=int)
    parser.add_argument("certificate")
    parser.add_argument("--media", default="")
    parser.add_argument("--log", action="store_true", help="write the log as the node does")
    options = parser.parse_args(arguments)
    with asyncio.Runner(loop_factory=MeasuredLoop) as runner:
        runner.run(serve(options.accounts, options.certificate, log if options.log else silent, options.media))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
