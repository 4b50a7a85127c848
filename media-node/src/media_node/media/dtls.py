"""DTLS-SRTP handshakes over datagrams that others carry (RFC 5764, RFC 6347): the only file that touches OpenSSL.

No socket, no clock: a datagram goes in, datagrams come out. A peer proves itself by the fingerprint of its certificate,
which came over authenticated signalling (RFC 5763); keys cannot be had without naming it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto

from media_node.suites import Suite

PROFILES: Final = {
    Suite.AES_CM_128_HMAC_SHA1_80: b"SRTP_AES128_CM_SHA1_80",
    Suite.AES_CM_128_HMAC_SHA1_32: b"SRTP_AES128_CM_SHA1_32",
    Suite.AEAD_AES_128_GCM: b"SRTP_AEAD_AES_128_GCM",
    Suite.AEAD_AES_256_GCM: b"SRTP_AEAD_AES_256_GCM",
}
"""Protection profiles (RFC 5764 section 4.1.2, RFC 7714 section 14.2) as OpenSSL names them."""

MASTER_KEY: Final = {Suite.AEAD_AES_256_GCM: 32}
"""Octets of a master key without its salt, where not 16."""

LABEL: Final = b"EXTRACTOR-dtls_srtp"
DTLS_1_2: Final = 0xFEFD
MTU: Final = 1200
RECORD_HEADER: Final = 13
HANDSHAKE: Final = 22
CLIENT_HELLO: Final = 1
VALIDITY: Final = timedelta(days=3650)
"""Longer than any worker lives; its key goes with it."""


def is_client_hello(datagram: bytes) -> bool:
    """Whether a datagram begins an association: an unencrypted ClientHello (RFC 6347 sections 4.1 and 4.3.2)."""
    return (
        len(datagram) > RECORD_HEADER
        and datagram[0] == HANDSHAKE
        and datagram[3:5] == b"\0\0"
        and datagram[13] == CLIENT_HELLO
    )


def datagrams(records: bytes) -> list[bytes]:
    """A flight as OpenSSL writes it into memory, cut between records into what one packet may carry."""
    flight = [b""]
    while records:
        length = RECORD_HEADER + int.from_bytes(records[11:13], "big")
        if flight[-1] and len(flight[-1]) + length > MTU:
            flight.append(b"")
        flight[-1] += records[:length]
        records = records[length:]
    return [datagram for datagram in flight if datagram]


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What a handshake agreed on, each key a master key and its salt."""

    suite: Suite
    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)


@dataclass(frozen=True)
class _Peer:
    """What OpenSSL's callbacks have to know of the other end.

    Must not lead back to its connection: nothing collects cycles here.
    """

    source: bytes
    expected: Callable[[], Collection[str]]


class Association:
    """One end of a DTLS association: until its keys are known, and as long as the peer may ask for the last flight
    again.
    """

    def __init__(self, connection: SSL.Connection, *, active: bool) -> None:
        self.done = self.failed = False
        self.impostor = False
        """Whether it failed because nobody is expected with this certificate."""
        self._connection = connection
        self._active = active

    def take(self, datagram: bytes = b"") -> list[bytes]:
        """Take a datagram in (none: begin); what is to be sent. Afterwards it may be `done` or `failed`."""
        if datagram:
            self._connection.bio_write(datagram)
        try:
            if self.done:
                self._connection.recv(1)  # nothing but the peer's last flight once more is of interest
            else:
                self._connection.do_handshake()
                self.done = True
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.failed = not self.done
            self.impostor = "certificate verify failed" in str(error)
        return self._outgoing()

    def again(self) -> list[bytes]:
        """What is to be sent once more by now, because no answer came (RFC 6347 section 4.2.4).

        Ask a few times a second.
        """
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error:
            self.failed = not self.done
        return self._outgoing()

    def keys(self, fingerprint: str) -> Keys | None:
        """The keys (RFC 5764 section 4.2), for whoever names the fingerprint ("sha-256 AB:CD...") of the peer's
        certificate.
        """
        selected = self._connection.get_selected_srtp_profile()
        suite = next((suite for suite, profile in PROFILES.items() if profile == selected), None)
        certificate = self._connection.get_peer_certificate()
        if not self.done or suite is None or certificate is None or not proves(certificate, fingerprint):
            return None
        key = MASTER_KEY.get(suite, 16)
        salt = suite.key_length - key
        material = self._connection.export_keying_material(LABEL, 2 * suite.key_length)
        client = material[:key] + material[2 * key : 2 * key + salt]
        server = material[key : 2 * key] + material[2 * key + salt :]
        return Keys(suite=suite, send=client if self._active else server, receive=server if self._active else client)

    def _outgoing(self) -> list[bytes]:
        try:
            return datagrams(self._connection.bio_read(1 << 16))
        except SSL.WantReadError:
            return []


def proves(certificate: crypto.X509, fingerprint: str) -> bool:
    """Whether a certificate has this fingerprint (RFC 8122 section 5). SHA-1 and MD5 prove nothing."""
    algorithm, _, digits = fingerprint.partition(" ")
    if algorithm not in ("sha-256", "sha-384", "sha-512"):
        return False
    return hmac.compare_digest(certificate.digest(algorithm.replace("-", "")), digits.upper().encode())


class Identity:
    """A key and a self-signed certificate of our own, and the associations begun under it, for `suites` in our
    order.
    """

    def __init__(self, suites: Iterable[Suite] = Suite) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "media-node")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + VALIDITY)
            .sign(key, hashes.SHA256())
        )
        self.fingerprint = "sha-256 " + certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        self._secret = secrets.token_bytes(32)
        self._context = context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(DTLS_1_2)
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        context.set_tlsext_use_srtp(b":".join(PROFILES[suite] for suite in suites))
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _is_expected)
        context.set_cookie_generate_callback(self._cookie)
        context.set_cookie_verify_callback(
            lambda connection, cookie: hmac.compare_digest(cookie, self._cookie(connection))
        )

    def begin(self, expected: Callable[[], Collection[str]]) -> Association:
        """An association of which we are the client; `take()` gives its first flight. `expected` are the fingerprints
        that pass.
        """
        connection = self._connection(_Peer(b"", expected))
        connection.set_connect_state()
        return Association(connection, active=True)

    def answer(
        self, hello: bytes, source: bytes, expected: Callable[[], Collection[str]]
    ) -> tuple[Association | None, list[bytes]]:
        """An association that a ClientHello from `source` begins, and what to send; None until it has shown our cookie.

        The cookie (RFC 6347 section 4.2.1) is kept nowhere: who forges its source address costs a digest, and no
        memory.
        """
        connection = self._connection(_Peer(source, expected))
        connection.set_accept_state()
        connection.bio_write(hello)
        association = Association(connection, active=False)
        try:
            connection.DTLSv1_listen()
        except SSL.WantReadError:
            return None, association._outgoing()
        except SSL.Error:
            return None, []
        return association, association.take()

    def _connection(self, peer: _Peer) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_ciphertext_mtu(MTU)
        connection.set_app_data(peer)
        return connection

    def _cookie(self, connection: SSL.Connection) -> bytes:
        return hmac.digest(self._secret, connection.get_app_data().source, "sha256")


def _is_expected(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, valid: int) -> bool:
    """In the middle of the handshake, so that an impostor is told (RFC 5763 section 5) and no keys ever come of it."""
    return depth > 0 or any(proves(certificate, fingerprint) for fingerprint in connection.get_app_data().expected())
