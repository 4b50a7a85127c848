"""Real-time text as a phone types and reads it: T.140 with two generations of redundancy (RFC 4103, RFC 2198)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tests.support.media.phone import Phone, Rtp

T140, RED = 98, 100
GENERATIONS = 2
INTERVAL_TICKS = 300
"""Between two packets, at 1000 Hz (RFC 4103 section 3)."""


@dataclass
class Typist:
    """Makes the packets of what somebody types."""

    phone: Phone
    _before: deque[bytes] = field(default_factory=lambda: deque([b""] * GENERATIONS, maxlen=GENERATIONS))
    _idle: bool = True

    def type(self, text: str) -> Rtp:
        """The packet of one moment's text, behind that of the moments before; empty text only repeats those."""
        new = text.encode()
        blocks = [*self._before, new]
        headers = b"".join(
            bytes([0x80 | T140]) + ((GENERATIONS - place) * INTERVAL_TICKS << 10 | len(block)).to_bytes(3, "big")
            for place, block in enumerate(self._before)
        )
        packet = self.phone.next(
            headers + bytes([T140]) + b"".join(blocks), payload_type=RED, marker=self._idle, step=INTERVAL_TICKS
        )
        self._before.append(new)
        self._idle = not any(self._before)
        return packet


@dataclass
class Reader:
    """Reads such packets, and recovers what was lost from what repeats it (RFC 4103 section 5.4)."""

    text: str = ""
    _next: int | None = None

    def read(self, packet: Rtp) -> None:
        assert packet.payload_type == RED
        lengths, rest = [], packet.payload
        while rest[0] & 0x80:
            assert rest[0] & 0x7F == T140
            lengths.append(int.from_bytes(rest[1:4], "big") & 0x3FF)
            rest = rest[4:]
        rest, blocks = rest[1:], []
        for length in lengths:
            blocks.append(rest[:length])
            rest = rest[length:]
        lost = 0 if self._next is None else packet.sequence - self._next & 0xFFFF
        if lost >= 0x8000:
            return  # late: it has been recovered
        self._next = packet.sequence + 1 & 0xFFFF
        recovered = blocks[len(blocks) - min(lost, len(blocks)) :]
        self.text += b"".join([*recovered, rest]).decode()
