"""The node's certificate: what is taken, what is refused with a reason, and that a renewal in mid-call is not heard."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from media_node.control import certificate
from media_node.probe.check import LATCHING, verdict
from tests.media_node.test_node import hang_up, talking
from tests.support.node import DOMAIN, Certificates, NodeFactory, NodeUnderTest, accounts, wait_until
from tests.support.pebble import renewal_by, running_pebble

CUSTOMER = "abc234"


def key(*, password: bytes | None = None) -> str:
    """A key that fits nothing."""
    made = ec.generate_private_key(ec.SECP256R1())
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


def test_chain_and_key_in_one_text_serve_in_any_order(certificates: Certificates) -> None:
    for pem in (certificates.key + certificates.chain, certificates.chain + certificates.key):
        assert shakes_hands(certificate.context(pem), certificates)
    assert certificate.chain(certificates.pem) == certificates.chain
    assert certificate.unfit(certificates.pem, DOMAIN, datetime.now(UTC)) == ""


def test_what_cannot_serve_is_refused(certificates: Certificates) -> None:
    half = certificates.pem[: len(certificates.pem) // 2]
    for pem in ("", "{}", "no PEM\0", half, certificates.chain, certificates.key, key() + certificates.chain):
        with pytest.raises(ValueError, match="no PEM of a key with the chain that fits it"):
            certificate.context(pem)


def test_an_encrypted_key_is_refused_and_asks_nobody(certificates: Certificates) -> None:
    with pytest.raises(ValueError, match="encrypted"):
        certificate.context(key(password=b"secret") + certificates.chain)


def test_what_phones_would_refuse_is_told_why(certificates: Certificates) -> None:
    now = datetime.now(UTC)
    assert "expired" in certificate.unfit(certificates.pem, DOMAIN, now + timedelta(days=3))
    assert (
        certificate.unfit(certificates.pem, "other.example.nl", now) == f"it is for {DOMAIN}, not for other.example.nl"
    )


def shakes_hands(context: ssl.SSLContext, phone: Certificates) -> bool:
    """Whether a phone that trusts this authority gets through a TLS handshake with this server."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        context.wrap_bio(up, down, server_side=True),
        phone.client_context().wrap_bio(down, up, server_hostname=DOMAIN),
    ]
    for _ in range(6):
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass
    return not ends


def shown_by(node: NodeUnderTest) -> str:
    """The certificate that the node shows in a new handshake."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((node.address, node.port), timeout=10) as plain,
        anybody.wrap_socket(plain, server_hostname=DOMAIN) as phone,
    ):
        return ssl.DER_cert_to_PEM_cert(phone.getpeercert(binary_form=True) or b"")


@pytest.mark.needs("pebble", "pebble-challtestsrv")
async def test_a_renewal_by_an_authority_in_mid_call_loses_no_packet_and_a_broken_one_changes_nothing(
    new_node: NodeFactory, tmp_path: Path
) -> None:
    node = await asyncio.to_thread(new_node)
    phones = accounts(CUSTOMER)
    await asyncio.to_thread(node.assign, CUSTOMER, phones)
    ours, theirs = await talking(node, phones)
    before = await asyncio.to_thread(shown_by, node)
    assert before == node.certificates.chain

    for broken in (key() + node.certificates.chain, Certificates.make(tmp_path, "other.example.nl").pem):
        seen = len(node.events("certificate refused"))
        await asyncio.to_thread(node.renew, broken)
        await asyncio.to_thread(wait_until, lambda: len(node.events("certificate refused")) > seen)  # noqa: B023
        assert await asyncio.to_thread(shown_by, node) == before

    with running_pebble(tmp_path) as pebble:
        renewal = renewal_by(pebble, DOMAIN)
        assert await asyncio.to_thread(renewal.run, datetime.now(UTC))
    renewed = renewal.values.read("certificate")
    await asyncio.to_thread(node.renew, renewed)
    await asyncio.to_thread(wait_until, lambda: len(node.events("certificate loaded")) == 2)
    assert await asyncio.to_thread(shown_by, node) in renewed

    await asyncio.sleep(0.5)
    assert not ours.ended.is_set() and not theirs.ended.is_set()
    await hang_up(ours, theirs)
    assert verdict(ours, theirs).audio_ok
    for heard, said in ((ours, theirs), (theirs, ours)):
        assert heard.stream.tally.received >= said.stream.tally.sent - LATCHING
    assert node.events("failing") == []
