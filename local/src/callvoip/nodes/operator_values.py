"""The values an operator puts by hand on AWS (docs/runbook.md): the SIP certificate with its key, and the trunk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from callvoip.aws.endpoint import Emulated
from callvoip.data import write

DAYS = 30


@dataclass(frozen=True)
class Trunk:
    """Where calls to other providers go."""

    host: str
    port: int
    transport: str = "udp"


@dataclass(frozen=True)
class Certificate:
    """PEM texts: the chain of a server's certificate, its key, and the authority that phones must trust."""

    chain: str
    private_key: str
    authority: str

    @property
    def pem(self) -> str:
        """Key and chain as one text: what a node reads, so that they can never be of two certificates."""
        return self.private_key + self.chain


def parse_trunk(text: str) -> Trunk:
    """`HOST:PORT` or `HOST:PORT;transport=tcp`. Raises ValueError for anything else."""
    address, _, parameter = text.partition(";")
    host, _, port = address.rpartition(":")
    name, _, transport = (parameter or "transport=udp").partition("=")
    if (
        not host
        or not port.isdigit()
        or not 0 < int(port) < 65536
        or name != "transport"
        or transport not in ("udp", "tcp", "tls")
    ):
        raise ValueError(f"{text!r} is no trunk; give HOST:PORT or HOST:PORT;transport=tcp")
    return Trunk(host=host, port=int(port), transport=transport)


def names(domain: str) -> list[str]:
    """What a SIP domain's certificate is for: the domain itself (RFC 5922), and the hosts in it that phones get as their
    server, {environmentId}.{domain} (RFC 6125 section 6.4.3: one label).
    """
    return [domain, f"*.{domain}"]


def issue(domain: str, now: datetime) -> Certificate:
    """A certificate for a SIP domain by an authority made for the occasion: the names are those of `names`."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "callvoip local authority")])
    start, end = now - timedelta(hours=1), now + timedelta(days=DAYS)

    def builder(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(authority_name).public_key(public_key)
        return made.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)

    key_identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        builder(authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(key_identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)]), key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names(domain)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_identifier), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return Certificate(
        chain=certificate.public_bytes(pem).decode(),
        private_key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode(),
        authority=authority.public_bytes(pem).decode(),
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def kept(path: Path | None, domain: str, now: datetime) -> Certificate:
    """The certificate that `path` keeps: phones go on trusting its authority. A new one for another domain, or before
    it ends.
    """
    if path and path.exists():
        certificate = Certificate(**json.loads(path.read_text(encoding="utf-8")))
        read = x509.load_pem_x509_certificate(certificate.chain.encode())
        extension = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if extension.get_values_for_type(x509.DNSName) == names(domain) and read.not_valid_after_utc - now > timedelta(
            days=DAYS / 3
        ):
            return certificate
    certificate = issue(domain, now)
    if path:
        write(path, json.dumps(asdict(certificate)))
    return certificate


def put(
    emulated: Emulated, node_config: Mapping[str, Any], trunk: Trunk | None, keep: Path | None = None
) -> Certificate:
    """Put all values under the names that the nodes' configuration gives them; `keep` is the certificate's file."""
    sip = node_config["sip"]
    certificate = kept(keep, sip["domain"], datetime.now(UTC))
    trunk_value = (
        "{}" if trunk is None else json.dumps({"host": trunk.host, "port": trunk.port, "transport": trunk.transport})
    )
    parameters = emulated.client("ssm")
    for name, value, kind in (
        (sip["certificate_parameter"], certificate.pem, "SecureString"),
        (node_config["trunk"]["parameter"], trunk_value, "String"),
    ):
        parameters.put_parameter(Name=name, Value=value, Type=kind, Overwrite=True)
    return certificate
