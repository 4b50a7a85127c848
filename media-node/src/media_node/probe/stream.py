"""A phone's media: one RTP stream each way over a socket of its own, protected by pylibsrtp's public interface.

It shares no SRTP code with media/, so that a fault there cannot hide behind the same fault here.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Final

from pylibsrtp import Error, Policy, Session

from media_node.probe.audio import PAYLOAD_TYPE, PERIOD, SAMPLES, pattern
from media_node.suites import Suite

INTERVAL: Final = 0.02
_PROFILES: Final = {
    Suite.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Suite.AES_CM_128_HMAC_SHA1_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    Suite.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Suite.AEAD_AES_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
_HEADER: Final = struct.Struct("!BBHII")


@dataclass
class Tally:
    """What one end of a stream saw. `heard` are the numbers of the other voice's packets in the order they came."""

    sent: int = 0
    received: int = 0
    heard: list[int] = field(default_factory=list)
    foreign: int = 0
    """Packets that verified, or needed no verification, but carried other audio than the other voice's."""
    unverified: int = 0
    """Packets that failed verification under the leg's key."""
    clear: int = 0
    """Packets on the wire, sent or received, whose payload was audio in the clear: none may be on a protected leg."""

    @property
    def in_order(self) -> bool:
        """Whether the other voice's packets came one after the other, none changed, twice or out of turn; a lost one is
        not disorder.
        """
        steps = [(after - before) % PERIOD for before, after in zip(self.heard, self.heard[1:], strict=False)]
        return all(0 < step < PERIOD // 2 for step in steps)


class Stream(asyncio.DatagramProtocol):
    """Says one voice and listens for the other. `voice` is 0 for the caller and 1 for the called phone."""

    def __init__(self, voice: int) -> None:
        self.tally = Tally()
        self._says = pattern(voice)
        self._expects = {payload: number for number, payload in enumerate(pattern(1 - voice))}
        self._clear = set(self._says) | set(self._expects)
        self._outbound: Session | None = None
        self._inbound: Session | None = None
        self._remote: tuple[str, int] | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._saying: asyncio.Task[None] | None = None
        self._ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(15)
        self._said = 0
        self.muted = False

    async def open(self, host: str) -> int:
        """Binds an even port with a free odd one above it (RFC 3550 section 11) and returns it."""
        loop = asyncio.get_running_loop()
        for _ in range(100):
            rtp, rtcp = (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            )
            rtp.bind((host, 0))
            port: int = rtp.getsockname()[1]
            try:
                if port % 2:
                    raise OSError
                rtcp.bind((host, port + 1))
            except OSError:
                rtp.close()
                continue
            finally:
                rtcp.close()
            rtp.setblocking(False)
            rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=rtp)
            return port
        raise OSError("no free pair of ports")

    def agree(
        self, remote: tuple[str, int], *, suite: Suite | None = None, send_key: str = "", receive_key: str = ""
    ) -> None:
        """Takes the negotiated description in force; the stream begins to speak at the first."""
        if suite is not None:
            profile = _PROFILES[suite]
            self._outbound = Session(Policy(b64decode(send_key), Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))
            self._inbound = Session(Policy(b64decode(receive_key), Policy.SSRC_ANY_INBOUND, srtp_profile=profile))
        self._remote = remote
        if self._saying is None:
            self._saying = asyncio.get_running_loop().create_task(self._say())

    def redirect(self, remote: tuple[str, int]) -> None:
        """Sends to another place under the same keys, as after a re-INVITE that changes nothing else."""
        self._remote = remote

    def close(self) -> None:
        """Falls silent."""
        if self._saying is not None:
            self._saying.cancel()
        if self._transport is not None:
            self._transport.close()

    async def _say(self) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time()
        while True:
            if not self.muted:
                self._send(self._next())
            at += INTERVAL
            await asyncio.sleep(max(0.0, at - loop.time()))

    def _next(self) -> bytes:
        header = _HEADER.pack(
            0x80, PAYLOAD_TYPE, self._sequence & 0xFFFF, self._said * SAMPLES & 0xFFFFFFFF, self._ssrc
        )
        packet = header + self._says[self._said % PERIOD]
        self._sequence += 1
        self._said += 1
        return packet if self._outbound is None else self._outbound.protect(packet)

    def _send(self, packet: bytes) -> None:
        self._count_clear(packet)
        if self._transport is not None and self._remote is not None:
            self._transport.sendto(packet, self._remote)
            self.tally.sent += 1

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """asyncio: one packet arrived."""
        if len(data) < _HEADER.size or data[0] >> 6 != 2 or 64 <= data[1] & 0x7F <= 95:
            return
        self._count_clear(data)
        if self._remote is None:
            return  # media that came before its key
        try:
            packet = data if self._inbound is None else self._inbound.unprotect(data)
        except Error:
            self.tally.unverified += 1
            return
        self.tally.received += 1
        number = self._expects.get(packet[_HEADER.size :])
        if number is None:
            self.tally.foreign += 1
        else:
            self.tally.heard.append(number)

    def _count_clear(self, data: bytes) -> None:
        self.tally.clear += data[_HEADER.size : _HEADER.size + SAMPLES] in self._clear
