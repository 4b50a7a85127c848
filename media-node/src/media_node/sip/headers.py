"""Header fields by name in constant time, and messages that read each of their values once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar

import sipmessage
from sipmessage.message import COMPACT_FORMS

from media_node.sip.grammar import URI, Address, CSeq, Via, is_token, tokens

T = TypeVar("T")
_NO_VALUES: Final[list[str]] = []
_COPIED: Final = (
    *(("via", "Via", None), ("from", "From", 1), ("to", "To", 1)),
    *(("call-id", "Call-ID", 1), ("cseq", "CSeq", 1), ("timestamp", "Timestamp", 1)),
)
"""What a response has of its request (RFC 3261 section 8.2.6.2), and how many values of it."""
_SHORT: Final = 64
_REMEMBERED: Final = 1024
_COMPACT: Final = {short: name.lower() for short, name in COMPACT_FORMS.items()}


class _Keys(dict[str, str]):
    """What fields are found by: their long names in lower case."""

    def __missing__(self, name: str) -> str:
        key = _names(name)[0]
        if len(self) < _REMEMBERED and len(name) <= _SHORT:
            self[name] = key
        return key


_KEYS: Final = _Keys()


@lru_cache(maxsize=_REMEMBERED)
def _short_names(name: str) -> tuple[str, str, bool]:
    """What a field is found by, its name as it is written, and whether that is a token (RFC 3261 section 25.1)."""
    return _names(name)


def _names(name: str) -> tuple[str, str, bool]:
    bare = name.rstrip(" \t")
    lower = bare.lower()
    return _COMPACT.get(lower, lower), COMPACT_FORMS.get(lower, bare), is_token(bare)


class Headers(sipmessage.Headers):
    """Header fields in the order they were first written.

    Names are compared without regard to case; compact forms are their long ones.
    """

    def __init__(self) -> None:
        self._fields: dict[str, tuple[str, list[str]]] = {}
        self._parsed: dict[str, Any] = {}
        """What the values of a field were read as, until they change."""
        self.repeated: list[str] = []
        """The names, in lower case, of fields that were received more than once."""

    def read(self, lines: list[str]) -> bool:
        """Adds fields as they were received; False at a line without the name of a field before its colon."""
        fields = self._fields
        for line in lines:
            name, colon, value = line.partition(":")
            key, shown, valid = _short_names(name) if len(name) <= _SHORT else _names(name)
            if not colon or not valid:
                if line:
                    return False
                continue
            found = fields.get(key)
            if found is None:
                fields[key] = (shown, [value.strip(" \t")])
            else:
                found[1].append(value.strip(" \t"))
                self.repeated.append(key)
        return True

    def add(self, key: str, value: str) -> None:
        """Adds a value after those that stand there."""
        lower = _KEYS[key]
        self._parsed.pop(lower, None)
        found = self._fields.get(lower)
        if found is None:
            self._fields[lower] = (COMPACT_FORMS.get(key.lower(), key), [value])
        else:
            found[1].append(value)

    def copy_from(self, request: Headers) -> None:
        """Takes over what a response has of its request."""
        for key, name, number in _COPIED:
            if (found := request._fields.get(key)) is not None:
                self._fields[key] = (name, found[1][:number])
                if (parsed := request._parsed.get(key)) is not None:
                    self._parsed[key] = parsed

    def get(self, key: str, default: str | None = None) -> str | None:
        """The first value, or `default`."""
        found = self._fields.get(_KEYS[key])
        return found[1][0] if found else default

    def getlist(self, key: str) -> list[str]:
        """All values; not to be changed."""
        found = self._fields.get(_KEYS[key])
        return found[1] if found else _NO_VALUES

    def keys(self) -> list[str]:
        """The names as they were first written."""
        return [name for name, _ in self._fields.values()]

    def remove(self, key: str) -> None:
        """Takes a field out; none to be found is no error."""
        self.setlist(key, [])

    def set(self, key: str, value: str) -> None:
        """One value in place of all."""
        lower = _KEYS[key]
        self._parsed.pop(lower, None)
        found = self._fields.get(lower)
        self._fields[lower] = (found[0] if found else key, [value])

    def setlist(self, key: str, values: list[str]) -> None:
        """These values in place of all; none takes the field out."""
        lower = _KEYS[key]
        self._parsed.pop(lower, None)
        if not values:
            self._fields.pop(lower, None)
            return
        found = self._fields.get(lower)
        self._fields[lower] = (found[0] if found else key, values)

    def __getitem__(self, key: str) -> str:
        return self._fields[_KEYS[key]][1][0]

    def __contains__(self, key: str) -> bool:
        return _KEYS[key] in self._fields

    def __str__(self) -> str:
        lines = [f"{name}: {value}\r\n" for name, values in self._fields.values() for value in values]
        lines.append("\r\n")
        return "".join(lines)


class _Message:
    """What requests and responses share.

    A value is parsed when it is first asked for, and again only when its field has changed.
    """

    def __init__(self, body: bytes, headers: Headers | None) -> None:
        self.headers = Headers() if headers is None else headers
        self.body = body

    def once(self, key: str, read: Callable[[list[str]], T]) -> T:
        """What `read` makes of the values of a field, by its name in lower case; asked again only when they have changed."""
        headers = self.headers
        if key in headers._parsed:
            return headers._parsed[key]  # type: ignore[no-any-return]
        found = headers._fields.get(key)
        value = headers._parsed[key] = read(found[1] if found else _NO_VALUES)
        return value

    def _write(self, name: str, key: str, values: list[str], value: object) -> None:
        headers = self.headers
        found = headers._fields.get(key)
        if values:
            headers._fields[key] = (found[0] if found else name, values)
        elif found:
            del headers._fields[key]
        headers._parsed[key] = value

    @property
    def via(self) -> list[Via]:
        """The hops, the last one taken first. Raises ValueError."""
        return self.headers._parsed.get("via") or self.once("via", _vias)

    @via.setter
    def via(self, value: list[Via]) -> None:
        self._write("Via", "via", [str(hop) for hop in value], value)

    @property
    def from_address(self) -> Address:
        """Raises KeyError without one, ValueError for one that cannot be read."""
        return self.headers._parsed.get("from") or self.once("from", _address)

    @from_address.setter
    def from_address(self, value: Address) -> None:
        self._write("From", "from", [str(value)], value)

    @property
    def to_address(self) -> Address:
        """Raises KeyError without one, ValueError for one that cannot be read."""
        return self.headers._parsed.get("to") or self.once("to", _address)

    @to_address.setter
    def to_address(self, value: Address) -> None:
        self._write("To", "to", [str(value)], value)

    @property
    def cseq(self) -> CSeq:
        """Raises KeyError without one, ValueError for one that cannot be read."""
        return self.headers._parsed.get("cseq") or self.once("cseq", _cseq)

    @cseq.setter
    def cseq(self, value: CSeq) -> None:
        self._write("CSeq", "cseq", [str(value)], value)

    @property
    def contact(self) -> list[Address]:
        """Raises ValueError for `*` too, which is no address."""
        return self.once("contact", _addresses)

    @contact.setter
    def contact(self, value: list[Address]) -> None:
        self._write("Contact", "contact", [str(each) for each in value], value)

    @property
    def route(self) -> list[Address]:
        """Raises ValueError."""
        return self.once("route", _addresses)

    @route.setter
    def route(self, value: list[Address]) -> None:
        self._write("Route", "route", [str(each) for each in value], value)

    @property
    def record_route(self) -> list[Address]:
        """Raises ValueError."""
        return self.once("record-route", _addresses)

    @record_route.setter
    def record_route(self, value: list[Address]) -> None:
        self._write("Record-Route", "record-route", [str(each) for each in value], value)

    @property
    def call_id(self) -> str:
        """Raises KeyError without one."""
        return self.headers["Call-ID"]

    @property
    def require(self) -> list[str]:
        """The option tags of Require."""
        values = self.headers.getlist("Require")
        return tokens(values) if values else []

    @property
    def supported(self) -> list[str]:
        """The option tags of Supported."""
        return tokens(self.headers.getlist("Supported"))

    @property
    def max_forwards(self) -> int | None:
        """None without the field."""
        return self._number("Max-Forwards")

    @property
    def expires(self) -> int | None:
        """Seconds, None without the field."""
        return self._number("Expires")

    @property
    def user_agent(self) -> str | None:
        """None without the field."""
        return self.headers.get("User-Agent")

    def _number(self, name: str) -> int | None:
        value = self.headers.get(name)
        return None if value is None else int(value)


class Request(_Message):
    """A SIP request (RFC 3261 section 7.1)."""

    def __init__(self, method: str, uri: URI, body: bytes = b"", headers: Headers | None = None) -> None:
        super().__init__(body, headers)
        self.method = method
        self.uri = uri

    def __bytes__(self) -> bytes:
        return f"{self.method} {self.uri} SIP/2.0\r\n{self.headers}".encode() + self.body


class Response(_Message):
    """A SIP response (RFC 3261 section 7.2)."""

    def __init__(self, code: int, phrase: str, body: bytes = b"", headers: Headers | None = None) -> None:
        super().__init__(body, headers)
        self.code = code
        self.phrase = phrase

    def __bytes__(self) -> bytes:
        return f"SIP/2.0 {self.code} {self.phrase}\r\n{self.headers}".encode() + self.body


def _vias(values: list[str]) -> list[Via]:
    if len(values) == 1:
        return Via.parse_many(values[0])
    return [hop for value in values for hop in Via.parse_many(value)]


def _addresses(values: list[str]) -> list[Address]:
    if len(values) == 1:
        return Address.parse_many(values[0])
    return [address for value in values for address in Address.parse_many(value)]


def _address(values: list[str]) -> Address:
    if not values:
        raise KeyError("the header field is missing")
    return Address.parse(values[0])


def _cseq(values: list[str]) -> CSeq:
    if not values:
        raise KeyError("CSeq")
    return CSeq.parse(values[0])
