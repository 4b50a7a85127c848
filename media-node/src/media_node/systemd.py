"""What the node tells systemd (sd_notify(3)), where it listens; elsewhere nothing happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket


def notify(state: str) -> None:
    """Tell one thing: READY=1, STOPPING=1, WATCHDOG=1."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
            channel.connect("\0" + path[1:] if path.startswith("@") else path)
            channel.send(state.encode())


def watchdog_seconds() -> float:
    """How often systemd wants to hear from us at the latest (sd_watchdog_enabled(3)); 0 for never."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1_000_000 if microseconds.isdigit() and meant else 0.0


async def feed_watchdog() -> None:
    """Say again and again that the event loop turns: fed by the loop itself, so a loop that hangs is restarted."""
    interval = watchdog_seconds() / 3
    while True:
        if interval:
            notify("WATCHDOG=1")
        await asyncio.sleep(interval or 3600)
