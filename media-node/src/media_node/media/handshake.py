"""DTLS-SRTP on the ports all calls share: which handshakes run, what they may cost, and whose leg a finished one keys.

A leg that is keyed by DTLS waits here from its description on. The datagrams of a handshake do not say which call they
are for; the certificate does, as an SRTP packet's tag tells its leg (RFC 5763: its fingerprint came by signalling). A
finished handshake gives keys and nothing else: where media is sent remains for the latch to say.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from media_node.media.candidate_keys import Budget, Index
from media_node.media.dtls import Association, Identity, Keys, is_client_hello
from media_node.media.leg import DropReason, Leg
from media_node.media.port import Port, TransportAddress, host_of, sockaddr_of
from media_node.worker_link.protocol import Dtls

LIFETIME_S = 60.0
"""Seconds a handshake may take, and its last flight may be asked for again, together."""

EARLY = 64
EARLY_S = 2.0
"""A called phone may begin before its answer has reached the worker: so many hellos that nobody waited for are kept for
so long.
"""

ASSOCIATIONS = 512
"""Associations remembered at once; the oldest is forgotten first."""


@dataclass(frozen=True)
class Finished:
    """A handshake gave a leg its keys; `rtcp` when it ran on the RTCP port, whose keys are its own (RFC 5764 section
    3).
    """

    leg: Leg
    rtcp: bool
    keys: Keys


@dataclass(eq=False)
class _Running:
    association: Association
    began: float
    owner: Leg | None = None
    """The leg it was begun for, where we began it, and how that was described."""
    dtls: Dtls | None = None


class Handshakes:
    """All handshakes of one worker. `now` is seconds on the relay's monotonic clock."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._running: dict[tuple[Port, TransportAddress], _Running] = {}
        self._legs: Index[Leg] = Index()
        self._waiting: dict[Leg, None] = {}
        self._early: dict[tuple[Port, TransportAddress], tuple[bytes, float]] = {}
        self._budget = Budget()

    def expect(self, leg: Leg, now: float) -> None:
        """A leg was described anew: as one that DTLS keys, or as one that it no longer does."""
        self._legs.remove(leg)
        self._drop(leg, unless=leg.dtls)
        if leg.dtls is not None:
            for source in leg.announced():
                self._legs.add(leg, source)
        self.settle(leg)
        self._begin(leg, now)
        if leg in self._waiting:
            early, self._early = self._early, {}
            for (port, source), (hello, when) in early.items():
                if now - when < EARLY_S:
                    self.take(port, source, hello, now)  # brings no keys yet: those take the peer's next flight

    def settle(self, leg: Leg) -> None:
        """Wait for the keys that the leg still lacks, if any."""
        if leg.lacks_keys(rtcp=False) or leg.lacks_keys(rtcp=True):
            self._waiting[leg] = None
        else:
            self._waiting.pop(leg, None)

    def remove(self, leg: Leg) -> None:
        """The leg is gone."""
        self._legs.remove(leg)
        self._waiting.pop(leg, None)
        self._drop(leg)

    def take(
        self, port: Port, source: TransportAddress, datagram: bytes, now: float
    ) -> Finished | tuple[Leg | None, DropReason] | None:
        """A DTLS datagram: the keys it brought, or why it was refused and at whose cost; None when it was just one of a
        flight.
        """
        running = self._running.get((port, source))
        owners = self._legs.legs(source)
        blamed = running.owner if running is not None and running.owner is not None else next(iter(owners), None)
        begins = is_client_hello(datagram) and (running is None or running.association.done)
        wanted = owners or self._waiting if begins else running
        known: Hashable = source if running is not None or owners else host_of(source)
        if not self._budget.spend(known, now):
            return blamed, DropReason.DTLS
        if not wanted:
            if begins:
                self._early[port, source] = datagram, now
                if len(self._early) > EARLY:
                    del self._early[next(iter(self._early))]
            return blamed, DropReason.DTLS
        if begins:
            association, flight = self._identity.answer(
                datagram, sockaddr_of(source), lambda: self._fingerprints(source)
            )
            if association is not None:
                running = self._remember(port, source, _Running(association, now))
            was_done = association is None
        else:
            assert running is not None  # noqa: S101 - or nobody would have wanted it
            was_done = running.association.done
            flight = running.association.take(datagram)
        for each in flight:
            port.send(each, source)
        if running is None or was_done:
            return None
        if running.association.failed:
            del self._running[port, source]
            return blamed, DropReason.FINGERPRINT if running.association.impostor else DropReason.DTLS
        if not running.association.done:
            return None
        return self._finished(port, source, running) or (blamed, DropReason.FINGERPRINT)

    def tick(self, now: float) -> None:
        """Repeat what was not answered, forget what is over. Call it a few times a second."""
        for (port, source), running in list(self._running.items()):
            for datagram in running.association.again():
                port.send(datagram, source)
            if running.association.failed or now - running.began >= LIFETIME_S:
                del self._running[port, source]
        for leg in self._waiting:
            self._begin(leg, now)

    def _begin(self, leg: Leg, now: float) -> None:
        """Begin, where that falls to us, what the leg still lacks, as far as it may be sent to."""
        dtls = leg.dtls
        if dtls is None or not dtls.active:
            return
        for rtcp, port in ((False, leg.rtp), (True, leg.rtcp)):
            destination = leg.rtcp_destination if rtcp else leg.rtp_destination
            if destination is None or not leg.lacks_keys(rtcp=rtcp) or (port, destination) in self._running:
                continue
            fingerprint = dtls.fingerprint
            association = self._identity.begin(lambda fingerprint=fingerprint: (fingerprint,))  # type: ignore[misc]
            self._remember(port, destination, _Running(association, now, leg, dtls))
            for datagram in association.take():
                port.send(datagram, destination)

    def _remember(self, port: Port, source: TransportAddress, running: _Running) -> _Running:
        self._running.pop((port, source), None)
        self._running[port, source] = running
        if len(self._running) > ASSOCIATIONS:
            del self._running[next(iter(self._running))]
        return running

    def _drop(self, leg: Leg, unless: Dtls | None = None) -> None:
        """Forget the handshakes begun for the leg, but those begun for what it is described as now."""
        for key, running in list(self._running.items()):
            if running.owner is leg and (unless is None or running.dtls != unless):
                del self._running[key]

    def _fingerprints(self, source: TransportAddress) -> set[str]:
        """The certificates that may come from `source`: its own legs' and those of all that wait."""
        return {leg.dtls.fingerprint for leg in (*self._legs.legs(source), *self._waiting) if leg.dtls is not None}

    def _finished(self, port: Port, source: TransportAddress, running: _Running) -> Finished | None:
        """Whose the certificate is: of a leg that announced this very address, else of the one leg that waits for it.

        A phone may have two calls under one certificate: where nothing tells which of them this is, it is neither.
        """
        announced = list(self._legs.legs(source)) if running.owner is None else [running.owner]
        announced.sort(key=lambda leg: not leg.lacks_keys(rtcp=port is leg.rtcp))
        for legs, several in ((announced, True), (list(self._waiting), False)):
            finished = [
                Finished(leg, port is leg.rtcp, keys)
                for leg in legs
                if leg.dtls is not None
                and port in (leg.rtp, leg.rtcp)
                and (keys := running.association.keys(leg.dtls.fingerprint))
            ]
            if len(finished) == 1 or (finished and several):
                return finished[0]
        return None
