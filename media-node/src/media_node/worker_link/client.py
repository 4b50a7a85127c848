"""A media worker as call/ sees it: a process that is started, asked, listened to and stopped."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

from media_node.worker_link.protocol import LegDescription, LegStats, LocalTransport, WorkerLoad

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
_encode: Final = json.JSONEncoder(default=vars).encode
"""A message with values of worker_link/protocol.py in it."""


class MediaError(Exception):
    """The worker refused an operation; the message says which and why."""


class WorkerGone(MediaError):
    """The worker process ended, hangs or did not start; its calls are lost."""


class _Link(asyncio.Protocol):
    """The Unix socket to a worker: JSON objects, one a line."""

    def __init__(self, connected: asyncio.Future[_Link]) -> None:
        self._connected = connected
        self._transport: asyncio.Transport
        self._pending = b""
        self._worker: MediaWorker | None = None
        self._lost = False

    def belongs_to(self, worker: MediaWorker) -> None:
        """Who hears what arrives, that the connection is lost too."""
        self._worker = worker
        self.data_received(b"")
        if self._lost:
            worker.lost()

    def send(self, message: dict[str, Any]) -> None:
        """Writes one object."""
        self._transport.write(_encode(message).encode() + b"\n")

    def close(self) -> None:
        """Nothing more will be asked."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: somebody has connected; only the first is the worker."""
        self._transport = cast(asyncio.Transport, transport)
        if self._connected.done():
            transport.close()
        else:
            self._connected.set_result(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: octets arrived."""
        self._pending += data
        if self._worker is None:
            return
        *lines, self._pending = self._pending.split(b"\n")
        if len(self._pending) > LINE_LIMIT:
            self._transport.abort()
        for line in lines:
            self._worker.heard(json.loads(line))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self._lost = True
        if self._worker is not None:
            self._worker.lost()


class MediaWorker:
    """One worker process and the Unix socket to it.

    The parent listens and the worker connects once its ports are bound, so a connection means ready and a lost
    connection means gone, on either side.
    """

    def __init__(
        self, index: int, process: asyncio.subprocess.Process, link: _Link, on_event: Callable[[Event], None]
    ) -> None:
        self.index = index
        self._process = process
        self._link = link
        self._on_event = on_event
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._calls: set[str] = set()
        self._stopping = False
        self._gone = False
        self._burial: asyncio.Task[None] | None = None
        link.belongs_to(self)

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
        loop = asyncio.get_running_loop()
        connected: asyncio.Future[_Link] = loop.create_future()
        server = await loop.create_unix_server(lambda: _Link(connected), path)
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
        return cls(index, process, connected.result(), on_event)

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
        await self._ask("set", {"call": call, "leg": leg, "remote": remote})

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
        self._link.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        if self._burial is not None:
            await self._burial

    async def _ask(self, op: str, arguments: dict[str, Any]) -> Any:
        if self._gone or self._stopping:
            raise WorkerGone(f"media worker {self.index} is gone")
        number = next(self._ids)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting[number] = answer
        late = loop.call_later(ANSWER_TIMEOUT_S, self._hangs, answer)
        try:
            self._link.send({"id": number, "op": op, **arguments})
            return await answer
        finally:
            late.cancel()
            self._waiting.pop(number, None)

    def _hangs(self, answer: asyncio.Future[Any]) -> None:
        """A process that hangs is ended as if it had died: all that follows from that follows."""
        if not answer.done():
            answer.set_exception(WorkerGone(f"media worker {self.index} does not answer"))
        if self._process.returncode is None and not self._stopping:
            self._process.kill()

    def heard(self, message: dict[str, Any]) -> None:
        """For the link: the worker said this."""
        if "id" not in message:
            self._on_event(message)
        elif (answer := self._waiting.get(message["id"])) is not None and not answer.done():
            if "error" in message:
                answer.set_exception(MediaError(message["error"]))
            else:
                answer.set_result(message["result"])

    def lost(self) -> None:
        """For the link: the worker will say nothing more."""
        self._gone = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(WorkerGone(f"media worker {self.index} is gone"))
        calls, self._calls = sorted(self._calls), set()
        if not self._stopping:
            self._burial = asyncio.get_running_loop().create_task(self._bury(calls))

    async def _bury(self, calls: list[str]) -> None:
        await self._process.wait()
        self._on_event({"event": "gone", "worker": self.index, "calls": calls})
