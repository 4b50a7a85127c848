"""Values of SIP header fields (RFC 3261 sections 19 and 25) read from left to right, in time linear in their length.

The classes are sipmessage's; its `parse` methods are mended here and nowhere else (docs/sipmessage.md says what and why). Every
expression uses possessive repetition only, so that none can go back: tests/media_node/test_grammar.py proves it of each of them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final, TypeVar
from urllib.parse import quote, unquote

import sipmessage

_SPACE: Final = re.compile(r"[ \t]*+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]++")
_QUOTED: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_PARAMETER: Final = re.compile(
    r"[ \t]*+;[ \t]*+([A-Za-z0-9\-.!%*_+`'~]++)"
    r"""(?:[ \t]*+=[ \t]*+(?:"((?:[^"\\]++|\\.)*+)"|([^ \t;,"<>?]*+)))?+""",
    re.DOTALL,
)
"""A parameter of a header field with what stands before it; its value is quoted, or a token or host (an IPv6 address
without brackets among them), or missing."""
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_BARE: Final = re.compile(r'[^ \t;,"<>?]++')
"""A parameter's value outside quotes: a token or a host, an IPv6 address without brackets among them."""
_DISPLAY: Final = re.compile(r'[^<>",;:@]*+')
"""A display name without quotes. Strictly it is tokens; phones write whatever the user is called."""
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*+|\[[0-9A-Fa-f:.]++\]")
"""A host name of any number of labels (`phone1`, `SEP001122334455`), an IPv4 address, or an IPv6 address in brackets."""
_PORT: Final = re.compile(r"[0-9]{1,5}")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*+):")
_USER: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/#\[\]]++|%[0-9A-Fa-f]{2})++")
"""A user part; `#` should be escaped, and is dialled bare by many phones (`#31#`)."""
_PASSWORD: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,]++|%[0-9A-Fa-f]{2})*+")
_PARAMETER_CHARACTER: Final = r"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]++|%[0-9A-Fa-f]{2})"
_URI_PARAMETER: Final = re.compile(f"({_PARAMETER_CHARACTER}++)(?:=({_PARAMETER_CHARACTER}*+))?+")
_URI_HEADERS: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/?:+$&=@;,]++|%[0-9A-Fa-f]{2})++")
"""What follows a `?`; strictly without @ ; and , which phones that transfer leave unescaped in Replaces."""
_NUMBER: Final = re.compile(r"\+?+[0-9A-Fa-f*#\-.()]{1,64}")
"""A telephone number with visual separators (RFC 3966 section 3); none is longer than this."""
_OPAQUE: Final = re.compile(r"[^ \t<>\"]++")
_HOP: Final = re.compile(
    r"SIP[ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+([A-Za-z0-9\-.!%*_+`'~]++)[ \t]++"
    r"([A-Za-z0-9_][A-Za-z0-9_.\-]*+|\[[0-9A-Fa-f:.]++\])(?:[ \t]*+:[ \t]*+([0-9]{1,5}))?+",
    re.IGNORECASE,
)
"""Protocol, host and port of a Via."""
_CSEQ: Final = re.compile(r"([0-9]{1,10})[ \t]++([A-Za-z0-9\-.!%*_+`'~]++)[ \t]*+")
_MEDIA_TYPE: Final = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]++)[ \t]*+/[ \t]*+([A-Za-z0-9\-.!%*_+`'~]++)[ \t]*+")
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~:\[\]]++")
_MAX_HOST: Final = 255
_SHORT: Final = 128
"""Characters of a URI or an address that is worth remembering: a phone's messages name the same few over and over."""
_URI_SAFE: Final = "-_.!~*'()[]/:&+$"
_USER_SAFE: Final = "-_.!~*'()&=+$,;?/"
_SIP: Final = ("sip", "sips")

T = TypeVar("T")


class Parameters(sipmessage.Parameters):
    """Parameters of a URI or a header field. Names are in lower case, as they are compared so (RFC 3261 section 7.3.1)."""

    def __init__(self, values: Mapping[str, str | None] | None = None, /, **more: str | None) -> None:
        self._values: dict[str, str | None] = {**(values or {}), **more}

    @classmethod
    def of(cls, values: dict[str, str | None]) -> Parameters:
        """Parameters whose names are in lower case already; the dictionary is theirs from now on."""
        parameters = cls.__new__(cls)
        parameters._values = values
        return parameters

    def replace(self, **changes: str | None) -> Parameters:
        """A copy with these changes."""
        return Parameters.of({**self._values, **changes})

    def __getitem__(self, key: str) -> str | None:
        return self._values[key]

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """The value, None for a parameter without one, `default` where there is no such parameter."""
        return self._values.get(key, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Parameters({self._values})"

    def __str__(self) -> str:
        """As a header field writes them: what is no token and no host is quoted."""
        return "".join(
            f";{name}" if value is None else f";{name}={value if _PLAIN_VALUE.fullmatch(value) else quoted(value)}"
            for name, value in self._values.items()
        )

    def in_uri(self) -> str:
        """As a URI writes them: with escapes."""
        return "".join(
            f";{_escaped(name)}" if value is None else f";{_escaped(name)}={_escaped(value)}"
            for name, value in self._values.items()
        )


@dataclass(frozen=True)
class URI(sipmessage.URI):
    """A SIP, SIPS or tel URI, or one of another scheme with all that follows the colon as its `user`.

    `headers` is what follows a `?`, as it stands. A host name is in the case it was written in.
    """

    parameters: Parameters = field(default_factory=Parameters)
    headers: str = ""

    @classmethod
    def parse(cls, value: str) -> URI:
        """The whole of `value`. Raises ValueError."""
        return _short_uri(value) if len(value) <= _SHORT else cls._read(value)

    @classmethod
    def _read(cls, value: str) -> URI:
        scheme = _SCHEME.match(value)
        if scheme is None:
            raise ValueError("URI is not valid")
        name, rest = scheme[1].lower(), value[scheme.end() :]
        if name in _SIP:
            return cls._sip(name, rest)
        pattern = _NUMBER if name == "tel" else _OPAQUE
        if (found := pattern.match(rest)) is None:
            raise ValueError("URI is not valid")
        if name != "tel":
            if found.end() != len(rest):
                raise ValueError("URI is not valid")
            return cls(name, "", user=rest)
        parameters, position = _uri_parameters(rest, found.end())
        if position != len(rest):
            raise ValueError("URI is not valid")
        return cls(name, "", user=found[0], parameters=parameters)

    @classmethod
    def _sip(cls, scheme: str, rest: str) -> URI:
        before, at, after = rest.partition("@")
        user = password = None
        if at:
            rest = after
            name, colon, secret = before.partition(":")
            if not _USER.fullmatch(name) or not _PASSWORD.fullmatch(secret):
                raise ValueError("URI is not valid")
            user, password = unquote(name), unquote(secret) if colon else None
        host, position = _host(rest, 0)
        port = None
        if rest.startswith(":", position):
            if (digits := _PORT.match(rest, position + 1)) is None:
                raise ValueError("URI is not valid")
            port, position = _port(digits[0]), digits.end()
        parameters, position = _uri_parameters(rest, position)
        headers = ""
        if rest.startswith("?", position):
            if (found := _URI_HEADERS.fullmatch(rest, position + 1)) is None:
                raise ValueError("URI is not valid")
            headers, position = found[0], len(rest)
        if position != len(rest):
            raise ValueError("URI is not valid")
        return cls(scheme, host, user, password, port, parameters, headers)

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        if not self.host:
            return f"{self.scheme}:{self.user}{self.parameters.in_uri()}"
        user = "" if self.user is None else _escaped(self.user, _USER_SAFE)
        if self.password is not None:
            user += ":" + quote(self.password, "-_.!~*'()&=+$,")
        at = "" if self.user is None else "@"
        port = "" if self.port is None else f":{self.port}"
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{at}{self.host}{port}{self.parameters.in_uri()}{headers}"


@dataclass(frozen=True)
class Address(sipmessage.Address):
    """The value of From, To, Contact, Route and their like: name-addr or addr-spec, with parameters."""

    uri: URI
    name: str = ""
    parameters: Parameters = field(default_factory=Parameters)

    @classmethod
    def parse(cls, value: str) -> Address:
        """The one address in `value`. Raises ValueError."""
        return _short_address(value) if len(value) <= _SHORT else _one(cls._read, value)

    @classmethod
    def parse_many(cls, value: str) -> list[Address]:  # type: ignore[override]
        """The addresses in `value`, separated by commas. Raises ValueError."""
        return list(_short_addresses(value)) if len(value) <= _SHORT else _many(cls._read, value)

    @classmethod
    def _read(cls, text: str, position: int) -> tuple[Address, int]:
        position = _skip(text, position)
        name = ""
        if found := _QUOTED.match(text, position):
            name = unquoted(found[0])
            position = _skip(text, found.end())
        elif (found := _DISPLAY.match(text, position)) and text.startswith("<", found.end()):
            name = found[0].strip(" \t")
            position = found.end()
        elif name or not (found := _BARE.match(text, position)):
            raise ValueError("Address is not valid")
        else:
            # An addr-spec: what follows a semicolon belongs to the header field (section 20), and a question mark has no place.
            uri = URI.parse(found[0])
            parameters, position = _parameters(text, found.end())
            return cls(uri, "", parameters), position
        end = text.find(">", position)
        if not text.startswith("<", position) or end < 0:
            raise ValueError("Address is not valid")
        uri = URI.parse(text[position + 1 : end])
        parameters, position = _parameters(text, end + 1)
        return cls(uri, name, parameters), position

    def __str__(self) -> str:
        name = quoted(self.name) + " " if self.name else ""
        return f"{name}<{self.uri}>{self.parameters}"


@dataclass(frozen=True)
class Via(sipmessage.Via):
    """One hop of a Via header field (section 20.42)."""

    parameters: Parameters = field(default_factory=Parameters)

    @classmethod
    def parse(cls, value: str) -> Via:
        """The one hop in `value`. Raises ValueError."""
        return _one(cls._read, value)

    @classmethod
    def parse_many(cls, value: str) -> list[Via]:  # type: ignore[override]
        """The hops in `value`, separated by commas. Raises ValueError."""
        return _many(cls._read, value)

    @classmethod
    def _read(cls, text: str, position: int) -> tuple[Via, int]:
        hop = _HOP.match(text, _skip(text, position))
        if hop is None:
            raise ValueError("Via is not valid")
        protocol, host, port = hop.groups()
        _check_host(host)
        parameters, position = _parameters(text, hop.end())
        return cls(protocol, host, None if port is None else _port(port), parameters), position

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {self.host}{port}{self.parameters}"


@dataclass(frozen=True)
class CSeq(sipmessage.CSeq):
    """A CSeq (section 20.16)."""

    @classmethod
    def parse(cls, value: str) -> CSeq:
        """The whole of `value`. Raises ValueError, for a number of more than ten digits too."""
        return _short_cseq(value) if len(value) <= _SHORT else cls._read(value)

    @classmethod
    def _read(cls, value: str) -> CSeq:
        if (found := _CSEQ.fullmatch(value)) is None:
            raise ValueError("CSeq is not valid")
        return cls(int(found[1]), found[2])


def media_type(value: str) -> str:
    """The type and subtype of a Content-Type in lower case, without its parameters. Raises ValueError."""
    found = _MEDIA_TYPE.match(value)
    if found is None or (found.end() < len(value) and value[found.end()] != ";"):
        raise ValueError("Content-Type is not valid")
    return f"{found[1]}/{found[2]}".lower()


def tokens(values: list[str]) -> list[str]:
    """The tokens in comma-separated lists, as in Require; empty members are left out (section 7.3.1)."""
    return [token for value in values for each in value.split(",") if (token := each.strip(" \t"))]


def is_token(text: str) -> bool:
    """Whether `text` is a token (section 25.1)."""
    return _TOKEN.fullmatch(text) is not None


def quoted(text: str) -> str:
    """`text` as a quoted string (section 25.1)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(text: str) -> str:
    """What a quoted string says: its quotes taken off and its escapes undone, from left to right."""
    return _ESCAPE.sub(r"\1", text[1:-1]) if "\\" in text else text[1:-1]


def _one(read: Callable[[str, int], tuple[T, int]], value: str) -> T:
    item, position = read(value, 0)
    if _skip(value, position) != len(value):
        raise ValueError("one value is allowed here")
    return item


def _many(read: Callable[[str, int], tuple[T, int]], value: str) -> list[T]:
    items: list[T] = []
    position = -1
    while position < len(value):
        item, position = read(value, position + 1)
        position = _skip(value, position)
        items.append(item)
        if position < len(value) and value[position] != ",":
            raise ValueError("values are not separated by commas")
        if position == len(value) - 1:
            raise ValueError("a comma stands at the end")
    return items


def _skip(text: str, position: int) -> int:
    if position >= len(text) or text[position] not in " \t":
        return position
    found = _SPACE.match(text, position)
    return found.end() if found else position


@lru_cache(maxsize=4096)
def _short_uri(value: str) -> URI:
    return URI._read(value)


@lru_cache(maxsize=4096)
def _short_address(value: str) -> Address:
    return _one(Address._read, value)


@lru_cache(maxsize=4096)
def _short_addresses(value: str) -> tuple[Address, ...]:
    return tuple(_many(Address._read, value))


@lru_cache(maxsize=1024)
def _short_cseq(value: str) -> CSeq:
    return CSeq._read(value)


def _host(text: str, position: int) -> tuple[str, int]:
    found = _HOST.match(text, position)
    if found is None:
        raise ValueError("host is not valid")
    _check_host(found[0])
    return found[0], found.end()


def _check_host(host: str) -> None:
    if len(host) > _MAX_HOST:
        raise ValueError("host is not valid")
    if host[0] == "[":
        ipaddress.IPv6Address(host[1:-1])  # AddressValueError is a ValueError


def _escaped(text: str, safe: str = _URI_SAFE) -> str:
    """`text` with escapes for what is neither a letter, a digit nor `safe`."""
    return text if text.isalnum() and text.isascii() else quote(text, safe)


def _port(digits: str) -> int:
    port = int(digits)
    if port > 65535:
        raise ValueError("port is out of range")
    return port


def _uri_parameters(text: str, position: int) -> tuple[Parameters, int]:
    found: dict[str, str | None] = {}
    while text.startswith(";", position):
        parameter = _URI_PARAMETER.match(text, position + 1)
        if parameter is None:
            raise ValueError("URI is not valid")
        value = parameter[2]
        found.setdefault(unquote(parameter[1]).lower(), None if value is None else unquote(value))
        position = parameter.end()
    return Parameters.of(found), position


def _parameters(text: str, position: int) -> tuple[Parameters, int]:
    """The parameters of a header field from `position` on, and where they end."""
    found: dict[str, str | None] = {}
    while (parameter := _PARAMETER.match(text, position)) is not None:
        name, string, bare = parameter.groups()
        if string is not None:
            bare = _ESCAPE.sub(r"\1", string) if "\\" in string else string
        found.setdefault(name.lower(), bare)
        position = parameter.end()
    position = _skip(text, position)
    if text.startswith(";", position):
        raise ValueError("a parameter has no name")
    return Parameters.of(found), position
