"""Debian's rtpengine-daemon as a peer: its process, and as much of its ng protocol (bencode over UDP) as two sides of a
call need.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from callvoip.process import end
from media_node.sip.sdp import Session
from media_node.suites import Suite
from tests.bench.media_traffic import Telephone

Value = Any
PORTS = (44000, 52000)


def encode(value: Value) -> bytes:
    """A value in bencode."""
    match value:
        case str():
            return encode(value.encode())
        case bytes():
            return b"%d:%s" % (len(value), value)
        case int():
            return b"i%de" % value
        case list():
            return b"l" + b"".join(map(encode, value)) + b"e"
        case dict():
            return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"
    raise TypeError(type(value).__name__)


def decode(data: bytes, start: int = 0) -> tuple[Value, int]:
    """A value and where it ends. Raises ValueError."""
    match data[start : start + 1]:
        case b"i":
            end = data.index(b"e", start)
            return int(data[start + 1 : end]), end + 1
        case b"l" | b"d" as kind:
            items = []
            start += 1
            while data[start : start + 1] != b"e":
                item, start = decode(data, start)
                items.append(item)
            return (
                items if kind == b"l" else dict(zip((key.decode() for key in items[::2]), items[1::2], strict=True))
            ), start + 1
    colon = data.index(b":", start)
    end = colon + 1 + int(data[start:colon])
    return data[colon + 1 : end], end


class Rtpengine:
    """A running daemon: userspace only, one media thread."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("rtpengine")
        if program is None:
            raise RuntimeError("rtpengine is not installed; apt-get install rtpengine-daemon")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            control = probe.getsockname()[1]
        self._log = (directory / "rtpengine.log").open("wb")
        self.process = subprocess.Popen(
            [
                program,
                *(
                    "--foreground",
                    "--log-stderr",
                    "--log-level=4",
                    "--no-log-timestamps",
                    "--table=-1",
                    "--num-threads=1",
                ),
                *(
                    "--interface=127.0.0.1",
                    f"--listen-ng=127.0.0.1:{control}",
                    f"--port-min={PORTS[0]}",
                    f"--port-max={PORTS[1]}",
                ),
                f"--pidfile={directory / 'rtpengine.pid'}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self._ng = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._ng.connect(("127.0.0.1", control))
        self._ng.settimeout(1.0)
        for _ in range(20):
            try:
                self.ask({"command": "ping"})
                return
            except (ConnectionRefusedError, TimeoutError):
                try:
                    self.process.wait(0.2)
                    raise RuntimeError("rtpengine ended at once; see rtpengine.log")
                except subprocess.TimeoutExpired:
                    continue
        raise RuntimeError("rtpengine does not answer")

    def ask(self, message: dict[str, Value]) -> dict[str, Value]:
        """One command and its answer. Raises RuntimeError when it says no."""
        cookie = secrets.token_hex(6).encode()
        self._ng.send(cookie + b" " + encode(message))
        while True:
            got, _, body = self._ng.recv(65535).partition(b" ")
            if got == cookie:
                break
        answer: dict[str, Value] = decode(body)[0]
        if answer["result"] not in (b"ok", b"pong"):
            raise RuntimeError(f"rtpengine: {answer}")
        return answer

    def call(
        self, a: tuple[int, Suite, bytes], b: tuple[int, Suite, bytes], flags: tuple[str, ...] = ()
    ) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
        """Join two telephones (port, suite, key they send with); for each, where it must send and the key it will
        receive under.

        The suites must differ: with the same on both sides this version passes keys and packets through.
        """
        name, tags = secrets.token_hex(8), (secrets.token_hex(4), secrets.token_hex(4))
        common = {
            "call-id": name,
            "from-tag": tags[0],
            "transport-protocol": "RTP/SAVP",
            "ICE": "remove",
            "DTLS": "off",
            "flags": [*flags],
        }
        offered = self.ask(common | {"command": "offer", "sdp": description(*a)})
        at_b, tag, b_receives = read(offered["sdp"], b[1])
        answered = self.ask(common | {"command": "answer", "to-tag": tags[1], "sdp": description(*b, tag)})
        at_a, _, a_receives = read(answered["sdp"], a[1])
        return (at_a, a_receives), (at_b, b_receives)

    def calls(
        self, number: int, a_suite: Suite, b_suite: Suite, flags: tuple[str, ...] = ()
    ) -> list[tuple[Telephone, Telephone]]:
        """That many calls between new telephones."""
        pairs = []
        for _ in range(number):
            a, b = Telephone(), Telephone()
            a_key, b_key = os.urandom(30), os.urandom(30)
            at_a, at_b = self.call((a.port, a_suite, a_key), (b.port, b_suite, b_key), flags)
            for phone, suite, key, (port, from_daemon) in ((a, a_suite, a_key, at_a), (b, b_suite, b_key, at_b)):
                phone.secure(suite, key, from_daemon)
                phone.socket.connect(("127.0.0.1", port))
            pairs.append((a, b))
        return pairs

    def stop(self) -> None:
        """End the daemon."""
        self._ng.close()
        end(self.process)
        self._log.close()


def description(port: int, suite: Suite, key: bytes, tag: int = 1) -> str:
    """A telephone's SDP."""
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/SAVP 8\r\na=rtpmap:8 PCMA/8000\r\na=crypto:{tag} {suite.value} inline:{b64encode(key).decode()}\r\n"
    )


def read(sdp: bytes, suite: Suite) -> tuple[int, int, bytes]:
    """Port, and tag and key of the one crypto line with `suite`. Raises RuntimeError when there is none."""
    media = Session.parse(sdp).media[0]
    for crypto in media.cryptos:
        if crypto.suite == suite.value:
            return media.port, crypto.tag, b64decode(crypto.key)
    raise RuntimeError(f"rtpengine offers no {suite}: {sdp.decode()}")
