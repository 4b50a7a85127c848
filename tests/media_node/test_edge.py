"""Strangers, routers that restart and phones that hang, against the whole of the signalling."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from typing import cast

import pytest

from media_node.call import authentication, liveness
from media_node.call.directory import Directory, Phone
from media_node.probe.phone import RequestRefused
from media_node.sip.digest import Algorithm
from media_node.sip.headers import Request, Response
from media_node.sip.registrar import MANY_ALIKE
from media_node.sip.transport import Connection, StreamConnection
from tests.support.node import DOMAIN
from tests.support.office import CUSTOMER, PASSWORD, Office, environment, refused, until

pytestmark = pytest.mark.usefixtures("takes_long")


def crowd(office: Office, number: int) -> list[str]:
    """Gives the customer that many phones; their extensions."""
    extensions = [str(201 + each) for each in range(number)]
    phones = tuple(
        Phone(
            username=f"{CUSTOMER}-{extension}",
            extension=extension,
            customer_id=CUSTOMER,
            encrypted=True,
            ha1={name.value: name.ha1(f"{CUSTOMER}-{extension}", DOMAIN, PASSWORD) for name in Algorithm},
        )
        for extension in extensions
    )
    office.exchange.assign(Directory((replace(environment(), phones=phones),)))
    return extensions


async def test_all_phones_behind_a_router_that_restarts_come_back_and_their_old_connections_go(office: Office) -> None:
    extensions = crowd(office, 25)
    phones = [await office.handset(extension) for extension in extensions]
    for _ in range(3):
        before, phones = phones, []
        for extension, old in zip(extensions, before, strict=True):
            again = await office.handset(extension, register=False)
            again._call_id, again._sequence = old._call_id, old._sequence  # it did not restart, only its router
            await again.register()
            phones.append(again)
        await until(lambda: all(old.connection.closed for old in before))  # noqa: B023 - waited for in this turn
        assert office.exchange.registrations == len(extensions)
    for phone in phones:
        await phone.register()


async def test_a_phone_that_hangs_is_asked_and_gives_up_its_place_and_its_colleagues_keep_theirs(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "PATIENCE", 0.5)
    living = [await office.handset("101") for _ in range(2)]
    hanging = [await office.handset("101") for _ in range(MANY_ALIKE - 1)]
    for phone in hanging:
        stream = cast(StreamConnection, phone.connection)._stream
        assert stream is not None
        stream.pause_reading()
    newest = await office.handset("101")
    await until(lambda: office.exchange.registrations == len(living) + 1, 10)
    for phone in (*living, newest):
        await phone.register()
        assert not phone.connection.closed


async def test_a_call_to_112_is_judged_at_once_whatever_was_guessed_before(office: Office) -> None:
    guesser = await office.handset("101", register=False, password="ander")
    codes = [(await refused(guesser.register())).code for _ in range(8)]
    assert codes[-1] == 503
    phone = await office.handset("101", register=False)
    waiting = await refused(phone.register())
    assert (waiting.code, waiting.warning) == (503, "")
    with pytest.raises(RequestRefused) as error:
        await phone.call("112")
    # There is no trunk here: that it is told so shows that the password was looked at.
    assert "112" in error.value.warning


async def test_a_stranger_s_flood_does_not_keep_a_registered_phone_from_its_answer(office: Office) -> None:
    phone = await office.handset("101")
    context = office.certificates.client_context()
    line = b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS h;branch=z9hG4bK1\r\nX: a" + b"\t" * 15_000 + b"b\r\n"
    writers = []
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", office.port, ssl=context, server_hostname=DOMAIN)
        writer.write((line + b"Content-Length: 0\r\n\r\n") * 15)
        writers.append(writer)
    for _ in range(5):
        await phone.register()
    for writer in writers:
        writer.close()


async def test_one_password_does_not_take_all_places(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MAX_KNOWN", 3)
    transactions, seen = office.exchange.transactions, dict[Connection, None]()
    received = transactions.received

    def watched(connection: Connection, message: Request | Response) -> None:
        seen[connection] = None
        received(connection, message)

    monkeypatch.setattr(transactions, "received", watched)
    await office.handset("102")
    for _ in range(5):
        await office.handset("101")
    assert [connection.known for connection in seen] == [True, False, False, True, True, True]


async def heads(office: Office, requests: list[bytes]) -> list[bytes]:
    """The answers to a stranger's requests without what differs by itself: branch, tags, nonces and Call-ID."""
    context = office.certificates.client_context()
    reader, writer = await asyncio.open_connection("127.0.0.1", office.port, ssl=context, server_hostname=DOMAIN)
    answers = []
    for request in requests:
        writer.write(request)
        head = b"SIP/2.0 100"
        while head.startswith(b"SIP/2.0 100"):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        lines = [line.partition(b", nonce=")[0] for line in head.split(b"\r\n")]
        own = (b"Via", b"To", b"From", b"Call-ID")
        answers.append(b"\n".join(line for line in lines if not line.startswith(own)))
    writer.close()
    return answers


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE"])
async def test_a_scanner_learns_from_no_answer_which_accounts_exist(office: Office, method: str) -> None:
    """What SIPVicious's svwar does: the same request for account after account, to see which answer differs."""

    def scan(number: int, account: str) -> bytes:
        uri = f"sip:{DOMAIN}" if method == "REGISTER" else f"sip:{account}@{DOMAIN}"
        return (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.9;branch=z9hG4bK{number};rport\r\n"
            f"From: <sip:{account}@{DOMAIN}>;tag={number}\r\nTo: <sip:{account}@{DOMAIN}>\r\nCall-ID: {number}\r\n"
            f"CSeq: 1 {method}\r\nContact: <sip:{account}@192.0.2.9>\r\nMax-Forwards: 70\r\n"
            f"User-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    await office.handset("101")
    accounts = (f"{CUSTOMER}-101", f"{CUSTOMER}-102", f"{CUSTOMER}-999", "nobody", "100", "112", "1000")
    answers = await heads(office, [scan(number, account) for number, account in enumerate(accounts)])
    assert len(set(answers)) == 1


_HALF_OPEN = """
import asyncio, socket, subprocess, sys
from media_node.sip import listener
from media_node.sip.transport import StreamConnection

TIMES = {socket.TCP_KEEPIDLE: 1, socket.TCP_KEEPINTVL: 1, socket.TCP_KEEPCNT: 2, socket.TCP_USER_TIMEOUT: 2000}
listener._KEEP_ALIVE = tuple(
    (level, option, TIMES.get(option, value) if level == socket.IPPROTO_TCP else value)
    for level, option, value in listener._KEEP_ALIVE
)

class Ear:
    def received(self, connection, message): ...
    def lost(self, connection): ...

async def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    port = await listener.listen_tls(Ear(), host="127.0.0.1", port=0, context=listener.server_context())
    reader, writer = await asyncio.open_connection("127.0.0.1", port.local.port)
    while len(port.gate) < 1:
        await asyncio.sleep(0.05)
    [guest] = port.gate.everyone()
    guest._deadline.cancel()
    # The wire is cut: no FIN and no RST ever comes.
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    for _ in range(400):
        if not len(port.gate):
            print("noticed")
            return
        await asyncio.sleep(0.05)
    print("held for ever")

asyncio.run(main())
"""


@pytest.mark.needs("ip")
@pytest.mark.usefixtures("processes")
def test_a_connection_whose_wire_was_cut_is_noticed() -> None:
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("needs network namespaces")
    done = subprocess.run(["unshare", "-n", sys.executable, "-c", _HALF_OPEN], capture_output=True, text=True)
    assert done.stdout.strip() == "noticed", done.stderr


def test_a_dead_connection_is_noticed_within_a_minute() -> None:
    import socket

    from media_node.sip.listener import _KEEP_ALIVE

    times = {option: value for level, option, value in _KEEP_ALIVE if level == socket.IPPROTO_TCP}
    asked = times[socket.TCP_KEEPIDLE] + times[socket.TCP_KEEPINTVL] * times[socket.TCP_KEEPCNT]
    assert asked <= 60
    assert times[socket.TCP_USER_TIMEOUT] <= 40_000
