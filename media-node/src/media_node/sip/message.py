"""SIP messages: read whole from their octets, checked as section 8.1.1 of RFC 3261 asks, answered and written.

sip/framing.py says where a message ends, sip/grammar.py reads its values. Here headers are unfolded (section 7.3.1) and decoded, and what
could smuggle a header into a copied message is refused.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from functools import partial
from typing import Final

from media_node.sip.framing import END, MAX_BODY, MAX_HEAD, FramingError, content_length, has_length
from media_node.sip.grammar import URI, Address
from media_node.sip.headers import Headers, Request, Response
from media_node.sip.phrases import PHRASES

_REQUEST_LINE: Final = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]++) ([^ \t]++) SIP/([0-9]{1,9}\.[0-9]{1,9})")
_STATUS_LINE: Final = re.compile(r"SIP/2\.0 ([1-6][0-9]{2}) (.*+)", re.DOTALL)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*+")
_SINGLE: Final = frozenset(
    ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type", "expires")
)
METHODS: Final = frozenset(
    (
        *("ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY"),
        *("OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE"),
    )
)
"""The methods that are known (RFC 3261 and its extensions), whether or not they are served."""


class Malformed(ValueError):
    """A framed message that is not valid SIP. `status` is what a request deserves; `headers` is what could be read of it.

    `response` tells that it is (or pretends to be) a response, which is never answered.
    """

    def __init__(self, status: int, reason: str, headers: Headers | None = None, *, response: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers
        self.response = response


def datagram(data: bytes) -> bytes:
    """The message in one datagram: octets past Content-Length are cut off (section 18.3). Raises Malformed when it is incomplete."""
    end = data.find(END)
    if end < 0 or len(data) > MAX_HEAD + MAX_BODY:
        raise Malformed(400, "no end of headers", response=data.startswith(b"SIP/"))
    head = data[: end + 2]
    if not has_length(head):
        return data
    try:
        total = end + 4 + content_length(head)
    except FramingError as error:
        raise unframed(error) from error
    if len(data) < total:
        raise unframed(FramingError("the datagram is shorter than its Content-Length", head))
    return data[:total]


def unframed(error: FramingError) -> Malformed:
    """What is wrong with the message at which framing ended, to be answered like any other."""
    try:
        start, *lines = _unfold(error.head)
        return Malformed(400, str(error), _read(lines), response=start.startswith("SIP/"))
    except Malformed:
        return Malformed(400, str(error), response=error.head.startswith(b"SIP/"))


def parse(data: bytes) -> Request | Response:
    """One framed message. Raises Malformed with the status a request deserves."""
    raw, separator, body = data.partition(END)
    response = data.startswith(b"SIP/")
    if not separator:
        raise Malformed(400, "no end of headers", response=response)
    headers: Headers | None = None
    try:
        start, *lines = _unfold(raw)
        headers = _read(lines)
        message = _response(start, headers, body) if response else _request(start, headers, body)
        _check(message)
    except Malformed as error:
        raise Malformed(error.status, error.reason, headers or error.headers, response=response) from error
    except KeyError as error:
        raise Malformed(400, "From, To, Call-ID or CSeq is missing", headers, response=response) from error
    except ValueError as error:
        raise Malformed(400, str(error), headers, response=response) from error
    return message


def _unfold(head: bytes) -> list[str]:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        text = head.decode("latin-1")
    lines = text.split("\r\n")
    ends = len(lines) - 1
    if text.count("\r") != ends or text.count("\n") != ends:
        # A lone CR or LF is a line end to some peers: copied into another message it would start a header of the sender's choosing.
        raise Malformed(400, "a lone CR or LF in a header")
    if "\r\n " not in text and "\r\n\t" not in text:
        return lines
    unfolded: list[list[str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and unfolded:
            unfolded[-1].append(line.strip(" \t"))
        else:
            unfolded.append([line.rstrip(" \t")])
    return [" ".join(parts) for parts in unfolded]


def _read(lines: list[str]) -> Headers:
    headers = Headers()
    if not headers.read(lines):
        raise Malformed(400, "a header line without a name", headers)
    return headers


def _response(start: str, headers: Headers, body: bytes) -> Response:
    line = _STATUS_LINE.fullmatch(start)
    if line is None:
        raise Malformed(400, "not a status line of SIP/2.0")
    return Response(int(line[1]), line[2], body, headers)


def _request(start: str, headers: Headers, body: bytes) -> Request:
    line = _REQUEST_LINE.fullmatch(start)
    if line is None:
        raise Malformed(400, "the start line is neither a request nor a status line")
    if line[3] != "2.0":
        raise Malformed(505, "only SIP/2.0 is spoken here")
    scheme = line[2].partition(":")[0]
    if scheme.lower() not in ("sip", "sips", "tel", "urn"):
        status = 416 if _SCHEME.fullmatch(scheme) else 400
        raise Malformed(status, "the Request-URI is not a SIP or telephone URI")
    uri = URI.parse(line[2])
    if uri.headers:
        raise Malformed(400, "a Request-URI carries no headers")  # section 19.1.1, table 1
    return Request(line[1], uri, body, headers)


def _is_number(text: str) -> bool:
    """Whether `text` is a number of at most ten digits."""
    return len(text) <= 10 and text.isascii() and text.isdigit()


def _check(message: Request | Response) -> None:
    """Raises KeyError for a field that is missing, ValueError or Malformed for one that is wrong."""
    headers = message.headers
    for name in headers.repeated:
        if name in _SINGLE:
            raise ValueError(f"{name} stands more than once")
    for name in ("Max-Forwards", "Content-Length", "Expires"):
        value = headers.get(name)
        if value is not None and not _is_number(value):
            if name != "Expires":  # a preposterous lifetime is only bounded (RFC 4475 section 3.1.2.4)
                raise ValueError(f"{name} is not a number")
            headers.remove(name)
    if not message.via:
        raise ValueError("Via is missing")
    if not headers["Call-ID"]:
        raise ValueError("Call-ID is empty")
    tag(message.from_address), tag(message.to_address)
    cseq = message.cseq
    if cseq.sequence >= 2**31:
        raise ValueError("CSeq is out of range")
    if isinstance(message, Request):
        _check_request(message, cseq.method)


def _check_request(request: Request, cseq_method: str) -> None:
    if cseq_method != request.method:
        # RFC 4475 section 3.1.2.18: a method that nobody knows is better told so.
        raise Malformed(400 if request.method in METHODS else 501, "CSeq names another method")
    if (hops := request.max_forwards) is not None and hops > 255:
        raise ValueError("Max-Forwards is out of range")
    if request.method == "REGISTER" and request.to_address.uri.scheme not in ("sip", "sips"):
        raise ValueError("an address of record is a SIP URI")  # RFC 4475 section 3.3.4
    if request.method == "INVITE" or request.headers.get("Contact") not in (None, "*"):
        _ = request.contact


def tag(address: Address) -> str:
    """The tag parameter of a From or To, empty when there is none. Raises ValueError for a tag without a value."""
    value: str | None = address.parameters.get("tag", "")
    if not value and "tag" in address.parameters:
        raise ValueError("tag has no value")
    return value or ""


def _tokens() -> Iterator[str]:
    while True:
        octets = secrets.token_hex(2048)
        yield from (octets[position : position + 16] for position in range(0, len(octets), 16))


token: Final = partial(next, _tokens())
"""Eight random octets in hexadecimal, for tags, branches and Call-IDs, which all may see. The system is asked for many at a time."""


def reply(request: Request, status: int, phrase: str = "", *, to_tag: str = "") -> Response:
    """A response to `request` with the headers section 8.2.6.2 copies; `to_tag` is added where To has no tag yet."""
    return _reply(request.headers, status, phrase, to_tag)


def reply_to_malformed(error: Malformed) -> Response | None:
    """The response to a request that could not be parsed, with as much as could be read of it to copy.

    None when there is no Via to send it by, for an ACK, and for a response, which is never answered (section 8.1.3).
    """
    headers = error.headers
    if error.response or headers is None or not headers.get("Via"):
        return None
    if (headers.get("CSeq") or "").upper().endswith("ACK"):
        return None
    response = _reply(headers, error.status, "", token())
    response.headers.set("Warning", warning(error.reason))
    return response


def _reply(headers: Headers, status: int, phrase: str, to_tag: str) -> Response:
    response = Response(status, phrase or PHRASES.get(status, "Unknown"))
    ours = response.headers
    ours.copy_from(headers)
    if 100 < status < 300 and (recorded := headers.getlist("Record-Route")):
        ours.setlist("Record-Route", list(recorded))  # what makes a dialog says its route set (section 12.1.1)
    if to_tag and (to := ours.get("To")) and not _has_tag(to):
        ours.set("To", f"{to};tag={to_tag}")
    return response


def _has_tag(value: str) -> bool:
    rest = value.rpartition(">")[2]
    if not rest:
        return False
    parameters = rest.split(";")[1:]
    return any(parameter.partition("=")[0].strip(" \t").lower() == "tag" for parameter in parameters)


def warning(text: str) -> str:
    """A Warning header's value: 399 says that the text is for a person (section 20.43)."""
    return f'399 media-node "{_plain(text)}"'


def reason(cause: int, text: str) -> str:
    """A Reason header's value with a SIP status as its cause (RFC 3326)."""
    return f'SIP;cause={cause};text="{_plain(text)}"'


def _plain(text: str) -> str:
    """Text fit for a quoted string: some of it may be what a peer wrote."""
    return "".join(" " if character in '"\\' or not character.isprintable() else character for character in text)


def serialise(message: Request | Response) -> bytes:
    """The message as it goes on the wire, with its Content-Length."""
    message.headers.set("Content-Length", str(len(message.body)))
    return bytes(message)
