"""What a peer described of its media, as far as the call can use it: its audio, and its text (RFC 4103) where it takes that
too (RFC 3264, RFC 4568, RFC 5763).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from media_node.call.policy import Protection
from media_node.sip.sdp import (
    Attribute,
    CryptoAttribute,
    Direction,
    Media,
    MediaType,
    Session,
    choose_crypto,
    is_dtls,
    is_rtp,
    is_secure,
)
from media_node.suites import SUITES, Suite
from media_node.worker_link.protocol import Dtls


class NotAcceptable(ValueError):
    """A description that cannot be used: 488 with this text as Warning (RFC 3261 section 21.4.26)."""


@dataclass(frozen=True)
class Stream:
    """One stream of a peer's description that the call uses, and how it is keyed: by the crypto line taken, by DTLS, or
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


@dataclass(frozen=True)
class Description:
    """What a peer described that the call can use: its audio, and its text where it takes text too. Text is keyed
    whenever the audio is, and never when it is not.
    """

    audio: Stream
    text: Stream | None = None

    @property
    def session(self) -> Session:
        """The whole of it."""
        return self.audio.session

    @property
    def secure(self) -> bool:
        """Whether it is SRTP, all of it."""
        return self.audio.secure

    def stream(self, kind: MediaType) -> Stream | None:
        """The one of this kind, if it has that."""
        return self.audio if kind is MediaType.AUDIO else self.text

    def streams(self) -> Iterator[tuple[MediaType, Stream]]:
        """All of them, the audio first."""
        yield MediaType.AUDIO, self.audio
        if self.text is not None:
            yield MediaType.TEXT, self.text

    @property
    def directions(self) -> dict[MediaType, Direction]:
        """Of each stream, as the peer said it."""
        return {kind: stream.direction for kind, stream in self.streams()}

    @property
    def terms(self) -> list[tuple[MediaType, tuple[str, ...], Direction]]:
        """What the other side has to know of it: the formats and directions."""
        return [(kind, stream.media.formats, stream.direction) for kind, stream in self.streams()]


def standard_audio() -> Description:
    """What is offered on behalf of a caller that makes no offer: G.711, G.722, and DTMF as events (RFC 4733)."""
    attributes = tuple(
        Attribute("rtpmap", each) for each in ("8 PCMA/8000", "0 PCMU/8000", "9 G722/8000", "101 telephone-event/8000")
    )
    media = Media("audio", 9, "RTP/AVP", ("8", "0", "9", "101"), None, (*attributes, Attribute("fmtp", "101 0-16")))
    return Description(Stream(Session("- 0 0 IN IP4 0.0.0.0", None, (), (media,)), 0, None))


def in_common(wanted: Description, others: Description) -> Description:
    """`wanted` reduced to the streams that `others` has too and the formats that it describes under the same numbers, for
    two peers that both made an offer. Raises NotAcceptable when they share no audio.
    """
    audio = _shared(wanted.audio, others.audio)
    text = _shared(wanted.text, others.text) if wanted.text is not None and others.text is not None else None
    if not any("telephone-event" not in _codec(audio.media, number) for number in audio.media.formats):
        raise NotAcceptable("The phones have no codec in common")
    return Description(audio, text if text is not None and _has_t140(text.media) else None)


def _shared(wanted: Stream, others: Stream) -> Stream:
    known = {number: _codec(others.media, number) for number in others.media.formats}
    shared = tuple(
        number for number in wanted.media.formats if number in known and _codec(wanted.media, number) == known[number]
    )
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
    session: Session, protection: Protection, current: Description | None = None, *, suites: tuple[Suite, ...] = SUITES
) -> Description:
    """The first audio of an offer that may be used, and the first text that is protected as it is, each under the first
    suite of ours that it offers. Raises NotAcceptable with what the audio lacks.

    RTP/AVP with crypto lines or a fingerprint counts as protected (RFC 8643), as phones set to "optional" offer it.
    `current` is what is in force on this leg: its ways of keying and its suites are kept when they are offered again.
    """
    audio = _offered(session, MediaType.AUDIO, protection, current, suites)
    try:
        alike = Protection.REQUIRED if audio.secure else Protection.NONE
        return Description(audio, _offered(session, MediaType.TEXT, alike, current, suites))
    except NotAcceptable:
        return Description(audio)


def _offered(
    session: Session, kind: MediaType, protection: Protection, current: Description | None, suites: tuple[Suite, ...]
) -> Stream:
    before = current.stream(kind) if current else None
    refusals: list[str] = []
    plain: Stream | None = None
    for index, media in enumerate(session.media):
        if not _usable(media, kind):
            continue
        suite = before.crypto.suite if before and before.crypto else None
        kept = [crypto for crypto in media.cryptos if crypto.refusal is None and crypto.suite == suite]
        crypto = kept[0] if kept else choose_crypto(media, suites)
        dtls = _dtls(session, media, before.dtls if before else None)
        if protection is not Protection.NONE and (crypto or dtls):
            return (
                Stream(session, index, None, dtls)
                if crypto is None or (before and before.dtls and dtls)
                else Stream(session, index, crypto)
            )
        refusals += [line.refusal or f"{line.suite} is not allowed here" for line in media.cryptos]
        if is_dtls(media.protocol) and not dtls:
            refusals.append("a DTLS handshake needs a=fingerprint of SHA-256")
        if not is_secure(media.protocol) and not is_dtls(media.protocol) and plain is None:
            plain = Stream(session, index, None)
    if plain is not None and protection is not Protection.REQUIRED and session.address(plain.media):
        return plain
    if refusals:
        raise NotAcceptable(f"No usable crypto: {refusals[0]}")
    if any(media.kind == kind for media in session.media):
        raise NotAcceptable("SRTP is required: offer RTP/SAVP with a=crypto (RFC 4568) or DTLS (RFC 5763)")
    raise NotAcceptable("Only audio, and text beside it, is relayed")


def _usable(media: Media, kind: MediaType) -> bool:
    """Whether a stream is of this kind, wanted, and RTP; of text also that it is T.140, since other things are called
    text.
    """
    if media.kind != kind or not media.port or not is_rtp(media.protocol):
        return False
    return kind is MediaType.AUDIO or _has_t140(media)


def _has_t140(media: Media) -> bool:
    return any(_codec(media, number) == "t140/1000" for number in media.formats)


def read_answer(session: Session, offered: Session) -> Description:
    """The streams of an answer to our offer. Some answer only with the streams they know: the others they refuse.

    Raises NotAcceptable when the audio is refused, unprotected or protected otherwise; text that is so is not used.
    """
    if len(session.media) > len(offered.media):
        raise NotAcceptable("The answer does not fit the offer")
    left_out = tuple(media.rejected() for media in offered.media[len(session.media) :])
    session = replace(session, media=(*session.media, *left_out))
    audio = _answered(session, offered, MediaType.AUDIO)
    try:
        return Description(audio, _answered(session, offered, MediaType.TEXT))
    except NotAcceptable:
        return Description(audio)


def _answered(session: Session, offered: Session, kind: MediaType) -> Stream:
    index = next((place for place, each in enumerate(offered.media) if each.port and each.kind == kind), None)
    if index is None or not _usable(session.media[index], kind):
        raise NotAcceptable(f"The {kind} was refused")
    ours, media = offered.media[index], session.media[index]
    if is_dtls(ours.protocol):
        dtls = _dtls(session, media, None)
        if dtls is None or not (is_dtls(media.protocol) or is_secure(media.protocol)):
            raise NotAcceptable("The called phone answered without DTLS-SRTP")
        return Stream(session, index, None, dtls)
    if not ours.cryptos:
        if is_secure(media.protocol) or is_dtls(media.protocol) or not session.address(media):
            raise NotAcceptable("The answer does not fit the offer")
        return Stream(session, index, None)
    # The tag should be that of the offered line (RFC 4568 section 5.1.3), but some phones number their answer anew; each
    # suite is offered once, so the suite identifies the line as well.
    offered_suites = [crypto.suite for crypto in ours.cryptos]
    for crypto in media.cryptos:
        if crypto.refusal is None and crypto.suite in offered_suites:
            return Stream(session, index, crypto)
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
