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
from media_node.sip.message import Malformed, datagram, parse, reply, reply_to_malformed, serialise, unframed
from media_node.sip.rates import Bucket
from media_node.sip.tls import HANDSHAKE_TIMEOUT, MAX_UNSENT, TlsServerStream

FIRST_MESSAGE_TIMEOUT: Final = 32.0
"""Seconds a stranger's connection may stand without a whole, valid message."""
MESSAGE_TIMEOUT: Final = 20.0
"""Seconds from a message's first octet to its last; whoever needs longer only holds the connection."""
IDLE_TIMEOUT: Final = 660.0
"""Seconds without a message after which a known phone's connection is dead: two registrations, and a minute."""
MALFORMED: Final = (60, 1)
"""Malformed messages that are answered: at once, and a second."""
STRANGERS_MESSAGES: Final = (120, 10)
"""Valid messages of one stranger's connection: at once, and a second."""

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
    known: bool = True
    """Whether the peer is somebody we chose, or has shown a password."""
    accounts: set[str] = field(default_factory=set)
    """Whose passwords it has shown."""

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

    def trust(self, account: str) -> None:
        """The peer has shown this account's password: it is no stranger any more, and is read before all strangers."""
        self.accounts.add(account)

    def distrust(self) -> None:
        """The peer is a stranger again: nobody is registered over the connection any more."""


class StreamConnection(Connection, asyncio.Protocol):
    """A TCP or TLS connection, made (`accepted` False: its peer is known) or accepted (a stranger until `trust`)."""

    def __init__(
        self,
        receiver: Receiver,
        transport: Transport,
        announced: HostPort | None = None,
        *,
        accepted: bool = False,
    ) -> None:
        super().__init__(receiver, transport, announced=announced)
        self._accepted = accepted
        self.known = not accepted
        self._framer = Framer()
        self._malformed = Bucket(*MALFORMED)
        self._requests = Bucket(*STRANGERS_MESSAGES)
        self._stream: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._begun: float | None = None
        """Since when a message has been coming in that is not whole yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection stands (over TLS: the handshake is done)."""
        self._stream = stream = cast(asyncio.Transport, transport)
        self.peer = HostPort(*transport.get_extra_info("peername")[:2])
        self.local = HostPort(*transport.get_extra_info("sockname")[:2])
        self._heard = _now()
        if self._accepted:
            self._watch()
        else:
            stream.set_write_buffer_limits(high=MAX_UNSENT)

    def data_received(self, data: bytes) -> None:
        """asyncio: octets arrived."""
        pinged = False
        try:
            for frame in self._framer.feed(data):
                if self.closed:
                    return
                if isinstance(frame, KeepAlive):
                    # However many come at once, one answer tells that we are there.
                    if not pinged:
                        self._write(PONG)
                    pinged = True
                    self._heard = _now() if self.known else self._heard
                else:
                    self._parse(frame)
        except FramingError as error:
            # What came before was answered; nothing after it can be told apart (section 18.3).
            if self.closed:
                return
            if (answer := reply_to_malformed(unframed(error))) is not None:
                self.send(answer)
            self._turn_away("not SIP")
            return
        if not self._framer.waiting:
            self._begun = None
        elif self._begun is None:
            self._begun = _now()
            self._watch()

    def _parse(self, frame: bytes) -> None:
        try:
            message = parse(frame)
        except Malformed as error:
            self._refuse(error)
            return
        self._heard = _now()
        if not self.known and not self._requests.take(self._heard):
            self._turn_away("too many messages")
            return
        try:
            self.receiver.received(self, message)
        except Exception as error:
            # A defect in what becomes of one message costs neither the connection nor what else is on it.
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a message was not handled", "exception": error, "protocol": self}
            )
            if isinstance(message, Request) and message.method != "ACK":
                self.send(reply(message, 500))

    def _refuse(self, error: Malformed) -> None:
        """Answers what is wrong, as often as is good for both. A phone that is known keeps its connection and its calls."""
        if self._malformed.take(_now()):
            if (answer := reply_to_malformed(error)) is not None:
                self.send(answer)
        elif not self.known:
            self._turn_away("malformed messages")

    def trust(self, account: str) -> None:
        """See Connection."""
        super().trust(account)
        self.known = True
        if self._accepted and self._stream is not None:
            cast(TlsServerStream, self._stream).trust()

    def distrust(self) -> None:
        """See Connection."""
        if self._accepted and self.known and self._stream is not None:
            self.known = False
            self._heard = _now()
            cast(TlsServerStream, self._stream).distrust()
            self._watch()

    def _watch(self) -> None:
        """Looks again when the connection may have stood long enough without what keeps it."""
        if not self._accepted or self.closed:
            return
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_at(self._ends_at(), self._look)

    def _ends_at(self) -> float:
        silent = self._heard + (IDLE_TIMEOUT if self.known else FIRST_MESSAGE_TIMEOUT)
        return silent if self._begun is None else min(silent, self._begun + MESSAGE_TIMEOUT)

    def _look(self) -> None:
        self._deadline = None
        if _now() < self._ends_at():
            self._watch()
        elif self._begun is not None:
            self._turn_away("a message without end")
        else:
            self._turn_away("silent")

    def _turn_away(self, reason: str) -> None:
        """Closes after what was written has been sent, and says why in the log when it was a stranger."""
        if self._accepted and not self.known and self._stream is not None:
            cast(TlsServerStream, self._stream).report(reason)
        self.finish()

    def eof_received(self) -> bool:
        """asyncio: the peer finished sending; a half-open connection is of no use to SIP."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self.closed = True
        if self._deadline is not None:
            self._deadline.cancel()
        self.receiver.lost(self)
        self._stream = None  # which holds this: a cycle would wait for the collector

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
        self.closed = True
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


def _now() -> float:
    return asyncio.get_running_loop().time()


async def connect(
    receiver: Receiver,
    transport: Transport,
    *,
    host: str,
    port: int,
    context: ssl.SSLContext | None = None,
    server_name: str | None = None,
    local_host: str | None = None,
    local_port: int = 0,
    announced_host: str | None = None,
) -> Connection:
    """A connection to a peer; `local_port` is for UDP alone, as a peer that calls back needs to know it.

    Raises OSError (ssl.SSLError among them) when there is none to be had.
    """
    loop = asyncio.get_running_loop()
    local = (local_host, 0) if local_host else None
    if transport is Transport.UDP:
        local = (local_host or "0.0.0.0", local_port) if local_port else local  # noqa: S104
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
