"""What a request asks that cannot be given, told before anybody looks further (RFC 3261 section 8.2.2.3 and 8.2.3). Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from media_node.sip.grammar import media_type, tokens
from media_node.sip.headers import Request

SDP: Final = "application/sdp"
_OFFERS: Final = frozenset({"INVITE", "UPDATE", "PRACK"})
_ANY_SDP: Final = frozenset({SDP, "application/*", "*/*"})


@dataclass(frozen=True)
class Refusal:
    """A final response: its status, the text of its Warning, and further header fields."""

    status: int
    reason: str
    headers: dict[str, str] = field(default_factory=dict)


def refusal(request: Request, supported: Collection[str]) -> Refusal | None:
    """Why a request cannot be served as it asks, or None. `supported` are option tags (section 19.2) in lower case."""
    # An ACK and a CANCEL cannot be refused for what they require (section 8.2.2.3).
    if request.method in ("ACK", "CANCEL"):
        return None
    unsupported = [option for option in request.require if option.lower() not in supported]
    if unsupported:
        return Refusal(420, "an extension is required that is not known here", {"Unsupported": ", ".join(unsupported)})
    if request.method in _OFFERS:
        return _body_refusal(request) or _answer_refusal(request)
    return None


def _body_refusal(request: Request) -> Refusal | None:
    if not request.body:
        return None
    encodings = [each.lower() for each in tokens(request.headers.getlist("Content-Encoding"))]
    if any(encoding != "identity" for encoding in encodings):
        return Refusal(415, "a body is read only as it is", {"Accept-Encoding": "identity"})
    try:
        kind = media_type(request.headers.get("Content-Type") or SDP)
    except ValueError:
        return Refusal(400, "Content-Type is not valid")
    if kind != SDP and not kind.startswith("multipart/"):
        return Refusal(415, "only SDP is understood", {"Accept": SDP})
    return None


def _answer_refusal(request: Request) -> Refusal | None:
    """Section 20.1: without the field SDP may be answered; with it, only what it names (RFC 4475 section 3.3.15)."""
    values = request.headers.getlist("Accept")
    if not values:
        return None
    accepted = {each.partition(";")[0].strip(" \t").lower() for each in tokens(values)}
    return None if accepted & _ANY_SDP else Refusal(406, "an answer is SDP, which is not accepted")
