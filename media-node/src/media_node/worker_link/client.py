"""A media worker as call/ sees it: a process that is started, asked, listened to and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from media_node.worker_link.protocol import LegDescription, LegStats, LocalTransport, WorkerLoad, encode

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 2.0
"""A worker answers within a few milliseconds; one that takes so long hangs, and its calls hear nothing either."""
LINE_LIMIT = 1 << 20
PORTS = 4
"""SRTP ports of one worker: RTP and RTCP of calls' first streams, and of further ones."""

HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""A worker's memory is SRTP contexts that every 20 ms are all touched once: on huge pages that costs some 3 % less CPU
(glibc 2.35).
"""

Event = dict[str, Any]


class MediaError(Exception):
    """The worker refused an operation; the message says which and why."""


class WorkerGone(MediaError):
    """The worker process ended, hangs or did not start; its calls are lost."""


class MediaWorker:
    """One worker process and the Unix socket to it.

    The parent listens and the worker connects once its ports are bound, so a connection means ready and a lost
    connection means gone, on either side.
    """

    def __init__(self, index: int, process: asyncio.subprocess.Process, on_event: Callable[[Event], None]) -> None:
        self.index = index
        self._process = process
        self._on_event = on_event
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._calls: set[str] = set()
        self._stopping = False
        self._gone = False
        self._writer: asyncio.StreamWriter
        self._listener: asyncio.Task[None]

    @classmethod
    async def start(
        cls,
        *,
        index: int,
        address: str,
        announce: str,
        srtp_port: int,
        rtp_ports: tuple[int, int],
        timeout_s: float,
        run_directory: Path,
        on_event: Callable[[Event], None],
        options: tuple[str, ...] = (),
    ) -> MediaWorker:
        """Start worker `index`, bound to `address` and announced as `announce`, and wait until its ports are open.

        Worker k takes `srtp_port`+4k for SRTP, the next port for SRTCP, and the two behind for further streams (0: any
        free pairs); plain RTP legs take even ports from `rtp_ports`, both ends included, which workers may share.
        `timeout_s` is how long a leg may be unheard before an event {"event": "timeout", "call", "leg"}. A worker that
        dies is told as {"event": "gone", "worker", "calls": [...]}. Both come through `on_event`, in the event loop.
        `options` are further arguments of the worker's command line. Raises WorkerGone when it does not come up.
        """
        path = run_directory / f"media-{index}.sock"
        path.unlink(missing_ok=True)
        connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.get_running_loop().create_future()
        )

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if connected.done():
                writer.close()
            else:
                connected.set_result((reader, writer))

        server = await asyncio.start_unix_server(accept, path, limit=LINE_LIMIT)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "media_node.media.worker", "--socket", str(path)),
            *(
                "--address",
                address,
                "--announce",
                announce,
                "--srtp-port",
                str(srtp_port + PORTS * index if srtp_port else 0),
            ),
            *("--rtp-ports", f"{rtp_ports[0]}-{rtp_ports[1]}", "--timeout", str(timeout_s), *options),
            stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, "GLIBC_TUNABLES": HUGE_PAGES},
        )
        ended = asyncio.ensure_future(process.wait())
        try:
            both: set[asyncio.Future[Any]] = {connected, ended}
            await asyncio.wait(both, timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if not connected.done():
                status = process.returncode
                raise WorkerGone(
                    f"media worker {index} did not come up: "
                    + ("too slow" if status is None else f"exit status {status}")
                )
        except BaseException:
            if process.returncode is None:
                process.kill()
            raise
        finally:
            server.close()
            path.unlink(missing_ok=True)
            ended.cancel()
        worker = cls(index, process, on_event)
        reader, worker._writer = connected.result()
        worker._listener = asyncio.create_task(worker._listen(reader), name=f"media worker {index}")
        return worker

    @property
    def calls(self) -> int:
        """How many calls are open on this worker."""
        return len(self._calls)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    async def open(
        self, call: str, *, secure: dict[str, bool], families: dict[str, int] | None = None, further: bool = False
    ) -> dict[str, LocalTransport]:
        """Reserve both legs of a call ("a" and "b"; True for SRTP) and say where their media must be sent.

        `families` (leg -> 4 or 6) chooses the address family of a leg on a worker with an address of each. `further` is
        another stream beside a call's first, named by itself. Raises MediaError when the call exists or no port is
        free.
        """
        arguments: dict[str, Any] = {"call": call, "secure": secure, "further": further}
        if families is not None:
            arguments["families"] = families
        result = await self._ask("open", arguments)
        if not further:
            self._calls.add(call)
        return {leg: LocalTransport(**local) for leg, local in result.items()}

    async def reopen(self, call: str, leg: str, *, secure: bool) -> tuple[LocalTransport, LegStats]:
        """Put another peer in a leg's place: where its media must be sent, and what the replaced peer's leg saw.

        Raises MediaError for an unknown call or leg, or without a free port.
        """
        result = await self._ask("reopen", {"call": call, "leg": leg, "secure": secure})
        return LocalTransport(**result["local"]), LegStats(**result["before"])

    async def move(self, call: str, leg: str, *, to: str, to_leg: str) -> LegStats:
        """Put a leg, keys and ports and all, in the place of another call's leg; what that one saw.

        Raises MediaError for an unknown call or leg.
        """
        return LegStats(**await self._ask("move", {"call": call, "leg": leg, "to": to, "to_leg": to_leg}))

    async def set(self, call: str, leg: str, remote: LegDescription) -> None:
        """Give a leg its negotiated description, the first or a later one.

        Raises MediaError for an unknown call or a wrong key.
        """
        await self._ask("set", {"call": call, "leg": leg, "remote": encode(remote)})

    async def stats(self, call: str) -> dict[str, LegStats]:
        """What both legs saw until now. Raises MediaError for an unknown call."""
        return {leg: LegStats(**stats) for leg, stats in (await self._ask("stats", {"call": call})).items()}

    async def close(self, call: str) -> dict[str, LegStats]:
        """End a call and free its ports; the last figures of both legs. Raises MediaError for an unknown call."""
        result = await self._ask("close", {"call": call})
        self._calls.discard(call)
        return {leg: LegStats(**stats) for leg, stats in result.items()}

    async def load(self) -> WorkerLoad:
        """How much the worker carries and what it refused that belongs to no call."""
        return WorkerLoad(**await self._ask("load", {}))

    async def stop(self) -> None:
        """End the process and wait for it. Calls still open end with it, without an event."""
        self._stopping = True
        self._writer.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._listener

    async def _ask(self, op: str, arguments: dict[str, Any]) -> Any:
        if self._gone or self._stopping:
            raise WorkerGone(f"media worker {self.index} is gone")
        number = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._writer.write(json.dumps({"id": number, "op": op, **arguments}).encode() + b"\n")
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await answer
        except TimeoutError as error:
            self._kill()
            raise WorkerGone(f"media worker {self.index} does not answer") from error
        finally:
            self._waiting.pop(number, None)

    def _kill(self) -> None:
        """A process that hangs is ended as if it had died: all that follows from that follows."""
        if self._process.returncode is None and not self._stopping:
            self._process.kill()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                message = json.loads(line)
                if "id" not in message:
                    self._on_event(message)
                elif (answer := self._waiting.get(message["id"])) is not None and not answer.done():
                    if "error" in message:
                        answer.set_exception(MediaError(message["error"]))
                    else:
                        answer.set_result(message["result"])
        self._gone = True
        self._writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(WorkerGone(f"media worker {self.index} is gone"))
        calls, self._calls = sorted(self._calls), set()
        if not self._stopping:
            await self._process.wait()
            self._on_event({"event": "gone", "worker": self.index, "calls": calls})
