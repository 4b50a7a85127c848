"""A receipt: what the node attests of one call, as a JSON Web Signature that anyone can verify offline.

A JWS in compact form (RFC 7515) under Ed25519 (RFC 8037). The receipts of one environment on one node are a chain:
each holds its number and the hash of the one before, so that one left out is noticed. Pure; the key comes from
control/.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

TYPE: Final = "call-receipt+jwt"


@dataclass(frozen=True)
class Link:
    """The end of an environment's chain: the number of its last receipt and that receipt's SHA-256 in hexadecimal."""

    number: int = 0
    sha256: str = ""

    def after(self, receipt: str) -> Link:
        """The end once this receipt has been added."""
        return Link(self.number + 1, hashlib.sha256(receipt.encode()).hexdigest())


def public_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """The key as a JSON Web Key (RFC 8037 section 2), its `kid` being its thumbprint (RFC 7638)."""
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": _encode(key.public_bytes_raw())}
    return {**jwk, "kid": _encode(hashlib.sha256(_json(jwk)).digest())}


def sign(claims: Mapping[str, Any], link: Link, key: Ed25519PrivateKey) -> str:
    """The receipt of a call that comes after `link`."""
    header = {"alg": "EdDSA", "kid": public_jwk(key.public_key())["kid"], "typ": TYPE}
    payload = {**claims, "number": link.number + 1, "previous": link.sha256}
    signed = f"{_encode(_json(header))}.{_encode(_json(payload))}"
    return f"{signed}.{_encode(key.sign(signed.encode()))}"


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
