"""The server's side of TLS over asyncio, for thousands of idle phones.

asyncio's own holds a buffer of 256 KiB for each connection from the first moment; here all connections of a listener share one, and
OpenSSL is not asked for anything before the first octet of a handshake has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from media_node.sip.gate import Full, Gate, source_of
from media_node.sip.turns import Turns

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds from the TCP connection to the end of the handshake."""
RECEIVE_BUFFER: Final = 64 * 1024
STRANGERS_PIECE: Final = 4 * 1024
"""Octets that are taken from a stranger at a time."""
MAX_UNSENT: Final = 256 * 1024
"""Octets a phone may leave unread before it is dropped."""
STRANGERS_UNSENT: Final = 32 * 1024
_HANDSHAKE: Final = 0x16
"""The first octet of a TLS record of the handshake (RFC 8446 section 5.1)."""
_RECORD: Final = 16 * 1024


class TlsServerStream(asyncio.BufferedProtocol):
    """One accepted TCP connection: a place at the gate, then a handshake, then a stream for `protocol`.

    To `protocol`, a plain asyncio protocol, it is the transport. `refused` hears why a stranger was turned away.
    """

    __slots__ = (
        *(
            "_buffer",
            "_context",
            "_corked",
            "_deadline",
            "_gate",
            "_incoming",
            "_object",
            "_outgoing",
            "_paused",
            "_pending",
        ),
        *("_refused", "_stood", "_tcp", "_turns", "known", "protocol", "source"),
    )

    def __init__(
        self,
        protocol: asyncio.Protocol,
        *,
        context: ssl.SSLContext,
        gate: Gate,
        turns: Turns,
        buffer: memoryview,
        refused: Callable[[str, str], None],
    ) -> None:
        self.protocol = protocol
        self.source = ""
        self.known = False
        self._context = context
        self._gate = gate
        self._turns = turns
        self._buffer = buffer
        self._refused = refused
        self._tcp: asyncio.Transport | None = None
        self._object: ssl.SSLObject | None = None
        self._incoming: ssl.MemoryBIO | None = None
        self._outgoing: ssl.MemoryBIO | None = None
        self._corked = False
        """Whether more may be written before it is sent: answers to what came together leave together."""
        self._stood = False
        """Whether the handshake is done."""
        self._paused = False
        self._pending: deque[bytes] | None = None
        """What a stranger sent and has not had its turn yet."""
        self._deadline: asyncio.TimerHandle | None = None

    # What asyncio tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the TCP connection stands, and has its place at the gate."""
        self._tcp = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.source = source_of(peer[0]) if peer else ""
        self._tcp.set_write_buffer_limits(high=STRANGERS_UNSENT)
        try:
            leaving = self._gate.enter(self)
        except Full:
            self.turn_away("every place is taken")
            return
        if leaving is not None:
            cast(TlsServerStream, leaving).turn_away("too many connections")
        self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT, self.turn_away, "no handshake")

    def get_buffer(self, sizehint: int) -> memoryview:
        """asyncio: where to put what arrives."""
        return self._buffer if self.known else self._buffer[:STRANGERS_PIECE]

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio: octets arrived. A known phone's are read at once, a stranger's in its turn."""
        if self.known and self._pending is None:
            self._take(self._buffer[:nbytes])
            return
        if self._pending is None:
            self._pending = deque()
            self._gate.spoke(self)
            self._turns.put(self.source, self._turn)
        elif not self._paused and self._tcp is not None:
            self._paused = True
            self._tcp.pause_reading()
        self._pending.append(bytes(self._buffer[:nbytes]))

    def _turn(self) -> None:
        if self._pending is None or self._tcp is None or self._tcp.is_closing():
            return
        piece = self._pending.popleft()
        more = bool(self._pending)
        if not more:
            self._pending = None
        self._take(piece)
        if self._tcp is None or self._tcp.is_closing():
            return
        if more:
            self._turns.put(self.source, self._turn)
        elif self._paused:
            self._paused = False
            self._tcp.resume_reading()

    def eof_received(self) -> bool:
        """asyncio: the peer finished sending; a half-open connection is of no use to SIP."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self._gate.leave(self)
        self._cancel_deadline()
        self._pending = None
        self._object = self._incoming = self._outgoing = None
        # asyncio's transport holds a method of its own, in a cycle that would wait for the collector.
        if self._tcp is not None and hasattr(self._tcp, "_read_ready_cb"):
            self._tcp._read_ready_cb = None
        self._tcp = None
        if self._stood:
            self.protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """asyncio: the peer does not read what we send."""
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        """asyncio: it has read it after all."""

    # TLS.

    def _take(self, data: bytes | memoryview) -> None:
        if self._object is None:
            if data[0] != _HANDSHAKE:
                self.turn_away("no TLS")
                return
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._object = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(data)  # type: ignore[union-attr]
        self._corked = True
        try:
            if self._stood or self._shake_hands():
                self._read()
        except ssl.SSLError:
            self.abort()
        finally:
            self._corked = False
            self._flush()

    def _shake_hands(self) -> bool:
        try:
            self._object.do_handshake()  # type: ignore[union-attr]
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            self._flush()  # the alert that says why
            self.turn_away("handshake failed", gently=True)
            return False
        self._cancel_deadline()
        self._stood = True
        self.protocol.connection_made(cast(asyncio.BaseTransport, self))
        return True

    def _read(self) -> None:
        while self._object is not None and self._tcp is not None and not self._tcp.is_closing():
            try:
                data = self._object.read(_RECORD)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            if not data:
                self.close()
                return
            self.protocol.data_received(data)
            if self._incoming is None or not (self._incoming.pending or self._object.pending()):
                break  # to ask again would only raise

    def _flush(self) -> None:
        if self._outgoing is not None and self._tcp is not None and self._outgoing.pending:
            self._tcp.write(self._outgoing.read())

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # The gate.

    def trust(self) -> None:
        """The peer has shown a password: it is read at once, and no stranger's place is taken by it."""
        if not self.known and self._tcp is not None:
            self.known = True
            self._gate.know(self)
            self._tcp.set_write_buffer_limits(high=MAX_UNSENT)

    def distrust(self) -> None:
        """It is a stranger again."""
        if self.known:
            self.known = False
            self._gate.forget(self)

    def report(self, reason: str) -> None:
        """Says in the log why a stranger is turned away."""
        self._refused(self.source, reason)

    def turn_away(self, reason: str, *, gently: bool = False) -> None:
        """Closes on a stranger, and says why in the log."""
        if self._tcp is not None and not self._tcp.is_closing():
            self.report(reason)
            if gently:
                self._tcp.close()
            else:
                self._tcp.abort()

    # The transport that `protocol` sees.

    def write(self, data: bytes) -> None:
        """Sends; what cannot be sent any more is dropped, and connection_lost follows."""
        if self._object is None or self.is_closing():
            return
        try:
            self._object.write(data)
        except ssl.SSLError:
            self.abort()
            return
        if not self._corked:
            self._flush()

    def close(self) -> None:
        """Closes after what was written has been sent."""
        if self._object is not None and self._tcp is not None and not self._tcp.is_closing():
            with contextlib.suppress(ssl.SSLError):
                self._object.unwrap()  # it wants the peer's close_notify too, which we do not wait for
            self._flush()
        if self._tcp is not None:
            self._tcp.close()

    def abort(self) -> None:
        """Closes at once."""
        if self._tcp is not None:
            self._tcp.abort()

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._tcp is None or self._tcp.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the TCP connection, and `ssl_object`."""
        if name == "ssl_object":
            return self._object
        return default if self._tcp is None else self._tcp.get_extra_info(name, default)
