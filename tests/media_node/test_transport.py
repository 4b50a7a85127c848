"""The TLS port: keep-alives, bounds, and what is answered before it closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from media_node.sip import transport
from media_node.sip.headers import Request, Response
from media_node.sip.transport import Connection, Listener, Transport, connect, listen_tls, server_context
from tests.media_node.test_message import REGISTER
from tests.support.node import DOMAIN, Certificates


@dataclass
class Ear:
    """Keeps what it hears."""

    messages: list[Request | Response] = field(default_factory=list)
    gone: list[Connection] = field(default_factory=list)

    def received(self, connection: Connection, message: Request | Response) -> None:
        self.messages.append(message)

    def lost(self, connection: Connection) -> None:
        self.gone.append(connection)


@dataclass
class Port:
    listener: Listener
    ear: Ear
    certificates: Certificates

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        local = self.listener.local
        return await asyncio.open_connection(
            local.host, local.port, ssl=self.certificates.client_context(), server_hostname=DOMAIN
        )


@pytest_asyncio.fixture
async def port(certificates: Certificates, tmp_path: Path) -> AsyncIterator[Port]:
    context = server_context()
    pem = tmp_path / "server.pem"
    pem.write_text(certificates.chain + certificates.key)
    context.load_cert_chain(pem)
    ear = Ear()
    listener = await listen_tls(ear, host="127.0.0.1", port=0, context=context)
    yield Port(listener, ear, certificates)
    await listener.close()


async def read(reader: asyncio.StreamReader, size: int) -> bytes:
    return await asyncio.wait_for(reader.readexactly(size), 5)


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What came before the other side closed."""
    data = b""
    try:
        while piece := await asyncio.wait_for(reader.read(4096), 5):
            data += piece
    except ConnectionError:
        pass
    return data


async def test_a_keep_alive_is_answered_between_messages(port: Port) -> None:
    reader, writer = await port.open()
    writer.write(b"\r\n\r\n")
    assert await read(reader, 2) == b"\r\n"
    writer.write(REGISTER[:50])
    await asyncio.sleep(0.05)
    writer.write(REGISTER[50:] + b"\r\n\r\n")
    assert await read(reader, 2) == b"\r\n"
    assert [message.call_id for message in port.ear.messages] == ["c1"]
    writer.close()


async def test_a_request_that_cannot_be_understood_is_answered_and_the_connection_kept(port: Port) -> None:
    reader, writer = await port.open()
    writer.write(REGISTER.replace(b"CSeq: 1 REGISTER", b"CSeq: 1 INVITE"))
    assert (await asyncio.wait_for(reader.readline(), 5)) == b"SIP/2.0 400 Bad Request\r\n"
    writer.write(REGISTER)
    await asyncio.sleep(0.1)
    assert len(port.ear.messages) == 1
    writer.close()


async def test_who_keeps_sending_nonsense_is_disconnected(port: Port) -> None:
    reader, writer = await port.open()
    writer.write(REGISTER.replace(b"CSeq: 1 REGISTER", b"CSeq: 1 INVITE") * transport.MAX_MALFORMED)
    assert (await closed(reader)).count(b"SIP/2.0 400") >= 1
    assert port.ear.messages == []


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"A" * 3000])
async def test_garbage_is_disconnected_without_an_answer(port: Port, data: bytes) -> None:
    reader, writer = await port.open()
    writer.write(data)
    assert await closed(reader) == b""


async def test_a_silent_stranger_is_disconnected(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_MESSAGE_TIMEOUT", 0.1)
    reader, _ = await port.open()
    assert await closed(reader) == b""


async def test_one_host_cannot_take_every_connection(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_CONNECTIONS_PER_HOST", 2)
    kept = [await port.open() for _ in range(2)]
    reader, _ = await port.open()
    assert await closed(reader) == b""
    kept[0][1].close()
    await asyncio.sleep(0.1)
    reader, writer = await port.open()
    writer.write(REGISTER)
    await asyncio.sleep(0.1)
    assert len(port.ear.messages) == 1


async def test_a_peer_that_does_not_read_is_dropped(port: Port) -> None:
    _, writer = await port.open()  # asyncio reads no more than its own buffer holds
    writer.write(REGISTER.replace(b"CSeq", b"X: y\r\nCSeq"))
    await asyncio.sleep(0.1)
    (message,) = port.ear.messages
    (connection,) = [connection for group in port.listener.gate._inside.values() for connection in group]
    message.body = b"x" * 60_000
    for _ in range(1000):
        if not connection.send(message):
            break
        await asyncio.sleep(0)
    assert connection.closed


async def test_a_certificate_of_another_name_is_not_trusted(port: Port) -> None:
    with pytest.raises(OSError, match="certificate"):
        await connect(
            Ear(),
            Transport.TLS,
            host="127.0.0.1",
            port=port.listener.local.port,
            context=port.certificates.client_context(),
            server_name="other.example.nl",
        )
