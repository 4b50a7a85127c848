"""The reader that judges captures of calls (tests/support/sip_sanity.py): it finds nothing in what is right, and each fault."""

from __future__ import annotations

import pytest

from tests.support.sip_sanity import Said, faults, split

OFFER = "v=0\r\no=- 7 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 20000 RTP/SAVP 8\r\n"


def message(start: str, *fields: str, body: str = "") -> str:
    more = ["Content-Type: application/sdp"] if body else []
    return "\r\n".join([start, *fields, *more, f"Content-Length: {len(body)}", "", body])


def dialog(method: str, sequence: int, branch: str, to_tag: str = "", link: str = "phone") -> list[str]:
    return [
        f"Via: SIP/2.0/TLS 192.0.2.9:5061;branch=z9hG4bK{branch}",
        "From: <sip:101@sip.example.nl>;tag=caller",
        f"To: <sip:102@sip.example.nl>{to_tag and ';tag=' + to_tag}",
        f"Call-ID: {link}",
        f"CSeq: {sequence} {method}",
    ]


def in_call() -> list[tuple[str, bool, str]]:
    """A call of a phone, which the node makes to another: text, whether the node said it, over which link."""
    contact, hops = "Contact: <sip:192.0.2.1:5061;transport=tls>", "Max-Forwards: 70"
    reliable = ["Require: 100rel", "RSeq: 9"]
    supported = "Supported: 100rel, timer"
    timer = "Session-Expires: 1800;refresher=uac"
    ours = {"link": "called"}
    return [
        (message("INVITE sip:102@x SIP/2.0", *dialog("INVITE", 1, "a"), contact, hops, supported, body=OFFER), False, "phone"),
        (message("SIP/2.0 100 Trying", *dialog("INVITE", 1, "a")), True, "phone"),
        (message("INVITE sip:b@y SIP/2.0", *dialog("INVITE", 1, "b", **ours), contact, hops, supported, timer, body=OFFER), True, "called"),
        (message("SIP/2.0 183 Progress", *dialog("INVITE", 1, "b", "b1", **ours), contact, *reliable), False, "called"),
        (message("PRACK sip:b@y SIP/2.0", *dialog("PRACK", 2, "c", "b1", **ours), hops, "RAck: 9 1 INVITE"), True, "called"),
        (message("SIP/2.0 200 OK", *dialog("PRACK", 2, "c", "b1", **ours)), False, "called"),
        (message("SIP/2.0 180 Ringing", *dialog("INVITE", 1, "a", "a1"), contact, *reliable), True, "phone"),
        (message("SIP/2.0 200 OK", *dialog("INVITE", 1, "b", "b1", **ours), contact, body=OFFER), False, "called"),
        (message("ACK sip:b@y SIP/2.0", *dialog("ACK", 1, "d", "b1", **ours), hops), True, "called"),
        (message("SIP/2.0 200 OK", *dialog("INVITE", 1, "a", "a1"), contact, supported, timer, body=OFFER), True, "phone"),
        (message("INVITE sip:b@y SIP/2.0", *dialog("INVITE", 3, "e", "b1", **ours), contact, hops,
                 body=OFFER.replace("7 1", "7 2").replace("20000", "20002")), True, "called"),
        (message("SIP/2.0 488 No", *dialog("INVITE", 3, "e", "b1", **ours)), False, "called"),
        (message("ACK sip:b@y SIP/2.0", *dialog("ACK", 3, "e", "b1", **ours), hops), True, "called"),
        (message("BYE sip:a@y SIP/2.0", *dialog("BYE", 2, "f", "a1"), hops), False, "phone"),
        (message("SIP/2.0 200 OK", *dialog("BYE", 2, "f", "a1")), True, "phone"),
    ]  # fmt: skip


def judged(call: list[tuple[str, bool, str]]) -> list[str]:
    return faults([Said(text.encode(), by_node, link) for text, by_node, link in call])


def test_what_is_right_has_no_fault() -> None:
    assert judged(in_call()) == []


@pytest.mark.parametrize(
    ("number", "before", "after", "found"),
    [
        (1, "SIP/2.0 100", "SIP/2.0 99", "start line"),
        (2, "z9hG4bKb", "b", "a Via without a branch"),
        (2, "Max-Forwards: 70", "Max-Forwards: 71", "Max-Forwards"),
        (2, "Max-Forwards: 70\r\n", "", "Max-Forwards"),
        (2, "Contact: <sip:192.0.2.1:5061;transport=tls>\r\n", "", "no Contact"),
        (2, ";tag=caller", "", "a From without a tag"),
        (2, "CSeq: 1 INVITE", "CSeq: 1 BYE", "another method"),
        (2, "100rel, timer", "100rel", "Supported: timer"),
        (2, "Content-Type: application/sdp\r\n", "", "a body without a type"),
        (2, f"Content-Length: {len(OFFER)}", "Content-Length: 3", "octets"),
        (2, "Max-Forwards: 70", "Max Forwards: 70", "without a name"),
        (4, "RAck: 9 1", "RAck: 8 1", "RFC 3262 section 4"),
        (4, "RAck: 9 1 INVITE\r\n", "", "no RAck"),
        (4, "z9hG4bKc", "z9hG4bKb", "used before"),
        (4, ";tag=b1", "", "without its tag"),
        (4, "CSeq: 2", "CSeq: 1", "not above"),
        (6, "RSeq: 9\r\n", "", "without an RSeq"),
        (6, ";tag=a1", "", "no tag in the To"),
        (6, "Contact: <sip:192.0.2.1:5061;transport=tls>\r\n", "", "early dialog without a Contact"),
        (6, "Require: 100rel", "Require: precondition", "requires precondition"),
        (8, "CSeq: 1 ACK", "CSeq: 2 ACK", "no INVITE has this number"),
        (8, "CSeq: 1 ACK", "CSeq: 2 ACK", "was not acknowledged"),
        (9, "CSeq: 1 INVITE", "CSeq: 2 INVITE", "answers nothing"),
        (9, ";tag=caller", ";tag=other", "another From"),
        (9, ";refresher=uac", "", "without its refresher"),
        (10, "o=- 7 2", "o=- 7 3", "version"),
        (10, "m=audio", "a=audio", "m-lines"),
        (14, ";tag=a1", ";tag=a2", "another tag than the dialog's"),
        (14, "SIP/2.0 200 OK", "SIP/2.0 420 Bad Extension", "no unsupported"),
        (14, "Via: ", "Via: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKx\r\nVia: ", "answers nothing"),
        (14, "CSeq: 2 BYE", "CSeq: 3 BYE", "answers nothing"),
    ],
)
def test_each_fault_is_found(number: int, before: str, after: str, found: str) -> None:
    call = in_call()
    text, by_node, link = call[number]
    assert before in text
    call[number] = (text.replace(before, after), by_node, link)
    assert any(found in fault for fault in judged(call)), judged(call)


def test_a_request_that_nobody_answers_is_found() -> None:
    call = in_call()
    assert any("was not answered" in fault for fault in judged(call[:-1]))


def test_two_answers_to_one_request_are_found() -> None:
    call = in_call()
    text, by_node, link = call[-1]
    assert any(
        "answered with [200, 481]" in fault
        for fault in judged([*call, (text.replace("200 OK", "481 No"), by_node, link)])
    )


def test_a_caller_without_session_timers_is_not_to_refresh() -> None:
    call = [(text.replace("Supported: 100rel, timer", "Supported: 100rel") if not number else text, by_node, link)
            for number, (text, by_node, link) in enumerate(in_call())]  # fmt: skip
    assert any("knows no session timers" in fault for fault in judged(call))


def test_a_stream_is_split_into_its_messages_and_keep_alives() -> None:
    first, second = (text.encode() for text, _, _ in in_call()[:2])
    assert list(split(b"\r\n\r\n" + first + b"\r\n" + second + b"\r\n\r\n")) == [first, second]
    assert list(split(first[:-4])) == [first[:-4]]
