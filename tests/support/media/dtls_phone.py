"""A telephone that keys its media by DTLS, with a handshake of its own on OpenSSL, so that a bug in ours cannot hide
behind itself.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from media_node.suites import Suite
from media_node.worker_link.protocol import Dtls, LegDescription, LocalTransport
from tests.support.media.phone import CM32, CM80, GCM128, GCM256, Phone, Rtp, session

OPENSSL_NAMES = {
    CM80: b"SRTP_AES128_CM_SHA1_80",
    CM32: b"SRTP_AES128_CM_SHA1_32",
    GCM128: b"SRTP_AEAD_AES_128_GCM",
    GCM256: b"SRTP_AEAD_AES_256_GCM",
}
KEY_AND_SALT = {CM80: (16, 14), CM32: (16, 14), GCM128: (16, 12), GCM256: (32, 12)}


class DtlsPhone(Phone):
    """`suites` are what it offers in the handshake; it is the client unless `node_active`. `lose` tells which of its
    datagrams get lost.
    """

    def __init__(self, *suites: Suite, node_active: bool = False, address: str = "127.0.0.1") -> None:
        super().__init__(None, address)
        self.suites = suites or (CM80,)
        self.node_active = node_active
        self.lose: Callable[[int], bool] = lambda number: False
        self.flights = 0
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "phone")])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        self.fingerprint = "sha-256 " + self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        self.context = SSL.Context(SSL.DTLS_METHOD)
        self.context.use_certificate(self.certificate)
        self.context.use_privatekey(key)
        self.context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        self.context.set_options(SSL.OP_NO_QUERY_MTU)
        self.context.set_tlsext_use_srtp(b":".join(OPENSSL_NAMES[suite] for suite in self.suites))

    def leg(self, **says: Any) -> LegDescription:
        """As the node hears of it: by its certificate."""
        fingerprint = says.pop("fingerprint", self.fingerprint)
        return replace(super().leg(**says), dtls=Dtls(fingerprint=fingerprint, active=self.node_active))

    def shake_hands(
        self, local: LocalTransport, *, rtcp: bool = False, by: socket.socket | None = None, patience: float = 8.0
    ) -> SSL.Connection:
        """A whole handshake; afterwards the phone has keys. Raises SSL.Error when the node refuses, TimeoutError when
        it is silent.
        """
        by = by or (self.rtcp if rtcp else self.rtp)
        there = (local.address, local.rtcp_port if rtcp else local.rtp_port)
        connection = SSL.Connection(self.context, None)
        connection.set_ciphertext_mtu(1200)
        if self.node_active:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
        by.settimeout(0.05)
        ends = time.monotonic() + patience
        done = False
        while not done and time.monotonic() < ends:
            try:
                connection.do_handshake()
                done = True
            except SSL.WantReadError:
                pass
            except SSL.Error:
                self._flush(connection, by, there)
                raise
            connection.DTLSv1_handle_timeout()
            self._flush(connection, by, there)
            if not done:
                try:
                    datagram = by.recv(4096)
                except TimeoutError:
                    continue
                if 20 <= datagram[0] <= 63:
                    connection.bio_write(datagram)
        if not done:
            raise TimeoutError("no handshake")
        peer = connection.get_peer_certificate(as_cryptography=True)
        assert peer is not None
        assert "sha-256 " + peer.fingerprint(hashes.SHA256()).hex(":").upper() == local.fingerprint
        self._take_keys(connection, rtcp)
        return connection

    def _flush(self, connection: SSL.Connection, by: socket.socket, there: tuple[str, int]) -> None:
        try:
            flight = connection.bio_read(1 << 16)
        except SSL.WantReadError:
            return
        while flight:  # a datagram for each record
            length = 13 + int.from_bytes(flight[11:13], "big")
            if not self.lose(self.flights):
                by.sendto(flight[:length], there)
            flight = flight[length:]
            self.flights += 1

    def _take_keys(self, connection: SSL.Connection, rtcp: bool) -> None:
        suite = next(suite for suite, name in OPENSSL_NAMES.items() if name == connection.get_selected_srtp_profile())
        key, salt = KEY_AND_SALT[suite]
        octets = connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        client = octets[:key] + octets[2 * key : 2 * key + salt]
        server = octets[key : 2 * key] + octets[2 * key + salt :]
        mine, theirs = (server, client) if self.node_active else (client, server)
        pair = session(suite, mine, outbound=True), session(suite, theirs, outbound=False)
        if rtcp:
            self.rtcp_outbound, self.rtcp_inbound = pair
        else:
            self.chosen, self.send_key = suite, mine
            self.outbound, self.inbound = pair

    def protect(self, packet: Rtp) -> bytes:
        return self.outbound.protect(bytes(packet))

    def receive(self, timeout: float = 1.0) -> Rtp | None:
        """The next RTP packet; records of the handshake are passed over."""
        while (datagram := self.receive_raw(timeout)) is not None:
            if datagram[0] >= 128:
                return Rtp.parse(self.inbound.unprotect(datagram))
        return None
