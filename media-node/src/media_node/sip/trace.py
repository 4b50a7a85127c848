"""SIP messages into a pcapng file that Wireshark opens, with numbers, names, addresses and secrets masked.

Each message is an exported PDU (LINKTYPE_WIRESHARK_UPPER_PDU), as what was read from TLS has no packets of its own:
https://www.tcpdump.org/linktypes.html, https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html
"""

from __future__ import annotations

import ipaddress
import re
import struct
import time
from pathlib import Path
from typing import BinaryIO, Final

from media_node.log import mask_digits
from media_node.sip.headers import Request, Response
from media_node.sip.transport import Connection, HostPort

MAX_FILE: Final = 64 << 20
"""Octets after which the file becomes the previous one, and another begins."""
UPPER_PDU: Final = 252
_DISSECTOR, _V4_SOURCE, _V4_DESTINATION, _V6_SOURCE, _V6_DESTINATION, _PORT_TYPE, _SOURCE, _DESTINATION = (
    12,
    20,
    21,
    22,
    23,
    24,
    25,
    26,
)
_PORT_TYPES: Final = {"UDP": 3, "TCP": 2, "TLS": 2}

_SHOWN: Final = frozenset(
    [
        "via",
        "max-forwards",
        "from",
        "to",
        "call-id",
        "cseq",
        "contact",
        "route",
        "record-route",
        "allow",
        "supported",
        "require",
        "unsupported",
        "expires",
        "min-expires",
        "session-expires",
        "min-se",
        "retry-after",
        "reason",
        "warning",
        "event",
        "subscription-state",
        "refer-to",
        "referred-by",
        "replaces",
        "diversion",
        "history-info",
        "p-asserted-identity",
        "privacy",
        "content-type",
        "content-length",
        "user-agent",
        "server",
        "accept",
        "priority",
        "authorization",
        "proxy-authorization",
        "www-authenticate",
        "proxy-authenticate",
    ]
)
"""Header fields that are written; any other may hold what it likes."""
_USER: Final = re.compile(r"(?i)(\bsips?:|\btel:|%3A|\burn:)([^@;>\s,?\"]++)")
_SECRET: Final = re.compile(r'(?i)\b(response|nonce|cnonce|opaque|username)="[^"]*+"')
_DISPLAY: Final = re.compile(r'(^|,)\s*+(?:"(?:[^"\\]|\\.)*+"|[^<",]*+)\s*+<')
_V4: Final = re.compile(r"\b([0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})\.[0-9]{1,3}\b")
_CRYPTO: Final = re.compile(r"(?im)^(a=crypto:(?:(?!inline:)[^\r\n])*+inline:)([^|\s]*+)")


def masked(message: Request | Response) -> bytes:
    """A message as it is shown: no whole number, name or address, no key and no digest."""
    first = f"{message.method} {_plain(str(message.uri))} SIP/2.0" if isinstance(message, Request) else None
    lines = [first or f"SIP/2.0 {message.code} {message.phrase}"]  # type: ignore[union-attr]
    body = _body(message)
    for name in message.headers.keys():  # noqa: SIM118 - Headers is no dict
        if name.lower() not in _SHOWN or name.lower() == "content-length":
            continue
        lines += [f"{name}: {_value(value)}" for value in message.headers.getlist(name)]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _value(value: str) -> str:
    shown = _SECRET.sub(r'\1="*"', value)
    return _plain(_DISPLAY.sub(r'\1"*" <', shown))


def _plain(text: str) -> str:
    users = _USER.sub(lambda match: match[1] + mask_digits(match[2]), text)
    return _V4.sub(r"\1.0", users)


def _body(message: Request | Response) -> bytes:
    """SDP without keys; of anything else, as typed digits or text, only the length."""
    if not message.body:
        return b""
    kind = (message.headers.get("Content-Type") or "").lower()
    if kind.startswith("message/sipfrag"):
        return message.body
    if not kind.startswith("application/sdp"):
        return b"*" * len(message.body)
    text = message.body.decode("utf-8", "replace")
    return _V4.sub(r"\1.0", _CRYPTO.sub(lambda match: match[1] + "A" * len(match[2]), text)).encode()


class Trace:
    """An open trace file. Raises OSError when it cannot be opened; a full disk later only ends the trace."""

    def __init__(self, path: Path, max_file: int = MAX_FILE) -> None:
        self._path = path
        self._max_file = max_file
        self._file: BinaryIO | None = self._begin()

    def received(self, connection: Connection, message: Request | Response) -> None:
        """A message came in."""
        self._write(connection.peer, connection.local, connection.transport.value, message)

    def sent(self, connection: Connection, message: Request | Response) -> None:
        """A message went out."""
        self._write(connection.local, connection.peer, connection.transport.value, message)

    def close(self) -> None:
        """Ends the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> BinaryIO:
        file = self._path.open("wb")
        file.write(_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        file.write(_block(1, struct.pack("<HHI", UPPER_PDU, 0, 0)))
        file.flush()
        return file

    def _write(self, source: HostPort, destination: HostPort, transport: str, message: Request | Response) -> None:
        if self._file is None:
            return
        packet = _tags(source, destination, transport) + masked(message)
        at = time.time_ns() // 1000
        try:
            if self._file.tell() > self._max_file:
                self._file.close()
                self._path.rename(self._path.with_suffix(".previous" + self._path.suffix))
                self._file = self._begin()
            header = struct.pack("<IIIII", 0, at >> 32, at & 0xFFFFFFFF, len(packet), len(packet))
            self._file.write(_block(6, header + packet))
            self._file.flush()
        except OSError:
            self._file = None


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _tags(source: HostPort, destination: HostPort, transport: str) -> bytes:
    def tag(number: int, value: bytes) -> bytes:
        return struct.pack(">HH", number, len(value) + -len(value) % 4) + value + bytes(-len(value) % 4)

    tags = tag(_DISSECTOR, b"sip\0")
    hosts = ((source.host, _V4_SOURCE, _V6_SOURCE), (destination.host, _V4_DESTINATION, _V6_DESTINATION))
    for host, v4, v6 in hosts:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            continue
        network = ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False)
        tags += tag(v4 if address.version == 4 else v6, network.network_address.packed)
    tags += tag(_PORT_TYPE, struct.pack(">I", _PORT_TYPES[transport]))
    tags += tag(_SOURCE, struct.pack(">I", source.port)) + tag(_DESTINATION, struct.pack(">I", destination.port))
    return tags + tag(0, b"")
