"""The relay's loop: packets in, verified and decrypted under one leg's key, encrypted under the other's, packets out.

Two paths. A packet whose source address and SSRC stand in its receiving's table takes the fast one, in columns of up to
BATCH. Every other packet is considered by itself: what it is, whose it might be, whether it verifies, whether its leg
may send now. The table holds no decision of its own: it remembers what considering a packet came to, and is emptied of
a call whenever something about the call changes.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from socket import htonl, ntohl
from typing import Any

from media_node.media import packet as rtp
from media_node.media import port as udp
from media_node.media.candidate_keys import CandidateKeys
from media_node.media.dtls import Identity
from media_node.media.handshake import Finished, Handshakes
from media_node.media.leg import DropReason, Leg, drop_reason
from media_node.media.packet import Kind, MalformedRtcp
from media_node.media.port import Batch, Port, SocketAddress, TransportAddress, host_of
from media_node.media.srtp import ReceiveContext, SendContext, SrtpError, failure, protect, unprotect
from media_node.media.stream import Inbound
from media_node.worker_link import protocol

log = logging.getLogger(__name__)

REPORT_INTERVAL_S = 5.0
"""Mean time between RTCP reports to a leg (RFC 3550 section 6.2), varied by half."""


Route = tuple[Any, Any, int, int, Inbound, tuple[ReceiveContext | None, SendContext | None, SocketAddress]]
"""What the fast path does with a stream's packets, as a row, so that a batch of them turns into columns by one zip.

C pointers to the SRTP contexts that decrypt and that encrypt (None on a plain leg); the outward SSRC as the machine
reads that word; a pointer to the destination's socket address, as a number; the stream; and what keeps all that alive
until the last batch that saw this route is through, whatever becomes of the call meanwhile. A bare tuple: Python reads
it faster than a named one.
"""

Table = dict[tuple[TransportAddress, int], Route]
"""Routes by source address and SSRC, both as the machine reads those words."""


@dataclass(eq=False)
class ReceivingSocket:
    """A port packets come in by. `leg` is the plain leg it belongs to; None when it is shared by all SRTP legs."""

    port: Port
    rtcp: bool
    leg: Leg | None = None
    table: Table = field(default_factory=dict)
    """The fast path."""


@dataclass(eq=False)
class RelayedCall:
    """Two legs that hear each other, and the ports that are theirs alone."""

    legs: dict[str, Leg]
    sockets: list[ReceivingSocket]
    routes: list[tuple[Table, tuple[TransportAddress, int]]] = field(default_factory=list)
    """Its entries on the fast path."""


class UnknownCall(LookupError):
    """No such call, or leg, on this worker."""


class Relay:
    """All calls of one worker. Does no waiting and has no clock: `now` is monotonic seconds, `clock` Unix time.

    `shared` are the SRTP ports (RTP, RTCP) by address family; `new_pair` opens a pair for a plain leg of a family and
    may raise OSError. `suites` are those that a DTLS handshake may choose.
    """

    def __init__(
        self,
        shared: dict[int, tuple[Port, Port]],
        new_pair: Callable[[int], tuple[Port, Port]],
        timeout_s: float,
        suites: Iterable[protocol.Suite] = protocol.Suite,
    ) -> None:
        self.sockets = {
            port.fd: ReceivingSocket(port, rtcp=port is pair[1]) for pair in shared.values() for port in pair
        }
        self.calls: dict[str, RelayedCall] = {}
        self.drops: Counter[DropReason] = Counter()
        """Packets that could not be laid at any call's door."""
        self.received = self.sent = 0
        self._shared = shared
        self._new_pair = new_pair
        self._timeout_s = timeout_s
        self._batch = Batch()
        self.identity = Identity(suites)
        """Under which DTLS-SRTP legs are keyed."""
        self._handshakes = Handshakes(self.identity)
        self._candidate_keys: CandidateKeys[Leg] = CandidateKeys()
        self._cname = secrets.token_urlsafe(12)
        self._of_leg: dict[Leg, RelayedCall] = {}
        self._plain_legs = 0
        self._only_port = next(iter(shared.values()))[0]

    # Calls

    def open(self, name: str, secure: dict[str, bool], families: dict[str, int], now: float) -> dict[str, Leg]:
        """Begin a call and reserve its ports.

        Raises ValueError when it exists or a family is not served, OSError without free ports.
        """
        if name in self.calls:
            raise ValueError(f"call {name} exists")
        if set(secure) != {"a", "b"}:
            raise ValueError("a call has the legs a and b")
        sockets: list[ReceivingSocket] = []
        legs: dict[str, Leg] = {}
        try:
            for side, is_secure in secure.items():
                family = families.get(side, min(self._shared))
                if family not in self._shared:
                    raise ValueError(f"this worker has no IPv{family} address")
                pair = self._shared[family] if is_secure else self._new_pair(family)
                legs[side] = leg = Leg(side, secure=is_secure, rtp=pair[0], rtcp=pair[1], now=now)
                if not is_secure:
                    sockets += [
                        ReceivingSocket(pair[0], rtcp=False, leg=leg),
                        ReceivingSocket(pair[1], rtcp=True, leg=leg),
                    ]
        except (ValueError, OSError):
            for receiving in sockets:
                receiving.port.close()
            raise
        legs["a"].other, legs["b"].other = legs["b"], legs["a"]
        call = self.calls[name] = RelayedCall(legs, sockets)
        self.sockets.update({receiving.port.fd: receiving for receiving in sockets})
        self._of_leg.update(dict.fromkeys(legs.values(), call))
        self._plain_legs += sum(not leg.secure for leg in legs.values())
        return legs

    def set(self, name: str, side: str, remote: protocol.LegDescription, now: float) -> None:
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
                if trace not in (leg.latch.address, leg.rtcp_latch.address):
                    self._candidate_keys.forget(leg, trace)
            for trace in leg.announced():
                self._candidate_keys.know(leg, trace)
            if leg.latch.address is None or traces - leg.announced():
                self._candidate_keys.expect(leg, leg.hosts())
            self._handshakes.expect(leg, now)

    def close(self, name: str) -> dict[str, protocol.LegStats]:
        """End a call, free its ports, and say what its legs saw. Raises UnknownCall."""
        call = self._call(name)
        stats = self.stats(name)
        self._forget_routes(call)
        del self.calls[name]
        for receiving in call.sockets:
            del self.sockets[receiving.port.fd]
            receiving.port.close()
        for leg in call.legs.values():
            self._candidate_keys.remove(leg)
            self._handshakes.remove(leg)
            del self._of_leg[leg]
            leg.other = None  # no cycles are left: the collector is off
            leg.inbound.clear()
            self._plain_legs -= not leg.secure
            leg.outbound.clear()
        for receiving in call.sockets:
            receiving.leg = None
        return stats

    def stats(self, name: str) -> dict[str, protocol.LegStats]:
        """What a call's legs saw until now. Raises UnknownCall."""
        return {side: leg.stats() for side, leg in self._call(name).legs.items()}

    def load(self) -> protocol.WorkerLoad:
        """What the worker carries, and what it refused that belongs to no call."""
        return protocol.WorkerLoad(
            calls=len(self.calls),
            received=self.received,
            sent=self.sent,
            kernel_drops=sum(receiving.port.dropped for receiving in self.sockets.values()),
            drops={refusal.value: number for refusal, number in self.drops.items()},
        )

    def _call(self, name: str) -> RelayedCall:
        try:
            return self.calls[name]
        except KeyError:
            raise UnknownCall(f"no call {name}") from None

    def _forget_routes(self, call: RelayedCall) -> None:
        for table, key in call.routes:
            table.pop(key, None)
        call.routes.clear()
        for leg in call.legs.values():
            leg.tell_latch()
            for stream in leg.inbound.values():
                stream.routed = False

    # The fast path

    def serve(self, receiving: ReceivingSocket, now: float, clock: float) -> int:
        """Take what waits at an receiving, at most BATCH packets, and relay it; how many there were."""
        batch = self._batch
        count = batch.receive(receiving.port)
        if count == 0:
            return 0
        self.received += count
        sources = batch.sources(receiving.port, count)
        if receiving.rtcp:
            for i in range(count):
                self._slow_path(receiving, i, sources[i], now, clock)
            return count
        routes = list(map(receiving.table.get, zip(sources, batch.ssrcs.read(count), strict=True)))
        indexes: Sequence[int] = range(count)
        opened: list[tuple[int, Route]] = []
        if not all(routes):
            for i in indexes:
                if not routes[i] and (route := self._slow_path(receiving, i, sources[i], now, clock)):
                    opened.append((i, route))
            indexes = [i for i in indexes if routes[i]]
        known = [route for route in routes if route]
        indexes, known = (self._unprotect if receiving.leg is None else self._check)(indexes, known)
        if opened:
            merged = sorted([*zip(indexes, known, strict=True), *opened], key=itemgetter(0))
            indexes, known = [i for i, _ in merged], [route for _, route in merged]
        if known:
            self._carry(indexes, known, count, now)
        return count

    def _unprotect(self, indexes: Sequence[int], routes: list[Route]) -> tuple[Sequence[int], list[Route]]:
        """Verify and decrypt packets in place; those that passed."""
        codes = list(map(unprotect, [route[0] for route in routes], *self._batch.pointers(indexes)))
        if not any(codes):
            return indexes, routes
        for i, route, code in zip(indexes, routes, codes, strict=True):
            if code:
                route[4].leg.drops[drop_reason(failure(code), self._batch.packet(i))] += 1
        return [i for i, code in zip(indexes, codes, strict=True) if not code], [
            route for route, code in zip(routes, codes, strict=True) if not code
        ]

    def _check(self, indexes: Sequence[int], routes: list[Route]) -> tuple[Sequence[int], list[Route]]:
        """See what a tag would have told of plain packets, that they are whole, and RTP; those that passed."""
        passed = []
        for i, route in zip(indexes, routes, strict=True):
            size = self._batch.sizes[i]
            if rtp.RTP_HEADER <= size < udp.ROOM and self._batch.octets[i * udp.SLOT] >> 6 == 2:
                passed.append((i, route))
            else:
                route[4].leg.drops[DropReason.MALFORMED if size < udp.ROOM else DropReason.OVERSIZED] += 1
        if len(passed) == len(routes):
            return indexes, routes
        return [i for i, _ in passed], [route for _, route in passed]

    def _carry(self, indexes: Sequence[int], routes: list[Route], count: int, now: float) -> None:
        """Give decrypted packets the other leg's numbers, key and address, and send them."""
        batch = self._batch
        _, contexts, words, destinations, streams, _ = zip(*routes, strict=True)
        numbers = batch.numbers.read_network(count)
        for i, stream in zip(indexes, streams, strict=True):
            number = numbers[i]
            if number == stream.next:
                stream.next = number + 1 & 0xFFFF
                stream.heard = now
            else:
                stream.irregular(number, ntohl(batch.timestamps[i]), now)
            if not number & 7:
                stream.sample(ntohl(batch.timestamps[i]), batch.octets[i * udp.SLOT + 1] & 0x7F, now)
                stream.measure(batch.sizes[i] - rtp.RTP_HEADER)
            if stream.timestamp_offset:
                batch.timestamps[i] = htonl(ntohl(batch.timestamps[i]) + stream.timestamp_offset & 0xFFFFFFFF)
            numbers[i] = number + stream.sequence_offset & 0xFFFF
        batch.numbers.write_network(numbers)
        if len(routes) == count:
            batch.ssrcs.write(words)
        else:
            for i, word in zip(indexes, words, strict=True):
                batch.ssrcs[i] = word
        if self._plain_legs == 0 and len(self._shared) == 1:
            self._protect_and_send(self._only_port, indexes, contexts, destinations, streams)
            return
        ports = [stream.leg.other.rtp for stream in streams if stream.leg.other is not None]
        for port in set(ports):
            mine = [k for k, each in enumerate(ports) if each is port]
            self._protect_and_send(
                port,
                [indexes[k] for k in mine],
                [contexts[k] for k in mine],
                [destinations[k] for k in mine],
                [streams[k] for k in mine],
            )

    def _protect_and_send(
        self,
        port: Port,
        chosen: Sequence[int],
        contexts: Sequence[Any],
        destinations: Sequence[int],
        streams: Sequence[Inbound],
    ) -> None:
        """Send these packets by one port, encrypted unless it is a plain leg's."""
        batch = self._batch
        if contexts[0] is not None:
            codes = list(map(protect, contexts, *batch.pointers(chosen)))
            if any(codes):
                for stream, code in zip(streams, codes, strict=True):
                    if code:
                        stream.leg.drops[DropReason.REPLAYED if code == 9 else DropReason.UNSENT] += 1
                        stream.out.failed += 1
                good = [k for k, code in enumerate(codes) if not code]
                chosen, destinations = [chosen[k] for k in good], [destinations[k] for k in good]
        sent = batch.send(port, chosen, destinations)
        self.sent += sent
        if sent < len(chosen):
            self.drops[DropReason.UNSENT] += len(chosen) - sent

    # The considered path

    def _slow_path(
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
                self._slow_path_rtcp(receiving, packet, source, now, clock)
            elif kind is Kind.RTP and not receiving.rtcp:
                return self._slow_path_rtp(receiving, i, packet, source, now)
            elif kind is Kind.DTLS and receiving.leg is None:
                self._slow_path_dtls(receiving, packet, source, now)
            else:
                self._drop(
                    receiving.leg,
                    {Kind.DTLS: DropReason.DTLS, Kind.STUN: DropReason.STUN}.get(kind, DropReason.MALFORMED),
                )
        except Exception:
            log.exception("a packet could not be considered")
            self.drops[DropReason.INTERNAL] += 1
        return None

    def _drop(self, leg: Leg | None, why: DropReason) -> None:
        (self.drops if leg is None else leg.drops)[why] += 1

    def _slow_path_rtp(
        self, receiving: ReceivingSocket, i: int, packet: bytes, source: TransportAddress, now: float
    ) -> Route | None:
        ssrc, sequence = rtp.ssrc_of(packet, False), int.from_bytes(packet[2:4], "big")
        timestamp, payload_type = int.from_bytes(packet[4:8], "big"), packet[1] & 0x7F
        if receiving.leg is None:
            found = self._authenticate(packet, ssrc, sequence, source, now)
            if found is None:
                return None
            leg, plain, context = found
        else:
            leg, plain, context = receiving.leg, packet, None
            if not leg.accepts_source(source, rtcp=False):
                leg.drops[DropReason.NOT_NEGOTIATED] += 1
                return None
        stream = leg.stream(ssrc, sequence, timestamp, payload_type, now)
        if stream is None:
            leg.drops[DropReason.SSRC_LIMIT] += 1
            return None
        stream.context = context
        if leg.secure:
            self._candidate_keys.know(leg, ("ssrc", ssrc))
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
            self._of_leg[leg].routes.append((receiving.table, key))
        return route

    def _authenticate(
        self, packet: bytes, ssrc: int, sequence: int, source: TransportAddress, now: float
    ) -> tuple[Leg, bytes, ReceiveContext] | None:
        """The leg whose key verifies an SRTP packet from a source not on the fast path, and the packet in plain."""
        blamed: Leg | None = None
        why = DropReason.STRANGER
        for leg in self._candidate_keys.candidates((source, ("ssrc", ssrc)), host_of(source), host_of(source), now):
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
            self._forget_routes(self._of_leg[leg])
        if leg.latch.verified(source, newer, now):
            if before is not None and before not in leg.announced():
                self._candidate_keys.forget(leg, before)
            self._candidate_keys.settle(leg)
            self._candidate_keys.know(leg, source)
            leg.aim()
            self._forget_routes(self._of_leg[leg])

    def _slow_path_rtcp(
        self, receiving: ReceivingSocket, packet: bytes, source: TransportAddress, now: float, clock: float
    ) -> None:
        leg = receiving.leg
        plain = packet
        if leg is None:
            found = self._authenticate_rtcp(receiving, packet, source, now)
            if found is None:
                return
            leg, plain = found
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
        for leg in self._candidate_keys.candidates((source, ("ssrc", ssrc)), host_of(source), host_of(source), now):
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
            self._candidate_keys.know(leg, ("ssrc", ssrc))
            if not receiving.rtcp:
                self._latch(leg, source, newer, now)
            elif latch.verified(source, newer, now):
                self._candidate_keys.know(leg, source)
            return leg, plain
        self._drop(blamed, why)
        return None

    def _slow_path_dtls(self, receiving: ReceivingSocket, packet: bytes, source: TransportAddress, now: float) -> None:
        match self._handshakes.take(receiving.port, source, packet, now):
            case Finished(leg, rtcp, keys):
                leg.take_keys(keys, rtcp=rtcp, now=now)
                self._handshakes.settle(leg)
                self._forget_routes(self._of_leg[leg])
            case (blamed, why):
                self._drop(blamed, why)

    # What time brings

    def tick(self, now: float, clock: float) -> list[tuple[str, str]]:
        """Send the reports that are due; the (call, leg) pairs that have just been silent for the timeout. RelayedCall it a
        few times a second.
        """
        self._handshakes.tick(now)
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
        context = leg.rtcp_sender
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
