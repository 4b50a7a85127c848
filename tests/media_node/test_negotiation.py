"""Offer and answer over both legs: separate keys, our suites, the offerer's payload numbers."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.call.description import NotAcceptable, read_answer, read_offer
from media_node.call.negotiation import LegMedia, offered
from media_node.call.policy import Protection
from media_node.sip.sdp import MediaType, Session
from media_node.suites import Suite
from media_node.worker_link.protocol import LocalTransport

CM80, CM32, GCM = Suite.AES_CM_128_HMAC_SHA1_80, Suite.AES_CM_128_HMAC_SHA1_32, Suite.AEAD_AES_128_GCM


def key(fill: int, suite: Suite = CM80) -> str:
    return b64encode(bytes([fill]) * suite.key_length).decode()


def described(*streams: str) -> Session:
    return Session.parse("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" + "".join(streams))


def audio(protocol: str = "RTP/SAVP", *lines: str, port: int = 5004, formats: str = "8 0 101") -> str:
    return f"m=audio {port} {protocol} {formats}\r\n" + "".join(f"a={line}\r\n" for line in lines)


def crypto(tag: int, suite: Suite, fill: int = 1) -> str:
    return f"crypto:{tag} {suite} inline:{key(fill, suite)}"


SECURE = described(
    audio("RTP/SAVP", crypto(1, CM32), crypto(2, CM80), "rtpmap:101 telephone-event/8000", "fmtp:101 0-15")
)
PLAIN = described(audio("RTP/AVP"))


def places(*, text: bool = True, fingerprint: str = "") -> dict[MediaType, LocalTransport]:
    ports = {MediaType.AUDIO: 20000, **({MediaType.TEXT: 20002} if text else {})}
    return {
        kind: LocalTransport(address="198.51.100.1", rtp_port=port, rtcp_port=port + 1, fingerprint=fingerprint)
        for kind, port in ports.items()
    }


def legs() -> tuple[LegMedia, LegMedia]:
    return LegMedia(places()), LegMedia(places())


def test_each_leg_has_keys_of_its_own() -> None:
    a, b = legs()
    offer = read_offer(SECURE, Protection.REQUIRED)
    to_b = b.offer(offer, secure=True)
    assert [line.suite for line in to_b.media[0].cryptos] == [CM80, CM32]
    b.remote = read_answer(described(audio("RTP/SAVP", crypto(1, CM80, fill=9))), to_b)
    a.remote = offer
    to_a = a.answer(offer, b.remote)
    (taken,) = to_a.media[0].cryptos
    assert (taken.tag, taken.suite) == (2, CM80)
    keys = {key(1), key(9), taken.key, to_b.media[0].cryptos[0].key, to_b.media[0].cryptos[1].key}
    assert len(keys) == 5, "no key stands on two legs, or for two directions or suites"
    of_a, of_b = a.leg("203.0.113.5").crypto, b.leg("203.0.113.6").crypto
    assert of_a is not None and of_b is not None
    assert (of_a.receive_key, of_a.send_key) == (key(1), taken.key)
    assert (of_b.receive_key, of_b.send_key) == (key(9), to_b.media[0].cryptos[0].key)


def test_payload_numbers_and_formats_pass_untouched_and_transport_does_not() -> None:
    _, b = legs()
    source = described(
        audio(
            "RTP/SAVP",
            crypto(1, CM80),
            "rtpmap:101 telephone-event/8000",
            "candidate:1 1 UDP 1 192.0.2.1 5004 typ host",
            "ssrc:1 cname:x",
        )
    )
    (media,) = b.offer(read_offer(source, Protection.REQUIRED), secure=True).media
    assert media.formats == ("8", "0", "101")
    assert media.port == 20000
    assert media.values("rtpmap") == ["101 telephone-event/8000"]
    assert media.values("rtcp") == ["20001 IN IP4 198.51.100.1"]
    assert not media.has("candidate")
    assert not media.has("ssrc")
    assert not media.has("rtcp-mux")


@pytest.mark.parametrize(
    ("offer", "text"),
    [
        (PLAIN, "SRTP is required"),
        (described(audio("RTP/SAVP")), "SRTP is required"),
        (
            described(audio("RTP/SAVP", f"crypto:1 F8_128_HMAC_SHA1_80 inline:{key(1)}")),
            "F8_128_HMAC_SHA1_80 is not supported",
        ),
        (
            described(audio("RTP/SAVP", f"crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key(1)} UNENCRYPTED_SRTP")),
            "UNENCRYPTED_SRTP",
        ),
        (described("m=image 5004 udptl t38\r\n"), "Only audio"),
        (described("m=video 5004 RTP/SAVP 96\r\n"), "Only audio"),
        (described(audio("RTP/SAVP", crypto(1, CM80), port=0)), "SRTP is required"),
    ],
)
def test_an_encrypted_customers_phone_is_told_what_is_missing(offer: Session, text: str) -> None:
    with pytest.raises(NotAcceptable, match=text):
        read_offer(offer, Protection.REQUIRED)


def test_crypto_offered_in_plain_avp_is_taken() -> None:
    offer = read_offer(described(audio("RTP/AVP", crypto(1, CM80))), Protection.REQUIRED)
    assert offer.audio.crypto is not None
    a, b = legs()
    assert (
        a.answer(offer, read_answer(described(audio("RTP/AVP")), b.offer(offer, secure=False))).media[0].protocol
        == "RTP/AVP"
    )


def test_a_plain_and_a_protected_stream_side_by_side_answer_the_protected_one() -> None:
    offer = read_offer(described(audio("RTP/AVP", port=6000), audio("RTP/SAVP", crypto(7, CM80))), Protection.REQUIRED)
    a, b = legs()
    answer = a.answer(offer, read_answer(described(audio("RTP/AVP")), b.offer(offer, secure=False)))
    assert [media.port for media in answer.media] == [0, 20000]
    assert answer.media[1].cryptos[0].tag == 7


def test_gcm_is_answered_to_a_phone_that_offers_nothing_else() -> None:
    offer = read_offer(described(audio("RTP/SAVP", crypto(1, GCM))), Protection.REQUIRED)
    a, b = legs()
    answer = a.answer(offer, read_answer(described(audio("RTP/AVP")), b.offer(offer, secure=False)))
    assert len(b64decode(answer.media[0].cryptos[0].key)) == 28


@pytest.mark.parametrize(
    "answer",
    [
        described(audio("RTP/AVP")),
        described(audio("RTP/SAVP")),
        described(audio("RTP/SAVP", crypto(1, GCM))),
        described(audio("RTP/SAVP", crypto(1, CM80), port=0)),
        described(),
    ],
)
def test_an_answer_that_is_not_protected_as_offered_is_refused(answer: Session) -> None:
    _, b = legs()
    with pytest.raises(NotAcceptable):
        read_answer(answer, b.offer(read_offer(SECURE, Protection.REQUIRED), secure=True))


@pytest.mark.parametrize(("tag", "suite"), [(1, CM80), (3, CM80), (1, CM32), (2, CM32), (9, CM32)])
def test_an_answer_that_numbers_its_crypto_line_anew_is_known_by_its_suite(tag: int, suite: Suite) -> None:
    _, b = legs()
    offered = b.offer(read_offer(SECURE, Protection.REQUIRED), secure=True)
    answer = read_answer(described(audio("RTP/SAVP", crypto(tag, suite))), offered)
    assert answer.audio.crypto is not None and answer.audio.crypto.suite == suite


def test_a_trunk_is_offered_plain_rtp_and_may_not_answer_otherwise() -> None:
    _, b = legs()
    offered = b.offer(read_offer(SECURE, Protection.REQUIRED), secure=False)
    assert offered.media[0].protocol == "RTP/AVP"
    assert not offered.media[0].cryptos
    with pytest.raises(NotAcceptable):
        read_answer(described(audio("RTP/SAVP", crypto(1, CM80))), offered)


def test_keys_and_suite_stay_when_a_call_is_renegotiated() -> None:
    a, b = legs()
    for fill in (1, 2):
        offer = read_offer(
            described(audio("RTP/SAVP", crypto(1, CM80, fill), crypto(2, CM32, fill), "sendonly")),
            Protection.REQUIRED,
            a.remote,
        )
        to_b = b.offer(offer, secure=True)
        b.remote = read_answer(described(audio("RTP/SAVP", crypto(1, CM80, 9), "recvonly")), to_b)
        a.remote = offer
        answer = a.answer(offer, b.remote)
        sent = (answer.media[0].cryptos[0].key, to_b.media[0].cryptos[0].key)
        if fill == 1:
            first = sent
    assert sent == first
    assert len(to_b.media[0].cryptos) == 1, "no suite but the one in use"


def test_the_version_rises_only_when_something_changed() -> None:
    _, b = legs()
    offer = read_offer(SECURE, Protection.REQUIRED)
    first, same = b.offer(offer, secure=True), b.offer(offer, secure=True)
    held = b.offer(
        read_offer(described(audio("RTP/SAVP", crypto(2, CM80), "sendonly")), Protection.REQUIRED), secure=True
    )
    assert first.origin == same.origin
    assert held.origin != first.origin


DIRECTIONS = st.sampled_from(["sendrecv", "sendonly", "recvonly", "inactive"])


@given(DIRECTIONS, DIRECTIONS)
def test_no_answer_says_more_than_was_offered(offered: str, answered: str) -> None:
    a, b = legs()
    offer = read_offer(described(audio("RTP/SAVP", crypto(1, CM80), offered)), Protection.REQUIRED)
    b.remote = read_answer(described(audio("RTP/SAVP", crypto(1, CM80), answered)), b.offer(offer, secure=True))
    answer = a.answer(offer, b.remote)
    allowed = {"sendrecv": ["sendrecv", "sendonly", "recvonly", "inactive"], "sendonly": ["recvonly", "inactive"]}
    allowed |= {"recvonly": ["sendonly", "inactive"], "inactive": ["inactive"]}
    assert answer.direction(answer.media[0]) in allowed[offered]


PRINT = "sha-256 " + ":".join(["AB"] * 32)
OURS = "sha-256 " + ":".join(["01"] * 32)


def certified(setup: str, *lines: str, protocol: str = "UDP/TLS/RTP/SAVP") -> Session:
    return described(audio(protocol, f"fingerprint:{PRINT}", f"setup:{setup}", *lines))


def dtls_leg() -> LegMedia:
    return LegMedia(places(fingerprint=OURS))


@pytest.mark.parametrize(("setup", "answered"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")])
@pytest.mark.parametrize("protocol", ["UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF", "RTP/SAVP", "RTP/AVP"])
def test_a_phone_that_offers_dtls_is_answered_with_our_certificate(setup: str, answered: str, protocol: str) -> None:
    offer = read_offer(certified(setup, "rtcp-mux", protocol=protocol), Protection.REQUIRED)
    leg, other = dtls_leg(), dtls_leg()
    source = read_answer(described(audio("RTP/SAVP", crypto(1, CM80))), other.offer(offer, secure=True))
    (media,) = leg.answer(offer, source).media
    assert (media.protocol, media.values("fingerprint"), media.values("setup")) == (protocol, [OURS], [answered])
    assert media.has("rtcp-mux") and not media.cryptos
    leg.remote = offer
    told = leg.leg("192.0.2.9")
    assert told.dtls is not None and told.crypto is None and told.secure and not told.symmetric
    assert (told.dtls.fingerprint, told.dtls.active, told.rtcp_mux, told.rtcp_port) == (
        PRINT,
        setup == "passive",
        True,
        told.port,
    )


@pytest.mark.parametrize(("setup", "active"), [("active", False), ("passive", True)])
def test_dtls_is_offered_to_a_phone_on_demand_and_stays(setup: str, active: bool) -> None:
    leg = dtls_leg()
    offered = leg.offer(read_offer(SECURE, Protection.REQUIRED), secure=True, dtls=True)
    (media,) = offered.media
    assert (media.protocol, media.values("setup"), media.cryptos) == ("UDP/TLS/RTP/SAVP", ["actpass"], [])
    leg.remote = read_answer(certified(setup), offered)
    assert leg.remote.audio.dtls is not None and leg.remote.audio.dtls.active is active and not leg.remote.audio.muxed
    assert leg.offer(read_offer(SECURE, Protection.REQUIRED), secure=True) == offered
    again = read_offer(certified("actpass"), Protection.REQUIRED, leg.remote)
    assert again.audio.dtls == leg.remote.audio.dtls, "whoever began keeps that part"


@pytest.mark.parametrize(
    "answer",
    [
        described(audio("UDP/TLS/RTP/SAVP")),
        described(audio("RTP/SAVP", crypto(1, CM80))),
        certified("active", protocol="RTP/AVP"),
        certified("holdconn"),
        described(audio("UDP/TLS/RTP/SAVP", "fingerprint:sha-1 " + ":".join(["AB"] * 20), "setup:active")),
    ],
)
def test_an_answer_without_a_usable_certificate_is_refused(answer: Session) -> None:
    with pytest.raises(NotAcceptable):
        read_answer(answer, dtls_leg().offer(read_offer(SECURE, Protection.REQUIRED), secure=True, dtls=True))


def test_sdes_comes_before_dtls_where_both_are_offered_but_what_is_in_force_stays() -> None:
    both = certified("actpass", crypto(1, CM80), protocol="RTP/SAVP")
    assert read_offer(both, Protection.REQUIRED).audio.crypto is not None
    in_force = read_offer(certified("actpass"), Protection.REQUIRED)
    assert read_offer(both, Protection.REQUIRED, in_force).audio.dtls is not None


def test_dtls_without_a_certificate_we_can_check_is_refused() -> None:
    with pytest.raises(NotAcceptable, match="SHA-256"):
        read_offer(described(audio("UDP/TLS/RTP/SAVP", "setup:actpass")), Protection.REQUIRED)


def test_only_suites_that_may_be_used_are_taken_and_what_desk_phones_do_not_know_is_offered_only_before_what_they_do() -> (
    None
):
    both = described(audio("RTP/SAVP", crypto(1, CM80), crypto(2, GCM)))
    taken = [
        read_offer(both, Protection.REQUIRED, suites=suites).audio.crypto for suites in (tuple(Suite), (GCM, CM80))
    ]
    assert [crypto.suite for crypto in taken if crypto] == [CM80, GCM]
    with pytest.raises(NotAcceptable, match=f"{CM80} is not allowed here"):
        read_offer(described(audio("RTP/SAVP", crypto(1, CM80))), Protection.REQUIRED, suites=(GCM,))
    assert offered(tuple(Suite)) == (Suite.AES_CM_128_HMAC_SHA1_80, Suite.AES_CM_128_HMAC_SHA1_32)
    assert offered((GCM, CM80)) == (GCM, CM80)
    assert offered((GCM,)) == (GCM,)
