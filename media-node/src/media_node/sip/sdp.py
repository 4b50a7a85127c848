"""SDP (RFC 4566) of audio and text, keyed by SDES (RFC 4568) or DTLS (RFC 5763), by offer and answer (RFC 3264).

Values are frozen; `parse` raises only ValueError and `str()` writes.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Final

from media_node.sip.grammar import media_type
from media_node.sip.headers import Request, Response
from media_node.suites import Suite

CONTENT_TYPE: Final = "application/sdp"
_MAX_LINES: Final = 400
_LONGEST_IPV4: Final = 15
_MAX_MEDIA: Final = 16
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]++")
_FINGERPRINT: Final = re.compile(r"(?i)(sha-256|sha-384|sha-512)\s++((?:[0-9A-F]{2}:){31,63}[0-9A-F]{2})\s*+")
_HEX_LENGTH: Final = {"sha-256": 95, "sha-384": 143, "sha-512": 191}
_KEPT: Final = ("rtpmap", "fmtp", "ptime", "maxptime")
"""Attributes that say what the media is. All others describe a transport, and ours is another one."""


class MediaType(StrEnum):
    """What a stream that is relayed carries, as its m= line says (RFC 4566 section 5.14); text is that of RFC 4103."""

    AUDIO = "audio"
    TEXT = "text"


class Direction(StrEnum):
    """Which way media flows, as the describing party sees it (RFC 3264 section 5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def reversed(self) -> Direction:
        """The same flow as the other party sees it."""
        return _REVERSED.get(self, self)

    def limited_to(self, other: Direction) -> Direction:
        """What remains of this direction when `other` (seen by the same party) is allowed too."""
        sends = all(d in (Direction.SENDRECV, Direction.SENDONLY) for d in (self, other))
        receives = all(d in (Direction.SENDRECV, Direction.RECVONLY) for d in (self, other))
        return {
            (True, True): Direction.SENDRECV,
            (True, False): Direction.SENDONLY,
            (False, True): Direction.RECVONLY,
            (False, False): Direction.INACTIVE,
        }[sends, receives]


_KEY_LENGTHS: Final = {each.value: each.key_length for each in Suite}
_DIRECTIONS: Final = {each.value: each for each in Direction}
_REVERSED: Final = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}


@dataclass(frozen=True)
class Attribute:
    """An `a=` line: `name` or `name:value`."""

    name: str
    value: str | None = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value}"


@dataclass(frozen=True)
class CryptoAttribute:
    """An `a=crypto` line with one inline key (RFC 4568 section 9.1). `key` is master key and salt in base64."""

    tag: int
    suite: str
    key: str
    lifetime: str = ""
    mki: str = ""
    parameters: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: str) -> CryptoAttribute:
        """The attribute's value. Raises ValueError for anything but a tag, a suite and one inline key."""
        parts = value.split()
        if len(parts) < 3 or not re.fullmatch(r"[0-9]{1,9}", parts[0]) or not parts[2].lower().startswith("inline:"):
            raise ValueError("not a crypto attribute")
        if ";" in parts[2]:
            raise ValueError("more than one master key")
        key, *rest = parts[2][len("inline:") :].split("|")
        lifetime = next((part for part in rest if ":" not in part), "")
        mki = next((part for part in rest if ":" in part), "")
        return cls(int(parts[0]), parts[1], key, lifetime, mki, tuple(parts[3:]))

    def __str__(self) -> str:
        key = "|".join(filter(None, (self.key, self.lifetime, self.mki)))
        return " ".join((str(self.tag), self.suite, f"inline:{key}", *self.parameters))

    @cached_property
    def refusal(self) -> str | None:
        """Why this line is not used, or None.

        Only whole, protected, authenticated streams with one key of full length pass.
        """
        if (needed := _KEY_LENGTHS.get(self.suite)) is None:
            return f"suite {self.suite[:40]} is not supported"
        try:
            length = len(b64decode(self.key + "=" * (-len(self.key) % 4), validate=True))
        except (Base64Error, ValueError):
            return "the key is not base64"
        if length != needed:
            return f"the key has {length} octets, {self.suite} needs {needed}"
        if self.mki:
            return "a master key identifier is not supported"
        for parameter in self.parameters:
            # RFC 4568 section 6.3.7: one that is not understood rules the line out, unless it begins with "-". WSH is
            # only a hint.
            if not parameter.startswith(("-", "WSH=")) and parameter != "KDR=0":
                return f"session parameter {parameter.partition('=')[0][:40]} is not supported"
        return None


@dataclass(frozen=True)
class Media:
    """One `m=` section."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    connection: str | None = None
    attributes: tuple[Attribute, ...] = ()

    def values(self, name: str) -> list[str]:
        """The values of all attributes of this name."""
        return [attribute.value or "" for attribute in self.attributes if attribute.name == name]

    def has(self, name: str) -> bool:
        """Whether an attribute of this name stands here."""
        return any(attribute.name == name for attribute in self.attributes)

    @cached_property
    def cryptos(self) -> list[CryptoAttribute]:
        """The readable crypto attributes, in the order they stand."""
        found = []
        for value in self.values("crypto"):
            try:
                found.append(CryptoAttribute.parse(value))
            except ValueError:
                continue  # RFC 4568 section 5.1.2: an invalid line is as if absent
        return found

    @property
    def rtcp_port(self) -> int:
        """Where RTCP goes: a=rtcp (RFC 3605) or the next port up."""
        for value in self.values("rtcp"):
            if match := re.match(r"[0-9]{1,5}(?= |$)", value):
                return int(match[0])
        return self.port + 1

    @property
    def payload(self) -> tuple[Attribute, ...]:
        """The attributes that describe the media itself, payload numbers as the peer gave them."""
        return tuple(attribute for attribute in self.attributes if attribute.name in _KEPT)

    def __str__(self) -> str:
        lines = [f"m={self.kind} {self.port} {self.protocol} {' '.join(self.formats)}"]
        if self.connection:
            lines.append(f"c={self.connection}")
        return "\r\n".join([*lines, *(f"a={attribute}" for attribute in self.attributes)])

    def rejected(self) -> Media:
        """This stream with port 0, as an answer refuses it (RFC 3264 section 6)."""
        return Media(self.kind, 0, self.protocol, self.formats)


@dataclass(frozen=True)
class Session:
    """A whole description. `origin` is the value of o=, `connection` that of the session's own c=."""

    origin: str
    connection: str | None
    attributes: tuple[Attribute, ...]
    media: tuple[Media, ...]

    @classmethod
    def parse(cls, data: bytes | str) -> Session:
        """A description from a message body. Raises ValueError for what is not SDP or passes a limit."""
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
        if not lines or lines[0].strip() != "v=0" or len(lines) > _MAX_LINES:
            raise ValueError("not a session description")
        origin, connection, media = "", None, list[Media]()
        described: list[list[Attribute]] = [[]]
        """The attributes of the session, and then of each stream."""
        for line in lines[1:]:
            kind, equals, value = line[:1], line[1:2], line[2:].strip()
            if equals != "=":
                raise ValueError("a line without a type")
            match kind:
                case "o":
                    origin = value
                case "c" if media:
                    media[-1] = replace(media[-1], connection=value)
                case "c":
                    connection = value
                case "m":
                    media.append(_media(value))
                    described.append([])
                case "a":
                    name, colon, rest = value.partition(":")
                    described[-1].append(Attribute(name, rest if colon else None))
        if not origin or len(media) > _MAX_MEDIA:
            raise ValueError("no origin, or too many streams")
        streams = (replace(each, attributes=tuple(its)) for each, its in zip(media, described[1:], strict=True))
        return cls(origin, connection, tuple(described[0]), tuple(streams))

    def __str__(self) -> str:
        lines = ["v=0", f"o={self.origin}", "s=-"]
        if self.connection:
            lines.append(f"c={self.connection}")
        lines += ["t=0 0", *(f"a={attribute}" for attribute in self.attributes), *map(str, self.media)]
        return "\r\n".join(lines) + "\r\n"

    def address(self, media: Media) -> str:
        """The IPv4 address a stream is to be sent to, empty when it gives none."""
        parts = (media.connection or self.connection or "").split()
        if len(parts) != 3 or parts[:2] != ["IN", "IP4"]:
            return ""
        return _ipv4(parts[2].partition("/")[0])

    def fingerprint(self, media: Media) -> str:
        """The fingerprint of the certificate that a stream's peer will show, as "sha-256 AB:CD..."; empty when it gives
        no usable one.

        The strongest of several (RFC 8122 section 5); the stream's own stand above the session's.
        """
        for values in (
            media.values("fingerprint"),
            [each.value or "" for each in self.attributes if each.name == "fingerprint"],
        ):
            found = [
                f"{match[1].lower()} {match[2].upper()}" for value in values if (match := _FINGERPRINT.fullmatch(value))
            ]
            found = [each for each in found if len(each.split()[1]) == _HEX_LENGTH[each.split()[0]]]
            if found:
                return max(found)
        return ""

    def setup(self, media: Media) -> str:
        """Who is to begin the handshake, in the peer's words (RFC 4145 section 4): active, passive, actpass or
        holdconn; or empty.
        """
        values = media.values("setup") or [each.value or "" for each in self.attributes if each.name == "setup"]
        return values[0].strip().lower() if values else ""

    def direction(self, media: Media) -> Direction:
        """The stream's direction: its own, else the session's, else sendrecv. 0.0.0.0 is the old way to hold (RFC 3264
        section 8.4).
        """
        found = Direction.SENDRECV
        for attribute in (*self.attributes, *media.attributes):
            found = _DIRECTIONS.get(attribute.name, found)
        if self.address(media) == "0.0.0.0":  # noqa: S104 - an address in a description, nothing is bound
            found = found.limited_to(Direction.SENDONLY)
        return found


@lru_cache(maxsize=1024)
def _ipv4(text: str) -> str:
    """An IPv4 address as it is written, or empty for what is none."""
    try:
        return str(ipaddress.IPv4Address(text)) if len(text) <= _LONGEST_IPV4 else ""
    except ValueError:
        return ""


def _media(value: str) -> Media:
    parts = value.split()
    if (
        len(parts) < 4
        or not re.fullmatch(r"[0-9]{1,5}(/[0-9]{1,3})?", parts[1])
        or not all(map(_TOKEN.fullmatch, parts[2].split("/")))
    ):
        raise ValueError("broken m= line")
    port = int(parts[1].partition("/")[0])
    if port > 65535:
        raise ValueError("port out of range")
    return Media(parts[0], port, parts[2], tuple(parts[3:]))


def choose_crypto(media: Media, suites: Sequence[Suite]) -> CryptoAttribute | None:
    """The line we take of those offered, by our order of suites, or None when none will do."""
    usable = [crypto for crypto in media.cryptos if crypto.refusal is None and crypto.suite in suites]
    return min(usable, key=lambda crypto: suites.index(Suite(crypto.suite)), default=None)


def is_secure(protocol: str) -> bool:
    """Whether a transport is RTP/SAVP or RTP/SAVPF (RFC 3711, RFC 5124)."""
    return protocol in ("RTP/SAVP", "RTP/SAVPF")


def is_dtls(protocol: str) -> bool:
    """Whether a transport is SRTP keyed by DTLS (RFC 5764 section 8)."""
    return protocol in ("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")


def is_rtp(protocol: str) -> bool:
    """Whether a transport is RTP at all, protected or not."""
    return is_secure(protocol) or is_dtls(protocol) or protocol in ("RTP/AVP", "RTP/AVPF")


def crypto_lines(keys: Iterable[tuple[Suite, str]]) -> tuple[Attribute, ...]:
    """Crypto attributes numbered from 1 for suites and their base64 keys."""
    return tuple(
        Attribute("crypto", str(CryptoAttribute(tag, suite, key))) for tag, (suite, key) in enumerate(keys, start=1)
    )


class OtherBody(ValueError):
    """A message carries something else than SDP: to be answered 415."""


def attached(message: Request | Response) -> Session | None:
    """The description a message carries, None without a body. Raises OtherBody, or ValueError for broken SDP."""
    if not message.body:
        return None

    def read(values: list[str]) -> Session:
        if media_type(values[0] if values else "") != CONTENT_TYPE:
            raise OtherBody("only SDP is understood")
        return Session.parse(message.body)

    return message.once("content-type", read)


def attach(message: Request | Response, session: Session) -> None:
    """Makes a description the message's body."""
    message.headers.set("Content-Type", CONTENT_TYPE)
    message.body = str(session).encode()
