"""Secrets that are told once and stored only as hashes: the order's token and the phones' passwords."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

# Crockford's base 32: no I, L, O, U. https://www.crockford.com/base32.html
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOK_ALIKES = "0o1il"
_CUSTOMER = "".join(c for c in "abcdefghijklmnopqrstuvwxyz0123456789" if c not in _LOOK_ALIKES)
_PASSWORD = "".join(c for c in _CUSTOMER + _CUSTOMER.upper() if c not in _LOOK_ALIKES.upper())


@dataclass(frozen=True)
class PhoneCredentials:
    """What one phone registers with."""

    extension: int
    username: str
    password: str

    def ha1(self, realm: str) -> dict[str, str]:
        """H(username:realm:password) by algorithm, in hexadecimal (RFC 7616 section 3.4.2, RFC 8760)."""
        text = f"{self.username}:{realm}:{self.password}".encode()
        # RFC 8760 keeps MD5 for phones that know nothing newer; TLS carries the digest.
        return {
            "SHA-256": hashlib.sha256(text).hexdigest(),
            "MD5": hashlib.md5(text, usedforsecurity=False).hexdigest(),
        }


def new_order_id() -> str:
    """10 characters, 50 random bits: told on the telephone without mistakes."""
    return "".join(secrets.choice(_CROCKFORD) for _ in range(10))


def order_id(key: str, idempotency_key: str) -> str:
    """The id of the order that a request with this Idempotency-Key places: the same each time, and nobody without the
    key can tell it.
    """
    number = int.from_bytes(keyed_hash(key, "order id", idempotency_key))
    return "".join(_CROCKFORD[number >> 5 * n & 31] for n in range(10))


def new_customer_id() -> str:
    """6 lower-case characters without look-alikes: the first part of the phones' user names."""
    return "".join(secrets.choice(_CUSTOMER) for _ in range(6))


def order_token(key: str, order_id: str) -> str:
    """The order's own token: 256 bits, URL-safe; only who has the key can make it, so that a mail can hold it and no
    table must.
    """
    return base64.urlsafe_b64encode(keyed_hash(key, "order", order_id)).decode().rstrip("=")


def address_proof(key: str, order_id: str, email: str) -> str:
    """What only the mail to this address holds: who sends it back has read that mail."""
    return base64.urlsafe_b64encode(keyed_hash(key, "address", order_id, email)[:16]).decode().rstrip("=")


def keyed_hash(key: str, *parts: str) -> bytes:
    """HMAC-SHA256 of the parts (RFC 2104); the first says what it is for, so that one key serves several ends."""
    return hmac.digest(key.encode(), "\0".join(parts).encode("utf-8", "surrogatepass"), "sha256")


def new_password() -> str:
    """A phone's password: 20 characters that can be typed on a phone, 115 random bits."""
    return "".join(secrets.choice(_PASSWORD) for _ in range(20))


def sha256(text: str) -> str:
    """The hash that is stored in place of a secret, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def same(text: str, other: str) -> bool:
    """Whether two secrets are equal, in constant time."""
    return hmac.compare_digest(text.encode("utf-8", "surrogatepass"), other.encode())


def matches(token: str, token_sha256: str) -> bool:
    """Whether this is the token of that hash, in constant time."""
    return hmac.compare_digest(sha256(token), token_sha256)
