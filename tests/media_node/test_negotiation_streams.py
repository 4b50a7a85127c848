"""Offers and answers of any streams in any order (RFC 3264): each line is answered where it stands, and nothing flows unkeyed."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from media_node.call.description import Description, NotAcceptable, in_common, read_answer, read_offer
from media_node.call.negotiation import LegMedia
from media_node.call.policy import Protection
from media_node.sip.sdp import Media, MediaType, Session
from media_node.suites import Suite
from media_node.worker_link.protocol import LocalTransport

CM80 = Suite.AES_CM_128_HMAC_SHA1_80
PRINT = "sha-256 " + ":".join(["AB"] * 32)
FORMATS = {
    "audio": ("8 101", ("rtpmap:8 PCMA/8000", "rtpmap:101 telephone-event/8000")),
    "text": ("100 98", ("rtpmap:98 t140/1000", "rtpmap:100 red/1000", "fmtp:100 98/98/98", "fmtp:98 cps=30")),
    "video": ("96", ("rtpmap:96 VP8/90000",)),
    "image": ("t38", ()),
    "text-of-another-kind": ("97", ("rtpmap:97 h224/4800",)),
}


@dataclass(frozen=True)
class Line:
    """One line that a phone describes."""

    kind: str
    keying: str
    port: int
    direction: str

    def written(self, number: int) -> str:
        formats, attributes = FORMATS[self.kind]
        protocol = {"sdes": "RTP/SAVP", "dtls": "UDP/TLS/RTP/SAVP"}.get(self.keying, "RTP/AVP")
        protocol = "udptl" if self.kind == "image" else protocol
        keys = {
            "sdes": [f"crypto:{number + 1} {CM80} inline:{b64encode(bytes([number + 1]) * 30).decode()}"],
            "dtls": [f"fingerprint:{PRINT}", "setup:actpass"],
        }.get(self.keying, [])
        lines = [*attributes, *keys, self.direction]
        kind = self.kind.partition("-")[0]
        return f"m={kind} {self.port} {protocol} {formats}\r\n" + "".join(f"a={line}\r\n" for line in lines)


LINES = st.lists(
    st.builds(
        Line,
        st.sampled_from(list(FORMATS)),
        st.sampled_from(["sdes", "sdes", "dtls", "none"]),
        st.sampled_from([5004, 5006, 5008, 0]),
        st.sampled_from(["sendrecv", "sendonly", "recvonly", "inactive"]),
    ),
    min_size=1,
    max_size=5,
)


def session(lines: list[Line]) -> Session:
    head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    return Session.parse(head + "".join(line.written(number) for number, line in enumerate(lines)))


def places(secure: bool, text: bool) -> dict[MediaType, LocalTransport]:
    return {
        kind: LocalTransport(address="198.51.100.1", rtp_port=port, rtcp_port=port + 1, fingerprint=PRINT * secure)
        for kind, port in ((MediaType.AUDIO, 20000), (MediaType.TEXT, 20002))
        if text or kind is MediaType.AUDIO
    }


def answered(offer: Session, takes: list[bool], clear: list[bool], cut: bool) -> Session:
    """What a phone answers: each line taken or not, some with no key though one was offered."""
    lines = []
    for media, taken, plain in zip(offer.media, takes * 3, clear * 3, strict=False):
        keys = [f"a=crypto:{line}\r\n" for line in media.cryptos[:1] if not plain]
        if media.has("fingerprint") and not plain:
            keys = [f"a=fingerprint:{PRINT}\r\na=setup:active\r\n"]
        described = "".join(f"a={each}\r\n" for each in media.payload)
        lines.append(
            f"m={media.kind} {6000 if media.port and taken else 0} {media.protocol} {' '.join(media.formats)}\r\n"
            f"{described}{''.join(keys)}"
        )
    lines = lines[:1] if cut else lines
    return Session.parse("v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\nc=IN IP4 192.0.2.2\r\n" + "".join(lines))


def kinds(described: Session) -> list[str]:
    return [media.kind for media in described.media]


def keyed(media: Media) -> bool:
    return bool(media.cryptos or media.has("fingerprint"))


@given(
    st.lists(
        st.tuples(
            LINES,
            st.lists(st.booleans(), min_size=2, max_size=5),
            st.lists(st.sampled_from([False, False, False, True]), min_size=2, max_size=5),
            st.sampled_from([False, False, True]),
            st.booleans(),
        ),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
    st.booleans(),
)
def test_lines_are_answered_where_they_stand_and_nothing_flows_unkeyed(
    rounds: list[tuple[list[Line], list[bool], list[bool], bool, bool]], a_secure: bool, b_secure: bool
) -> None:
    a, b = LegMedia(places(a_secure, True)), LegMedia(places(b_secure, True))
    before: list[str] = []
    for lines, takes, clear, cut, room in rounds:
        for leg, secure in ((a, a_secure), (b, b_secure)):
            leg.places = places(secure, room)
        offer_of_a = session(lines)
        protection = Protection.REQUIRED if a_secure else Protection.NONE
        with suppress(NotAcceptable):
            offer = read_offer(offer_of_a, protection, a.remote)
            to_b = b.offer(offer, secure=b_secure)
            assert kinds(to_b)[: len(before)] == before, "a later offer keeps the lines of those before"
            taken = [media for media in to_b.media if media.port]
            assert len({media.kind for media in taken}) == len(taken) == len({media.port for media in taken})
            assert all(keyed(media) is b_secure for media in taken)
            assert {media.kind for media in taken} == {"audio", *(["text"] if offer.text and room else [])}
            answer = read_answer(answered(to_b, takes, clear, cut), to_b)
            before = kinds(to_b)
            a.remote, b.remote = offer, answer
            to_a = a.answer(offer, answer)
            assert kinds(to_a) == kinds(offer_of_a), "every line is answered, in the offer's order"
            flows = {media.kind for media in to_a.media if media.port}
            assert flows == {"audio", *(["text"] if offer.text and answer.text and room else [])}
            for theirs, ours in zip(offer_of_a.media, to_a.media, strict=True):
                assert theirs.port or not ours.port, "what is not offered is not taken"
                assert not ours.port or keyed(ours) is a_secure
            for leg, secure in ((a, a_secure), (b, b_secure)):
                for kind, stream in leg.remote.streams() if leg.remote else ():
                    assert stream.secure is secure, "text is protected as the speech beside it"
                    if kind in leg.places:
                        assert leg.leg("192.0.2.9", kind).secure is secure
            keys = [line.key for described in (to_a, to_b) for media in described.media for line in media.cryptos]
            assert len(keys) == len(set(keys)), "no two streams, or legs, share a key"


@given(LINES, LINES)
def test_what_two_offers_have_in_common_both_have(ours: list[Line], theirs: list[Line]) -> None:
    with suppress(NotAcceptable):
        one, other = (read_offer(session(lines), Protection.PREFERRED) for lines in (ours, theirs))
        shared: Description = in_common(one, other)
        assert (shared.text is not None) is (one.text is not None and other.text is not None)
        for kind, stream in shared.streams():
            described = other.stream(kind)
            assert described is not None and set(stream.media.formats) <= set(described.media.formats)
