"""The node's certificate: one PEM text of chain and key, tried in a TLS context of its own before it is used."""

from __future__ import annotations

import os
import re
import ssl
from datetime import datetime

from cryptography import x509

from media_node.sip.listener import server_context

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


def context(pem: str) -> ssl.SSLContext:
    """What serves with this chain and key. Raises ValueError saying what is wrong with them.

    OpenSSL reads files; this one exists in memory only, so the key never reaches a disk.
    """
    made = server_context()
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem.encode())
        made.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
        x509.load_pem_x509_certificates(pem.encode())
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(f"the certificate's value is no PEM of a key with the chain that fits it: {error}") from error
    finally:
        os.close(descriptor)
    return made


def _no_password() -> str:
    """OpenSSL would ask for it at the terminal."""
    raise ValueError("the key is encrypted")


def unfit(pem: str, domain: str, now: datetime) -> str:
    """Why phones of this SIP domain would refuse it (RFC 5922 section 7.2: the domain has to be among the names); empty
    when they would not. Raises ValueError for what is no certificate.
    """
    leaf = x509.load_pem_x509_certificates(pem.encode())[0]
    if leaf.not_valid_after_utc <= now:
        return f"it has expired at {leaf.not_valid_after_utc.isoformat()}"
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return "it has no names"
    found = names.get_values_for_type(x509.DNSName)
    return "" if domain in found else f"it is for {', '.join(found)}, not for {domain}"


def expires(pem: str) -> datetime:
    """When the server's own certificate ends."""
    return x509.load_pem_x509_certificates(pem.encode())[0].not_valid_after_utc


def chain(pem: str) -> str:
    """The certificates alone, without the key."""
    return "".join(_CERTIFICATE.findall(pem))
