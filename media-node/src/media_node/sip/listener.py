"""The TLS port: takes connections off the kernel's queue, gives them places at the gate, and gives back what they held."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from media_node.log import Event, Log, mask_address, silent
from media_node.sip.gate import LIMITS, Gate, Limits
from media_node.sip.rates import Bucket, Throttle
from media_node.sip.tls import RECEIVE_BUFFER, TlsServerStream
from media_node.sip.transport import HostPort, Receiver, StreamConnection, Transport
from media_node.sip.turns import Turns

QUEUE: Final = 1024
"""Connections the kernel may hold until they are taken."""
ACCEPTED_AT_ONCE: Final = 32
PAUSE: Final = 1.0
"""Seconds without taking connections when there are no descriptors left."""
TRIM_AFTER: Final = 2.0
_TRIM_FROM: Final = 100
"""Connections that have to be gone before memory is given back to the system."""
_NO_ROOM: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
)
"""The kernel asks a silent peer after 20 s, and gives a dead one up within a minute: a router that restarted answers no more."""


def server_context() -> ssl.SSLContext:
    """TLS for the phones' side: 1.2 and up, no client certificates; the caller loads the chain."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!MD5:!DSS")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_SINGLE_ECDH_USE
    return context


@dataclass(eq=False)
class Listener:
    """An open TLS port."""

    receiver: Receiver
    context: ssl.SSLContext
    log: Log = silent
    limits: Limits = LIMITS
    announced: HostPort = field(init=False)
    local: HostPort = field(init=False)
    gate: Gate = field(init=False)
    _socket: socket.socket | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _throttle: Throttle = field(default_factory=Throttle)
    _no_room: Bucket = field(default_factory=lambda: Bucket(1, 1 / 60))
    _trimming: asyncio.TimerHandle | None = None
    _most: int = 0
    """The most connections since memory was last given back."""

    def __post_init__(self) -> None:
        self.gate = Gate(self.limits)
        self._buffer = memoryview(bytearray(RECEIVE_BUFFER))

    def open(self, host: str, port: int, announced_host: str | None) -> None:
        """Begins to listen. Raises OSError when the port is taken."""
        self._loop = loop = asyncio.get_running_loop()
        self._turns = Turns(loop.call_soon, loop.time)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setblocking(False)
            listening.bind((host, port))
            listening.listen(QUEUE)
        except OSError:
            listening.close()
            raise
        self._socket = listening
        self.local = HostPort(*listening.getsockname()[:2])
        self.announced = HostPort(announced_host or self.local.host, self.local.port)
        loop.add_reader(listening, self._accept)

    async def close(self) -> None:
        """Closes the port and its connections, after what was written to them has been sent."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        for guest in self.gate.everyone():
            cast(TlsServerStream, guest).close()
        if self._trimming is not None:
            self._trimming.cancel()
        await asyncio.sleep(0)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if self._socket is None:
                return
            try:
                accepted, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                self._pause(error)
                return
            accepted.setblocking(False)
            for level, option, value in _KEEP_ALIVE:
                with contextlib.suppress(OSError):
                    accepted.setsockopt(level, option, value)
            task = self._loop.create_task(self._serve(accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _pause(self, error: OSError) -> None:
        """No descriptors: the kernel holds who comes until there are, instead of waking us for each over and over."""
        if self._socket is None:
            return
        if self._no_room.take(self._loop.time()):
            self.log(Event.CONNECTION_REFUSED, source="", reason=f"no room: {error.strerror}")
        self._loop.remove_reader(self._socket)
        self._loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        if self._socket is not None:
            self._loop.add_reader(self._socket, self._accept)

    async def _serve(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._stream, accepted)
        except OSError:
            accepted.close()  # it was gone before we took it

    def _stream(self) -> TlsServerStream:
        connection = StreamConnection(self.receiver, Transport.TLS, announced=self.announced, accepted=True)
        self._most = max(self._most, len(self.gate) + 1)
        self._schedule_trim()
        return TlsServerStream(
            connection,
            context=self.context,
            gate=self.gate,
            turns=self._turns,
            buffer=self._buffer,
            refused=self.refused,
        )

    def refused(self, source: str, reason: str) -> None:
        """Says in the log that a stranger was turned away; a source that is turned away often gets a line now and then."""
        left_out = self._throttle.allow(source, self._loop.time())
        if left_out is not None:
            more = {"left_out": left_out} if left_out else {}
            self.log(Event.CONNECTION_REFUSED, source=mask_address(source), reason=reason, **more)

    def _schedule_trim(self) -> None:
        if self._trimming is None and self._most >= _TRIM_FROM:
            self._trimming = self._loop.call_later(TRIM_AFTER, self._trim)

    def _trim(self) -> None:
        """glibc keeps what was freed between two connections that stay, unless it is asked."""
        self._trimming = None
        if self._most - len(self.gate) >= _TRIM_FROM:
            self._most = len(self.gate)
            _give_back()
        self._schedule_trim()


async def listen_tls(
    receiver: Receiver,
    *,
    host: str,
    port: int,
    context: ssl.SSLContext,
    announced_host: str | None = None,
    log: Log = silent,
    limits: Limits = LIMITS,
) -> Listener:
    """Opens the TLS port. Raises OSError when it is taken."""
    listener = Listener(receiver, context, log, limits)
    listener.open(host, port, announced_host)
    return listener


def _malloc_trim() -> Callable[[int], int] | None:
    try:
        return cast(Callable[[int], int], ctypes.CDLL(None).malloc_trim)
    except (OSError, AttributeError):
        return None  # another C library gives it back by itself


_trim_memory: Final = _malloc_trim()


def _give_back() -> None:
    if _trim_memory is not None:
        _trim_memory(0)
