"""What a request asks that cannot be given."""

from __future__ import annotations

import pytest

from media_node.sip.grammar import URI
from media_node.sip.headers import Request
from media_node.sip.screening import refusal


def request(method: str = "INVITE", body: bytes = b"v=0", **headers: str) -> Request:
    made = Request(method, URI("sip", "example.nl"), body)
    for name, value in headers.items():
        made.headers.set(name.replace("_", "-"), value)
    return made


@pytest.mark.parametrize(
    ("asked", "status", "headers"),
    [
        (request(Require="timer, nothing, Path"), 420, {"Unsupported": "nothing"}),
        (request("REFER", Require="x"), 420, {"Unsupported": "x"}),
        (request(Content_Type="application/unknown"), 415, {"Accept": "application/sdp"}),
        (request(Content_Encoding="gzip", Content_Type="application/sdp"), 415, {"Accept-Encoding": "identity"}),
        (request(Content_Type="sdp"), 400, {}),
        (request(Accept="text/plain, image/png"), 406, {}),
    ],
)
def test_what_cannot_be_given_is_told(asked: Request, status: int, headers: dict[str, str]) -> None:
    refused = refusal(asked, {"timer", "path"})
    assert refused is not None
    assert (refused.status, refused.headers) == (status, headers)


@pytest.mark.parametrize(
    "asked",
    [
        request(Content_Type="application/sdp"),
        request(Content_Type="Application/SDP;charset=utf-8", Accept="text/plain, application/SDP;q=0.5"),
        request(Content_Type="multipart/mixed;boundary=x", Accept="application/*"),
        request(Accept="*/*", Content_Encoding="identity"),
        request(body=b"", Content_Type="text/plain"),
        request("MESSAGE", Content_Type="text/plain", Accept="text/plain"),
        request("ACK", Require="x"),
        request("CANCEL", Require="x"),
        request(Require=""),
    ],
)
def test_what_can_be_given_is_not_refused(asked: Request) -> None:
    assert refusal(asked, ()) is None
