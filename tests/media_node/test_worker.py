"""The worker as a process: its orders, its events, and that it ends when it should."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from media_node.media.worker import parse_ports
from media_node.suites import Suite
from media_node.worker_link.client import MediaError, MediaWorker, WorkerGone
from tests.support.media.call import Call, call_between, running_worker
from tests.support.media.phone import CM80, phones

pytestmark = pytest.mark.usefixtures("processes")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def gone(pid: int, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


async def test_stop_ends_the_process_frees_the_ports_and_leaves_no_file(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as (worker, events):
        pid = worker.pid
        ports = (await worker.open("c", secure={"a": True, "b": False}))["a"]
    assert not alive(pid) and names(tmp_path) == []
    async with running_worker(tmp_path, options=("--srtp-port", str(ports.rtp_port))) as (worker, _):
        again = (await worker.open("c", secure={"a": True, "b": True}))["b"]
        assert (again.rtp_port, again.rtcp_port) == (ports.rtp_port, ports.rtcp_port)
        assert again.fingerprint != ports.fingerprint, "a certificate lives no longer than its worker"
    assert events == []


async def test_srtp_legs_share_one_pair_and_plain_legs_have_their_own(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as (worker, _):
        first = await worker.open("first", secure={"a": True, "b": False})
        second = await worker.open("second", secure={"a": False, "b": True})
        assert first["a"] == second["b"]
        assert first["a"].rtcp_port == first["a"].rtp_port + 1
        assert len({first["a"].rtp_port, first["b"].rtp_port, second["a"].rtp_port}) == 3
        assert 30000 <= first["b"].rtp_port < 40000 and first["b"].rtcp_port == first["b"].rtp_port + 1
        assert worker.calls == 2 and (await worker.load()).calls == 2
        await worker.close("first")
        assert worker.calls == 1 and (await worker.load()).calls == 1


async def test_what_cannot_be_done_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    with phones(CM80, None) as (phone, trunk):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, phone, trunk)
            leg = phone.leg()
            assert leg.crypto is not None
            for wrong, why in (
                (worker.open(call.name, secure={"a": True, "b": True}), "exists"),
                (worker.open("one-legged", secure={"a": True}), "legs a and b"),
                (worker.open("v6", secure={"a": True, "b": True}, families={"a": 6}), "no IPv6"),
                (worker.stats("nobody"), "no call nobody"),
                (worker.close("nobody"), "no call nobody"),
                (worker.set("nobody", "a", leg), "no call nobody"),
                (worker.set(call.name, "c", leg), "no leg c"),
                (worker.set(call.name, "b", leg), "without SRTP"),
                (worker.set(call.name, "a", trunk.leg()), "with SRTP"),
                (worker.set(call.name, "a", replace(leg, crypto=replace(leg.crypto, receive_key="AAAA"))), "30 octets"),
                (
                    worker.set(call.name, "a", replace(leg, crypto=replace(leg.crypto, suite=Suite.AEAD_AES_256_GCM))),
                    "44 octets",
                ),
                (worker.set(call.name, "b", replace(trunk.leg(), address="trunk.example.nl")), "address"),
            ):
                with pytest.raises(MediaError, match=why):
                    await wrong
            call.talk()
            assert worker.calls == 1


async def test_silence_is_told_once_and_again_after_a_word(tmp_path: Path) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path, timeout_s=0.6) as (worker, events):
            call = await call_between(worker, a, b)
            for _ in range(15):
                call.a_to_b()
                await asyncio.sleep(0.1)
            assert events == [{"event": "timeout", "call": call.name, "leg": "b"}]
            call.b_to_a()
            await asyncio.sleep(1.2)
            assert [event["leg"] for event in events].count("b") == 2


async def test_a_call_that_is_not_answered_or_is_on_hold_does_not_time_out(tmp_path: Path) -> None:
    with phones(CM80, CM80, CM80, CM80) as (a, b, c, d):
        async with running_worker(tmp_path, timeout_s=0.4) as (worker, events):
            ringing = await Call(worker, a, b).open()
            await worker.set(ringing.name, "a", a.leg())
            await call_between(worker, c, d, a_says={"direction": "inactive"}, b_says={"direction": "inactive"})
            await asyncio.sleep(1.2)
    assert events == []


async def test_a_worker_that_dies_is_told_with_its_calls_and_answers_nothing_more(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as (worker, events):
        for name in ("x", "y"):
            await worker.open(name, secure={"a": True, "b": True})
        os.kill(worker.pid, signal.SIGSTOP)
        waiting = asyncio.create_task(worker.stats("x"))
        await asyncio.sleep(0.05)
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerGone):
            await waiting
        with pytest.raises(WorkerGone):
            await worker.load()
        await asyncio.sleep(0.05)
        assert events == [{"event": "gone", "worker": 0, "calls": ["x", "y"]}] and worker.calls == 0


async def test_a_worker_that_hangs_is_ended_and_told_as_gone(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as (worker, events):
        await worker.open("c", secure={"a": True, "b": True})
        pid = worker.pid
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(WorkerGone, match="does not answer"):
            await worker.load()
        assert gone(pid)
        for _ in range(500):
            if events:
                break
            await asyncio.sleep(0.01)
        assert events == [{"event": "gone", "worker": worker.index, "calls": ["c"]}]


async def test_a_taken_port_is_said_at_the_start(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as (worker, _):
        port = (await worker.open("c", secure={"a": True, "b": True}))["a"].rtp_port
        with pytest.raises(WorkerGone, match="did not come up: exit status 1"):
            async with running_worker(tmp_path, options=("--srtp-port", str(port))):
                pass
        assert (await worker.load()).calls == 1


def test_a_worker_outlives_no_parent_however_that_ends(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from media_node.worker_link.client import MediaWorker
        async def main():
            worker = await MediaWorker.start(index=0, address="127.0.0.1", announce="127.0.0.1", srtp_port=0, rtp_ports=(30000, 39999),
                                             timeout_s=60, run_directory=Path(sys.argv[1]), on_event=print)
            print(worker.pid, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(pid)


async def test_garbage_on_the_media_ports_does_not_end_it(tmp_path: Path) -> None:
    with phones(CM80, None) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            for size in (0, 1, 2, 7, 11, 12, 100, 1600, 9000, 65000):
                for first in (0x80, 0x81, 0x8F, 0x90, 0xBF, 0x16, 0x00):
                    for second in (0x08, 0xC8, 0xC9):
                        datagram = (bytes((first, second)) + os.urandom(size))[:size]
                        for at in (call.a_at, call.b_at):
                            for port in (at.rtp_port, at.rtcp_port):
                                for sender in (a.rtp, a.rtcp, b.rtp, b.rtcp):
                                    sender.sendto(datagram, (at.address, port))
                await asyncio.sleep(0.02)
            assert b.receive_raw(0.1) is None
            a.receive_all()  # from the plain leg's address, what has the shape of RTP is RTP
            call.talk()
            load = await worker.load()
            of_a, of_b = await call.stats()
    assert {"internal"}.isdisjoint({*load.drops, *of_a.drops, *of_b.drops})


async def test_calls_come_and_go_without_growing_the_worker(tmp_path: Path) -> None:
    def resident() -> int:
        return int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])

    with phones(CM80, None) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            for round_number in range(6):
                for _ in range(40):
                    call = await call_between(worker, a, b)
                    call.talk(1)
                    await worker.close(call.name)
                if round_number == 1:
                    settled = resident()
            assert resident() - settled < 200, "pages; the collector is off, so nothing may depend on it"


def test_a_range_of_ports_is_its_even_ports() -> None:
    assert list(parse_ports("21001-21008")) == [21002, 21004, 21006]
    for wrong in ("5", "7-3", "a-b", "0-10", "60000-70000"):
        with pytest.raises(ValueError):
            parse_ports(wrong)


async def test_the_client_refuses_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError), contextlib.ExitStack():
        await MediaWorker.start(
            index=0, address="127.0.0.1", announce="127.0.0.1", srtp_port=0, rtp_ports=(30000, 39999), timeout_s=1,
            run_directory=tmp_path / "absent", on_event=print,
        )  # fmt: skip
