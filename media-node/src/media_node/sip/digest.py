"""Digest authentication (RFC 7616) with SHA-256 before MD5 (RFC 8760), from H(username:realm:password) alone.

sipmessage refuses `qop="auth,auth-int"` and its pattern for credentials backtracks exponentially, so the parameters are
read here.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from media_node.sip.grammar import quoted
from media_node.sip.message import token

NONCE_LIFETIME: Final = 300.0
"""Seconds until a nonce is stale."""
_MAX_NONCES: Final = 50_000
_MAX_LENGTH: Final = 2048
_ONLY_MD5: Final = re.compile(r"baresip v[0-2]\.")
"""User agents that give up when any challenge names an algorithm they do not know, instead of taking the next one (RFC
8760 section 2.4). MD5 is accepted from every phone, so nobody gains by calling himself one of these."""
_PARAMETER: Final = re.compile(
    r"[ \t]*+([A-Za-z0-9!#$%&'*+.^_`|~\-]++)[ \t]*+=[ \t]*+"
    r"""(?:"((?:[^"\\]++|\\.)*+)"|([^ \t",]++))[ \t]*+(?:,|$)""",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_COUNT: Final = re.compile(r"[0-9a-fA-F]{8}")
_URL_SAFE: Final = str.maketrans("-_", "+/")


class Algorithm(StrEnum):
    """Hash algorithms by their names in a challenge, in the order they are offered (RFC 8760 section 2.3)."""

    SHA_256 = "SHA-256"
    MD5 = "MD5"

    def hash(self, text: str) -> str:
        """The hash of `text` in lower-case hexadecimal."""
        if self is Algorithm.SHA_256:
            return hashlib.sha256(text.encode()).hexdigest()
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    def ha1(self, username: str, realm: str, password: str) -> str:
        """H(A1), the only thing about a password that is ever stored (RFC 7616 section 3.4.2)."""
        return self.hash(f"{username}:{realm}:{password}")


_OFFERED: Final = tuple(algorithm.value for algorithm in Algorithm)
_OFFERED_OLD: Final = (Algorithm.MD5.value,)

Ha1 = Mapping[str, str]
"""H(A1) in hexadecimal by the name of its algorithm."""


class Verdict(StrEnum):
    """What credentials are worth."""

    VALID = "valid"
    STALE = "stale"
    """Right or not, the nonce is too old or its count was seen before: challenge again with stale=true."""
    WRONG = "wrong"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Credentials:
    """The parameters of an Authorization header that count here; without a `count` those of RFC 2069, which has no qop."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: Algorithm
    cnonce: str
    count: str
    opaque: str = ""

    @property
    def nc(self) -> int:
        """How often the client used this nonce, this time included."""
        return int(self.count, 16)

    @classmethod
    def parse(cls, value: str) -> Credentials:
        """The credentials in a header value. Raises ValueError for anything but Digest with qop=auth."""
        found = parameters(value)
        try:
            if found["qop"].lower() != "auth":
                raise ValueError("only qop=auth is offered")
            credentials = cls(
                username=found["username"],
                realm=found["realm"],
                nonce=found["nonce"],
                uri=found["uri"],
                response=found["response"].lower(),
                algorithm=Algorithm(found.get("algorithm", "MD5").upper()),
                cnonce=found["cnonce"],
                count=found["nc"],
                opaque=found.get("opaque", ""),
            )
        except KeyError as error:
            raise ValueError(f"{error.args[0]} is missing") from error
        if not _COUNT.fullmatch(credentials.count):
            raise ValueError("nc is not eight hexadecimal digits")
        return credentials

    def __str__(self) -> str:
        strings = {
            "username": self.username,
            "realm": self.realm,
            "nonce": self.nonce,
            "uri": self.uri,
            "response": self.response,
        }
        strings |= {name: value for name, value in (("cnonce", self.cnonce), ("opaque", self.opaque)) if value}
        return (
            "Digest "
            + ", ".join(f"{name}={quoted(value)}" for name, value in strings.items())
            + f", algorithm={self.algorithm}"
            + (f", qop=auth, nc={self.count}" if self.count else "")
        )


def parameters(value: str) -> dict[str, str]:
    """The parameters of a `Digest` challenge or credentials, names in lower case.

    Raises ValueError for another scheme or broken syntax.
    """
    scheme, _, rest = value.strip(" \t").partition(" ")
    if scheme.lower() != "digest" or len(rest) > _MAX_LENGTH:
        raise ValueError("not Digest credentials")
    found: dict[str, str] = {}
    position = number = 0
    while position < len(rest):
        parameter = _PARAMETER.match(rest, position)
        if parameter is None:
            raise ValueError("broken Digest parameters")
        name, string, bare = parameter.groups()
        found[name.lower()] = bare if string is None else _ESCAPE.sub(r"\1", string) if "\\" in string else string
        number += 1
        position = parameter.end()
    if len(found) != number:
        raise ValueError("a parameter stands twice")
    return found


def answer(challenge: str, *, username: str, password: str, method: str, uri: str, count: int = 1) -> Credentials:
    """A client's credentials for a challenge.

    What was asked without a qop is answered without one, as many a trunk does (RFC 2617 section 3.2.2: a client shall not
    send what the server did not offer). Raises ValueError for a broken challenge, or an algorithm or a qop that is not known
    here.
    """
    asked = parameters(challenge)
    if not {"realm", "nonce"} <= asked.keys():
        raise ValueError("a challenge needs realm and nonce")
    algorithm = Algorithm(asked.get("algorithm", "MD5").upper())
    realm, nonce = asked["realm"], asked["nonce"]
    ha1 = algorithm.ha1(username, realm, password)
    if "qop" not in asked:
        cnonce = nc = ""
        response = algorithm.hash(f"{ha1}:{nonce}:{_ha2(algorithm, method, uri)}")
    elif "auth" in (each.strip().lower() for each in asked["qop"].split(",")):
        cnonce, nc = secrets.token_hex(8), f"{count:08x}"
        response = _response(algorithm, ha1, nonce, nc, cnonce, method, uri)
    else:
        raise ValueError(f"qop {asked['qop']} is not known here")
    return Credentials(username, realm, nonce, uri, response, algorithm, cnonce, nc, asked.get("opaque", ""))


def _response(algorithm: Algorithm, ha1: str, nonce: str, nc: str, cnonce: str, method: str, uri: str) -> str:
    """RFC 7616 section 3.4.1 with qop=auth."""
    return algorithm.hash(f"{ha1}:{nonce}:{nc}:{cnonce}:auth:{_ha2(algorithm, method, uri)}")


@lru_cache(maxsize=1024)
def _ha2(algorithm: Algorithm, method: str, uri: str) -> str:
    """H(A2), the same for all who register."""
    return algorithm.hash(f"{method}:{uri}")


@dataclass
class Authenticator:
    """The server's half: makes challenges and judges credentials. `now` is in seconds on one monotonic clock.

    A nonce carries its own time and a keyed hash over it, so only nonces that were used well occupy memory, and judging
    takes the same time however many there are.
    """

    realm: str
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _counts: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)
    """The highest count seen of each nonce, and when it was made; the one used first stands first."""
    _too_old: float = -1.0
    """Nonces made by then are stale whatever their lifetime, as their counts had to be forgotten."""

    def challenges(self, now: float, *, stale: bool = False, agent: str = "") -> list[str]:
        """One header value per algorithm, the strongest first; `agent` is the User-Agent that is asked."""
        offered = _OFFERED_OLD if _ONLY_MD5.match(agent) else _OFFERED
        begin, end = f'Digest realm="{self.realm}", nonce="{self._nonce(now)}", algorithm=', ', qop="auth"'
        if stale:
            end += ", stale=true"
        return [begin + name + end for name in offered]

    def judge(
        self,
        credentials: Credentials,
        *,
        method: str,
        uri: str,
        ha1: Ha1 | None,
        now: float,
    ) -> Verdict:
        """What the credentials are worth for this request.

        `ha1` is None for an unknown user, who costs the same time to refuse.
        """
        if credentials.realm != self.realm or credentials.uri != uri:
            return Verdict.MALFORMED
        issued = self._issued(credentials.nonce)
        if issued is None or not 0 <= now - issued <= NONCE_LIFETIME or issued <= self._too_old:
            return Verdict.STALE
        known = (ha1 or {}).get(credentials.algorithm)
        expected = _response(
            credentials.algorithm,
            known or "",
            credentials.nonce,
            credentials.count,
            credentials.cnonce,
            method,
            credentials.uri,
        )
        if not hmac.compare_digest(expected.encode(), credentials.response.encode()) or known is None:
            return Verdict.WRONG
        seen, _ = self._counts.get(credentials.nonce, (0, issued))
        if credentials.nc <= seen:
            return Verdict.STALE
        self._remember(credentials.nonce, credentials.nc, issued, now)
        return Verdict.VALID

    def _nonce(self, now: float) -> str:
        stamp = int(now * 1000).to_bytes(8, "big") + bytes.fromhex(token())
        return urlsafe_b64encode(stamp + self._seal(stamp)).decode().rstrip("=")

    def _issued(self, nonce: str) -> float | None:
        """When this authenticator made the nonce, or None when it did not."""
        try:
            raw = a2b_base64(nonce.translate(_URL_SAFE) + "==")
        except ValueError:
            return None
        stamp, seal = raw[:16], raw[16:]
        if not hmac.compare_digest(seal, self._seal(stamp)):
            return None
        return int.from_bytes(stamp[:8], "big") / 1000

    def _seal(self, stamp: bytes) -> bytes:
        return hashlib.blake2s(stamp, digest_size=16, key=self.secret).digest()

    def _remember(self, nonce: str, count: int, issued: float, now: float) -> None:
        """Two are looked at for each that is kept, so that those no longer needed never pile up."""
        self._counts[nonce] = (count, issued)
        for _ in range(2):
            oldest, (_, made) = next(iter(self._counts.items()))
            over = len(self._counts) > _MAX_NONCES
            if now - made <= NONCE_LIFETIME and not over:
                break
            if over:
                self._too_old = max(self._too_old, made)
            del self._counts[oldest]
