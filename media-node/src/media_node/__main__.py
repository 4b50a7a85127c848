"""media-node --config /etc/media-node/node.toml"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from media_node.config import Config
from media_node.log import Event, log
from media_node.node import Node


def main() -> int:
    """Runs the node until SIGTERM or SIGINT; at SIGHUP it looks at its parameters anew.

    Exit status 0 after a drain, 1 when it could not start or go on, 2 for a bad configuration.
    """
    parser = argparse.ArgumentParser(prog="media-node", description="SIP over TLS exchange and SRTP relay")
    parser.add_argument("--config", type=Path, required=True, help="node.toml")
    path = parser.parse_args().config
    try:
        config = Config.load(path)
    except (OSError, ValueError) as error:
        print(f"media-node: {path}: {error}", file=sys.stderr)
        return 2
    try:
        asyncio.run(_run(config))
    except asyncio.CancelledError:
        return 0
    except OSError as error:
        log(Event.STOPPED_BY_ERROR, error=str(error))
        return 1
    return 0


async def _run(config: Config) -> None:
    node = Node(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stop)
    loop.add_signal_handler(signal.SIGHUP, node.reload)
    await node.run()


if __name__ == "__main__":
    sys.exit(main())
