"""SIP messages on a wire: where one ends (RFC 3261 section 18.3), and what sipmessage cannot read by itself.

sipmessage parses the values. This module frames a byte stream, unfolds headers (section 7.3.1), decodes Latin-1,
refuses what could smuggle a header into a copied message, and checks the header fields every request must have (section
8.1.1).
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from sipmessage import Address, Headers, Message, Request, Response
from sipmessage.message import COMPACT_FORMS

MAX_HEAD: Final = 16 * 1024
"""Octets of start line and headers together. The longest torture message (RFC 4475, longreq) has some 3 KiB."""
MAX_BODY: Final = 64 * 1024
MAX_START_LINE: Final = 2 * 1024

_CRLF: Final = b"\r\n"
_END: Final = b"\r\n\r\n"
_FOLD: Final = re.compile(r"[ \t]*\r\n[ \t]+")
_LENGTH: Final = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_LONG_NUMBER: Final = re.compile(r"tel:[^;>,\s]{65}")
"""No number is this long, and sipmessage's pattern for one takes seconds over a header full of digits."""
_COMMA: Final = re.compile(r"[ \t]*,[ \t]*")
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_REQUEST_LINE: Final = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]+) (\S+) SIP/(\d+\.\d+)")
_STATUS_LINE: Final = re.compile(r"SIP/2\.0 ([1-6][0-9]{2}) (.*)", re.DOTALL)
_SINGLE: Final = ("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type", "Expires")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")

PHRASES: Final = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    423: "Interval Too Brief",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    603: "Decline",
}


class FramingError(ValueError):
    """The stream is not SIP, or a message passes a limit: what follows cannot be trusted, so the connection has to
    close.
    """


class Malformed(ValueError):
    """A framed message that is not valid SIP.

    `status` is what a request deserves; `headers` is what could be read of it.
    """

    def __init__(self, status: int, reason: str, headers: Headers | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


class KeepAlive(Enum):
    """The double CRLF of RFC 5626 section 4.4.1, to be answered with a single one."""

    PING = b"\r\n\r\n"


PING: Final = KeepAlive.PING
PONG: Final = _CRLF


class Framer:
    """Cuts a byte stream into messages by Content-Length. `feed` raises FramingError once and for all."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes | KeepAlive]:
        """The complete messages and keep-alives that `data` finishes, in order."""
        self._buffer += data
        frames: list[bytes | KeepAlive] = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> bytes | KeepAlive | None:
        buffer = self._buffer
        while True:
            if buffer.startswith(_END):
                del buffer[:4]
                return PING
            if _END.startswith(buffer):
                return None  # nothing, or the beginning of a keep-alive
            if not buffer.startswith(_CRLF):
                break
            del buffer[:2]
        self._look_at_start_line()
        end = buffer.find(_END, 0, MAX_HEAD)
        if end < 0:
            if len(buffer) >= MAX_HEAD:
                raise FramingError(f"headers exceed {MAX_HEAD} octets")
            return None
        total = end + 4 + content_length(bytes(buffer[: end + 2]))
        if len(buffer) < total:
            return None
        frame = bytes(buffer[:total])
        del buffer[:total]
        return frame

    def _look_at_start_line(self) -> None:
        """Garbage is told from SIP by its first line, before a whole head of it has been collected."""
        end = self._buffer.find(_CRLF, 0, MAX_START_LINE)
        if end < 0:
            if len(self._buffer) >= MAX_START_LINE or not 0x21 <= self._buffer[0] <= 0x7E:
                raise FramingError("no SIP start line")
        elif b"SIP/" not in self._buffer[:end]:
            raise FramingError("no SIP start line")


def content_length(head: bytes) -> int:
    """The Content-Length of a head.

    Raises FramingError when it is absent, repeated with another value, or out of bounds.
    """
    values = set(_LENGTH.findall(re.sub(rb"\r\n[ \t]+", b" ", head)))
    if len(values) != 1:
        raise FramingError("a stream needs exactly one Content-Length")
    value = values.pop()
    if not re.fullmatch(rb"[0-9]{1,9}", value):
        raise FramingError("Content-Length is not a number of octets")
    if int(value) > MAX_BODY:
        raise FramingError(f"body exceeds {MAX_BODY} octets")
    return int(value)


def datagram(data: bytes) -> bytes:
    """The message in one datagram: octets past Content-Length are cut off (section 18.3). Raises Malformed when it is
    incomplete.
    """
    end = data.find(_END)
    if end < 0 or len(data) > MAX_HEAD + MAX_BODY:
        raise Malformed(400, "no end of headers")
    if not _LENGTH.search(data[: end + 2]):
        return data
    try:
        total = end + 4 + content_length(data[: end + 2])
    except FramingError as error:
        raise Malformed(400, str(error), _headers(data)) from error
    if len(data) < total:
        raise Malformed(400, "the datagram is shorter than its Content-Length", _headers(data))
    return data[:total]


def parse(data: bytes) -> Request | Response:
    """One framed message as sipmessage's Request or Response. Raises Malformed with the status a request deserves."""
    raw, separator, body = data.partition(_END)
    if not separator:
        raise Malformed(400, "no end of headers")
    start, *lines = _unfold(raw)
    headers = _read(lines)
    _check_start(start, headers)
    head = f"{start}\r\n{headers}".encode()  # str(Headers) brings the empty line with it
    try:
        message = Message.parse(head + body)
    except ValueError as error:
        raise Malformed(400, str(error), headers) from error
    _check(message)
    return message


def _unfold(head: bytes) -> list[str]:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        text = head.decode("latin-1")
    lines = _FOLD.sub(" ", text).split("\r\n")
    if any("\r" in line or "\n" in line for line in lines):
        # A lone CR or LF is a line end to some peers: copied into another message it would start a header of the
        # sender's choosing.
        raise Malformed(400, "a lone CR or LF in a header")
    if any(_LONG_NUMBER.search(line) for line in lines):
        raise Malformed(400, "a telephone number without end")
    return lines


def _read(lines: list[str]) -> Headers:
    headers = Headers()
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if not colon or not _TOKEN.fullmatch(name):
            raise Malformed(400, "a header line without a name", headers)
        name = COMPACT_FORMS.get(name.lower(), name)
        value = value.strip(" \t")
        if name.lower() == "via":
            value = _COMMA.sub(", ", value)  # sipmessage knows no space before a comma
        headers.add(name, value)
    return headers


def _headers(data: bytes) -> Headers | None:
    try:
        return _read(_unfold(data.partition(_END)[0])[1:])
    except Malformed:
        return None


def _check_start(start: str, headers: Headers) -> None:
    if _STATUS_LINE.fullmatch(start):
        return
    line = _REQUEST_LINE.fullmatch(start)
    if line is None:
        raise Malformed(400, "the start line is neither a request nor a status line", headers)
    if line[3] != "2.0":
        raise Malformed(505, "only SIP/2.0 is spoken here", headers)
    scheme = line[2].partition(":")[0].lower()
    if scheme not in ("sip", "sips", "tel"):
        status = 416 if re.fullmatch(r"[a-z][a-z0-9+.\-]*", scheme) else 400
        raise Malformed(status, "the Request-URI is not a SIP or telephone URI", headers)


def _check(message: Request | Response) -> None:
    headers = message.headers
    try:
        for name in _SINGLE:
            if len(headers.getlist(name)) > 1:
                raise ValueError(f"{name} stands more than once")
        for name in ("Max-Forwards", "Content-Length", "Expires"):
            value = headers.get(name)
            if value is not None and not _NUMBER.fullmatch(value):
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
            if cseq.method != message.method:
                raise ValueError("CSeq names another method")
            if (hops := message.max_forwards) is not None and hops > 255:
                raise ValueError("Max-Forwards is out of range")
            if message.method == "INVITE" or headers.get("Contact") not in (None, "*"):
                _ = message.contact
    except KeyError as error:
        raise Malformed(400, "From, To, Call-ID or CSeq is missing", headers) from error
    except ValueError as error:
        raise Malformed(400, str(error), headers) from error


def tag(address: Address) -> str:
    """The tag parameter of a From or To, empty when there is none. Raises ValueError for a tag without a value."""
    value: str | None = address.parameters.get("tag", "")
    if value is None:
        raise ValueError("tag has no value")
    return value


def reply(request: Request, status: int, phrase: str = "", *, to_tag: str = "") -> Response:
    """A response to `request` with the headers section 8.2.6.2 copies; `to_tag` is added where To has no tag yet."""
    return _reply(request.headers, status, phrase, to_tag)


def reply_to_malformed(error: Malformed) -> Response | None:
    """The response to a request that could not be parsed, or None when too little of it could be read (or it was a
    response).
    """
    headers = error.headers
    if headers is None or not all(headers.get(name) for name in ("Via", "From", "To", "Call-ID", "CSeq")):
        return None
    if headers["CSeq"].upper().endswith("ACK"):
        return None
    return _reply(headers, error.status, "", "")


def _reply(headers: Headers, status: int, phrase: str, to_tag: str) -> Response:
    response = Response(status, phrase or PHRASES.get(status, "Unknown"))
    response.headers.setlist("Via", list(headers.getlist("Via")))
    for name in ("From", "To", "Call-ID", "CSeq"):
        response.headers.set(name, headers[name])
    if to_tag and not re.search(r";\s*tag\s*=", response.headers["To"].rpartition(">")[2], re.IGNORECASE):
        response.headers.set("To", f"{response.headers['To']};tag={to_tag}")
    for timestamp in headers.getlist("Timestamp"):
        response.headers.set("Timestamp", timestamp)
    return response


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
