"""What a receiver can say of a stream: loss and jitter (RFC 3550 appendices A.3 and A.8), round trip, and an E-model
estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

from media_node.media.packet import ReportBlock, middle_32

CLOCK_RATES = {9: 8000, 10: 44100, 11: 44100, 14: 90000, 6: 16000, 16: 11025, 17: 22050}
"""RTP clock rates of static payload types (RFC 3551 section 6) that are not 8000 Hz; G.722 (9) is 8000 by historical
accident.
"""

FIRST_DYNAMIC = 96
DYNAMIC_RATES = (1000, 8000, 16000, 24000, 32000, 44100, 48000, 90000)
MEASURE_S = 0.5
"""How much of a stream with a dynamic payload type is watched before its clock rate is judged."""


@dataclass(frozen=True)
class Impairment:
    """How a codec fares under loss: equipment impairment Ie and robustness Bpl (ITU-T G.113 appendix I)."""

    ie: float
    bpl: float


G711 = Impairment(0.0, 25.1)
IMPAIRMENTS = {0: G711, 8: G711, 3: Impairment(26.0, 43.0), 4: Impairment(15.0, 16.1), 18: Impairment(11.0, 19.0)}
"""By payload type: G.711 with concealment, GSM, G.723.1, G.729A. Others are judged as G.711."""

TICK_EPOCHS = 0x80000000


class Reception:
    """What arrived of one SSRC. Times are seconds on any monotonic clock; `highest` and `base` are extended sequence
    numbers.

    Every packet is counted by `arrived`; but where `next` is not negative, a packet that bears that number may be
    counted by moving `next` on instead, which is all the relay's loop does for most.
    """

    __slots__ = (
        "_expected_before",
        "_expected_reported",
        "_first",
        "_highest",
        "_lost_reported",
        "_sampled",
        "base",
        "began",
        "heard",
        "jitter",
        "lost",
        "next",
        "payload_type",
        "rate",
        "ssrc",
    )

    def __init__(self, ssrc: int, sequence: int, timestamp: int, payload_type: int, now: float) -> None:
        self.ssrc = ssrc
        self.base = sequence
        self.next = -1
        """The 16-bit number that ordinarily comes next; -1 when whatever comes is out of the ordinary."""
        self.lost = 0
        """Packets that did not come; negative when some came twice."""
        self.began = now
        self.heard = now
        self.payload_type = payload_type
        self.rate = CLOCK_RATES.get(payload_type, 8000)
        self.jitter = 0.0
        """Interarrival jitter in seconds."""
        self._highest = sequence - 1
        self._first = self._sampled = (timestamp, now)
        self._expected_before = 0
        self._expected_reported = 0
        self._lost_reported = 0

    @property
    def highest(self) -> int:
        """The highest extended sequence number so far (one below the first while there is none).

        To be read once in 65535 packets.
        """
        if self.next >= 0:
            self._highest += self.next - 1 - self._highest & 0xFFFF
        return self._highest

    @property
    def expected(self) -> int:
        """Packets there should have been."""
        return self._expected_before + self.highest - self.base + 1

    @property
    def received(self) -> int:
        """Packets there were."""
        return self.expected - self.lost

    def arrived(self, sequence: int, now: float) -> None:
        """Count a packet, whatever its number."""
        self.interrupt()
        step = sequence - self._highest & 0xFFFF
        if 0 < step < 0x8000:
            self.lost += step - 1
            self._highest += step
        else:
            self.lost -= 1
        self.heard = now

    def interrupt(self) -> None:
        """Whatever comes next is out of the ordinary."""
        self._highest = self.highest
        self.next = -1

    def sample(self, timestamp: int, payload_type: int, now: float) -> None:
        """One step of the jitter filter (RFC 3550 section 6.4.1). Between packets of equal timestamp (RFC 4733 events)
        there is none.

        Need not see every packet: the difference in transit time between any two serves.
        """
        before, then = self._sampled
        ticks = (timestamp - before + TICK_EPOCHS & 0xFFFFFFFF) - TICK_EPOCHS
        if ticks == 0:
            return
        if payload_type != self.payload_type:
            self.payload_type = payload_type
            self._first = (timestamp, now)
            if payload_type < FIRST_DYNAMIC:
                self.rate = CLOCK_RATES.get(payload_type, 8000)
        elif payload_type >= FIRST_DYNAMIC and (elapsed := now - self._first[1]) >= MEASURE_S:
            measured = (timestamp - self._first[0] & 0xFFFFFFFF) / elapsed
            self.rate = min(DYNAMIC_RATES, key=lambda rate: abs(rate - measured))
        self._sampled = (timestamp, now)
        self.jitter += (abs(now - then - ticks / self.rate) - self.jitter) / 16

    def timestamp(self, now: float) -> int:
        """The timestamp of this moment, going by the last sample."""
        timestamp, then = self._sampled
        return timestamp + int((now - then) * self.rate) & 0xFFFFFFFF

    def excuse(self, sequence: int) -> None:
        """What lies between the newest packet and `sequence` was never sent, so never lost."""
        self.interrupt()
        skipped = (sequence - self._highest & 0xFFFF) - 1
        if 0 < skipped < 0x8000:
            self._highest += skipped
            self.base += skipped

    def rebase(self, sequence: int) -> None:
        """Count on from `sequence` as if nothing was missed between: the source started over."""
        self._expected_before = self.expected
        self.interrupt()
        self.base = (self._highest + 0x10000 & ~0xFFFF) | sequence
        self._highest = self.base - 1

    def report(self, lsr: int, dlsr_s: float) -> ReportBlock:
        """The report block of this SSRC since the last one (RFC 3550 appendix A.3)."""
        expected, lost = self.expected - self._expected_reported, self.lost - self._lost_reported
        self._expected_reported, self._lost_reported = self.expected, self.lost
        fraction = 0 if expected <= 0 else max(0, min(255, lost * 256 // expected))
        delay = int(dlsr_s * 65536) & 0xFFFFFFFF if lsr else 0
        return ReportBlock(
            self.ssrc, fraction, self.lost, self.highest & 0xFFFFFFFF, int(self.jitter * self.rate), lsr, delay
        )


def round_trip(block: ReportBlock, ntp_now: int) -> float | None:
    """Seconds to the reporter and back, from the report it sent on our last one; None when it has not seen one (section
    6.4.1).
    """
    if block.lsr == 0:
        return None
    ticks = middle_32(ntp_now) - block.lsr - block.dlsr & 0xFFFFFFFF
    return None if ticks >= TICK_EPOCHS else ticks / 65536


def mean_opinion_score(
    *, lost: int, expected: int, jitter: float, round_trip_s: float, payload_type: int
) -> float | None:
    """The E-model's estimate (ITU-T G.107) for what one leg delivered: 1.0 to 4.41; None when nothing was expected.

    One-way delay is taken as half the round trip and a jitter buffer of twice the jitter; loss as random; all else at
    its default.
    """
    if expected <= 0:
        return None
    codec = IMPAIRMENTS.get(payload_type, G711)
    delay_ms = 1000 * (round_trip_s / 2 + 2 * jitter)
    loss = 100 * max(0, lost) / expected
    delay_impairment = 0.024 * delay_ms + 0.11 * max(0.0, delay_ms - 177.3)
    loss_impairment = codec.ie + (95 - codec.ie) * loss / (loss + codec.bpl)
    return opinion_of(93.2 - delay_impairment - loss_impairment)


def opinion_of(rating: float) -> float:
    """The opinion score that goes with transmission rating R (ITU-T G.107 annex B)."""
    rating = max(0.0, min(100.0, rating))
    return max(1.0, round(1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6, 2))
