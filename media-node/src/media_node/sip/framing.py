"""Where a message ends in a stream (RFC 3261 section 18.3): by its Content-Length, each octet looked at a bounded number of times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final

MAX_HEAD: Final = 16 * 1024
"""Octets of start line and headers together. The longest torture message (RFC 4475, longreq) has some 3 KiB."""
MAX_BODY: Final = 64 * 1024
MAX_START_LINE: Final = 2 * 1024

CRLF: Final = b"\r\n"
END: Final = b"\r\n\r\n"
_LENGTH_NAMES: Final = (b"\r\ncontent-length", b"\r\nl")
_LENGTH: Final = re.compile(rb"\r\n(?:content-length|l)[ \t]*+:((?:[^\r]++|\r\n[ \t]|\r(?!\n))*+)")
"""A Content-Length in lower case, with the lines it is folded over (section 7.3.1)."""


class FramingError(ValueError):
    """The stream is not SIP, or a message passes a limit: what follows cannot be trusted, so the connection has to close.

    `head` is the message's head where it was whole, so that a request can be told why.
    """

    def __init__(self, reason: str, head: bytes = b"") -> None:
        super().__init__(reason)
        self.head = head


class KeepAlive(Enum):
    """The double CRLF of RFC 5626 section 4.4.1, to be answered with a single one."""

    PING = b"\r\n\r\n"


PING: Final = KeepAlive.PING
PONG: Final = CRLF


class Framer:
    """Cuts a byte stream into messages. Once `feed` has raised FramingError there is nothing more to be had of it."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._looked = 0
        """Octets of the message at hand that were looked at already."""
        self._started = False
        """Whether its start line is whole and is one."""
        self._total = 0
        """Its length once its head is whole."""

    @property
    def waiting(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._looked > 0

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[bytes | KeepAlive]:
        """The complete messages and keep-alives that `data` finishes, in order.

        Then FramingError if the rest cannot be a message.
        """
        self._buffer += data
        while self._buffer and (frame := self._next()) is not None:
            yield frame

    def _next(self) -> bytes | KeepAlive | None:
        buffer = self._buffer
        if not self._looked:
            while buffer.startswith(CRLF):
                if buffer.startswith(END):
                    del buffer[:4]
                    return PING
                if END.startswith(buffer):
                    return None  # the beginning of a keep-alive
                del buffer[:2]
            if END.startswith(buffer):
                return None
        if not self._total and not self._find_head():
            return None
        if len(buffer) < self._total:
            return None
        frame = bytes(buffer[: self._total])
        del buffer[: self._total]
        self._looked = self._total = 0
        self._started = False
        return frame

    def _find_head(self) -> bool:
        """Looks for the end of the head where it has not looked yet; once found, the message's length is known."""
        buffer = self._buffer
        if not self._started:
            self._look_at_start_line()
        end = buffer.find(END, max(0, self._looked - 3), MAX_HEAD)
        self._looked = len(buffer)
        if end < 0:
            if len(buffer) >= MAX_HEAD:
                raise FramingError(f"headers exceed {MAX_HEAD} octets")
            return False
        self._total = end + 4 + content_length(bytes(buffer[: end + 2]))
        return True

    def _look_at_start_line(self) -> None:
        """Garbage is told from SIP by its first line, before a whole head of it has been collected."""
        buffer = self._buffer
        end = buffer.find(CRLF, max(0, self._looked - 1), MAX_START_LINE)
        self._started = end >= 0
        whole_and_wrong = self._started and b"SIP/" not in buffer[:end]
        endless = not self._started and len(buffer) >= MAX_START_LINE
        if whole_and_wrong or endless or not 0x21 <= buffer[0] <= 0x7E:
            raise FramingError("no SIP start line")


def content_length(head: bytes) -> int:
    """The Content-Length of a head. Raises FramingError when it is absent, repeated with another value, or out of bounds."""
    values = list(_lengths(head))
    if not values or values.count(values[0]) != len(values):
        raise FramingError("a stream needs exactly one Content-Length", head)
    value = values[0]
    if not value.isdigit() or len(value) > 9:
        raise FramingError("Content-Length is not a number of octets", head)
    if int(value) > MAX_BODY:
        raise FramingError(f"body exceeds {MAX_BODY} octets", head)
    return int(value)


def has_length(head: bytes) -> bool:
    """Whether a head has a Content-Length at all; in a datagram it need not."""
    return next(_lengths(head), None) is not None


def _lengths(head: bytes) -> Iterator[bytes]:
    """The values of all Content-Length fields, unfolded."""
    lower = head.lower()
    for name in _LENGTH_NAMES:
        position = lower.find(name)
        while position >= 0:
            if (found := _LENGTH.match(lower, position)) is not None:
                yield b" ".join(found[1].split(CRLF)).strip(b" \t")
            position = lower.find(name, position + len(name))
