"""Our end of the offers and answers on both legs of a call (RFC 3264, RFC 4568, RFC 5763): what each peer is told.

The node is the far end of both legs: it chooses suites and keys per leg and stream, and passes on only what describes
the media itself. A call has audio, and text (RFC 4103) where both sides take it; every other stream is refused where it
stands.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from media_node.call.description import Description
from media_node.sip.sdp import Attribute, CryptoAttribute, Direction, Media, MediaType, Session, crypto_lines
from media_node.suites import DESK_PHONES, SUITES, Suite
from media_node.worker_link import protocol
from media_node.worker_link.protocol import Crypto, LocalTransport


def offered(suites: tuple[Suite, ...]) -> tuple[Suite, ...]:
    """What a called phone is offered, of those that may be used: what stands behind the last suite of desk phones in our
    order is answered to those who offer it, and offered to nobody.
    """
    known = [place for place, suite in enumerate(suites, start=1) if suite in DESK_PHONES]
    return suites[: known[-1]] if known else suites


@dataclass
class LegMedia:
    """Our own end of one leg: the place and keys of each stream, and the description last sent. Keys stay the same for as
    long as a stream has its place.
    """

    places: dict[MediaType, LocalTransport]
    """Where we take the streams that are relayed for this leg: a stream without a place is refused."""
    suites: tuple[Suite, ...] = SUITES
    remote: Description | None = None
    """What is in force, once both sides agree."""
    sent: Session | None = None
    _keys: dict[tuple[MediaType, Suite], str] = field(default_factory=dict)
    _id: int = field(default_factory=lambda: secrets.randbits(62))
    _version: int = 0

    @property
    def secure(self) -> bool:
        """Whether what is in force is SRTP."""
        return self.remote is not None and self.remote.secure

    @property
    def takes_text(self) -> bool:
        """Whether the peer last said that it takes text."""
        return self.remote is not None and self.remote.text is not None

    @property
    def _address(self) -> str:
        return self.places[MediaType.AUDIO].address

    def place(self, kind: MediaType, local: LocalTransport | None) -> None:
        """A stream is taken at another place, under other keys; None: nowhere any more."""
        self.places.pop(kind, None)
        self._keys = {key: value for key, value in self._keys.items() if key[0] is not kind}
        if local is not None:
            self.places[kind] = local

    def offer(
        self,
        source: Description,
        *,
        secure: bool,
        dtls: bool = False,
        directions: Mapping[MediaType, Direction] | None = None,
    ) -> Session:
        """An offer to this leg of what `source`, the other leg's peer, wants to hear and say; `dtls` instead of SDES
        keys it. `directions` of streams stand above those of `source`.
        """
        # A later offer keeps the lines of those before (RFC 3264 section 8): what is not offered stands there refused.
        before = self.remote.session.media if self.remote is not None else ()
        lines = [media.rejected() for media in before]
        for kind, stream in source.streams():
            if kind not in self.places:
                continue
            protocol, keying = self._keying(kind, dtls=dtls) if secure else ("RTP/AVP", ())
            media = self._media(kind, protocol, stream.media, {**source.directions, **(directions or {})}[kind], keying)
            line = self._line(kind, lines)
            lines[line : line + 1] = [media]
        return self._session(tuple(lines))

    def _line(self, kind: MediaType, lines: list[Media]) -> int:
        """Which line a stream is offered in: its own, one that was refused to it, or a new one."""
        stream = self.remote.stream(kind) if self.remote is not None else None
        if stream is not None:
            return stream.index
        return next((line for line, media in enumerate(lines) if media.kind == kind), len(lines))

    def _keying(self, kind: MediaType, *, dtls: bool) -> tuple[str, tuple[Attribute, ...]]:
        stream = self.remote.stream(kind) or self.remote.audio if self.remote is not None else None
        if dtls or (stream is not None and stream.dtls):
            return "UDP/TLS/RTP/SAVP", self._certified(kind, "actpass", muxed=True)
        suites = (
            (Suite(stream.crypto.suite),) if stream is not None and stream.crypto is not None else offered(self.suites)
        )
        return "RTP/SAVP", crypto_lines((suite, self._key(kind, suite)) for suite in suites)

    def answer(self, offer: Description, source: Description) -> Session:
        """The answer to this leg's `offer` that `source`, the other leg's peer, brought about."""
        lines = [media.rejected() for media in offer.session.media]
        for kind, stream in offer.streams():
            other = source.stream(kind)
            if other is None or kind not in self.places:
                continue
            keying: tuple[Attribute, ...] = ()
            if stream.crypto is not None:
                suite = Suite(stream.crypto.suite)
                mine = CryptoAttribute(stream.crypto.tag, suite, self._key(kind, suite))
                keying = (Attribute("crypto", str(mine)),)
            elif stream.dtls is not None:
                keying = self._certified(kind, "active" if stream.dtls.active else "passive", muxed=stream.muxed)
            direction = other.direction.limited_to(stream.direction.reversed)
            lines[stream.index] = self._media(kind, stream.media.protocol, other.media, direction, keying)
        return self._session(tuple(lines))

    def at(self, places: dict[MediaType, LocalTransport]) -> LegMedia:
        """The same end of the same dialog on another worker: at other places, under new keys, to be offered anew."""
        moved = LegMedia(places, self.suites, remote=self.remote)
        moved._id, moved._version = self._id, self._version
        return moved

    def leg(self, peer: str, kind: MediaType = MediaType.AUDIO) -> protocol.LegDescription:
        """What the media worker has to know of a stream of this leg. Raises ValueError before it is in force."""
        stream = self.remote.stream(kind) if self.remote is not None else None
        if stream is None:
            raise ValueError("nothing agreed yet")
        media, crypto = stream.media, stream.crypto
        return protocol.LegDescription(
            crypto=Crypto(
                suite=Suite(crypto.suite),
                send_key=self._key(kind, Suite(crypto.suite)),
                receive_key=_padded(crypto.key),
            )
            if crypto
            else None,
            address=stream.session.address(media),
            port=media.port,
            rtcp_port=media.port if stream.muxed else min(media.rtcp_port, 65535),
            rtcp_mux=stream.muxed,
            dtls=stream.dtls,
            peer=peer,
            direction=stream.direction.value,
            # A plain leg has no tag to prove its source. Its signalling peer is as good a witness as its SDP, and the
            # only one behind NAT.
            symmetric=not stream.secure,
        )

    def _key(self, kind: MediaType, suite: Suite) -> str:
        return self._keys.setdefault((kind, suite), b64encode(secrets.token_bytes(suite.key_length)).decode())

    def _certified(self, kind: MediaType, setup: str, *, muxed: bool) -> tuple[Attribute, ...]:
        """That we key by a handshake under our certificate."""
        lines = Attribute("fingerprint", self.places[kind].fingerprint), Attribute("setup", setup)
        return (*lines, Attribute("rtcp-mux")) if muxed else lines

    def _media(
        self,
        kind: MediaType,
        protocol: str,
        described: Media,
        direction: Direction,
        keying: tuple[Attribute, ...],
    ) -> Media:
        local = self.places[kind]
        rtcp = Attribute("rtcp", f"{local.rtcp_port} IN IP4 {local.address}")
        attributes = (*described.payload, *keying, rtcp, Attribute(direction.value))
        return Media(kind, local.rtp_port, protocol, described.formats, attributes=attributes)

    def _session(self, media: tuple[Media, ...]) -> Session:
        """The description with a version that rises only when something changed (RFC 3264 section 8)."""
        address = f"IN IP4 {self._address}"
        session = Session(f"- {self._id} {self._version} {address}", address, (), media)
        if session != self.sent:
            self._version += 1
            session = replace(session, origin=f"- {self._id} {self._version} {address}")
        self.sent = session
        return session


def _padded(key: str) -> str:
    """Base64 with the padding that some phones leave out."""
    return key + "=" * (-len(key) % 4)
