"""Audio that can be told from any other: G.711 A-law tones, every packet different and every packet known."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

SAMPLES: Final = 160
"""Samples in a packet: 20 ms at 8000 Hz."""
PERIOD: Final = 64
"""Packets until the pattern begins again."""
PAYLOAD_TYPE: Final = 8
"""PCMA (RFC 3551)."""


@lru_cache
def pattern(voice: int) -> tuple[bytes, ...]:
    """The packets one voice says, as A-law: a tone that rises from packet to packet. Two voices share no packet."""
    return tuple(
        bytes(alaw(round(8000 * math.sin(_step(voice, packet) * sample + packet))) for sample in range(SAMPLES))
        for packet in range(PERIOD)
    )


def _step(voice: int, packet: int) -> float:
    """Radians a sample: 300 Hz and up for the first voice, 700 Hz and up for the second."""
    return 2 * math.pi * (300 + 400 * voice + 5 * packet) / 8000


def alaw(sample: int) -> int:
    """One 16-bit linear sample as G.711 A-law."""
    mask, value = (0xD5, sample >> 3) if sample >= 0 else (0x55, (-sample - 1) >> 3)
    segment = max(0, value.bit_length() - 5)
    return (segment << 4 | value >> max(segment, 1) & 0x0F) ^ mask
