"""The floor of the media benchmark: the node's own batches and pacing, and no crypto, no numbers, no statistics. Routes come on stdin."""

from __future__ import annotations

import gc
import json
import select
import sys
import time

from media_node.media.port import BATCH, Batch, Name, Port, source_of
from media_node.media.worker import GATHER_S


def main() -> None:
    port, batch = Port("127.0.0.1", 0), Batch()
    print(port.number, flush=True)
    routes = json.loads(sys.stdin.readline())
    names = {source_of("127.0.0.1", a): Name(source_of("127.0.0.1", b)) for pair in routes for a, b in (pair, pair[::-1])}
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
