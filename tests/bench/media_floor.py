"""The floor of the media benchmark: the node's own batches and pacing, and no crypto, no numbers, no statistics. Routes
come on stdin.
"""

from __future__ import annotations

import gc
import json
import select
import subprocess
import sys
import time

from media_node.media.port import BATCH, Batch, Port, SocketAddress, transport_address
from media_node.media.worker import GATHER_S


class Floor:
    """The floor as a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.port = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def route(self, pairs: list[tuple[int, int]]) -> None:
        """What comes from one port of a pair goes to the other."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(pairs) + "\n")
        self._process.stdin.flush()
        self._line()

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(5)
        self._process.stdout.close()


def main() -> None:
    """The process: print the port, read the routes, relay until stdin ends."""
    port, batch = Port("127.0.0.1", 0), Batch()
    print(port.number, flush=True)
    routes = json.loads(sys.stdin.readline())
    names = {
        transport_address("127.0.0.1", a): SocketAddress(transport_address("127.0.0.1", b))
        for pair in routes
        for a, b in (pair, pair[::-1])
    }
    print("ready", flush=True)
    epoll = select.epoll()
    epoll.register(port.fd, select.EPOLLIN)
    epoll.register(sys.stdin.fileno(), select.EPOLLIN)
    gc.freeze()
    gc.disable()
    while True:
        ready = dict(epoll.poll())
        if sys.stdin.fileno() in ready:
            return
        time.sleep(GATHER_S)
        count = BATCH
        while count == BATCH:
            count = batch.receive(port)
            sources = batch.sources(port, count)
            batch.send(port, range(count), [names[source].pointer for source in sources])


if __name__ == "__main__":
    main()
