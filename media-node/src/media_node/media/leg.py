"""One side of a call: what was negotiated, the keys, which address it is latched to, and what it saw."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from enum import StrEnum

from media_node.media.dtls import Keys
from media_node.media.latch import Latch
from media_node.media.packet import Report, ReportBlock, SenderInfo, looks_plain, middle_32, ntp_time
from media_node.media.port import Port, TransportAddress, host_of, transport_address
from media_node.media.srtp import (
    AuthenticationFailed,
    MalformedPacket,
    ReceiveContext,
    Replayed,
    SendContext,
    SrtpError,
    TooOld,
    decode_key,
    rtcp_index,
)
from media_node.media.stats import mean_opinion_score, round_trip
from media_node.media.stream import Inbound, Outbound
from media_node.suites import Suite
from media_node.worker_link import protocol

REKEY_GRACE_S = 5.0
"""Seconds a replaced key still verifies, for packets under way and phones slow to change."""

SSRC_LIMIT = 64
"""Sources one leg may have in one call; a key holder cannot fill memory by changing its SSRC."""

SENDING = {"sendrecv", "sendonly"}
RECEIVING = {"sendrecv", "recvonly"}


class DropReason(StrEnum):
    """Why a packet was not relayed. Every packet received is either relayed or counted under one of these."""

    UNAUTHENTICATED = "unauthenticated"
    PLAINTEXT = "plaintext"
    PLAINTEXT_RTCP = "plaintext-rtcp"
    """Not media: some phones report in the clear beside SRTP, or greet (baresip's APP packet) before they have keys."""
    REPLAYED = "replayed"
    TOO_OLD = "too-old"
    SOURCE_ALIVE = "source-alive"
    """Another address claims a leg whose latched address is still heard."""
    NOT_NEGOTIATED = "not-negotiated"
    """Plain RTP from another address than the signalling named."""
    STRANGER = "stranger"
    """No key of any leg that might have sent it verifies it."""
    DIRECTION = "direction"
    """One side is on hold."""
    UNANSWERED = "unanswered"
    """The other side has no description or is not yet located."""
    SSRC_LIMIT = "ssrc-limit"
    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    DTLS = "dtls"
    """A handshake that nobody waits for, or that failed."""
    FINGERPRINT = "fingerprint"
    """A DTLS handshake under another certificate than the signalling announced."""
    STUN = "stun"
    UNSENT = "unsent"
    """The network or the cipher would not take it."""
    INTERNAL = "internal"


class Unnegotiable(ValueError):
    """A description that does not fit the leg it is for."""


REASONS = {MalformedPacket: DropReason.MALFORMED, Replayed: DropReason.REPLAYED, TooOld: DropReason.TOO_OLD}


def drop_reason(error: SrtpError, packet: bytes) -> DropReason:
    """The counter of a packet libsrtp refused. Whether it was sent in clear can only be guessed from its looks."""
    why = REASONS.get(type(error), DropReason.UNAUTHENTICATED)
    return DropReason.PLAINTEXT if why is not DropReason.MALFORMED and looks_plain(packet) else why


def _first_to_verify(
    contexts: Sequence[ReceiveContext], unprotect: Callable[[ReceiveContext, bytes], bytes], packet: bytes
) -> tuple[bytes, ReceiveContext]:
    """The packet in plain, and the context that it verifies under. Raises SrtpError: what the last one said.

    The error is given no name: one that a frame of its own traceback holds is a cycle, and the collector does not run.
    """
    for context in contexts:
        try:
            return unprotect(context, packet), context
        except SrtpError:
            if context is contexts[-1]:
                raise
    raise AuthenticationFailed(7, "no key")


class Leg:
    """One side of a call. `now` is always seconds on the relay's monotonic clock."""

    def __init__(self, name: str, *, secure: bool, rtp: Port, rtcp: Port, now: float) -> None:
        self.name = name
        self.secure = secure
        self.rtp = rtp
        self.rtcp = rtcp
        self.remote: protocol.LegDescription | None = None
        self.other: Leg | None = None
        self.latch: Latch[TransportAddress] = Latch()
        self.rtcp_latch: Latch[TransportAddress] = Latch()
        self.contexts: list[ReceiveContext] = []
        """Keys packets may verify under, likeliest first; more than one only while a new key is taking over."""
        self.inbound: dict[int, Inbound] = {}
        self.outbound = Outbound()
        self.rtcp_keys: tuple[ReceiveContext, SendContext] | None = None
        """Of RTCP that DTLS keyed on a port of its own; else RTCP has the keys of RTP."""
        self.drops: Counter[DropReason] = Counter()
        self.heard = now
        """When a packet of this leg last authenticated, or its silence was last excused."""
        self.silent = False
        """Whether its silence has been reported."""
        self.report_due = now
        self.rtcp_received = self.rtcp_sent = 0
        self.reported_lost: int | None = None
        self.round_trip: float | None = None
        self._announced: TransportAddress | None = None
        self._retire_at = 0.0
        self._sender_report: tuple[int, float] = (0, 0.0)
        self._rtcp_index = -1
        self._packets_reported = 0
        self._certified: dict[bool, str] = {}

    # What was negotiated

    def describe(self, remote: protocol.LegDescription, now: float) -> None:
        """Take the negotiated description, the first or a later one.

        Raises Unnegotiable or UnusableKey, and then nothing changed.
        """
        if remote.secure != self.secure:
            raise Unnegotiable(f"leg {self.name} was opened {'with' if self.secure else 'without'} SRTP")
        announced = self._source(remote.address, remote.port)
        if announced is None and not self.secure and remote.port and remote.address not in ("0.0.0.0", "::"):  # noqa: S104
            raise Unnegotiable(f"leg {self.name} cannot send to its address over IPv{self.rtp.family}")
        if remote.crypto is not None:
            crypto = remote.crypto
            self._take_keys(
                crypto.suite,
                decode_key(crypto.suite, crypto.receive_key),
                decode_key(crypto.suite, crypto.send_key),
                now,
            )
            self.rtcp_keys = None
        if self.remote is not None and announced != self._announced:
            self.latch.redirect(now)
            self.rtcp_latch.redirect(now)
            if not self.secure:
                self.latch.address = None
        if not self.sends:
            for stream in self.inbound.values():
                stream.paused = True
        self.remote, self._announced = remote, announced
        self.aim()

    @property
    def dtls(self) -> protocol.Dtls | None:
        """How DTLS is to key this leg; None when SDES did, or it is plain."""
        return self.remote.dtls if self.remote is not None else None

    def lacks_keys(self, *, rtcp: bool) -> bool:
        """Whether DTLS has yet to key this flow under the announced certificate; there is no RTCP flow where it shares
        the port.
        """
        if self.remote is None or self.remote.dtls is None or (rtcp and self.remote.rtcp_mux):
            return False
        return self._certified.get(rtcp) != self.remote.dtls.fingerprint

    def take_keys(self, keys: Keys, *, rtcp: bool, now: float) -> None:
        """What a handshake under the announced certificate came to."""
        assert self.remote is not None and self.remote.dtls is not None  # noqa: S101 - or no handshake is for this leg
        self._certified[rtcp] = self.remote.dtls.fingerprint
        if rtcp:
            self.rtcp_keys = ReceiveContext(keys.suite, keys.receive), SendContext(keys.suite, keys.send)
            self._rtcp_index = -1
        else:
            self._take_keys(keys.suite, keys.receive, keys.send, now)

    def _take_keys(self, suite: Suite, receive: bytes, send: bytes, now: float) -> None:
        current = self.contexts[0] if self.contexts else None
        if current is None or (current.suite, current.key) != (suite, receive):
            known = [context for context in self.contexts if (context.suite, context.key) == (suite, receive)]
            self.contexts = (known or self._begin(suite, receive)) + self.contexts[:1]
            self._retire_at = now + REKEY_GRACE_S
            self._rtcp_index = -1
        sender = self.outbound.context
        if sender is None or (sender.suite, sender.key) != (suite, send):
            self.outbound.under(SendContext(suite, send))

    def _begin(self, suite: Suite, key: bytes) -> list[ReceiveContext]:
        """Contexts for a new key.

        A stream that was running may start its rollover counter over or let it run on: one context for each.
        """
        contexts = [ReceiveContext(suite, key)]
        running = [stream for stream in self.inbound.values() if stream.highest >= 0x10000]
        if running:
            contexts.append(ReceiveContext(suite, key))
            for stream in running:
                contexts[-1].advance(stream.ssrc, stream.highest)
        return contexts

    @property
    def sends(self) -> bool:
        """Whether the peer announced that it sends."""
        return self.remote is not None and self.remote.direction in SENDING

    @property
    def receives(self) -> bool:
        """Whether the peer announced that it wants media."""
        return self.remote is not None and self.remote.direction in RECEIVING

    # Where it is

    def _source(self, host: str, port: int) -> TransportAddress | None:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return None
        if address.version != self.rtp.family or address.is_unspecified or not 0 < port < 65536:
            return None
        return transport_address(host, port)

    def _vouched(self, port: int) -> TransportAddress | None:
        """The announced address, when an authenticated signalling connection comes from the same host: sending there
        harms no other.
        """
        if self.remote is None:
            return None
        announced = self._source(self.remote.address, port)
        return announced if not self.secure or self.remote.address == self.remote.peer else None

    def aim(self) -> None:
        """Send media where the latch says; until then where the signalling may say."""
        if self.remote is not None:
            self.outbound.aim(self.latch.address or self._vouched(self.remote.port))

    @property
    def rtp_destination(self) -> TransportAddress | None:
        """Where its RTP goes; None while that is not known."""
        return self.outbound.name.address if self.outbound.name else None

    @property
    def rtcp_destination(self) -> TransportAddress | None:
        """Where its RTCP goes; None while that is not known."""
        if self.remote is None:
            return None
        if self.remote.rtcp_mux:
            return self.rtp_destination
        return self.rtcp_latch.address or self._vouched(self.remote.rtcp_port)

    def tell_latch(self) -> None:
        """Let the latch know how recently the fast path, which only carries the latched address, heard it."""
        for stream in self.inbound.values():
            if stream.routed:
                self.latch.heard(stream.heard)

    def hosts(self) -> set[Hashable]:
        """Where an SRTP leg is likely to send from before it has proved it: its announced host and its signalling's."""
        remote = self.remote
        sources = [self._source(host, 1) for host in (remote.address, remote.peer)] if remote else []
        return {host_of(source) for source in sources if source is not None}

    def announced(self) -> set[TransportAddress]:
        """The exact addresses it announced, for RTP and for RTCP."""
        remote = self.remote
        sources = [self._source(remote.address, port) for port in (remote.port, remote.rtcp_port)] if remote else []
        return {source for source in sources if source is not None}

    def accepts_source(self, source: TransportAddress, *, rtcp: bool) -> bool:
        """Of a plain leg, whose only proof is its address: whether `source` is what was negotiated, or may pass for it
        behind NAT.
        """
        remote = self.remote
        if remote is None:
            return False
        port = remote.rtcp_port if rtcp and not remote.rtcp_mux else remote.port
        if source == self._source(remote.address, port) or source == (self.rtcp_latch if rtcp else self.latch).address:
            return True
        peer = self._source(remote.peer, 1)
        return (
            remote.symmetric
            and peer is not None
            and host_of(source) == host_of(peer)
            and (rtcp or self.latch.address is None)
        )

    # What it sends

    @property
    def blocked(self) -> DropReason | None:
        """Why this leg's media cannot go to the other side now; None when it can."""
        other = self.other
        if other is None or other.remote is None:
            return DropReason.UNANSWERED
        if not self.sends or not other.receives:
            return DropReason.DIRECTION
        keyed = not other.secure or other.outbound.context is not None
        return None if keyed and other.outbound.name else DropReason.UNANSWERED

    def unprotect(self, packet: bytes, now: float) -> tuple[bytes, ReceiveContext]:
        """SRTP to RTP under whichever of the leg's keys verifies it. Raises SrtpError: what the last key said."""
        if len(self.contexts) > 1 and now >= self._retire_at:
            current = self.contexts[0]
            self.contexts = [
                context for context in self.contexts if (context.suite, context.key) == (current.suite, current.key)
            ]
        plain, context = _first_to_verify(self.contexts, ReceiveContext.unprotect, packet)
        if (context.suite, context.key) == (self.contexts[0].suite, self.contexts[0].key):
            self.contexts = [context]
        return plain, context

    def unprotect_rtcp(self, packet: bytes) -> tuple[bytes, bool]:
        """SRTCP to RTCP, and whether its index is newer than any before. Raises SrtpError."""
        contexts = self.contexts if self.rtcp_keys is None else self.rtcp_keys[:1]
        plain, context = _first_to_verify(contexts, ReceiveContext.unprotect_rtcp, packet)
        index = rtcp_index(context.suite, packet)
        newer, self._rtcp_index = index > self._rtcp_index, max(index, self._rtcp_index)
        return plain, newer

    def stream(self, ssrc: int, sequence: int, timestamp: int, payload_type: int, now: float) -> Inbound | None:
        """The inbound stream of `ssrc`, begun if it is new; None when there are too many. It feeds the other side from
        here on.
        """
        assert self.other is not None  # noqa: S101 - both legs exist from the moment a call is opened
        stream = self.inbound.get(ssrc)
        if stream is None:
            if len(self.inbound) >= SSRC_LIMIT:
                return None
            stream = self.inbound[ssrc] = Inbound(
                self, self.other.outbound, ssrc, sequence, timestamp, payload_type, now
            )
        return stream

    # Its reports

    def note(self, reports: list[Report], now: float, clock: float) -> None:
        """Learn from the peer's RTCP: its clock, and what it says of what was sent to it."""
        self.rtcp_received += 1
        self.heard = now
        for report in reports:
            if report.sender is not None:
                self._sender_report = (middle_32(report.sender.ntp), now)
            for block in report.blocks:
                if block.ssrc == self.outbound.ssrc:
                    self.reported_lost = block.lost
                    measured = round_trip(block, ntp_time(clock))
                    if measured is not None:
                        self.round_trip = measured

    @property
    def rtcp_sender(self) -> SendContext | None:
        """What protects RTCP to this leg; None on a plain leg, or while a leg has no key for it."""
        if self.rtcp_keys is not None:
            return self.rtcp_keys[1]
        return None if self.lacks_keys(rtcp=True) else self.outbound.context

    def report(self, now: float, clock: float) -> Report:
        """The node's own report to this leg (RFC 3550 section 6.4): what it sent since the last one, what it
        received.
        """
        out = self.outbound
        sender = None
        if out.packets and out.sent != self._packets_reported:
            sender = SenderInfo(ntp_time(clock), out.timestamp(now), out.packets, out.octets)
        self._packets_reported = out.sent
        streams = sorted(self.inbound.values(), key=lambda stream: stream.heard)[-1:]
        lsr, heard = self._sender_report
        blocks: tuple[ReportBlock, ...] = tuple(stream.report(lsr, now - heard) for stream in streams)
        return Report(out.ssrc, sender, blocks)

    def last_heard(self) -> float:
        """When a packet of this leg last authenticated."""
        return max([self.heard, *(stream.heard for stream in self.inbound.values())])

    @property
    def keying(self) -> str:
        """How it got its keys; empty while it has none."""
        if not self.contexts:
            return ""
        return "SDES" if self.dtls is None else "DTLS-SRTP"

    def stats(self, now: float) -> protocol.LegStats:
        """What this leg saw until now."""
        streams = list(self.inbound.values())
        expected, received = sum(stream.expected for stream in streams), sum(stream.received for stream in streams)
        main = max(streams, key=lambda stream: stream.received, default=None)
        stats = protocol.LegStats(
            suite=self.contexts[0].suite.value if self.contexts else None,
            keying=self.keying,
            first_secured_s=now - min(stream.began for stream in streams) if self.secure and streams else None,
            last_secured_s=now - max(stream.heard for stream in streams) if self.secure and streams else None,
            received=received,
            sent=self.outbound.sent,
            plaintext=self.drops[DropReason.PLAINTEXT],
            drops={refusal.value: number for refusal, number in self.drops.items()},
            lost=max(0, expected - received),
            round_trip_ms=None if self.round_trip is None else round(1000 * self.round_trip, 3),
            latch=self.latch.state.value if self.secure else "",
            reported_lost=self.reported_lost,
            rtcp_received=self.rtcp_received,
            rtcp_sent=self.rtcp_sent,
        )
        if main is None:
            return stats
        opinion = mean_opinion_score(
            lost=stats.lost,
            expected=expected,
            jitter=main.jitter,
            round_trip_s=self.round_trip or 0.0,
            payload_type=main.payload_type,
        )
        return replace(stats, jitter_ms=round(1000 * main.jitter, 3), mos=opinion)
