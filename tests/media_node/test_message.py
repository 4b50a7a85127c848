"""Framing, unfolding and what is refused; RFC 4475's torture messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.sip.framing import MAX_BODY, MAX_HEAD, PING, Framer, FramingError, KeepAlive
from media_node.sip.headers import Request, Response
from media_node.sip.message import Malformed, datagram, parse, reply, reply_to_malformed, serialise

TORTURE = Path(__file__).parent / "torture"

REGISTER = (
    b"REGISTER sip:sip.example.nl SIP/2.0\r\n"
    b"Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bKa;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: <sip:abc234-101@sip.example.nl>;tag=x\r\n"
    b"To: <sip:abc234-101@sip.example.nl>\r\n"
    b"Call-ID: c1\r\n"
    b"CSeq: 1 REGISTER\r\n"
    b"Content-Length: 4\r\n\r\nbody"
)


def _read(name: str) -> Request | Response:
    data = (TORTURE / f"{name}.dat").read_bytes()
    return parse(datagram(data))


# esc02's CSeq names the same escaped method as its start line.
VALID = "wsinv intmeth esc01 escnull esc02 lwsdisp longreq dblreq semiuri transports mpart01 unreason noreason"


@pytest.mark.parametrize("name", VALID.split())
def test_a_torturous_but_valid_message_is_understood(name: str) -> None:
    message = _read(f"valid_{name}")
    assert message.via
    assert message.cseq.sequence >= 0
    assert message.from_address.uri
    assert message.to_address.uri


def test_folded_headers_mean_what_they_say() -> None:
    message = _read("valid_wsinv")
    assert isinstance(message, Request)
    assert message.cseq.sequence == 9
    assert message.max_forwards == 68
    assert [via.transport for via in message.via] == ["UDP", "TCP", "UDP"]
    assert message.headers["NewFangledHeader"] == "newfangled value continued newfangled value"
    assert message.contact[0].parameters["q"] == "0.33"


def test_two_messages_in_one_datagram_are_read_as_the_first() -> None:
    message = _read("valid_dblreq")
    assert isinstance(message, Request)
    assert message.method == "REGISTER"
    assert message.body == b""


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("badinv01", 400),
        ("badvers", 505),
        ("escruri", 400),
        ("ltgtruri", 400),
        ("lwsstart", 400),
        ("mismatch01", 400),
        ("multi01", 400),
        ("ncl", 400),
        ("quotbal", 400),
        ("regbadct", 400),
        ("scalar02", 400),
        ("unkscm", 416),
    ],
)
def test_an_invalid_request_is_refused_with_the_status_it_deserves(name: str, status: int) -> None:
    with pytest.raises(Malformed) as refused:
        _read(f"invalid_{name}")
    assert refused.value.status == status


def test_an_invalid_request_is_answered_when_its_headers_can_be_copied() -> None:
    with pytest.raises(Malformed) as refused:
        _read("invalid_mismatch01")
    response = reply_to_malformed(refused.value)
    assert response is not None
    assert response.code == 400
    assert response.headers["Call-ID"].startswith("mismatch01")


def test_a_response_with_an_impossible_status_is_dropped() -> None:
    with pytest.raises(Malformed):
        _read("invalid_bigcode")


@given(st.lists(st.tuples(st.binary(max_size=200), st.integers(0, 3)), min_size=1, max_size=5), st.data())
def test_a_stream_is_cut_at_the_same_places_however_it_arrives(
    bodies: list[tuple[bytes, int]], data: st.DataObject
) -> None:
    whole, expected = b"", []
    for body, pings in bodies:
        message = REGISTER.partition(b"Content-Length")[0] + b"Content-Length: %d\r\n\r\n" % len(body) + body
        whole += b"\r\n\r\n" * pings + message
        expected += [PING] * pings + [message]
    framer, rest = Framer(), whole
    found: list[bytes | KeepAlive] = []
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += framer.feed(rest[:size])
        rest = rest[size:]
    assert found == expected


@given(st.binary(min_size=1, max_size=5000))
def test_no_octets_make_framing_or_parsing_do_anything_but_refuse(data: bytes) -> None:
    try:
        frames = list(Framer().feed(data))
    except FramingError:
        return
    for frame in frames:
        if isinstance(frame, bytes):
            try:
                parse(frame)
            except Malformed:
                continue


@given(st.data())
def test_a_damaged_message_is_parsed_or_refused_but_never_breaks_anything(data: st.DataObject) -> None:
    damaged = bytearray(REGISTER)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        match data.draw(st.sampled_from(["replace", "insert", "delete"])):
            case "replace":
                damaged[at] = data.draw(st.integers(0, 255))
            case "insert":
                damaged[at:at] = data.draw(st.binary(max_size=8))
            case _:
                del damaged[at : at + data.draw(st.integers(1, 8))]
    try:
        message = parse(bytes(damaged))
    except Malformed as error:
        reply_to_malformed(error)
        return
    # What was let through can be written again without a line of the sender's making.
    for line in bytes(serialise(message)).partition(b"\r\n\r\n")[0].split(b"\r\n"):
        assert b"\r" not in line
        assert b"\n" not in line


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 10,
        b"A" * 5000,
        REGISTER.replace(b"Content-Length: 4\r\n", b""),
        REGISTER.replace(b"Content-Length: 4", b"Content-Length: -4"),
        REGISTER.replace(b"Content-Length: 4", b"Content-Length: 4\r\nl: 5"),
        REGISTER.replace(b"Content-Length: 4", b"Content-Length: %d" % (MAX_BODY + 1)),
        REGISTER.replace(b"Call-ID: c1", b"X: " + b"a" * MAX_HEAD),
    ],
)
def test_a_stream_that_cannot_be_trusted_is_given_up(data: bytes) -> None:
    with pytest.raises(FramingError):
        list(Framer().feed(data))


@pytest.mark.parametrize("smuggled", [b"c1\rEvil: 1", b"c1\nEvil: 1"])
def test_a_lone_line_end_in_a_header_is_refused(smuggled: bytes) -> None:
    with pytest.raises(Malformed, match="lone CR or LF"):
        parse(REGISTER.replace(b"c1", smuggled))


@pytest.mark.parametrize("number", [b"+" + b"1" * 15000, b"(1" * 7000])
def test_a_number_without_end_is_no_number(number: bytes) -> None:
    with pytest.raises(Malformed, match="URI is not valid"):
        parse(REGISTER.replace(b"From: <sip:abc234-101@sip.example.nl>", b"From: <tel:" + number + b"!>"))


def test_latin_1_headers_are_read() -> None:
    message = parse(REGISTER.replace(b"From: <", b'From: "Ren\xe9" <'))
    assert message.from_address.name == "René"


def test_a_reply_copies_what_it_must_and_adds_our_tag() -> None:
    request = parse(REGISTER)
    assert isinstance(request, Request)
    response = reply(request, 200, to_tag="ours")
    assert response.headers.getlist("Via") == request.headers.getlist("Via")
    assert response.headers["To"] == "<sip:abc234-101@sip.example.nl>;tag=ours"
    assert (
        reply(parse_request(REGISTER.replace(b"nl>\r\nCall", b"nl>;tag=t\r\nCall")), 200, to_tag="ours")
        .headers["To"]
        .endswith(";tag=t")
    )


def parse_request(data: bytes) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    return message
