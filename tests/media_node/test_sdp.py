"""SDP as phones write it, and what of it is refused."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.sip.sdp import Attribute, CryptoAttribute, Direction, Media, Session, choose_crypto
from media_node.suites import Suite

KEY = b64encode(bytes(range(30))).decode()
YEALINK = f"""v=0
o=- 20050 20050 IN IP4 192.0.2.10
s=SDP data
c=IN IP4 192.0.2.10
t=0 0
m=audio 11780 RTP/SAVP 9 0 8 18 101
a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:{KEY}
a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^31
a=crypto:3 F8_128_HMAC_SHA1_80 inline:{KEY}
a=rtpmap:9 G722/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv
a=rtcp:11781 IN IP4 192.0.2.10
""".replace("\n", "\r\n")


def test_a_desk_phones_offer_is_read() -> None:
    session = Session.parse(YEALINK)
    (media,) = session.media
    assert (media.kind, media.port, media.protocol, media.rtcp_port) == ("audio", 11780, "RTP/SAVP", 11781)
    assert session.address(media) == "192.0.2.10"
    expected = [
        "rtpmap:9 G722/8000",
        "rtpmap:101 telephone-event/8000",
        "fmtp:101 0-15",
        "ptime:20",
    ]
    assert [str(attribute) for attribute in media.payload] == expected


def test_the_80_bit_tag_is_taken_before_the_32_bit_one_whatever_the_order() -> None:
    chosen = choose_crypto(Session.parse(YEALINK).media[0], tuple(Suite))
    assert chosen is not None
    assert (chosen.tag, chosen.suite) == (2, "AES_CM_128_HMAC_SHA1_80")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"1 F8_128_HMAC_SHA1_80 inline:{KEY}", "not supported"),
        (f"1 NULL_HMAC_SHA1_80 inline:{KEY}", "not supported"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP", "session parameter"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTCP", "session parameter"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNAUTHENTICATED_SRTP", "session parameter"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=4", "session parameter"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4", "master key identifier"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:c2hvcnQ=", "octets"),
        (f"1 AEAD_AES_256_GCM inline:{KEY}", "octets"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:***", "base64"),
    ],
)
def test_a_crypto_line_that_protects_less_is_not_taken(line: str, why: str) -> None:
    crypto = CryptoAttribute.parse(line)
    assert crypto.refusal is not None
    assert why in crypto.refusal
    assert (
        choose_crypto(Media("audio", 1, "RTP/SAVP", ("8",), None, (Attribute("crypto", line),)), tuple(Suite)) is None
    )


@pytest.mark.parametrize("suffix", ["", "|2^31", "|2^48"])
@pytest.mark.parametrize("parameters", ["", " WSH=64", " -FUTURE=1", " KDR=0"])
def test_what_does_no_harm_is_let_through(suffix: str, parameters: str) -> None:
    assert CryptoAttribute.parse(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{suffix}{parameters}").refusal is None


def test_a_key_without_padding_is_read() -> None:
    assert (
        CryptoAttribute.parse(f"1 AEAD_AES_128_GCM inline:{b64encode(bytes(28)).decode().rstrip('=')}").refusal is None
    )


@pytest.mark.parametrize(
    ("attributes", "address", "direction"),
    [
        ("", "192.0.2.1", "sendrecv"),
        ("a=sendonly\r\n", "192.0.2.1", "sendonly"),
        ("a=recvonly\r\n", "192.0.2.1", "recvonly"),
        ("", "0.0.0.0", "sendonly"),
        ("a=recvonly\r\n", "0.0.0.0", "inactive"),
    ],
)
def test_hold_is_understood_in_the_new_way_and_the_old(attributes: str, address: str, direction: str) -> None:
    session = Session.parse(
        f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n{attributes}"
    )
    assert session.direction(session.media[0]) == direction


def test_a_directions_own_line_stands_above_the_sessions() -> None:
    session = Session.parse(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\na=inactive\r\nm=audio 9 RTP/AVP 8\r\na=sendonly\r\n"
    )
    assert session.direction(session.media[0]) is Direction.SENDONLY


@given(st.sampled_from(list(Direction)), st.sampled_from(list(Direction)))
def test_limiting_a_direction_never_adds_a_flow(one: Direction, other: Direction) -> None:
    limited = one.limited_to(other)
    assert limited is other.limited_to(one)
    assert limited.limited_to(one) is limited
    assert limited.reversed is one.reversed.limited_to(other.reversed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=1\r\n",
        "hello",
        "v=0\r\nnonsense",
        "v=0\r\no=x\r\nm=audio\r\n",
        "v=0\r\no=x\r\nm=audio 99999 RTP/AVP 0\r\n",
        "v=0\r\n" + "a=x\r\n" * 500,
    ],
)
def test_what_is_not_sdp_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Session.parse(text)


@given(st.text(max_size=400))
def test_no_text_breaks_the_parser(text: str) -> None:
    for candidate in (text, "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n" + text):
        try:
            session = Session.parse(candidate)
        except ValueError:
            continue
        for media in session.media:
            session.direction(media), session.address(media), choose_crypto(media, tuple(Suite)), media.rtcp_port


TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=10)
MEDIA = st.builds(
    Media,
    st.sampled_from(["audio", "video", "image"]),
    st.integers(0, 65535),
    st.sampled_from(["RTP/AVP", "RTP/SAVP", "RTP/SAVPF", "udptl"]),
    st.lists(TOKEN, min_size=1, max_size=5).map(tuple),
    st.one_of(st.none(), st.just("IN IP4 192.0.2.9")),
    st.lists(st.builds(Attribute, TOKEN, st.one_of(st.none(), TOKEN)), max_size=5).map(tuple),
)


@given(
    st.builds(
        Session,
        st.just("- 1 2 IN IP4 192.0.2.1"),
        st.one_of(st.none(), st.just("IN IP4 192.0.2.1")),
        st.lists(st.builds(Attribute, TOKEN, st.one_of(st.none(), TOKEN)), max_size=3).map(tuple),
        st.lists(MEDIA, max_size=4).map(tuple),
    )
)
def test_what_is_written_is_read_as_the_same(session: Session) -> None:
    assert Session.parse(str(session)) == session
