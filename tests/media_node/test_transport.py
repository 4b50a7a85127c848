"""The TLS port: keep-alives, bounds, and what is answered before it closes."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from media_node.log import Event
from media_node.sip import listener as listener_module
from media_node.sip import tls, transport
from media_node.sip.gate import Limits
from media_node.sip.headers import Request, Response
from media_node.sip.listener import Listener, listen_tls, server_context
from media_node.sip.transport import Connection, Transport, connect
from tests.media_node.test_message import REGISTER
from tests.support.node import DOMAIN, Certificates


@dataclass
class Ear:
    """Keeps what it hears."""

    messages: list[Request | Response] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    gone: list[Connection] = field(default_factory=list)

    def received(self, connection: Connection, message: Request | Response) -> None:
        self.messages.append(message)
        self.connections.append(connection)

    def lost(self, connection: Connection) -> None:
        self.gone.append(connection)


@dataclass
class Port:
    listener: Listener
    ear: Ear
    certificates: Certificates
    reasons: list[str]
    """Why strangers were turned away, as the log says it."""

    async def heard(self, number: int) -> None:
        """Waits until that many messages have come."""
        await until(lambda: len(self.ear.messages) >= number)

    async def gone(self, number: int) -> None:
        """Waits until that many connections are gone."""
        await until(lambda: len(self.ear.gone) >= number)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        local = self.listener.local
        return await asyncio.open_connection(
            local.host, local.port, ssl=self.certificates.client_context(), server_hostname=DOMAIN
        )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a protocol's callbacks
            await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def port(certificates: Certificates, tmp_path: Path) -> AsyncIterator[Port]:
    context = server_context()
    pem = tmp_path / "server.pem"
    pem.write_text(certificates.pem)
    context.load_cert_chain(pem)
    ear = Ear()
    reasons: list[str] = []

    def log(event: Event, /, **fields: Any) -> None:
        assert fields["source"] == ("" if "no room" in fields["reason"] else "127.0.0.0/24")
        reasons.append(fields["reason"])

    listener = await listen_tls(ear, host="127.0.0.1", port=0, context=context, log=log)
    yield Port(listener, ear, certificates, reasons)
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


WRONG = REGISTER.replace(b"CSeq: 1 REGISTER", b"CSeq: 1 INVITE")


async def test_a_stranger_who_keeps_sending_nonsense_is_disconnected(port: Port) -> None:
    reader, writer = await port.open()
    writer.write(WRONG * (transport.MALFORMED[0] + 1))
    assert (await closed(reader)).count(b"SIP/2.0 400") == transport.MALFORMED[0]
    assert port.ear.messages == []
    assert port.reasons == ["malformed messages"]


async def test_a_phone_that_is_known_keeps_its_connection_whatever_it_sends_wrong(port: Port) -> None:
    _, writer = await port.open()
    writer.write(REGISTER)
    await port.heard(1)
    port.ear.connections[0].trust("abc234-201")
    writer.write(WRONG * (transport.MALFORMED[0] + 20) + REGISTER)
    await port.heard(2)
    assert port.reasons == []
    writer.close()


async def test_a_request_before_garbage_is_heard_and_then_the_connection_closes(port: Port) -> None:
    reader, writer = await port.open()
    writer.write(REGISTER + b"\x00\x01\x02garbage")
    await closed(reader)
    assert len(port.ear.messages) == 1


async def test_what_is_wrong_with_the_framing_is_said_before_the_connection_closes(port: Port) -> None:
    reader, writer = await port.open()
    writer.write(REGISTER + REGISTER.replace(b"Content-Length: 4", b"Content-Length: -999"))
    assert (await closed(reader)).startswith(b"SIP/2.0 400 Bad Request\r\n")
    assert len(port.ear.messages) == 1


async def test_a_response_is_never_answered_however_wrong(port: Port) -> None:
    reader, writer = await port.open()
    response = REGISTER.replace(b"REGISTER sip:sip.example.nl SIP/2.0", b"SIP/2.0 200 OK")
    writer.write(response.replace(b"CSeq: 1", b"CSeq: 4294967296") + response.replace(b"200", b"4294967301"))
    writer.write(b"\r\n\r\n")
    assert await read(reader, 2) == b"\r\n"
    writer.close()


async def test_pings_that_come_together_are_answered_once(port: Port) -> None:
    reader, writer = await port.open()
    writer.write(b"\r\n\r\n" * 1000)
    writer.write(WRONG)
    answers = await asyncio.wait_for(reader.readuntil(b"SIP/2.0 400"), 5)
    assert len(answers) < 100


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"A" * 3000])
async def test_garbage_is_disconnected_without_an_answer(port: Port, data: bytes) -> None:
    reader, writer = await port.open()
    writer.write(data)
    assert await closed(reader) == b""


async def test_a_silent_stranger_is_disconnected(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_MESSAGE_TIMEOUT", 0.1)
    reader, _ = await port.open()
    assert await closed(reader) == b""
    assert port.reasons == ["silent"]


async def test_one_message_does_not_buy_a_stranger_an_hour(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_MESSAGE_TIMEOUT", 0.2)
    reader, writer = await port.open()
    writer.write(REGISTER)
    assert await closed(reader) == b""
    assert len(port.ear.messages) == 1


async def test_a_known_phone_may_be_silent_between_two_registrations(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "FIRST_MESSAGE_TIMEOUT", 0.1)
    _, writer = await port.open()
    writer.write(REGISTER)
    await port.heard(1)
    connection = port.ear.connections[0]
    connection.trust("abc234-201")
    await asyncio.sleep(0.4)
    assert not connection.closed
    connection.distrust()
    await port.gone(1)


@pytest.mark.parametrize("known", [False, True])
async def test_a_message_that_trickles_in_does_not_hold_the_connection(
    port: Port, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr(transport, "MESSAGE_TIMEOUT", 0.3)
    reader, writer = await port.open()
    if known:
        writer.write(REGISTER)
        await port.heard(1)
        port.ear.connections[0].trust("abc234-201")
    trickle = asyncio.create_task(drip(writer, REGISTER))
    assert await closed(reader) == b""
    await trickle
    assert len(port.ear.messages) == known


async def drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Sends an octet at a time for as long as somebody listens."""
    for octet in data:
        writer.write(bytes([octet]))
        await asyncio.sleep(0.02)
        if writer.is_closing():
            return


async def test_who_speaks_no_tls_costs_no_handshake(port: Port) -> None:
    reader, writer = await asyncio.open_connection(port.listener.local.host, port.listener.local.port)
    writer.write(REGISTER)
    assert await closed(reader) == b""
    assert port.reasons == ["no TLS"]


async def test_a_handshake_has_to_end(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_TIMEOUT", 0.1)
    reader, writer = await asyncio.open_connection(port.listener.local.host, port.listener.local.port)
    writer.write(b"\x16\x03\x01")
    assert await closed(reader) == b""
    assert port.reasons == ["no handshake"]
    assert len(port.listener.gate) == 0


async def test_strangers_make_room_for_strangers_and_known_phones_stay(port: Port) -> None:
    phone_reader, phone = await port.open()
    phone.write(REGISTER)
    await port.heard(1)
    port.ear.connections[0].trust("abc234-201")
    object.__setattr__(port.listener.gate, "limits", Limits(per_source=3, strangers=10))
    local = port.listener.local
    silent = [await asyncio.open_connection(local.host, local.port) for _ in range(8)]
    for reader, _ in silent[:5]:
        assert await closed(reader) == b""
    _, newcomer = await port.open()
    newcomer.write(REGISTER)
    await port.heard(2)
    assert (port.listener.gate.strangers, port.listener.gate.known) == (3, 1)
    assert set(port.reasons) == {"too many connections"}
    phone.write(b"\r\n\r\n")
    assert await read(phone_reader, 2) == b"\r\n"


async def test_memory_of_those_who_came_and_went_is_given_back(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[int] = []
    monkeypatch.setattr(listener_module, "TRIM_AFTER", 0.05)
    monkeypatch.setattr(listener_module, "_TRIM_FROM", 5)
    monkeypatch.setattr(listener_module, "_trim_memory", trims.append)
    opened = [await port.open() for _ in range(8)]
    for _, writer in opened:
        writer.close()
    await port.gone(8)
    await asyncio.sleep(0.3)
    assert trims == [0]


async def test_a_peer_that_does_not_read_is_dropped(port: Port) -> None:
    _, writer = await port.open()  # asyncio reads no more than its own buffer holds
    writer.write(REGISTER)
    await port.heard(1)
    (message,), (connection,) = port.ear.messages, port.ear.connections
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


async def test_without_descriptors_nobody_is_taken_for_a_while_and_one_line_says_so(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "PAUSE", 0.05)
    accept = socket.socket.accept
    refusals = 0

    def scarce(self: socket.socket) -> Any:
        nonlocal refusals
        if refusals < 3:
            refusals += 1
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", scarce)
    _, writer = await port.open()
    writer.write(REGISTER)
    await port.heard(1)
    assert refusals == 3
    assert port.reasons == ["no room: Too many open files"]
    writer.close()


async def test_a_defect_costs_the_message_and_not_the_connection(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    received = port.ear.received

    def broken(connection: Connection, message: Request | Response) -> None:
        received(connection, message)
        if len(port.ear.messages) == 1:
            raise RuntimeError("a defect")

    monkeypatch.setattr(port.ear, "received", broken)
    reader, writer = await port.open()
    writer.write(REGISTER + REGISTER)
    assert (await asyncio.wait_for(reader.readline(), 5)) == b"SIP/2.0 500 Server Internal Error\r\n"
    await port.heard(2)
    assert [str(each["exception"]) for each in told] == ["a defect"]
    writer.close()
