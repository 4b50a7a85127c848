"""The slow path: one packet whose stream has no route, looked at by itself.

What it is (RTP, RTCP, DTLS), whose it might be, whether it verifies, whether its leg may send now. What that comes to
for a stream is put on the fast path as a route, and taken off again whenever something about its call changes.
"""

from __future__ import annotations

import logging
from collections import Counter
from socket import htonl

from media_node.media import packet as rtp
from media_node.media import port as udp
from media_node.media.candidate_keys import CandidateKeys
from media_node.media.handshake import Finished, Handshakes
from media_node.media.leg import DropReason, Leg, drop_reason
from media_node.media.packet import Kind, MalformedRtcp
from media_node.media.port import Batch, TransportAddress, host_of
from media_node.media.routes import ReceivingSocket, RelayedCall, Route
from media_node.media.srtp import ReceiveContext, SrtpError
from media_node.media.stream import Inbound

log = logging.getLogger(__name__)


class SlowPath:
    """Decides on single packets of `batch`. `drops` counts what belongs to no leg."""

    def __init__(self, batch: Batch, handshakes: Handshakes, drops: Counter[DropReason]) -> None:
        self.handshakes = handshakes
        self.candidate_keys: CandidateKeys[Leg] = CandidateKeys()
        self.calls: dict[Leg, RelayedCall] = {}
        """The call each leg belongs to."""
        self._batch = batch
        self._drops = drops

    def take(
        self, receiving: ReceivingSocket, i: int, source: TransportAddress, now: float, clock: float
    ) -> Route | None:
        """Consider packet `i`; its route when it may be relayed, and is then decrypted in place. One packet must not
        end all calls.
        """
        packet = self._batch.packet(i)
        try:
            kind = rtp.kind(packet)
            if len(packet) >= udp.ROOM:
                self._drop(receiving.leg, DropReason.OVERSIZED)
            elif kind is Kind.RTCP:
                self._rtcp(receiving, packet, source, now, clock)
            elif kind is Kind.RTP and not receiving.rtcp:
                return self._rtp(receiving, i, packet, source, now)
            elif kind is Kind.DTLS and receiving.leg is None:
                self._dtls(receiving, packet, source, now)
            else:
                self._drop(
                    receiving.leg,
                    {Kind.DTLS: DropReason.DTLS, Kind.STUN: DropReason.STUN}.get(kind, DropReason.MALFORMED),
                )
        except Exception:
            log.exception("a packet could not be handled")
            self._drops[DropReason.INTERNAL] += 1
        return None

    def _drop(self, leg: Leg | None, why: DropReason) -> None:
        (self._drops if leg is None else leg.drops)[why] += 1

    def _rtp(
        self, receiving: ReceivingSocket, i: int, packet: bytes, source: TransportAddress, now: float
    ) -> Route | None:
        ssrc, sequence = rtp.ssrc_of(packet, False), int.from_bytes(packet[2:4], "big")
        timestamp, payload_type = int.from_bytes(packet[4:8], "big"), packet[1] & 0x7F
        if receiving.leg is None:
            authenticated = self._authenticate(packet, ssrc, sequence, source, now)
            if authenticated is None:
                return None
            leg, plain, context = authenticated
        else:
            leg, plain, context = receiving.leg, packet, None
            if not leg.accepts_source(source, rtcp=False):
                leg.drops[DropReason.NOT_NEGOTIATED] += 1
                return None
        if leg.other is None:
            leg.drops[DropReason.UNANSWERED] += 1  # the other side has moved to another call, and this one ends
            return None
        stream = leg.stream(ssrc, sequence, timestamp, payload_type, now)
        if stream is None:
            leg.drops[DropReason.SSRC_LIMIT] += 1
            return None
        stream.context = context
        if leg.secure:
            self.candidate_keys.know(leg, ("ssrc", ssrc))
            self._latch(leg, source, stream.newer(sequence), now)
        elif leg.latch.address is None and leg.remote is not None and leg.remote.symmetric:
            leg.latch.address = source
            leg.aim()
        blocked = leg.blocked
        if blocked is not None:
            leg.drops[blocked] += 1
            stream.arrived(sequence, now)
            stream.held += 1
            return None
        if stream.paused:
            stream.excuse(sequence)
            stream.paused = False
        self._batch.replace(i, plain)
        return self._route(receiving, leg, stream, source)

    def _route(self, receiving: ReceivingSocket, leg: Leg, stream: Inbound, source: TransportAddress) -> Route:
        """Where a stream's packets go; put on the fast path once nothing about its leg is in doubt."""
        out = stream.out
        assert out.name is not None  # noqa: S101 - or the leg would be blocked
        receive, send = stream.context and stream.context.pointer, out.context and out.context.pointer
        route = (receive, send, out.word, out.name.pointer, stream, (stream.context, out.context, out.name))
        if not leg.secure or (leg.latch.address == source and len(leg.contexts) == 1):
            key = (source, htonl(stream.ssrc))
            receiving.table[key] = route
            stream.routed = True
            self.calls[leg].routes.append((receiving.table, key))
        return route

    def _authenticate(
        self, packet: bytes, ssrc: int, sequence: int, source: TransportAddress, now: float
    ) -> tuple[Leg, bytes, ReceiveContext] | None:
        """The leg whose key verifies an SRTP packet from a source not on the fast path, and the packet in plain."""
        blamed: Leg | None = None
        why = DropReason.STRANGER
        for leg in self.candidate_keys.candidates((source, ("ssrc", ssrc)), host_of(source), host_of(source), now):
            stream = leg.inbound.get(ssrc)
            leg.tell_latch()
            if not leg.latch.admits(source, now):
                if stream is not None:
                    blamed, why = leg, DropReason.SOURCE_ALIVE
                continue
            try:
                plain, context = leg.unprotect(packet, now)
            except SrtpError as error:
                if blamed is None and (stream is not None or source in leg.announced() or source == leg.latch.address):
                    blamed, why = leg, drop_reason(error, packet)
                continue
            return leg, plain, context
        self._drop(blamed, why)
        return None

    def _latch(self, leg: Leg, source: TransportAddress, newer: bool, now: float) -> None:
        before = leg.latch.address
        if before is not None and before != source:
            self.calls[leg].forget_routes()
        if leg.latch.verified(source, newer, now):
            if before is not None and before not in leg.announced():
                self.candidate_keys.forget(leg, before)
            self.candidate_keys.settle(leg)
            self.candidate_keys.know(leg, source)
            leg.aim()
            self.calls[leg].forget_routes()

    def _rtcp(
        self, receiving: ReceivingSocket, packet: bytes, source: TransportAddress, now: float, clock: float
    ) -> None:
        leg = receiving.leg
        plain = packet
        if leg is None:
            authenticated = self._authenticate_rtcp(receiving, packet, source, now)
            if authenticated is None:
                return
            leg, plain = authenticated
        elif not leg.accepts_source(source, rtcp=receiving.rtcp):
            leg.drops[DropReason.NOT_NEGOTIATED] += 1
            return
        try:
            leg.note(rtp.read_reports(plain), now, clock)
        except MalformedRtcp:
            leg.drops[DropReason.MALFORMED] += 1

    def _authenticate_rtcp(
        self, receiving: ReceivingSocket, packet: bytes, source: TransportAddress, now: float
    ) -> tuple[Leg, bytes] | None:
        blamed: Leg | None = None
        why = DropReason.STRANGER
        ssrc = rtp.ssrc_of(packet, True)
        for leg in self.candidate_keys.candidates((source, ("ssrc", ssrc)), host_of(source), host_of(source), now):
            latch = leg.rtcp_latch if receiving.rtcp else leg.latch
            if not latch.admits(source, now):
                if ssrc in leg.inbound:
                    blamed, why = leg, DropReason.SOURCE_ALIVE
                continue
            try:
                plain, newer = leg.unprotect_rtcp(packet)
            except SrtpError as error:
                if blamed is None and (ssrc in leg.inbound or source in leg.announced() or source == latch.address):
                    blamed, why = (
                        leg,
                        DropReason.PLAINTEXT_RTCP if rtp.is_plain_rtcp(packet) else drop_reason(error, b""),
                    )
                continue
            self.candidate_keys.know(leg, ("ssrc", ssrc))
            if not receiving.rtcp:
                self._latch(leg, source, newer, now)
            elif latch.verified(source, newer, now):
                self.candidate_keys.know(leg, source)
            return leg, plain
        self._drop(blamed, why)
        return None

    def _dtls(self, receiving: ReceivingSocket, packet: bytes, source: TransportAddress, now: float) -> None:
        match self.handshakes.take(receiving.port, source, packet, now):
            case Finished(leg, rtcp, keys):
                leg.take_keys(keys, rtcp=rtcp, now=now)
                self.handshakes.settle(leg)
                self.calls[leg].forget_routes()
            case (blamed, why):
                self._drop(blamed, why)
