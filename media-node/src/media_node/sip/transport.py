"""The only I/O of sip/: connections that carry SIP messages over TLS, TCP (RFC 3261 section 18) and UDP.

A connection frames and parses; who listens hears whole messages. What is not SIP closes the connection.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Final, Protocol, cast

from media_node.sip.framing import PONG, Framer, FramingError, KeepAlive
from media_node.sip.headers import Request, Response
from media_node.sip.message import Malformed, datagram, parse, reply_to_malformed, serialise, unframed

HANDSHAKE_TIMEOUT: Final = 10.0
FIRST_MESSAGE_TIMEOUT: Final = 32.0
"""Seconds a connection may stand without a valid message, so that idle strangers hold no socket."""
IDLE_TIMEOUT: Final = 3700.0
"""Seconds without an octet after which a connection is dead: longer than the longest registration."""
MAX_UNSENT: Final = 256 * 1024
"""Octets a peer may leave unread before it is dropped."""
MAX_MALFORMED: Final = 5
MAX_CONNECTIONS: Final = 5000
MAX_CONNECTIONS_PER_HOST: Final = 500
"""An office behind one address has many phones; a single host has no more than this."""

_numbers = count(1)


class Transport(StrEnum):
    """Transports by their names in a Via; `parameter` is the name in a URI."""

    TLS = "TLS"
    TCP = "TCP"
    UDP = "UDP"

    @property
    def reliable(self) -> bool:
        """Whether the transport itself delivers (section 17: no retransmissions then)."""
        return self is not Transport.UDP

    @property
    def parameter(self) -> str:
        """The value of a URI's transport parameter."""
        return self.value.lower()


@dataclass(frozen=True)
class HostPort:
    """An IPv4 address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Receiver(Protocol):
    """Who hears what arrives. All methods are called in the event loop and must not block."""

    def received(self, connection: Connection, message: Request | Response) -> None:
        """A whole, valid message."""

    def lost(self, connection: Connection) -> None:
        """The connection is gone; nothing can be sent over it any more."""


@dataclass(eq=False)
class Connection:
    """One way to one peer. `number` is unique in the process."""

    receiver: Receiver
    transport: Transport
    local: HostPort = HostPort("", 0)
    peer: HostPort = HostPort("", 0)
    announced: HostPort | None = None
    """What Via and Contact say instead of `local`, as behind a public address that is translated."""
    number: int = field(default_factory=lambda: next(_numbers))
    closed: bool = False

    @property
    def contact(self) -> HostPort:
        """Where this side says that it is."""
        return self.announced or self.local

    def send(self, message: Request | Response) -> bool:
        """Writes a message; False when the connection is closed or its peer does not read."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes at once; `lost` follows."""
        raise NotImplementedError


class StreamConnection(Connection, asyncio.Protocol):
    """A TCP or TLS connection, accepted or made."""

    def __init__(
        self, receiver: Receiver, transport: Transport, gate: Gate | None = None, announced: HostPort | None = None
    ) -> None:
        super().__init__(receiver, transport, announced=announced)
        self._gate = gate
        self._framer = Framer()
        self._malformed = 0
        self._stream: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._heard = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection stands (over TLS: the handshake is done)."""
        self._stream = stream = cast(asyncio.Transport, transport)
        self.peer = HostPort(*transport.get_extra_info("peername")[:2])
        self.local = HostPort(*transport.get_extra_info("sockname")[:2])
        stream.set_write_buffer_limits(high=MAX_UNSENT)
        if self._gate is not None:
            if not self._gate.enter(self):
                stream.abort()
                return
            self._deadline = asyncio.get_running_loop().call_later(FIRST_MESSAGE_TIMEOUT, self.close)

    def data_received(self, data: bytes) -> None:
        """asyncio: octets arrived."""
        self._heard = asyncio.get_running_loop().time()
        try:
            for frame in self._framer.feed(data):
                if self.closed:
                    return
                if isinstance(frame, KeepAlive):
                    self._write(PONG)
                else:
                    self._parse(frame)
        except FramingError as error:
            # What came before was answered; nothing after it can be told apart (section 18.3).
            if not self.closed and (answer := reply_to_malformed(unframed(error))) is not None:
                self.send(answer)
            self.finish()

    def _parse(self, frame: bytes) -> None:
        try:
            message = parse(frame)
        except Malformed as error:
            self._malformed += 1
            if (answer := reply_to_malformed(error)) is not None:
                self.send(answer)
            if self._malformed >= MAX_MALFORMED:
                self.finish()
            return
        if self._deadline is not None and self._gate is not None:
            self._deadline.cancel()
            self._deadline = asyncio.get_running_loop().call_later(IDLE_TIMEOUT, self._check_idle)
        self.receiver.received(self, message)

    def _check_idle(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._heard >= IDLE_TIMEOUT:
            self.close()
        else:
            self._deadline = loop.call_at(self._heard + IDLE_TIMEOUT, self._check_idle)

    def eof_received(self) -> bool:
        """asyncio: the peer finished sending; a half-open connection is of no use to SIP."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self.closed = True
        if self._deadline is not None:
            self._deadline.cancel()
        if self._gate is not None:
            self._gate.leave(self)
        self.receiver.lost(self)

    def pause_writing(self) -> None:
        """asyncio: the peer does not read what we send."""
        self.close()

    def send(self, message: Request | Response) -> bool:
        """See Connection."""
        return self._write(serialise(message))

    def _write(self, data: bytes) -> bool:
        if self.closed or self._stream is None or self._stream.is_closing():
            return False
        self._stream.write(data)
        return True

    def close(self) -> None:
        """See Connection."""
        self.closed = True
        if self._stream is not None:
            self._stream.abort()

    def finish(self) -> None:
        """Closes after what was written has been sent."""
        if self._stream is not None:
            self._stream.close()


class DatagramConnection(Connection, asyncio.DatagramProtocol):
    """A UDP socket connected to one peer, so that the kernel drops what others send."""

    def __init__(self, receiver: Receiver, announced_host: str | None = None) -> None:
        super().__init__(receiver, Transport.UDP)
        self._announced_host = announced_host
        self._socket: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the socket is open."""
        self._socket = cast(asyncio.DatagramTransport, transport)
        self.peer = HostPort(*transport.get_extra_info("peername")[:2])
        self.local = HostPort(*transport.get_extra_info("sockname")[:2])
        if self._announced_host:
            self.announced = HostPort(self._announced_host, self.local.port)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """asyncio: one datagram arrived."""
        if not data.strip(b"\r\n\0"):
            return  # keep-alive
        try:
            message = parse(datagram(data))
        except Malformed as error:
            if (answer := reply_to_malformed(error)) is not None:
                self.send(answer)
            return
        self.receiver.received(self, message)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the socket was closed."""
        self.closed = True
        self.receiver.lost(self)

    def send(self, message: Request | Response) -> bool:
        """See Connection."""
        if self.closed or self._socket is None:
            return False
        self._socket.sendto(serialise(message))
        return True

    def close(self) -> None:
        """See Connection."""
        self.closed = True
        if self._socket is not None:
            self._socket.abort()


class Gate:
    """Counts the connections a listener lets in, in total and by host."""

    def __init__(self) -> None:
        self._inside: dict[str, set[StreamConnection]] = {}

    def enter(self, connection: StreamConnection) -> bool:
        """Whether there is room for it."""
        same_host = self._inside.setdefault(connection.peer.host, set())
        if len(same_host) >= MAX_CONNECTIONS_PER_HOST or sum(map(len, self._inside.values())) >= MAX_CONNECTIONS:
            return False
        same_host.add(connection)
        return True

    def leave(self, connection: StreamConnection) -> None:
        """It is gone."""
        same_host = self._inside.get(connection.peer.host, set())
        same_host.discard(connection)
        if not same_host:
            self._inside.pop(connection.peer.host, None)

    def close(self) -> None:
        """Lets everyone out, after what was written to them has been sent."""
        for connection in [connection for same_host in self._inside.values() for connection in same_host]:
            connection.finish()


@dataclass
class Listener:
    """An open TLS port."""

    server: asyncio.Server
    gate: Gate
    local: HostPort

    async def close(self) -> None:
        """Closes the port and its connections."""
        self.server.close()
        self.gate.close()
        await asyncio.sleep(0)


def server_context() -> ssl.SSLContext:
    """TLS for the phones' side: 1.2 and up, no client certificates; the caller loads the chain."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!MD5:!DSS")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_SINGLE_ECDH_USE
    return context


async def listen_tls(
    receiver: Receiver, *, host: str, port: int, context: ssl.SSLContext, announced_host: str | None = None
) -> Listener:
    """Opens the TLS port. Raises OSError when it is taken."""
    gate = Gate()
    announced: list[HostPort] = []

    def accept() -> StreamConnection:
        return StreamConnection(receiver, Transport.TLS, gate, announced[0] if announced else None)

    server = await asyncio.get_running_loop().create_server(
        accept, host, port, ssl=context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT, ssl_shutdown_timeout=1.0, backlog=512
    )
    local = HostPort(*server.sockets[0].getsockname()[:2])
    announced.append(HostPort(announced_host or local.host, local.port))
    return Listener(server, gate, local)


async def connect(
    receiver: Receiver,
    transport: Transport,
    *,
    host: str,
    port: int,
    context: ssl.SSLContext | None = None,
    server_name: str | None = None,
    local_host: str | None = None,
    announced_host: str | None = None,
) -> Connection:
    """A connection to a peer. Raises OSError (ssl.SSLError among them) when there is none to be had."""
    loop = asyncio.get_running_loop()
    local = (local_host, 0) if local_host else None
    if transport is Transport.UDP:
        _, datagrams = await loop.create_datagram_endpoint(
            lambda: DatagramConnection(receiver, announced_host), local_addr=local, remote_addr=(host, port)
        )
        return datagrams
    if transport is Transport.TLS and context is None:
        context = ssl.create_default_context()
    _, stream = await loop.create_connection(
        lambda: StreamConnection(receiver, transport),
        host,
        port,
        local_addr=local,
        ssl=context if transport is Transport.TLS else None,
        server_hostname=(server_name or host) if transport is Transport.TLS else None,
        ssl_handshake_timeout=HANDSHAKE_TIMEOUT if transport is Transport.TLS else None,
    )
    if announced_host:
        stream.announced = HostPort(announced_host, stream.local.port)
    return stream
