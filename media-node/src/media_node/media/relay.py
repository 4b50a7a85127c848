"""The relay: the calls of one worker, and every packet on its way from one leg to the other.

A packet whose source address and SSRC stand in its socket's table takes the fast path (fast_path.py), in columns of up
to BATCH; every other takes the slow path (slow_path.py), which decides what may go on the fast one.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter

from media_node.media import packet as rtp
from media_node.media.dtls import Identity
from media_node.media.fast_path import FastPath
from media_node.media.handshake import Handshakes
from media_node.media.leg import DropReason, Leg
from media_node.media.port import Batch, Port
from media_node.media.routes import ReceivingSocket, RelayedCall, Route
from media_node.media.slow_path import SlowPath
from media_node.media.srtp import SrtpError
from media_node.suites import Suite
from media_node.worker_link import protocol

log = logging.getLogger(__name__)

REPORT_INTERVAL_S = 5.0
"""Mean time between RTCP reports to a leg (RFC 3550 section 6.2), varied by half."""


class UnknownCall(LookupError):
    """No such call, or leg, on this worker."""


class Relay:
    """All calls of one worker. Does no waiting and has no clock: `now` is monotonic seconds, `clock` Unix time.

    `shared` are the SRTP ports (RTP, RTCP) by address family, of calls' first streams and of `further` ones; `new_pair`
    opens a pair for a plain leg of a family and may raise OSError. `suites` are those that a DTLS handshake may choose.
    """

    def __init__(
        self,
        shared: dict[int, tuple[Port, Port]],
        further: dict[int, tuple[Port, Port]],
        new_pair: Callable[[int], tuple[Port, Port]],
        timeout_s: float,
        suites: Iterable[Suite] = Suite,
    ) -> None:
        self.sockets = {
            port.fd: ReceivingSocket(port, rtcp=port is pair[1])
            for pair in (*shared.values(), *further.values())
            for port in pair
        }
        self.calls: dict[str, RelayedCall] = {}
        self.drops: Counter[DropReason] = Counter()
        """Drops that belong to no call."""
        self.received = 0
        self._shared = {False: shared, True: further}
        self._new_pair = new_pair
        self._timeout_s = timeout_s
        self.identity = Identity(suites)
        """Under which DTLS-SRTP legs are keyed."""
        batch = Batch()
        self._fast_path = FastPath(batch, [pair[0] for pair in shared.values()], self.drops)
        self._slow_path = SlowPath(batch, Handshakes(self.identity), self.drops)
        self._cname = secrets.token_urlsafe(12)

    # Calls

    def open(
        self, name: str, secure: dict[str, bool], families: dict[str, int], now: float, *, further: bool = False
    ) -> dict[str, Leg]:
        """Begin a call, or a `further` stream of one, and reserve its ports.

        Raises ValueError when it exists or a family is not served, OSError without free ports.
        """
        if name in self.calls:
            raise ValueError(f"call {name} exists")
        if set(secure) != {"a", "b"}:
            raise ValueError("a call has the legs a and b")
        legs: dict[str, Leg] = {}
        call = RelayedCall(legs, [], further)
        try:
            for side, is_secure in secure.items():
                legs[side] = self._new_leg(call, side, is_secure, families.get(side), now)
        except (ValueError, OSError):
            self._release(call, *legs.values())
            raise
        legs["a"].other, legs["b"].other = legs["b"], legs["a"]
        self.calls[name] = call
        return legs

    def reopen(self, name: str, side: str, secure: bool, now: float) -> tuple[Leg, protocol.LegStats]:
        """Make one leg anew for another peer, as when a call is forwarded: new keys, new latch, the other leg goes on.
        Also what the replaced leg saw.

        Raises UnknownCall, OSError without free ports, ValueError for a family that is not served.
        """
        call = self._leg_call(name, side)
        leg = self._new_leg(call, side, secure, call.legs[side].rtp.family, now)
        return leg, self._replace(call, side, leg, now)

    def move(self, name: str, side: str, to: str, to_side: str, now: float) -> protocol.LegStats:
        """Put a leg of one call, with its keys, latch and ports, in the place of a leg of another, as after a transfer.
        What the replaced leg saw. Raises UnknownCall, or ValueError for a move within one call, or between a first and
        a further stream.
        """
        call, target = self._leg_call(name, side), self._leg_call(to, to_side)
        if call is target or call.further is not target.further:
            raise ValueError("a leg moves to the same stream of another call")
        call.forget_routes()
        leg = call.legs.pop(side)
        if leg.other is not None:
            leg.other.other = None
        for receiving in [receiving for receiving in call.sockets if receiving.leg is leg]:
            call.sockets.remove(receiving)
            target.sockets.append(receiving)
        self._slow_path.calls[leg] = target
        return self._replace(target, to_side, leg, now)

    def _replace(self, call: RelayedCall, side: str, leg: Leg, now: float) -> protocol.LegStats:
        call.forget_routes()
        old = call.legs[side]
        stats, other = old.stats(now), old.other
        self._release(call, old)
        call.legs[side] = leg
        leg.name, leg.other = side, other
        if other is not None:
            other.other = leg
            for stream in other.inbound.values():
                stream.feed_into(leg.outbound)
            for stream in leg.inbound.values():
                stream.feed_into(other.outbound)
        return stats

    def set(self, name: str, side: str, remote: protocol.LegDescription, now: float) -> None:
        """Give a leg its description. Raises UnknownCall, Unnegotiable, UnusableKey."""
        call = self._leg_call(name, side)
        leg = call.legs[side]
        traces = leg.announced()
        leg.describe(remote, now)
        call.forget_routes()
        for each in call.legs.values():
            each.heard, each.silent = now, False
        if leg.secure:
            for trace in traces - leg.announced():
                if trace not in (leg.latch.address, leg.rtcp_latch.address):
                    self._slow_path.candidate_keys.forget(leg, trace)
            for trace in leg.announced():
                self._slow_path.candidate_keys.know(leg, trace)
            if leg.latch.address is None or traces - leg.announced():
                self._slow_path.candidate_keys.expect(leg, leg.hosts())
            self._slow_path.handshakes.expect(leg, now)

    def close(self, name: str, now: float) -> dict[str, protocol.LegStats]:
        """End a call, free its ports, and say what its legs saw. Raises UnknownCall."""
        call = self._call(name)
        stats = self.stats(name, now)
        call.forget_routes()
        del self.calls[name]
        self._release(call, *call.legs.values())
        return stats

    def stats(self, name: str, now: float) -> dict[str, protocol.LegStats]:
        """What a call's legs saw until now. Raises UnknownCall."""
        return {side: leg.stats(now) for side, leg in self._call(name).legs.items()}

    def load(self) -> protocol.WorkerLoad:
        """What the worker carries, and what it refused that belongs to no call."""
        return protocol.WorkerLoad(
            calls=sum(not call.further for call in self.calls.values()),
            received=self.received,
            sent=self._fast_path.sent,
            kernel_drops=sum(receiving.port.dropped for receiving in self.sockets.values()),
            drops={refusal.value: number for refusal, number in self.drops.items()},
        )

    def _new_leg(self, call: RelayedCall, side: str, secure: bool, family: int | None, now: float) -> Leg:
        shared = self._shared[call.further]
        family = min(shared) if family is None else family
        if family not in shared:
            raise ValueError(f"this worker has no IPv{family} address")
        pair = shared[family] if secure else self._new_pair(family)
        leg = Leg(side, secure=secure, rtp=pair[0], rtcp=pair[1], now=now)
        self._slow_path.calls[leg] = call
        self._fast_path.legs_elsewhere += call.further or not secure
        if not secure:
            for port in pair:
                receiving = ReceivingSocket(port, rtcp=port is pair[1], leg=leg)
                call.sockets.append(receiving)
                self.sockets[port.fd] = receiving
        return leg

    def _release(self, call: RelayedCall, *legs: Leg) -> None:
        """Free what legs hold. No reference cycles are left: the collector is off."""
        for leg in legs:
            for receiving in [receiving for receiving in call.sockets if receiving.leg is leg]:
                call.sockets.remove(receiving)
                del self.sockets[receiving.port.fd]
                receiving.port.close()
                receiving.leg = None
            self._slow_path.candidate_keys.remove(leg)
            self._slow_path.handshakes.remove(leg)
            del self._slow_path.calls[leg]
            self._fast_path.legs_elsewhere -= call.further or not leg.secure
            leg.other = None
            leg.inbound.clear()
            leg.outbound.clear()

    def _leg_call(self, name: str, side: str) -> RelayedCall:
        call = self._call(name)
        if side not in call.legs:
            raise UnknownCall(f"call {name} has no leg {side}")
        return call

    def _call(self, name: str) -> RelayedCall:
        try:
            return self.calls[name]
        except KeyError:
            raise UnknownCall(f"no call {name}") from None

    # Packets

    def serve(self, receiving: ReceivingSocket, now: float, clock: float) -> int:
        """Take what waits at a socket, at most BATCH packets, and relay it; how many there were."""
        batch = self._fast_path.batch
        count = batch.receive(receiving.port)
        if count == 0:
            return 0
        self.received += count
        sources = batch.sources(receiving.port, count)
        if receiving.rtcp:
            for i in range(count):
                self._slow_path.take(receiving, i, sources[i], now, clock)
            return count
        routes = list(map(receiving.table.get, zip(sources, batch.ssrcs.read(count), strict=True)))
        indexes: Sequence[int] = range(count)
        opened: list[tuple[int, Route]] = []
        if not all(routes):
            for i in indexes:
                if not routes[i] and (route := self._slow_path.take(receiving, i, sources[i], now, clock)):
                    opened.append((i, route))
            indexes = [i for i in indexes if routes[i]]
        known = [route for route in routes if route]
        indexes, known = (self._fast_path.unprotect if receiving.leg is None else self._fast_path.check)(indexes, known)
        if opened:
            merged = sorted([*zip(indexes, known, strict=True), *opened], key=itemgetter(0))
            indexes, known = [i for i, _ in merged], [route for _, route in merged]
        if known:
            self._fast_path.carry(indexes, known, count, now)
        return count

    # What time brings

    def tick(self, now: float, clock: float) -> list[tuple[str, str]]:
        """Send the reports that are due; the (call, leg) pairs that have just been silent for the timeout. Call it a few
        times a second.
        """
        self._slow_path.handshakes.tick(now)
        silent = []
        for name, call in self.calls.items():
            answered = all(leg.remote is not None for leg in call.legs.values())
            for leg in call.legs.values():
                if now >= leg.report_due:
                    self._report(leg, now, clock)
                if answered and leg.sends and not call.further:
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
