"""The certificate that all nodes show: its names, when it is renewed, and whether key and chain can serve. Pure.

Chain and key are one PEM text (docs/decisions/0090-one-certificate-for-all-nodes.md).
"""

from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

CHALLENGE = "_acme-challenge"
"""The label under which the answer to a DNS challenge stands (RFC 8555 section 8.4)."""


def names(sip_domain: str) -> list[str]:
    """The SIP domain itself (RFC 5922 section 7.2) and the hosts in it, one label (RFC 6125 section 6.4.3)."""
    return [sip_domain, f"*.{sip_domain}"]


def due(pem: str, sip_domain: str, now: datetime) -> str:
    """Why a new one has to be ordered; empty while there is nothing to do."""
    if not pem:
        return "there is none"
    if found := problem(pem, sip_domain, now):
        return found
    leaf = _chain(pem)[0]
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    return "two thirds of its life are over" if now >= leaf.not_valid_before_utc + life * 2 / 3 else ""


def days_left(pem: str, now: datetime) -> float:
    """For how long it is valid; 0 for what is none or has expired."""
    try:
        left = _chain(pem)[0].not_valid_after_utc - now
    except ValueError:
        return 0
    return max(0.0, left.total_seconds() / 86_400)


def problem(pem: str, sip_domain: str, now: datetime) -> str:
    """Why phones would refuse a node that has it; empty when they would not. The root is not looked at: phones differ."""
    try:
        chain = _chain(pem)
        key = serialization.load_pem_private_key(pem[_key_begins(pem) :].encode(), password=None)
    except (ValueError, TypeError) as error:
        return f"it is no PEM of a key and a chain: {error}"
    leaf = chain[0]
    if leaf.public_key() != key.public_key():
        return "its key is another certificate's"
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        return f"it is valid from {leaf.not_valid_before_utc.isoformat()} until {leaf.not_valid_after_utc.isoformat()}"
    if missing := [name for name in names(sip_domain) if name not in _names(leaf)]:
        return f"it is not for {', '.join(missing)}"
    for one, issuer in pairwise(chain):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            return f"{issuer.subject.rfc4514_string()} stands in its chain and did not issue the one before"
    return ""


def _chain(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return found.value.get_values_for_type(x509.DNSName)


def _key_begins(pem: str) -> int:
    """Where the key's block is: it may stand before the chain or after it. Raises ValueError when there is none."""
    end = pem.find("PRIVATE KEY-----")
    begins = pem.rfind("-----BEGIN", 0, end) if end >= 0 else -1
    if begins < 0:
        raise ValueError("there is no private key")
    return begins
