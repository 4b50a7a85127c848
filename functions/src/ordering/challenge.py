"""ALTCHA's proof of work: the browser finds a number, which costs it a moment and a sender of bulk many. Pure.

https://altcha.org/docs/v2/server-integration/ (protocol version 1). No third party: we make the challenge and check its
solution.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from ordering.credentials import keyed_hash

ALGORITHM = "SHA-256"
MAX_NUMBER = 50_000
"""A phone tries so many hashes within a second."""
VALID_FOR = timedelta(hours=2)
_LONGEST_PAYLOAD = 4096


@dataclass(frozen=True)
class Challenge:
    """What the browser gets: the number between 0 and `maxnumber` for which SHA-256(salt + number) is the challenge."""

    algorithm: str
    challenge: str
    maxnumber: int
    salt: str
    signature: str


@dataclass(frozen=True)
class Solution:
    """A solution that holds: the challenge it solves, when that was handed out and to which source."""

    challenge: str
    issued_at: datetime
    source: str


def make(key: str, source: str, now: datetime) -> Challenge:
    """A new challenge for a source; nothing is stored, its salt says all and the signature keeps it so."""
    number = secrets.randbelow(MAX_NUMBER + 1)
    expires = int((now + VALID_FOR).timestamp())
    # The salt ends in &, or digits could be moved from the number into it.
    salt = f"{secrets.token_hex(12)}?expires={expires}&issued={int(now.timestamp())}&source={source}&"
    challenge = _hash(salt, number)
    return Challenge(ALGORITHM, challenge, MAX_NUMBER, salt, _sign(key, challenge))


def check(key: str, payload: str, now: datetime) -> Solution | None:
    """What a payload (base64 of JSON) proves; None when it proves nothing. Never raises on input."""
    try:
        match json.loads(base64.b64decode(payload[:_LONGEST_PAYLOAD], validate=True)):
            case {
                "algorithm": str(algorithm),
                "challenge": str(challenge),
                "number": int(number),
                "salt": str(salt),
                "signature": str(sign),
            }:
                pass
            case _:
                return None
        parameters = parse_qs(salt.partition("?")[2])
        expires, issued = (datetime.fromtimestamp(int(parameters[name][0]), UTC) for name in ("expires", "issued"))
        source = parameters["source"][0]
    except (ValueError, KeyError, OverflowError, OSError, RecursionError, binascii.Error):
        return None
    signed = hmac.compare_digest(_sign(key, challenge).encode(), sign.encode("utf-8", "replace"))
    solved = algorithm.upper() == ALGORITHM and salt.endswith("&") and _hash(salt, number) == challenge
    return Solution(challenge, issued, source) if signed and solved and now < expires else None


def _hash(salt: str, number: int) -> str:
    return hashlib.sha256(f"{salt}{number}".encode("utf-8", "replace")).hexdigest()


def _sign(key: str, challenge: str) -> str:
    return keyed_hash(key, "challenge", challenge).hex()
