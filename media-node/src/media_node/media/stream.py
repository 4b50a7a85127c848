"""One SSRC coming in, one SSRC going out, and the arithmetic between their sequence numbers and timestamps."""

from __future__ import annotations

import secrets
from socket import htonl
from typing import TYPE_CHECKING

from media_node.media.port import SocketAddress, TransportAddress
from media_node.media.srtp import ReceiveContext, SendContext
from media_node.media.stats import Reception

if TYPE_CHECKING:
    from media_node.media.leg import Leg

MAX_MISORDER = 100
"""Packets a plain stream may fall back and still be the same stream (RFC 3550 appendix A.1)."""

FRAME_S = 0.02
"""The least time assumed to pass between two sources of one stream."""


class Inbound(Reception):
    """What comes from one SSRC of a leg, and how it is carried over: outward = inward + `sequence_offset`, and + `timestamp_offset` for
    timestamps.

    The relay's loop reads these fields itself; that is why they are plain.
    """

    __slots__ = (
        "_measured",
        "_octets",
        "_restart",
        "_size",
        "context",
        "held",
        "leg",
        "out",
        "paused",
        "routed",
        "sequence_offset",
        "timestamp_offset",
    )

    def __init__(
        self, leg: Leg, out: Outbound, ssrc: int, sequence: int, timestamp: int, payload_type: int, now: float
    ) -> None:
        super().__init__(ssrc, sequence, timestamp, payload_type, now)
        self.leg = leg
        self.out = out
        self.context: ReceiveContext | None = None
        """What its packets verify under; None on a plain leg."""
        self.sequence_offset = 0
        self.timestamp_offset = 0
        self.held = 0
        """Packets authenticated but not carried over: the other side was not there or did not want them."""
        self.paused = False
        """The peer announced that it stops sending; what it then skips is not lost."""
        self.routed = False
        """Whether it is on the fast path, which it is only from the leg's latched address."""
        self._restart: int | None = None
        self._octets = self._measured = self._size = 0

    def newer(self, sequence: int) -> bool:
        """Whether a sequence number lies beyond all before it."""
        return 0 < sequence - self.highest & 0xFFFF < 0x8000

    @property
    def carried(self) -> int:
        """Packets carried over."""
        return self.received - self.held

    def irregular(self, sequence: int, timestamp: int, now: float) -> None:
        """Count a packet that is not the next one of the source that feeds the outward stream, and say how it is
        carried over.
        """
        if self.out.feed is not self:
            self.out.carry_on(self, sequence, timestamp, now)
        back = self.highest - sequence & 0xFFFF
        if MAX_MISORDER < back < 0x8000:
            # From so far back only two in a row count as a source that started over (RFC 3550 appendix A.1).
            if sequence == self._restart:
                self.out.carry_on(self, sequence, timestamp, now)
                self.rebase(sequence)
            self._restart = sequence + 1 & 0xFFFF
        self.arrived(sequence, now)
        self.next = self.highest + 1 & 0xFFFF

    def feed_into(self, out: Outbound) -> None:
        """What comes goes to another leg from the next packet on."""
        self.interrupt()
        self.out = out

    def measure(self, size: int) -> None:
        """Packets since the last measurement had payloads of `size` octets, like this one.

        Exact where they are all of one size.
        """
        carried = self.carried
        self._octets += (carried - self._measured) * size
        self._measured, self._size = carried, size

    @property
    def octets(self) -> int:
        """Payload octets carried over."""
        return self._octets + (self.carried - self._measured) * self._size


class Outbound:
    """What the node sends to one leg: an SSRC and a sequence space of its own, whatever sources feed it one after the
    other.

    The sequence begins below 2**15 so that an early loss cannot make the receiver guess a wrong rollover counter (RFC
    3711 section 3.3.1).
    """

    __slots__ = ("_before", "_feeds", "_first", "context", "failed", "feed", "name", "ssrc", "word")

    def __init__(self) -> None:
        self.name: SocketAddress | None = None
        """Where it goes; None while media may go nowhere."""
        self.context: SendContext | None = None
        self.failed = 0
        """Packets that could not be encrypted or sent."""
        self._feeds: list[Inbound] = []
        self._begin()

    def _begin(self) -> None:
        self.ssrc = secrets.randbits(32)
        self.word = htonl(self.ssrc)
        """The SSRC as the machine reads it from a packet."""
        self.feed: Inbound | None = None
        self._first = secrets.randbits(15)
        self._before = (self.sent, sum(source.octets for source in self._feeds))

    @property
    def sent(self) -> int:
        """Packets sent, under every SSRC this leg has had."""
        return sum(source.carried for source in self._feeds) - self.failed

    @property
    def packets(self) -> int:
        """Packets sent under the present SSRC."""
        return self.sent - self._before[0]

    @property
    def octets(self) -> int:
        """Payload octets sent under the present SSRC."""
        return sum(source.octets for source in self._feeds) - self._before[1]

    def under(self, context: SendContext) -> None:
        """Protect with another key.

        It comes with another SSRC: then no receiver need guess whether the rollover counter goes on.
        """
        if self.feed is not None:
            self.feed.interrupt()
        self.context = context
        self._begin()

    def aim(self, source: TransportAddress | None) -> None:
        """Send to this address from now on; nowhere when None."""
        if source != (self.name and self.name.address):
            self.name = None if source is None else SocketAddress(source)

    def timestamp(self, now: float) -> int:
        """The outward RTP timestamp of this moment, going by the source that feeds it."""
        return 0 if self.feed is None else self.feed.timestamp(now) + self.feed.timestamp_offset & 0xFFFFFFFF

    def carry_on(self, source: Inbound, sequence: int, timestamp: int, now: float) -> None:
        """`source` feeds this stream from its packet `sequence` on: the next number outward, and the time that has
        passed since.
        """
        last = self.feed
        if last is None:
            source.sequence_offset, source.timestamp_offset = self._first - sequence, 0
        else:
            moment = self.timestamp(max(now, last.heard + FRAME_S))
            source.sequence_offset = last.highest + last.sequence_offset + 1 - sequence
            source.timestamp_offset = moment - timestamp
            last.interrupt()
        if source not in self._feeds:
            self._feeds.append(source)
            self.failed += source.carried  # what it carried before went to the leg that this one replaced
            self._before = (self._before[0], self._before[1] + source.octets)
        self.feed = source

    def clear(self) -> None:
        """Let go of all sources: the call is over."""
        self.feed = None
        self._feeds.clear()
