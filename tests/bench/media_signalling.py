"""Calls built through the node's real signalling: two phones register over TLS and call, keys come by SDES."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from media_node.call import directory
from media_node.call.exchange import Exchange
from media_node.probe.phone import Conversation, Phone
from media_node.probe.stream import Stream
from media_node.sip.digest import Algorithm
from media_node.sip.listener import listen_tls, server_context
from media_node.suites import Suite
from media_node.worker_link.client import MediaWorker
from tests.bench.media_traffic import Telephone

DOMAIN, CUSTOMER, PASSWORD = "sip.example.nl", "bench1", "correct horse battery staple"


class Line:
    """A call's media as the phone's conversation knows it, with a benchmark's telephone in place of the probe's
    voice.
    """

    def __init__(self) -> None:
        self.telephone = Telephone()

    def agree(self, destination: tuple[str, int], *, suite: Suite, send_key: str, receive_key: str) -> None:
        """Take the address and the keys that were negotiated."""
        self.telephone.secure(suite, b64decode(send_key), b64decode(receive_key))
        self.telephone.socket.connect(destination)

    def redirect(self, destination: tuple[str, int]) -> None:
        """Take another address."""
        self.telephone.socket.connect(destination)

    def close(self) -> None:
        """Leave the telephone to the benchmark."""


class BenchPhone(Phone):
    """A probe phone with the benchmark's telephones for media."""

    async def _conversation(self, voice: int) -> Conversation:
        line = Line()
        conversation = Conversation(self, self.connection, cast(Stream, line), line.telephone.port)
        self.conversations.append(conversation)
        return conversation


def certificate(file: Path) -> None:
    """A self-signed certificate for DOMAIN with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DOMAIN)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(DOMAIN), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)


@asynccontextmanager
async def exchange(worker: MediaWorker, calls: int, file: Path) -> AsyncIterator[tuple[Exchange, int, ssl.SSLContext]]:
    """The node's signalling in this process, serving one customer with two phones; its port and what phones trust."""
    certificate(file)
    context = server_context()
    context.load_cert_chain(file)
    served = Exchange(domain=DOMAIN, media=lambda: worker, records=lambda record: None)
    phones = tuple(
        directory.Phone(
            username=f"{CUSTOMER}-{extension}",
            extension=extension,
            customer_id=CUSTOMER,
            encrypted=True,
            ha1={
                algorithm.value: algorithm.ha1(f"{CUSTOMER}-{extension}", DOMAIN, PASSWORD) for algorithm in Algorithm
            },
        )
        for extension in ("101", "102")
    )
    environment = directory.Environment(
        environment_id="bench", customer_id=CUSTOMER, encrypted=True, calls=calls, version=1, phones=phones
    )
    served.assign(directory.Directory((environment,)))
    listener = await listen_tls(served.transactions, host="127.0.0.1", port=0, context=context)
    try:
        yield served, listener.local.port, ssl.create_default_context(cafile=str(file))
    finally:
        await listener.close()


def telephone(conversation: Conversation) -> Telephone:
    """The benchmark's telephone behind a conversation."""
    line: Any = conversation.stream
    found: Telephone = line.telephone
    return found


async def calls_through_sip(
    port: int, context: ssl.SSLContext, calls: int, a: Suite, b: Suite
) -> list[tuple[Telephone, Telephone]]:
    """Make that many calls from one phone to the other. Raises RequestRefused, OSError or TimeoutError."""
    caller = BenchPhone(f"{CUSTOMER}-101", PASSWORD, DOMAIN, (a.value,))
    callee = BenchPhone(f"{CUSTOMER}-102", PASSWORD, DOMAIN, (b.value,))
    for phone in (callee, caller):
        await phone.connect("127.0.0.1", port, context)
        await phone.register()
    pairs = []
    for _ in range(calls):
        made = await caller.call("102")
        taken = await callee.answered()
        pairs.append((telephone(made), telephone(taken)))
    return pairs
