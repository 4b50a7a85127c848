"""SRTP and SRTCP cryptographic contexts (RFC 3711, RFC 7714): the only file that touches libsrtp.

pylibsrtp's public API copies every packet; its binding works in place. `protect` and `unprotect` are that binding,
bare, for the relay's loop; everything else goes through the two contexts, which turn every return code into an
exception. A context's `pointer` is valid only while the context itself lives.
"""

from __future__ import annotations

import base64
import binascii

from pylibsrtp import Error, Policy, Session
from pylibsrtp._binding import ffi, lib

from media_node.suites import Suite

PROFILES = {
    Suite.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Suite.AES_CM_128_HMAC_SHA1_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    Suite.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Suite.AEAD_AES_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
TRAILER = 20
"""Octets a packet may grow by: the longest tag (16) and the SRTCP index (4). No MKI."""

ROLLOVER_STEP = 0x4000
"""A stride through the sequence space that every index estimate reads as forward (RFC 3711 section 3.3.1: less than
2**15).
"""

protect = lib.srtp_protect
"""protect(pointer, buffer, int *length) -> code: RTP to SRTP in place; the buffer needs TRAILER octets of room. 0 is
success.
"""

unprotect = lib.srtp_unprotect
"""unprotect(pointer, buffer, int *length) -> code: SRTP to RTP in place; after a failure under GCM the buffer is
destroyed.
"""


class SrtpError(Exception):
    """libsrtp refused: a packet, or a policy. `code` is its srtp_err_status_t."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class AuthenticationFailed(SrtpError):
    """The tag does not verify under this key (or the packet's index was guessed wrong)."""


class Replayed(SrtpError):
    """A packet with this index has been seen before (RFC 3711 section 3.3.2)."""


class TooOld(SrtpError):
    """The packet's index lies behind the replay window."""


class KeyExhausted(SrtpError):
    """The key has protected as many packets as it may (RFC 3711 section 9.2)."""


class MalformedPacket(SrtpError):
    """Too short for what its header says, or not RTP at all."""


class UnusableKey(ValueError):
    """Not base64, or not as long as the suite's master key and salt."""


_FAILURES: dict[int, tuple[type[SrtpError], str]] = {
    2: (MalformedPacket, "packet too short for its header"),
    7: (AuthenticationFailed, "tag does not verify"),
    8: (AuthenticationFailed, "cipher failure"),
    9: (Replayed, "packet seen before"),
    10: (TooOld, "packet behind the replay window"),
    15: (KeyExhausted, "key used up"),
    21: (MalformedPacket, "packet cannot be parsed"),
    26: (TooOld, "packet behind the stream"),
}


def failure(code: int) -> SrtpError:
    """The exception that stands for a return code other than 0."""
    kind, message = _FAILURES.get(code, (SrtpError, f"libsrtp error {code}"))
    return kind(code, message)


def decode_key(suite: Suite, key: str) -> bytes:
    """Master key and salt from the base64 of RFC 4568 section 6.1.

    Raises UnusableKey when it does not fit the suite exactly.
    """
    try:
        octets = base64.b64decode(key, validate=True)
    except binascii.Error:
        raise UnusableKey("key is not base64") from None
    if len(octets) != suite.key_length:
        raise UnusableKey(f"key and salt of {suite} are {suite.key_length} octets, not {len(octets)}")
    return octets


def rtcp_index(suite: Suite, packet: bytes) -> int:
    """The index of an SRTCP packet, which stands in clear before the tag (RFC 3711 section 3.4) or, under GCM, at the
    end (RFC 7714).
    """
    end = len(packet) - (0 if "GCM" in suite else 10)
    return int.from_bytes(packet[end - 4 : end], "big") & 0x7FFFFFFF


class _Context:
    """One direction of one leg: any number of SSRCs under one master key, each with a rollover counter and replay list
    of its own.
    """

    def __init__(self, suite: Suite, key: bytes, ssrc_type: int) -> None:
        if len(key) != suite.key_length:
            raise UnusableKey(f"key and salt of {suite} are {suite.key_length} octets, not {len(key)}")
        self.suite = suite
        self.key = key
        try:
            self._session = Session(Policy(key=key, ssrc_type=ssrc_type, srtp_profile=PROFILES[suite]))
        except Error as error:
            raise SrtpError(1, f"libsrtp refuses a {suite} context: {error}") from error
        self.pointer = self._session._srtp[0]
        self._length = ffi.new("int *")

    def _run(self, function: object, buffer: memoryview, length: int) -> int:
        self._length[0] = length
        code = function(self.pointer, ffi.from_buffer(buffer), self._length)  # type: ignore[operator]
        if code:
            raise failure(code)
        return int(self._length[0])

    def _grow(self, function: object, packet: bytes) -> bytes:
        buffer = bytearray(len(packet) + TRAILER)
        buffer[: len(packet)] = packet
        return bytes(buffer[: self._run(function, memoryview(buffer), len(packet))])


class SendContext(_Context):
    """Protects what the node sends to one leg."""

    def __init__(self, suite: Suite, key: bytes) -> None:
        super().__init__(suite, key, Policy.SSRC_ANY_OUTBOUND)

    def protect(self, packet: bytes) -> bytes:
        """RTP to SRTP. Raises SrtpError; Replayed for a sequence number already used."""
        return self._grow(lib.srtp_protect, packet)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """RTCP to SRTCP. Raises SrtpError."""
        return self._grow(lib.srtp_protect_rtcp, packet)


class ReceiveContext(_Context):
    """Verifies and decrypts what the node receives from one leg. A packet that fails leaves no trace in it."""

    def __init__(self, suite: Suite, key: bytes) -> None:
        super().__init__(suite, key, Policy.SSRC_ANY_INBOUND)

    def unprotect_into(self, buffer: memoryview, length: int) -> int:
        """SRTP to RTP in place; the new length. Raises SrtpError, after which a GCM packet's buffer is destroyed."""
        return self._run(lib.srtp_unprotect, buffer, length)

    def unprotect(self, packet: bytes) -> bytes:
        """SRTP to RTP. Raises SrtpError."""
        buffer = bytearray(packet)
        return bytes(buffer[: self.unprotect_into(memoryview(buffer), len(packet))])

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """SRTCP to RTCP. Raises SrtpError."""
        buffer = bytearray(packet)
        return bytes(buffer[: self._run(lib.srtp_unprotect_rtcp, memoryview(buffer), len(packet))])

    def advance(self, ssrc: int, index: int) -> None:
        """Bring the stream of `ssrc` to packet index `index` (rollover counter and sequence number, 48 bits).

        The library offers no way to set a rollover counter, but whoever holds the key can write the packets that lead
        there: a few for each 65536. Only for a stream not yet seen. Raises SrtpError.
        """
        sender = SendContext(self.suite, self.key)
        for step in [*range(0, index, ROLLOVER_STEP), index]:
            header = bytes((0x80, 0)) + (step & 0xFFFF).to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big")
            self.unprotect(sender.protect(header + bytes(4)))
