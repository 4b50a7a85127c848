"""What systemd hears of the node: that it is ready, and that its event loop turns."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import pytest

from media_node import systemd


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.bind(str(tmp_path / "notify"))
    channel.settimeout(5)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return channel


def test_a_state_is_told(told: socket.socket) -> None:
    systemd.notify("READY=1")
    assert told.recv(100) == b"READY=1"


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")


def test_the_watchdog_is_fed_by_the_loop_and_starves_with_it(
    told: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))

    async def node() -> None:
        feeding = asyncio.create_task(systemd.feed_watchdog())
        for _ in range(3):
            assert await asyncio.to_thread(told.recv, 100) == b"WATCHDOG=1"
        feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await feeding

    asyncio.run(node())


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"), [("10000000", "", 10), ("10000000", "1", 0), ("", "", 0), ("x", "", 0)]
)
def test_the_interval_is_systemds_and_meant_for_this_process(
    monkeypatch: pytest.MonkeyPatch, microseconds: str, pid: str, seconds: float
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", pid or str(os.getpid()))
    assert systemd.watchdog_seconds() == seconds
