"""All 49 messages of RFC 4475, sent to the node's own port over TLS: the answer that the RFC asks for, and whether the
connection goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from media_node.call.exchange import Exchange
from media_node.sip import transport
from media_node.sip.digest import answer
from media_node.sip.listener import listen_tls, server_context
from media_node.sip.transaction_layer import MAX_OF_A_STRANGER
from tests.support.node import DOMAIN, Certificates
from tests.support.office import CUSTOMER, PASSWORD, Office

TORTURE = Path(__file__).parent / "torture"
OPTIONS = (
    b"OPTIONS sip:sip.example.nl SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKafter\r\nMax-Forwards: 70\r\n"
    b"From: <sip:x@sip.example.nl>;tag=x\r\nTo: <sip:sip.example.nl>\r\nCall-ID: after\r\nCSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n\r\n"
)
NOTHING = 0
"""No answer: it was a response."""

KEPT = {
    # 3.1.1, valid: an INVITE and a REGISTER of a stranger are asked for a password; what is unknown is told so.
    "valid_wsinv": 481,  # To has a tag: it says that it belongs to a dialog
    "valid_intmeth": 405,
    "valid_esc01": 407,
    "valid_escnull": 401,
    "valid_esc02": 405,
    "valid_lwsdisp": 200,
    "valid_longreq": 407,
    "valid_semiuri": 200,
    "valid_transports": 200,
    "valid_mpart01": 407,
    "valid_unreason": NOTHING,
    "valid_noreason": NOTHING,
    # 3.1.2, invalid.
    "invalid_badinv01": 400,
    "invalid_scalar02": 400,
    "invalid_scalarlg": NOTHING,
    "invalid_quotbal": 400,
    "invalid_ltgtruri": 400,
    "invalid_lwsruri": 400,
    "invalid_lwsstart": 400,
    "invalid_trws": 400,
    "invalid_escruri": 400,
    "invalid_baddate": 407,  # who does not care for the date should not refuse it
    "invalid_regbadct": 400,
    "invalid_badaspec": 400,
    "invalid_baddn": 400,
    "invalid_badvers": 505,
    "invalid_mismatch01": 400,
    "invalid_mismatch02": 501,
    "invalid_bigcode": NOTHING,
    # 3.2 to 3.4: transactions, applications, backward compatibility.
    "invalid_badbranch": 200,
    "invalid_insuf": 400,
    "invalid_unkscm": 416,
    "invalid_novelsc": 416,
    "invalid_unksm2": 400,
    "invalid_bext01": 420,
    "invalid_invut": 415,
    "invalid_regaut01": 401,
    "invalid_multi01": 400,
    "invalid_bcast": NOTHING,
    "invalid_zeromf": 200,  # it is answered where it ends, and forwarded by nobody
    "invalid_cparam01": 401,
    "invalid_cparam02": 401,
    "invalid_regescrt": 401,
    "invalid_sdp01": 406,
}
CLOSED = {
    # Where one message ends and the next begins is not known any more.
    "invalid_ncl": [400],
    "invalid_mcl01": [400],
    "invalid_inv2543": [400],  # RFC 2543 had no Content-Length over UDP; a stream needs one (RFC 3261 section 20.14)
}
MINES = {
    # Two requests, and what is between them.
    "valid_dblreq": [401, 407],
    # The rest of the body never comes.
    "invalid_clerr": [],
}


@dataclass
class Wire:
    """A stranger's connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self) -> tuple[int, dict[str, str]]:
        """The next final response: its status and headers."""
        while True:
            head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
            start, *lines = head.strip().split("\r\n")
            headers = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            if body := int(headers["Content-Length"]):
                await asyncio.wait_for(self.reader.readexactly(body), 10)
            if (status := int(start.split(" ")[1])) >= 200:
                return status, headers

    async def responses_until_closed(self) -> list[int]:
        found = []
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                found.append((await self.response())[0])
        return found


@pytest_asyncio.fixture
async def wire(certificates: Certificates, tmp_path: Path) -> AsyncIterator[Wire]:
    def no_media() -> Any:
        raise LookupError

    exchange = Exchange(domain=DOMAIN, media=no_media, records=lambda record: None)
    context = server_context()
    pem = tmp_path / "server.pem"
    pem.write_text(certificates.pem)
    context.load_cert_chain(pem)
    listener = await listen_tls(exchange.transactions, host="127.0.0.1", port=0, context=context)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", listener.local.port, ssl=certificates.client_context(), server_hostname=DOMAIN
    )
    yield Wire(reader, writer)
    writer.close()
    await exchange.drain(0, 0)
    await listener.close()


def test_no_message_is_forgotten() -> None:
    assert {path.stem for path in TORTURE.glob("*.dat")} == {*KEPT, *CLOSED, *MINES}
    assert len({*KEPT, *CLOSED, *MINES}) == 49


def _read(name: str) -> bytes:
    return (TORTURE / f"{name}.dat").read_bytes()


@pytest.mark.parametrize(("name", "status"), KEPT.items())
async def test_a_message_that_ends_where_it_says_is_answered_and_the_connection_goes_on(
    wire: Wire, name: str, status: int
) -> None:
    data = _read(name)
    # baddn's file ends with its last header.
    wire.send(data if b"\r\n\r\n" in data else data + b"\r\n")
    if status != NOTHING:
        answered, headers = await wire.response()
        assert answered == status
        if "insuf" not in name:
            assert "tag" in headers["To"].partition(";")[2]
        if status == 420:
            assert headers["Unsupported"] == "nothingSupportsThis, nothingSupportsThisEither"
        if status == 415:
            assert headers["Accept"] == "application/sdp"
        if status in (401, 407):
            assert any(name in headers for name in ("WWW-Authenticate", "Proxy-Authenticate"))
    wire.send(OPTIONS)
    answered, headers = await wire.response()
    assert (answered, headers["Call-ID"]) == (200, "after")


@pytest.mark.parametrize(("name", "statuses"), CLOSED.items())
async def test_a_message_whose_end_is_not_known_is_answered_and_the_connection_closes(
    wire: Wire, name: str, statuses: list[int]
) -> None:
    wire.send(_read(name))
    wire.send(OPTIONS)
    assert await wire.responses_until_closed() == statuses


async def test_two_requests_in_one_record_are_two_requests(wire: Wire) -> None:
    wire.send(_read("valid_dblreq"))
    assert [(await wire.response())[0], (await wire.response())[0]] == MINES["valid_dblreq"]


async def test_a_body_that_never_comes_is_not_waited_for_for_ever(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MESSAGE_TIMEOUT", 0.3)
    wire.send(_read("invalid_clerr"))
    assert await wire.responses_until_closed() == MINES["invalid_clerr"]


OF_A_PHONE = {"invalid_baddate": 404, "valid_esc01": 404, "valid_longreq": 404, "valid_mpart01": 404}
"""Where a phone that has registered is not asked for a password: nobody is called that."""


async def test_a_phone_that_is_registered_is_answered_the_same_and_stays_so(office: Office) -> None:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", office.port, ssl=office.certificates.client_context(), server_hostname=DOMAIN
    )
    phone, username = Wire(reader, writer), f"{CUSTOMER}-101"
    register = OPTIONS.replace(b"OPTIONS", b"REGISTER").replace(b"sip:x@", f"sip:{username}@".encode())
    register = register.replace(b"To: <sip:", f"To: <sip:{username}@".encode())
    phone.send(register.replace(b"Max", b"Contact: <sip:x@192.0.2.1>\r\nMax"))
    status, headers = await phone.response()
    assert status == 401
    given = answer(
        headers["WWW-Authenticate"], username=username, password=PASSWORD, method="REGISTER", uri=f"sip:{DOMAIN}"
    )
    head = f"Contact: <sip:x@192.0.2.1>\r\nAuthorization: {given}\r\nMax".encode()
    phone.send(register.replace(b"Max", head).replace(b"CSeq: 1", b"CSeq: 2").replace(b"after", b"again"))
    assert (await phone.response())[0] == 200
    for name, status in (KEPT | OF_A_PHONE).items():
        data = _read(name)
        phone.send(data if b"\r\n\r\n" in data else data + b"\r\n")
        if status != NOTHING:
            assert (name, (await phone.response())[0]) == (name, status)
    assert len(office.exchange.registrar.lookup(username, 0)) == 1
    writer.close()


METHODS = ("REGISTER", "INVITE", "OPTIONS", "BYE", "UPDATE", "INFO", "SUBSCRIBE", "MESSAGE", "REFER", "NOTIFY", "PRACK")


@pytest.mark.parametrize("method", METHODS)
async def test_an_extension_that_nobody_supports_is_refused_for_every_method(wire: Wire, method: str) -> None:
    request = OPTIONS.replace(b"OPTIONS", method.encode()).replace(b"Max", b"Require: nothingSupportsThis\r\nMax")
    wire.send(request)
    status, headers = await wire.response()
    assert (status, headers["Unsupported"]) == (420, "nothingSupportsThis")


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
async def test_an_ack_and_a_cancel_are_not_refused_for_what_they_require(wire: Wire, method: str) -> None:
    request = OPTIONS.replace(b"OPTIONS", method.encode()).replace(b"Max", b"Require: nothingSupportsThis\r\nMax")
    wire.send(request)
    wire.send(OPTIONS)
    statuses = [(await wire.response())[0]]
    if method == "CANCEL":
        statuses.append((await wire.response())[0])
    assert statuses == ([200] if method == "ACK" else [481, 200])


async def test_a_whole_request_is_answered_though_garbage_follows_in_the_same_record(wire: Wire) -> None:
    wire.send(OPTIONS + b"\x00\xff garbage\r\n\r\n")
    assert await wire.responses_until_closed() == [200]


async def test_a_stranger_s_requests_that_wait_for_an_ack_are_few_and_all_are_answered(wire: Wire) -> None:
    invite = OPTIONS.replace(b"OPTIONS", b"INVITE")
    for number in range(40):
        wire.send(invite.replace(b"z9hG4bKafter", b"z9hG4bK%d" % number))
    statuses = [(await wire.response())[0] for _ in range(40)]
    assert statuses == [407] * MAX_OF_A_STRANGER + [503] * (40 - MAX_OF_A_STRANGER)


async def test_all_messages_that_leave_the_connection_open_fit_one_after_the_other_on_one_connection(
    wire: Wire,
) -> None:
    for name in KEPT:
        data = _read(name)
        wire.send(data if b"\r\n\r\n" in data else data + b"\r\n")
    wire.send(OPTIONS)
    statuses = [(await wire.response())[0] for status in KEPT.values() if status != NOTHING]
    assert statuses == [status for status in KEPT.values() if status != NOTHING]
    assert (await wire.response())[0] == 200
