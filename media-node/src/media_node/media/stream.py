"""One SSRC coming in, one SSRC going out, and the arithmetic between their sequence numbers and timestamps."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING, Any

from media_node.media.port import Name, Source
from media_node.media.srtp import ReceiveContext, SendContext
from media_node.media.stats import Reception

if TYPE_CHECKING:
    from media_node.media.leg import Leg

MAX_MISORDER = 100
"""Packets a plain stream may fall back and still be the same stream (RFC 3550 appendix A.1)."""

FRAME_S = 0.02
"""The least time assumed to pass between two sources of one stream."""


class Inbound(Reception):
    """What comes from one SSRC of a leg, and how it is carried over: outward = inward + `shift`, and + `drift` for timestamps.

    The relay's loop reads and writes these fields itself; that is why they are plain.
    """

    __slots__ = ("_restart", "context", "drift", "leg", "out", "paused", "pointer", "routed", "shift")

    def __init__(self, leg: Leg, out: Outbound, ssrc: int, sequence: int, timestamp: int, payload_type: int, now: float) -> None:
        super().__init__(ssrc, sequence, timestamp, payload_type, now)
        self.leg = leg
        self.out = out
        self.context: ReceiveContext | None = None
        self.pointer: Any = None
        """The context's C pointer; None on a plain leg."""
        self.shift = 0
        self.drift = 0
        self.paused = False
        """The peer announced that it stops sending; what it then skips is not lost."""
        self.routed = False
        """Whether it is on the fast path, which it is only from the leg's believed source."""
        self._restart: int | None = None

    def under(self, context: ReceiveContext) -> None:
        """From now on packets verify under `context`."""
        self.context, self.pointer = context, context.pointer

    def newer(self, sequence: int) -> bool:
        """Whether a sequence number lies beyond all before it."""
        return 0 < sequence - self.highest & 0xFFFF < 0x8000

    def fell_back(self, sequence: int, timestamp: int, now: float) -> None:
        """A packet older than the newest: late, or, when two in a row say so from afar, a source that started over (appendix A.1)."""
        if self.highest - sequence & 0xFFFF <= MAX_MISORDER:
            return
        if sequence == self._restart:
            self.out.carry_on(self, sequence, timestamp, now)
            self.rebase(sequence)
            self._restart = None
        else:
            self._restart = sequence + 1 & 0xFFFF


class Outbound:
    """What the node sends to one leg: an SSRC and a sequence space of its own, whatever sources feed it one after the other.

    The sequence begins below 2**15 so that an early loss cannot make the receiver guess a wrong rollover counter (RFC 3711 section 3.3.1).
    """

    __slots__ = ("_first", "context", "destination", "name", "octets", "packets", "pointer", "sent_before", "source", "ssrc", "word")

    def __init__(self) -> None:
        self.name: Name | None = None
        self.destination = 0
        """The name's pointer, where the loop reads it; 0 while media may go nowhere."""
        self.context: SendContext | None = None
        self.pointer: Any = None
        self.sent_before = self.packets = 0
        self._begin()

    def _begin(self) -> None:
        self.ssrc = secrets.randbits(32)
        self.word = int.from_bytes(self.ssrc.to_bytes(4, "big"), sys.byteorder)
        self.sent_before += self.packets
        self.packets = self.octets = 0
        self.source: Inbound | None = None
        self._first = secrets.randbits(15)

    @property
    def sent(self) -> int:
        """Packets sent under every SSRC this leg has had."""
        return self.sent_before + self.packets

    def under(self, context: SendContext) -> None:
        """Protect with another key. It comes with another SSRC: then no receiver need guess whether the rollover counter goes on."""
        self.context, self.pointer = context, context.pointer
        self._begin()

    def aim(self, source: Source | None) -> None:
        """Send to this address from now on; nowhere when None."""
        if source != (self.name and self.name.source):
            self.name = None if source is None else Name(source)
            self.destination = self.name.pointer if self.name else 0

    def timestamp(self, now: float) -> int:
        """The outward RTP timestamp of this moment, going by the source that feeds it."""
        if self.source is None:
            return 0
        elapsed = int((now - self.source.heard) * self.source.rate)
        return self.source.timestamp + self.source.drift + elapsed & 0xFFFFFFFF

    def carry_on(self, source: Inbound, sequence: int, timestamp: int, now: float) -> None:
        """`source` feeds this stream from its packet `sequence` on: the next number outward, and the time that has passed since."""
        last = self.source
        if last is None:
            source.shift, source.drift = self._first - sequence, 0
        else:
            moment = self.timestamp(max(now, last.heard + FRAME_S))
            source.shift = last.highest + last.shift + 1 - sequence
            source.drift = moment - timestamp
        self.source = source
