"""What two user agents remember of each other."""

from __future__ import annotations

import pytest

from media_node.sip.dialog import Dialog, DialogId, OutOfOrder
from media_node.sip.grammar import URI, Address
from media_node.sip.headers import Request, Response
from media_node.sip.message import parse, reply

OURS = Address(URI("sip", "192.0.2.99"))


def invite(cseq: int = 1, contact: str = "<sip:101@192.0.2.1>", *routes: str) -> Request:
    lines = "".join(f"Record-Route: {route}\r\n" for route in routes) + (f"Contact: {contact}\r\n" if contact else "")
    message = parse(
        "INVITE sip:102@sip.example.nl SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKa\r\nMax-Forwards: 70\r\n"
        f"From: <sip:101@sip.example.nl>;tag=theirs\r\nTo: <sip:102@sip.example.nl>\r\nCall-ID: c\r\nCSeq: {cseq} INVITE\r\n{lines}"
        "Content-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(message, Request)
    return message


def ok(*routes: str) -> Response:
    lines = "".join(f"Record-Route: {route}\r\n" for route in routes)
    message = parse(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKa\r\nFrom: <sip:101@sip.example.nl>;tag=theirs\r\n"
        f"To: <sip:102@sip.example.nl>;tag=b\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{lines}"
        "Contact: <sip:102@192.0.2.2>\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(message, Response)
    return message


def test_the_called_side_keeps_routes_in_order_and_the_caller_in_reverse() -> None:
    routes = ("<sip:p1.example.nl;lr>", "<sip:p2.example.nl;lr>")
    assert Dialog.as_server(invite(1, "<sip:101@192.0.2.1>", *routes), "ours").routes == routes
    assert Dialog.as_client(invite(), ok(*routes)).routes == routes[::-1]


def test_a_request_of_the_called_side_turns_from_and_to_around() -> None:
    dialog = Dialog.as_server(invite(), "ours")
    assert dialog.id == DialogId("c", "ours", "theirs")
    bye = dialog.request("BYE", OURS)
    assert bye.headers["From"] == "<sip:102@sip.example.nl>;tag=ours"
    assert bye.headers["To"] == "<sip:101@sip.example.nl>;tag=theirs"
    assert str(bye.uri) == "sip:101@192.0.2.1"
    assert (bye.cseq.sequence, dialog.request("INFO", OURS).cseq.sequence) == (1, 2)


def test_an_ack_takes_the_number_of_its_invite() -> None:
    dialog = Dialog.as_client(invite(), ok())
    assert dialog.request("ACK", OURS, 1).cseq.sequence == 1
    assert dialog.request("BYE", OURS).cseq.sequence == 2


def test_an_old_request_is_out_of_order() -> None:
    dialog = Dialog.as_server(invite(5), "ours")
    dialog.receive(invite(6))
    with pytest.raises(OutOfOrder):
        dialog.receive(invite(5))


def test_a_re_invite_may_move_the_peer() -> None:
    dialog = Dialog.as_server(invite(1), "ours")
    dialog.receive(invite(2, "<sip:101@192.0.2.77>"))
    assert str(dialog.request("BYE", OURS).uri) == "sip:101@192.0.2.77"


@pytest.mark.parametrize("contact", ["", "<sip:a@192.0.2.1>, <sip:b@192.0.2.1>", "<p:a@192.0.2.1>"])
def test_a_dialog_needs_exactly_one_contact(contact: str) -> None:
    with pytest.raises(ValueError, match="Contact"):
        Dialog.as_server(invite(1, contact), "ours")


def test_a_response_that_makes_a_dialog_says_the_route_set_as_it_was_recorded() -> None:
    request = invite()
    request.headers.setlist("Record-Route", ["<sip:a.example.nl;lr>", "<sip:b.example.nl;lr>, <sip:c.example.nl;lr>"])
    for status, recorded in ((100, False), (180, True), (200, True), (486, False)):
        values = reply(request, status, to_tag="b").headers.getlist("Record-Route")
        assert values == (request.headers.getlist("Record-Route") if recorded else [])
