"""What goes wrong with the parts of a node, done to a whole one, and how long it takes until phones can call again.

Each test records its seconds; `./dev bench faults` runs them and prints those. The tests judge that it recovers, not when.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from media_node.call.record import CUT_SHORT
from media_node.probe.phone import Conversation, Phone, RequestRefused
from tests.support.node import DOMAIN, NodeFactory, NodeUnderTest, TestAccount, accounts, wait_until

pytestmark = pytest.mark.usefixtures("processes")
CUSTOMER = "abc234"
LIBFAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
Recorded = Callable[[str, object], None]


async def phone(node: NodeUnderTest, account: TestAccount) -> Phone:
    made = Phone(account.username, account.password, DOMAIN)
    await made.connect(node.address, 5061, node.certificates.client_context())
    await made.register()
    return made


async def back(node: NodeUnderTest, account: TestAccount) -> Phone:
    """A phone that tries again until it is registered."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                try:
                    return await phone(node, account)
                except RequestRefused as refused:
                    # A node that has just started asks for patience, and refuses nobody.
                    if refused.code != 503:
                        raise
            await asyncio.sleep(0.1)


async def call(phones: list[Phone]) -> tuple[Conversation, Conversation]:
    ours = await phones[0].call(phones[1].username.rpartition("-")[2])
    return ours, await phones[1].answered()


async def over(*conversations: Conversation) -> None:
    await conversations[0].hang_up()
    for each in conversations:
        each.close("over")


async def node_with_phones(
    new_node: NodeFactory, number: int = 2, **options: Any
) -> tuple[NodeUnderTest, list[TestAccount]]:
    node = await asyncio.to_thread(lambda: new_node(**options))
    who = accounts(CUSTOMER, number)
    await asyncio.to_thread(node.assign, CUSTOMER, who)
    return node, who


@contextlib.asynccontextmanager
async def registered(node: NodeUnderTest, who: list[TestAccount]) -> AsyncIterator[list[Phone]]:
    phones = [await phone(node, each) for each in who]
    yield phones
    for each in phones:
        for conversation in each.conversations:
            conversation.close("over")
        each.connection.close()


async def test_parts_that_hang_and_routers_that_restart(new_node: NodeFactory, record_property: Recorded) -> None:
    node, who = await node_with_phones(new_node, 6)
    async with registered(node, who) as phones:
        lost, silenced = await call(phones[:2])
        assert node.process is not None
        [worker] = _children(node.process.pid)
        os.kill(worker, signal.SIGSTOP)
        began = time.monotonic()
        again = await call(phones[2:4])
        record_property("1. a media worker hangs: the next call is answered after", time.monotonic() - began)
        await asyncio.wait_for(asyncio.gather(lost.ended.wait(), silenced.ended.wait()), 20)
        record_property("1. a media worker hangs: its calls are told so after", time.monotonic() - began)
        await over(*again)
        # 3: the router forgets all connections, and nobody is told; the old ones stay open at the node.
        began = time.monotonic()
        async with registered(node, who) as anew:
            record_property(
                f"3. a router restarts: all {len(who)} phones are registered again after", time.monotonic() - began
            )
            await over(*await call(anew[4:]))
            # 6: no descriptors for those who come. Who is there goes on.
            talking = await call(anew[:2])
            files = len(os.listdir(f"/proc/{node.process.pid}/fd"))  # noqa: PTH208 - no wait
            before = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (files + 3, before[1]))
            crowd = [socket.create_connection((node.address, 5061)) for _ in range(40)]
            await asyncio.to_thread(wait_until, lambda: _refusals(node))
            await anew[2].register()
            assert len(_refusals(node)) < 5, "a line now and then, not one for each"
            for each in crowd:
                each.close()
            began = time.monotonic()
            late = await back(node, who[5])
            record_property(
                "6. no descriptors: a new phone is registered after the crowd has left after", time.monotonic() - began
            )
            assert not talking[0].ended.is_set()
            late.connection.close()
            resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, before)
            # 4 and 5: the signalling is killed in the call.
            await asyncio.to_thread(wait_until, lambda: list((node.directory / "state" / "records").glob("*.begun")))
            await asyncio.to_thread(node.stop, signal.SIGKILL)
            began = time.monotonic()
            await asyncio.to_thread(node.start)
            phones_again = await asyncio.gather(*(back(node, each) for each in who[:2]))
            record_property(
                "4. the node is killed: phones that notice are registered again after", time.monotonic() - began
            )
            await asyncio.to_thread(wait_until, lambda: _cut_short(node))
            record_property(
                "5. the signalling is killed in a call: its record is there after", time.monotonic() - began
            )
            for survivor in phones_again:
                survivor.connection.close()


async def test_signalling_that_hangs_is_noticed_by_its_watchdog_and_started_again(
    new_node: NodeFactory, tmp_path: Path, record_property: Recorded
) -> None:
    """The test is systemd: it hears the watchdog being fed, and kills and starts what does not feed it."""
    seconds = 2.0
    node = await asyncio.to_thread(lambda: new_node(start=False))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(seconds)
        node.environment |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": str(int(seconds * 1e6))}
        await asyncio.to_thread(node.start)
        who = accounts(CUSTOMER)
        await asyncio.to_thread(node.assign, CUSTOMER, who)
        async with registered(node, who[:1]):
            assert node.process is not None
            os.kill(node.process.pid, signal.SIGSTOP)
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                for _ in range(100):  # what was fed before
                    await asyncio.to_thread(manager.recv, 100)
            await asyncio.to_thread(node.stop, signal.SIGKILL)
            await asyncio.to_thread(node.start)
            again = await back(node, who[0])
            record_property(
                f"2. signalling hangs, watchdog of {seconds:g} s: registered again after", time.monotonic() - began
            )
            again.connection.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    directory = tmp_path / "small"
    directory.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(directory)], check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("no tmpfs can be mounted here")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.mark.needs("faketime")
async def test_a_full_disk_loses_no_record_and_a_clock_that_is_set_makes_no_call_longer(
    new_node: NodeFactory, small_disk: Path, tmp_path: Path, record_property: Recorded
) -> None:
    node = await asyncio.to_thread(lambda: new_node(start=False))
    node.config.write_text(node.config.read_text().replace(f"{node.directory}/state", str(small_disk)))
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    # Only the signalling has the false clock: Python's sleep in a worker is one call that the library gets wrong.
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ.pop('LD_PRELOAD', None)\n")
    node.environment |= {
        "PYTHONPATH": str(tmp_path),
        "LD_PRELOAD": str(LIBFAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    await asyncio.to_thread(node.start)
    who = accounts(CUSTOMER)
    await asyncio.to_thread(node.assign, CUSTOMER, who)
    async with registered(node, who) as phones:
        talking = await call(phones)
        clock.write_text("+1h\n")
        _fill(small_disk / "filler")
        await asyncio.sleep(1.5)
        clock.write_text("-1h\n")
        await asyncio.sleep(1.5)
        await over(*talking)
        began = time.monotonic()
        [record] = await asyncio.to_thread(wait_until, lambda: node.records(CUSTOMER), 60)
        record_property("6. the disk is full: a call's record is in the table after", time.monotonic() - began)
        assert record["reason"] == "completed"
        assert record["startedAt"] <= record["answeredAt"] <= record["endedAt"], record
        assert record["endedAt"][:13] == record["startedAt"][:13] or record["startedAt"][14:16] == "59", record
        record_property("7. the clock is set an hour forth and two back in a call: durations are wrong for", 0)
        (small_disk / "filler").unlink()
        await over(*await call(phones))
        await asyncio.to_thread(wait_until, lambda: len(node.records(CUSTOMER)) == 2, 60)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _refusals(node: NodeUnderTest) -> list[dict[str, Any]]:
    return [each for each in node.events("connection refused") if "no room" in each["reason"]]


def _cut_short(node: NodeUnderTest) -> list[dict[str, Any]]:
    return [each for each in node.records(CUSTOMER) if each["reason"] == CUT_SHORT]


def _fill(file: Path) -> None:
    """Until nothing more fits."""
    with pytest.raises(OSError) as full, file.open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    assert full.value.errno == errno.ENOSPC
