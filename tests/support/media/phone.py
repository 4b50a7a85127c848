"""A telephone's media side for tests, with an SRTP of its own (pylibsrtp's public API), so that a bug in ours cannot
hide behind itself.
"""

from __future__ import annotations

import base64
import os
import secrets
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pylibsrtp

from media_node.suites import Suite
from media_node.worker_link.protocol import Crypto, LegDescription, LocalTransport

CM80 = Suite.AES_CM_128_HMAC_SHA1_80
CM32 = Suite.AES_CM_128_HMAC_SHA1_32
GCM128 = Suite.AEAD_AES_128_GCM
GCM256 = Suite.AEAD_AES_256_GCM

PROFILES = {
    CM80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    CM32: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    GCM128: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    GCM256: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


@dataclass(frozen=True)
class Rtp:
    """A plain RTP packet as its fields."""

    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    payload_type: int = 8
    marker: bool = False

    def __bytes__(self) -> bytes:
        second = self.payload_type | (0x80 if self.marker else 0)
        return (
            struct.pack(">BBHII", 0x80, second, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc)
            + self.payload
        )

    @classmethod
    def parse(cls, packet: bytes) -> Rtp:
        _, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", packet)
        return cls(sequence, timestamp, ssrc, packet[12:], second & 0x7F, second >= 0x80)


def audio(number: int) -> bytes:
    """20 ms of something like G.711: few values, different in each packet."""
    return (bytes((0xD5, 0x55, number & 0xFF, 0x54)) * 40)[:160]


def session(suite: Suite, key: bytes, *, outbound: bool) -> pylibsrtp.Session:
    kind = pylibsrtp.Policy.SSRC_ANY_OUTBOUND if outbound else pylibsrtp.Policy.SSRC_ANY_INBOUND
    return pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=kind, srtp_profile=PROFILES[suite]))


class Phone:
    """A pair of sockets, keys, and counters for RTP. `suite` None is a phone (or trunk) without SRTP."""

    def __init__(self, suite: Suite | None, address: str = "127.0.0.1", ssrc: int | None = None) -> None:
        self.suite = suite
        self.address = address
        self.ssrc = secrets.randbits(32) if ssrc is None else ssrc
        self.sequence = secrets.randbits(14)
        self.timestamp = secrets.randbits(30)
        self.sent = 0
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.rtp, self.rtcp = self._pair()
        if suite is not None:
            self.rekey()

    def _pair(self) -> tuple[socket.socket, socket.socket]:
        while True:
            rtp = self.new_socket()
            try:
                return rtp, self.new_socket(rtp.getsockname()[1] + 1)
            except (OSError, OverflowError):
                rtp.close()

    def new_socket(self, port: int = 0) -> socket.socket:
        made = socket.socket(self.family, socket.SOCK_DGRAM)
        try:
            made.bind((self.address, port))
        except BaseException:
            made.close()
            raise
        made.settimeout(1.0)
        return made

    def rekey(self, *, sending: bool = True, receiving: bool = True) -> None:
        """Take new keys; what the node must be told is in `leg()`."""
        assert self.suite is not None
        if sending:
            self.send_key = os.urandom(self.suite.key_length)
            self.outbound = session(self.suite, self.send_key, outbound=True)
        if receiving:
            self.receive_key = os.urandom(self.suite.key_length)
            self.inbound = session(self.suite, self.receive_key, outbound=False)

    def leg(
        self,
        *,
        direction: str = "sendrecv",
        rtcp_mux: bool = False,
        peer: str | None = None,
        address: str | None = None,
    ) -> LegDescription:
        """This phone as the node hears of it: the node receives under what the phone sends with."""
        crypto = None
        if self.suite is not None:
            crypto = Crypto(
                suite=self.suite,
                send_key=base64.b64encode(self.receive_key).decode(),
                receive_key=base64.b64encode(self.send_key).decode(),
            )
        port, rtcp_port = self.rtp.getsockname()[1], self.rtcp.getsockname()[1]
        return LegDescription(
            crypto=crypto,
            address=address or self.address,
            port=port,
            rtcp_port=port if rtcp_mux else rtcp_port,
            peer=self.address if peer is None else peer,
            rtcp_mux=rtcp_mux,
            direction=direction,
        )

    def next(
        self, payload: bytes | None = None, *, payload_type: int = 8, marker: bool = False, step: int = 160
    ) -> Rtp:
        """The next packet of this phone's stream, in plain."""
        packet = Rtp(
            self.sequence,
            self.timestamp,
            self.ssrc,
            audio(self.sent) if payload is None else payload,
            payload_type,
            marker,
        )
        self.sequence = self.sequence + 1 & 0xFFFF
        self.timestamp = self.timestamp + step & 0xFFFFFFFF
        self.sent += 1
        return packet

    def protect(self, packet: Rtp) -> bytes:
        return bytes(packet) if self.suite is None else self.outbound.protect(bytes(packet))

    def send(self, local: LocalTransport, packet: Rtp | None = None) -> Rtp:
        """Send a packet, or the next one, to the node; it, in plain."""
        packet = packet or self.next()
        self.send_raw(local, self.protect(packet))
        return packet

    def send_raw(self, local: LocalTransport, datagram: bytes, by: socket.socket | None = None) -> None:
        (by or self.rtp).sendto(datagram, (local.address, local.rtp_port))

    def receive(self, timeout: float = 1.0) -> Rtp | None:
        """The next packet that reaches the phone and verifies, in plain; None when none comes. Raises
        pylibsrtp.Error.
        """
        datagram = self.receive_raw(timeout)
        if datagram is None:
            return None
        return Rtp.parse(datagram if self.suite is None else self.inbound.unprotect(datagram))

    def receive_raw(self, timeout: float = 1.0, by: socket.socket | None = None) -> bytes | None:
        by = by or self.rtp
        by.settimeout(timeout)
        try:
            return by.recv(2048)
        except TimeoutError:
            return None

    def receive_all(self, timeout: float = 0.15) -> list[Rtp]:
        """Everything until nothing comes for `timeout` seconds."""
        received = []
        while (packet := self.receive(timeout)) is not None:
            received.append(packet)
        return received

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


@contextmanager
def phones(*suites: Suite | None) -> Iterator[list[Phone]]:
    made = [Phone(suite) for suite in suites]
    try:
        yield made
    finally:
        for phone in made:
            phone.close()


def pause(seconds: float) -> None:
    """Real time passing between packets."""
    time.sleep(seconds)
