"""Offer and answer on both legs of a call (RFC 3264, RFC 4568, RFC 5763): what each peer described, what it is told.

The node is the far end of both legs: it chooses suites and keys per leg, and passes on only what describes the audio
itself.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from dataclasses import dataclass, field, replace
from typing import Final

from media_node.call.policy import Protection
from media_node.sip.sdp import (
    Attribute,
    CryptoAttribute,
    Direction,
    Media,
    Session,
    choose_crypto,
    crypto_lines,
    is_dtls,
    is_rtp,
    is_secure,
)
from media_node.suites import DESK_PHONES, SUITES, Suite
from media_node.worker_link import protocol
from media_node.worker_link.protocol import Crypto, Dtls, LocalTransport


def offered(suites: tuple[Suite, ...]) -> tuple[Suite, ...]:
    """What a called phone is offered, of those that may be used: what stands behind the last suite of desk phones in our
    order is answered to those who offer it, and offered to nobody.
    """
    known = [place for place, suite in enumerate(suites, start=1) if suite in DESK_PHONES]
    return suites[: known[-1]] if known else suites


class NotAcceptable(ValueError):
    """A description that cannot be used: 488 with this text as Warning (RFC 3261 section 21.4.26)."""


@dataclass(frozen=True)
class Audio:
    """The stream of a peer's description that the call uses, and how it is keyed: by the crypto line taken, by DTLS, or
    not at all.
    """

    session: Session
    index: int
    crypto: CryptoAttribute | None
    dtls: Dtls | None = None

    @property
    def secure(self) -> bool:
        """Whether it is SRTP."""
        return self.crypto is not None or self.dtls is not None

    @property
    def muxed(self) -> bool:
        """Whether RTCP shares the port of RTP (RFC 5761), which only legs keyed by DTLS are told."""
        return self.dtls is not None and self.media.has("rtcp-mux")

    @property
    def media(self) -> Media:
        """The stream itself."""
        return self.session.media[self.index]

    @property
    def direction(self) -> Direction:
        """As the peer said it."""
        return self.session.direction(self.media)


def standard_audio() -> Audio:
    """What is offered on behalf of a caller that makes no offer: G.711, G.722, and DTMF as events (RFC 4733)."""
    attributes = tuple(
        Attribute("rtpmap", each) for each in ("8 PCMA/8000", "0 PCMU/8000", "9 G722/8000", "101 telephone-event/8000")
    )
    media = Media("audio", 9, "RTP/AVP", ("8", "0", "9", "101"), None, (*attributes, Attribute("fmtp", "101 0-16")))
    return Audio(Session("- 0 0 IN IP4 0.0.0.0", None, (), (media,)), 0, None)


def in_common(wanted: Audio, others: Audio) -> Audio:
    """`wanted` reduced to the formats that `others` describes under the same numbers, for two peers that both made an
    offer. Raises NotAcceptable when they share none.
    """
    known = {number: _codec(others.media, number) for number in others.media.formats}
    shared = tuple(
        number for number in wanted.media.formats if number in known and _codec(wanted.media, number) == known[number]
    )
    if not [number for number in shared if "telephone-event" not in _codec(wanted.media, number)]:
        raise NotAcceptable("The phones have no codec in common")
    attributes = tuple(
        each
        for each in wanted.media.attributes
        if each.name not in ("rtpmap", "fmtp") or (each.value or "").partition(" ")[0] in shared
    )
    media = replace(wanted.media, formats=shared, attributes=attributes)
    session = replace(
        wanted.session,
        media=tuple(media if index == wanted.index else each for index, each in enumerate(wanted.session.media)),
    )
    return replace(wanted, session=session)


def _codec(media: Media, number: str) -> str:
    """What a payload number stands for: its rtpmap, or the number itself where the profile fixes it (RFC 3551)."""
    for value in media.values("rtpmap"):
        if value.split(maxsplit=1)[0:1] == [number]:
            return value.partition(" ")[2].strip().lower()
    return _STATIC.get(number, number)


_STATIC: Final = {"0": "pcmu/8000", "8": "pcma/8000", "9": "g722/8000", "18": "g729/8000", "3": "gsm/8000"}


def read_offer(
    session: Session, protection: Protection, current: Audio | None = None, *, suites: tuple[Suite, ...] = SUITES
) -> Audio:
    """The first stream of an offer that may be used, under the first suite of ours that it offers. Raises NotAcceptable
    with what lacks.

    RTP/AVP with crypto lines or a fingerprint counts as protected (RFC 8643), as phones set to "optional" offer it.
    `current` is what is in force on this leg: its way of keying and its suite are kept when they are offered again.
    """
    refusals: list[str] = []
    plain: Audio | None = None
    for index, media in enumerate(session.media):
        if media.kind != "audio" or not media.port or not is_rtp(media.protocol):
            continue
        suite = current.crypto.suite if current and current.crypto else None
        kept = [crypto for crypto in media.cryptos if crypto.refusal is None and crypto.suite == suite]
        crypto = kept[0] if kept else choose_crypto(media, suites)
        dtls = _dtls(session, media, current.dtls if current else None)
        if protection is not Protection.NONE and (crypto or dtls):
            return (
                Audio(session, index, None, dtls)
                if crypto is None or (current and current.dtls and dtls)
                else Audio(session, index, crypto)
            )
        refusals += [line.refusal or f"{line.suite} is not allowed here" for line in media.cryptos]
        if is_dtls(media.protocol) and not dtls:
            refusals.append("a DTLS handshake needs a=fingerprint of SHA-256")
        if not is_secure(media.protocol) and not is_dtls(media.protocol) and plain is None:
            plain = Audio(session, index, None)
    if plain is not None and protection is not Protection.REQUIRED and session.address(plain.media):
        return plain
    if refusals:
        raise NotAcceptable(f"No usable crypto: {refusals[0]}")
    if any(media.kind == "audio" for media in session.media):
        raise NotAcceptable("SRTP is required: offer RTP/SAVP with a=crypto (RFC 4568) or DTLS (RFC 5763)")
    raise NotAcceptable("Only audio is relayed")


def read_answer(session: Session, offered: Session) -> Audio:
    """The stream of an answer to our offer.

    Raises NotAcceptable when it is refused, unprotected or protected otherwise.
    """
    index = next(place for place, each in enumerate(offered.media) if each.port)
    ours = offered.media[index]
    if (
        len(session.media) != len(offered.media)
        or session.media[index].kind != "audio"
        or not session.media[index].port
    ):
        raise NotAcceptable("The audio was refused")
    media = session.media[index]
    if is_dtls(ours.protocol):
        dtls = _dtls(session, media, None)
        if dtls is None or not (is_dtls(media.protocol) or is_secure(media.protocol)):
            raise NotAcceptable("The called phone answered without DTLS-SRTP")
        return Audio(session, index, None, dtls)
    if not ours.cryptos:
        if is_secure(media.protocol) or is_dtls(media.protocol) or not session.address(media):
            raise NotAcceptable("The answer does not fit the offer")
        return Audio(session, index, None)
    # The tag should be that of the offered line (RFC 4568 section 5.1.3), but some phones number their answer anew; each
    # suite is offered once, so the suite identifies the line as well.
    offered_suites = [crypto.suite for crypto in ours.cryptos]
    for crypto in media.cryptos:
        if crypto.refusal is None and crypto.suite in offered_suites:
            return Audio(session, index, crypto)
    raise NotAcceptable("The called phone answered without SRTP")


def _dtls(session: Session, media: Media, current: Dtls | None) -> Dtls | None:
    """The handshake a description asks for; None when it asks for none. The node begins it only for a peer that will
    not.

    Whoever began an association keeps that part when it is described again (RFC 8842 section 5.5).
    """
    fingerprint, setup = session.fingerprint(media), session.setup(media)
    if not fingerprint or setup == "holdconn":
        return None
    return Dtls(
        fingerprint=fingerprint,
        active=setup == "passive" or (setup != "active" and current is not None and current.active),
    )


@dataclass
class LegMedia:
    """Our own end of one leg: address, keys and the description last sent. Keys stay the same for the length of the
    call.
    """

    local: LocalTransport
    suites: tuple[Suite, ...] = SUITES
    keys: dict[Suite, str] = field(default_factory=dict)
    remote: Audio | None = None
    """What is in force, once both sides agree."""
    sent: Session | None = None
    _id: int = field(default_factory=lambda: secrets.randbits(62))
    _version: int = 0

    @property
    def secure(self) -> bool:
        """Whether what is in force is SRTP."""
        return self.remote is not None and self.remote.secure

    @property
    def suite(self) -> Suite | None:
        """The suite in force; None on a plain leg, before there is one, and where a handshake chooses it."""
        return Suite(self.remote.crypto.suite) if self.remote and self.remote.crypto else None

    def offer(self, source: Audio, *, secure: bool, dtls: bool = False, direction: Direction | None = None) -> Session:
        """An offer to this leg of what `source`, the other leg's peer, wants to hear and say; `dtls` instead of SDES
        keys it.
        """
        if secure and (dtls or (self.remote is not None and self.remote.dtls)):
            protocol, keying = "UDP/TLS/RTP/SAVP", self._certified("actpass", muxed=True)
        elif secure:
            suites = (self.suite,) if self.suite else offered(self.suites)
            protocol, keying = "RTP/SAVP", crypto_lines((suite, self._key(suite)) for suite in suites)
        else:
            protocol, keying = "RTP/AVP", ()
        media = self._media(protocol, source.media, direction or source.direction, keying)
        # A later offer keeps the streams of those before (RFC 3264 section 8): what was refused stays refused.
        streams = self.remote.session.media if self.remote is not None else (media,)
        kept = self.remote.index if self.remote is not None else 0
        return self._session(tuple(media if i == kept else each.rejected() for i, each in enumerate(streams)))

    def answer(self, offer: Audio, source: Audio) -> Session:
        """The answer to this leg's `offer` that `source`, the other leg's peer, brought about."""
        keying: tuple[Attribute, ...] = ()
        if offer.crypto is not None:
            mine = CryptoAttribute(offer.crypto.tag, offer.crypto.suite, self._key(Suite(offer.crypto.suite)))
            keying = (Attribute("crypto", str(mine)),)
        elif offer.dtls is not None:
            keying = self._certified("active" if offer.dtls.active else "passive", muxed=offer.muxed)
        direction = source.direction.limited_to(offer.direction.reversed)
        accepted = self._media(offer.media.protocol, source.media, direction, keying)
        return self._session(
            tuple(
                accepted if index == offer.index else media.rejected()
                for index, media in enumerate(offer.session.media)
            )
        )

    def at(self, local: LocalTransport) -> LegMedia:
        """The same end of the same dialog on another worker: at another place, under new keys, to be offered anew."""
        moved = LegMedia(local, self.suites, remote=self.remote)
        moved._id, moved._version = self._id, self._version
        return moved

    def leg(self, peer: str) -> protocol.LegDescription:
        """What the media worker has to know of this leg. Raises ValueError before there is a description in force."""
        if self.remote is None:
            raise ValueError("nothing agreed yet")
        media, crypto = self.remote.media, self.remote.crypto
        return protocol.LegDescription(
            crypto=Crypto(
                suite=Suite(crypto.suite), send_key=self._key(Suite(crypto.suite)), receive_key=_padded(crypto.key)
            )
            if crypto
            else None,
            address=self.remote.session.address(media),
            port=media.port,
            rtcp_port=media.port if self.remote.muxed else min(media.rtcp_port, 65535),
            rtcp_mux=self.remote.muxed,
            dtls=self.remote.dtls,
            peer=peer,
            direction=self.remote.direction.value,
            # A plain leg has no tag to prove its source. Its signalling peer is as good a witness as its SDP, and the
            # only one behind NAT.
            symmetric=not self.remote.secure,
        )

    def _key(self, suite: Suite) -> str:
        return self.keys.setdefault(suite, b64encode(secrets.token_bytes(suite.key_length)).decode())

    def _certified(self, setup: str, *, muxed: bool) -> tuple[Attribute, ...]:
        """That we key by a handshake under our certificate."""
        lines = Attribute("fingerprint", self.local.fingerprint), Attribute("setup", setup)
        return (*lines, Attribute("rtcp-mux")) if muxed else lines

    def _media(self, protocol: str, described: Media, direction: Direction, keying: tuple[Attribute, ...]) -> Media:
        return Media(
            "audio",
            self.local.rtp_port,
            protocol,
            described.formats,
            attributes=(
                *described.payload,
                *keying,
                Attribute("rtcp", f"{self.local.rtcp_port} IN IP4 {self.local.address}"),
                Attribute(direction.value),
            ),
        )

    def _session(self, media: tuple[Media, ...]) -> Session:
        """The description with a version that rises only when something changed (RFC 3264 section 8)."""
        address = f"IN IP4 {self.local.address}"
        session = Session(f"- {self._id} {self._version} {address}", address, (), media)
        if session != self.sent:
            self._version += 1
            session = replace(session, origin=f"- {self._id} {self._version} {address}")
        self.sent = session
        return session


def _padded(key: str) -> str:
    """Base64 with the padding that some phones leave out."""
    return key + "=" * (-len(key) % 4)
