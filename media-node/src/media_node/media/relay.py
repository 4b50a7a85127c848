"""The relay's loop: packets in, verified and decrypted under one leg's key, encrypted under the other's, packets out.

Two paths. A packet whose source address and SSRC stand in its inlet's table takes the fast one, in columns of up to 64. Every other packet
is considered by itself: what it is, whose it might be, whether it verifies, whether its leg may send now. The table holds no decision of
its own: it remembers what considering a packet came to, and is emptied of a call whenever something about the call changes.
"""

from __future__ import annotations

import logging
import random
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from media_node import bridge
from media_node.media import packet as rtp
from media_node.media import port as udp
from media_node.media.leg import Leg, Refusal, reason
from media_node.media.packet import Kind, MalformedRtcp
from media_node.media.port import Batch, Port, Source, host_of
from media_node.media.srtp import ReceiveContext, SrtpError, failure, protect, unprotect
from media_node.media.stream import Inbound
from media_node.media.trial import Directory

log = logging.getLogger(__name__)

REPORT_INTERVAL_S = 5.0
"""Mean time between RTCP reports to a leg (RFC 3550 section 6.2), varied by half."""

Table = dict[tuple[Source, int], Inbound]
"""Streams by source address and SSRC, both as the machine reads those words."""


@dataclass(eq=False)
class Inlet:
    """A port packets come in by. `leg` is the plain leg it belongs to; None when it is shared by all SRTP legs."""

    port: Port
    rtcp: bool
    leg: Leg | None = None
    table: Table = field(default_factory=dict)
    """The fast path."""


@dataclass(eq=False)
class Call:
    """Two legs that hear each other, and the ports that are theirs alone."""

    legs: dict[str, Leg]
    inlets: list[Inlet]
    routes: list[tuple[Table, tuple[Source, int]]] = field(default_factory=list)
    """Its entries on the fast path."""


class UnknownCall(LookupError):
    """No such call, or leg, on this worker."""


class Relay:
    """All calls of one worker. Does no waiting and has no clock: `now` is monotonic seconds, `clock` Unix time.

    `shared` are the SRTP ports (RTP, RTCP) by address family; `new_pair` opens a pair for a plain leg of a family and may raise OSError.
    """

    def __init__(self, shared: dict[int, tuple[Port, Port]], new_pair: Callable[[int], tuple[Port, Port]], timeout_s: float) -> None:
        self.inlets = {port.fd: Inlet(port, rtcp=port is pair[1]) for pair in shared.values() for port in pair}
        self.calls: dict[str, Call] = {}
        self.refused: Counter[Refusal] = Counter()
        """Packets that could not be laid at any call's door."""
        self.received = self.sent = 0
        self._shared = shared
        self._new_pair = new_pair
        self._timeout_s = timeout_s
        self._batch = Batch()
        self._directory: Directory[Leg] = Directory()
        self._cname = secrets.token_urlsafe(12)
        self._of_leg: dict[Leg, Call] = {}

    # Calls

    def open(self, name: str, secure: dict[str, bool], families: dict[str, int], now: float) -> dict[str, Leg]:
        """Begin a call and reserve its ports. Raises ValueError when it exists or a family is not served, OSError without free ports."""
        if name in self.calls:
            raise ValueError(f"call {name} exists")
        if set(secure) != {"a", "b"}:
            raise ValueError("a call has the legs a and b")
        inlets: list[Inlet] = []
        legs: dict[str, Leg] = {}
        try:
            for side, is_secure in secure.items():
                family = families.get(side, min(self._shared))
                if family not in self._shared:
                    raise ValueError(f"this worker has no IPv{family} address")
                pair = self._shared[family] if is_secure else self._new_pair(family)
                legs[side] = leg = Leg(side, secure=is_secure, rtp=pair[0], rtcp=pair[1], now=now)
                if not is_secure:
                    inlets += [Inlet(pair[0], rtcp=False, leg=leg), Inlet(pair[1], rtcp=True, leg=leg)]
        except (ValueError, OSError):
            for inlet in inlets:
                inlet.port.close()
            raise
        legs["a"].other, legs["b"].other = legs["b"], legs["a"]
        call = self.calls[name] = Call(legs, inlets)
        self.inlets.update({inlet.port.fd: inlet for inlet in inlets})
        self._of_leg.update(dict.fromkeys(legs.values(), call))
        return legs

    def set(self, name: str, side: str, remote: bridge.Leg, now: float) -> None:
        """Give a leg its description. Raises UnknownCall, Unnegotiable, UnusableKey."""
        call = self._call(name)
        if side not in call.legs:
            raise UnknownCall(f"call {name} has no leg {side}")
        leg = call.legs[side]
        traces = leg.announced()
        leg.describe(remote, now)
        self._forget_routes(call)
        for each in call.legs.values():
            each.heard, each.silent = now, False
        if leg.secure:
            for trace in traces - leg.announced():
                if trace not in (leg.latch.source, leg.rtcp_latch.source):
                    self._directory.forget(leg, trace)
            for trace in leg.announced():
                self._directory.know(leg, trace)
            if leg.latch.source is None or traces - leg.announced():
                self._directory.expect(leg, leg.hosts())

    def close(self, name: str) -> dict[str, bridge.LegStats]:
        """End a call, free its ports, and say what its legs saw. Raises UnknownCall."""
        call = self._call(name)
        stats = self.stats(name)
        self._forget_routes(call)
        del self.calls[name]
        for inlet in call.inlets:
            del self.inlets[inlet.port.fd]
            inlet.port.close()
        for leg in call.legs.values():
            self._directory.remove(leg)
            del self._of_leg[leg]
            leg.other = None  # no cycles are left: the collector is off
            leg.inbound.clear()
            leg.outbound.source = None
        for inlet in call.inlets:
            inlet.leg = None
        return stats

    def stats(self, name: str) -> dict[str, bridge.LegStats]:
        """What a call's legs saw until now. Raises UnknownCall."""
        return {side: leg.stats() for side, leg in self._call(name).legs.items()}

    def load(self) -> bridge.Load:
        """What the worker carries, and what it refused that belongs to no call."""
        return bridge.Load(
            calls=len(self.calls),
            received=self.received,
            sent=self.sent,
            dropped=sum(inlet.port.dropped for inlet in self.inlets.values()),
            refused={refusal.value: number for refusal, number in self.refused.items()},
        )

    def _call(self, name: str) -> Call:
        try:
            return self.calls[name]
        except KeyError:
            raise UnknownCall(f"no call {name}") from None

    def _forget_routes(self, call: Call) -> None:
        for table, key in call.routes:
            table.pop(key, None)
        call.routes.clear()
        for leg in call.legs.values():
            leg.tell_latch()
            for stream in leg.inbound.values():
                stream.routed = False

    # The fast path

    def serve(self, inlet: Inlet, now: float, clock: float) -> int:
        """Take what waits at an inlet, at most 64 packets, and relay it; how many there were."""
        batch = self._batch
        count = batch.receive(inlet.port)
        if count == 0:
            return 0
        self.received += count
        sources = batch.sources(inlet.port, count)
        if inlet.rtcp:
            for i in range(count):
                self._consider_safely(inlet, i, sources[i], now, clock)
            return count
        ssrcs = batch.words(2, count)
        flows: list[Inbound | None] = list(map(inlet.table.get, zip(sources, ssrcs, strict=True)))
        known: Sequence[int] = range(count)
        if not all(flows):
            known = [i for i in known if flows[i] is not None]
            for i in range(count):
                if flows[i] is None:
                    flows[i] = self._consider_safely(inlet, i, sources[i], now, clock)
        if inlet.leg is None:
            self._unprotect(known, flows)
        else:
            self._check(known, flows)
        self._carry(flows, ssrcs, count, now)
        return count

    def _unprotect(self, known: Sequence[int], flows: list[Inbound | None]) -> None:
        """Verify and decrypt packets in place; those that fail lose their flow."""
        slots, lengths = self._batch.slots, self._batch.lengths
        codes = list(map(unprotect, [flows[i].pointer for i in known], [slots[i] for i in known], [lengths[i] for i in known]))  # type: ignore[union-attr]
        if any(codes):
            for i, code in zip(known, codes, strict=True):
                if code:
                    self._refuse_known(flows, i, reason(failure(code), self._batch.packet(i)))

    def _check(self, known: Sequence[int], flows: list[Inbound | None]) -> None:
        """What a tag would have told of a plain packet: that it is whole, and RTP."""
        for i in known:
            size = self._batch.lengths[i][0]
            if not rtp.RTP_HEADER <= size < udp.ROOM or self._batch.octets[i * udp.SLOT] >> 6 != 2:
                self._refuse_known(flows, i, Refusal.MALFORMED if size < udp.ROOM else Refusal.OVERSIZED)

    def _refuse_known(self, flows: list[Inbound | None], i: int, why: Refusal) -> None:
        flow = flows[i]
        assert flow is not None  # noqa: S101 - only flows that were found are checked
        flow.leg.refused[why] += 1
        flows[i] = None

    def _carry(self, flows: list[Inbound | None], ssrcs: list[int], count: int, now: float) -> None:
        """Give decrypted packets the other leg's numbers, key and address, and send them."""
        batch = self._batch
        heads, stamps, sizes = batch.words_from_network(0, count), batch.words_from_network(1, count), batch.sizes(count)
        secure: list[int] = []
        plain: list[int] = []
        for i, flow in enumerate(flows):
            if flow is None:
                continue
            head, stamp, out = heads[i], stamps[i], flow.out
            sequence = head & 0xFFFF
            if out.source is not flow:
                out.carry_on(flow, sequence, stamp, now)
            step = sequence - flow.highest & 0xFFFF
            if step < 0x8000:
                flow.highest += step
            else:
                flow.fell_back(sequence, stamp, now)
            flow.received += 1
            flow.heard = now
            flow.timestamp = stamp
            if not sequence & 7:
                flow.sample(stamp, head >> 16 & 0x7F, now)
            heads[i] = head & 0xFFFF0000 | sequence + flow.shift & 0xFFFF
            stamps[i] = stamp + flow.drift & 0xFFFFFFFF
            ssrcs[i] = out.word
            out.packets += 1
            out.octets += sizes[i] - rtp.RTP_HEADER
            (plain if out.pointer is None else secure).append(i)
        batch.write_words_to_network(0, heads)
        batch.write_words_to_network(1, stamps)
        batch.write_words(2, ssrcs)
        if secure:
            self._protect_and_send(secure, flows)
        for i in plain:
            out = flows[i].out  # type: ignore[union-attr]
            self._send(flows[i].leg.other.rtp, [i], [out.destination], flows)  # type: ignore[union-attr]

    def _protect_and_send(self, chosen: list[int], flows: list[Inbound | None]) -> None:
        slots, lengths = self._batch.slots, self._batch.lengths
        outs = [flows[i].out for i in chosen]  # type: ignore[union-attr]
        codes = list(map(protect, [out.pointer for out in outs], [slots[i] for i in chosen], [lengths[i] for i in chosen]))
        if any(codes):
            for i, code in zip(chosen, codes, strict=True):
                if code:
                    self._refuse_known(flows, i, Refusal.REPLAYED if code == 9 else Refusal.UNSENT)
            chosen = [i for i in chosen if flows[i] is not None]
            outs = [flows[i].out for i in chosen]  # type: ignore[union-attr]
        if len(self._shared) == 1:
            ((port, _),) = self._shared.values()
            self._send(port, chosen, [out.destination for out in outs], flows)
            return
        for port, _ in self._shared.values():
            mine = [i for i in chosen if flows[i].leg.other.rtp is port]  # type: ignore[union-attr]
            if mine:
                self._send(port, mine, [flows[i].out.destination for i in mine], flows)  # type: ignore[union-attr]

    def _send(self, port: Port, chosen: list[int], destinations: list[int], flows: list[Inbound | None]) -> None:
        batch = self._batch
        sizes = batch.sizes(udp.BATCH)
        sent = batch.send(port, chosen, destinations, [sizes[i] for i in chosen])
        self.sent += sent
        if sent < len(chosen):
            self.refused[Refusal.UNSENT] += len(chosen) - sent

    # The considered path

    def _consider_safely(self, inlet: Inlet, i: int, source: Source, now: float, clock: float) -> Inbound | None:
        """Consider packet `i`; a stream when it may be relayed, and is then decrypted in place. One packet must not end all calls."""
        packet = self._batch.packet(i)
        try:
            kind = rtp.kind(packet)
            if len(packet) >= udp.ROOM:
                self._refuse(inlet.leg, Refusal.OVERSIZED)
            elif kind is Kind.RTCP:
                self._consider_rtcp(inlet, packet, source, now, clock)
            elif kind is Kind.RTP and not inlet.rtcp:
                return self._consider(inlet, i, packet, source, now)
            else:
                self._refuse(inlet.leg, {Kind.DTLS: Refusal.DTLS, Kind.STUN: Refusal.STUN}.get(kind, Refusal.MALFORMED))
        except Exception:
            log.exception("a packet could not be considered")
            self.refused[Refusal.INTERNAL] += 1
        return None

    def _refuse(self, leg: Leg | None, why: Refusal) -> None:
        (self.refused if leg is None else leg.refused)[why] += 1

    def _consider(self, inlet: Inlet, i: int, packet: bytes, source: Source, now: float) -> Inbound | None:
        ssrc, sequence = rtp.ssrc_of(packet, False), int.from_bytes(packet[2:4], "big")
        timestamp, payload_type = int.from_bytes(packet[4:8], "big"), packet[1] & 0x7F
        if inlet.leg is None:
            found = self._prove(packet, ssrc, sequence, source, now)
            if found is None:
                return None
            leg, plain, context = found
        else:
            leg, plain, context = inlet.leg, packet, None
            if not leg.believes(source, rtcp=False):
                leg.refused[Refusal.NOT_NEGOTIATED] += 1
                return None
        stream = leg.stream(ssrc, sequence, timestamp, payload_type, now)
        if stream is None:
            leg.refused[Refusal.SSRC_LIMIT] += 1
            return None
        if context is not None and stream.context is not context:
            stream.under(context)
        if leg.secure:
            self._directory.know(leg, ("ssrc", ssrc))
            self._believe(leg, source, stream.newer(sequence) or stream.received == 0, now)
        elif leg.latch.source is None and leg.remote is not None and leg.remote.symmetric:
            leg.latch.source = source
            leg.aim()
        blocked = leg.blocked
        if blocked is not None:
            leg.refused[blocked] += 1
            stream.arrived(sequence, timestamp, now)
            return None
        if stream.paused:
            stream.excuse(sequence)
            stream.paused = False
        self._batch.replace(i, plain)
        self._remember(inlet, leg, stream, source)
        return stream

    def _remember(self, inlet: Inlet, leg: Leg, stream: Inbound, source: Source) -> None:
        """Put a stream on the fast path, once nothing about its leg is in doubt."""
        if leg.secure and (leg.latch.source != source or len(leg.contexts) > 1):
            return
        key = (source, int.from_bytes(stream.ssrc.to_bytes(4, "big"), sys.byteorder))
        inlet.table[key] = stream
        stream.routed = True
        self._of_leg[leg].routes.append((inlet.table, key))

    def _prove(self, packet: bytes, ssrc: int, sequence: int, source: Source, now: float) -> tuple[Leg, bytes, ReceiveContext] | None:
        """The leg whose key verifies an SRTP packet from a source not on the fast path, and the packet in plain."""
        blamed: Leg | None = None
        why = Refusal.STRANGER
        for leg in self._directory.candidates((source, ("ssrc", ssrc)), host_of(source), host_of(source), now):
            stream = leg.inbound.get(ssrc)
            leg.tell_latch()
            if not leg.latch.admits(source, now):
                if stream is not None:
                    blamed, why = leg, Refusal.SOURCE_ALIVE
                continue
            try:
                plain, context = leg.unprotect(packet, now)
            except SrtpError as error:
                if blamed is None and (stream is not None or source in leg.announced() or source == leg.latch.source):
                    blamed, why = leg, reason(error, packet)
                continue
            return leg, plain, context
        self._refuse(blamed, why)
        return None

    def _believe(self, leg: Leg, source: Source, newer: bool, now: float) -> None:
        before = leg.latch.source
        if before is not None and before != source:
            self._forget_routes(self._of_leg[leg])
        if leg.latch.verified(source, newer, now):
            if before is not None and before not in leg.announced():
                self._directory.forget(leg, before)
            self._directory.settle(leg)
            self._directory.know(leg, source)
            leg.aim()
            self._forget_routes(self._of_leg[leg])

    def _consider_rtcp(self, inlet: Inlet, packet: bytes, source: Source, now: float, clock: float) -> None:
        leg = inlet.leg
        plain = packet
        if leg is None:
            found = self._prove_rtcp(inlet, packet, source, now)
            if found is None:
                return
            leg, plain = found
        elif not leg.believes(source, rtcp=inlet.rtcp):
            leg.refused[Refusal.NOT_NEGOTIATED] += 1
            return
        try:
            leg.note(rtp.read_reports(plain), now, clock)
        except MalformedRtcp:
            leg.refused[Refusal.MALFORMED] += 1

    def _prove_rtcp(self, inlet: Inlet, packet: bytes, source: Source, now: float) -> tuple[Leg, bytes] | None:
        blamed: Leg | None = None
        why = Refusal.STRANGER
        ssrc = rtp.ssrc_of(packet, True)
        for leg in self._directory.candidates((source, ("ssrc", ssrc)), host_of(source), host_of(source), now):
            latch = leg.rtcp_latch if inlet.rtcp else leg.latch
            if not latch.admits(source, now):
                if ssrc in leg.inbound:
                    blamed, why = leg, Refusal.SOURCE_ALIVE
                continue
            try:
                plain, newer = leg.unprotect_rtcp(packet)
            except SrtpError as error:
                if blamed is None and (ssrc in leg.inbound or source in leg.announced() or source == latch.source):
                    blamed, why = leg, Refusal.PLAINTEXT if rtp.is_plain_rtcp(packet) else reason(error, b"")
                continue
            self._directory.know(leg, ("ssrc", ssrc))
            if not inlet.rtcp:
                self._believe(leg, source, newer, now)
            elif latch.verified(source, newer, now):
                self._directory.know(leg, source)
            return leg, plain
        self._refuse(blamed, why)
        return None

    # What time brings

    def tick(self, now: float, clock: float) -> list[tuple[str, str]]:
        """Send the reports that are due; the (call, leg) pairs that have just been silent for the timeout. Call it a few times a second."""
        silent = []
        for name, call in self.calls.items():
            answered = all(leg.remote is not None for leg in call.legs.values())
            for leg in call.legs.values():
                if now >= leg.report_due:
                    self._report(leg, now, clock)
                if answered and leg.sends:
                    quiet = now - leg.last_heard() >= self._timeout_s
                    if quiet and not leg.silent:
                        silent.append((name, leg.name))
                    leg.silent = quiet
        return silent

    def _report(self, leg: Leg, now: float, clock: float) -> None:
        leg.report_due = now + REPORT_INTERVAL_S * random.uniform(0.5, 1.5)  # noqa: S311 - spread, not secrecy
        destination = leg.rtcp_destination
        context = leg.outbound.context
        if destination is None or (leg.secure and context is None):
            return
        packet = rtp.write_compound(leg.report(now, clock), self._cname)
        if context is not None:
            try:
                packet = context.protect_rtcp(packet)
            except SrtpError:
                log.exception("a report could not be protected")
                return
        port = leg.rtp if leg.remote is not None and leg.remote.rtcp_mux else leg.rtcp
        if port.send(packet, destination):
            leg.rtcp_sent += 1
