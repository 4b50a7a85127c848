"""What is over goes by itself: nothing is left that only a look of Python's collector would find. The media worker runs
without one, and in the signalling a look at everything is a stop for everybody (media_node/collector.py).
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import threading
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from media_node.media.packet import Report, ReportBlock, write_compound
from media_node.media.worker import Worker
from media_node.sip.transport import Transport
from media_node.suites import Suite
from media_node.worker_link import protocol
from media_node.worker_link.protocol import LocalTransport
from tests.support.media.dtls_phone import DtlsPhone
from tests.support.media.phone import CM32, CM80, GCM128, Phone
from tests.support.node import DOMAIN
from tests.support.office import Office
from tests.support.simulated_office import SimulatedOffice
from tests.support.simulated_phone import Talk


@pytest.fixture(autouse=True)
def _only_of_this_test() -> Iterator[None]:
    """What other tests and all modules left is no garbage of ours, and a collection need not look through it."""
    gc.freeze()
    yield
    gc.unfreeze()


@contextmanager
def kept() -> Iterator[Counter[str]]:
    """What a collection finds of the node's after the block: types, and code whose frames are held."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        for each in gc.garbage:
            if isinstance(each, types.FrameType) and "media_node" in each.f_code.co_filename:
                found[each.f_code.co_qualname] += 1
            elif type(each).__module__.startswith(("media_node", "OpenSSL", "pylibsrtp")):
                found[type(each).__name__] += 1
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.collect()


class Orders:
    """A worker in a thread of this process, and what it is told."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(10)
        self._lines = self._socket.makefile("r")
        self._number = 0
        worker = Worker(
            theirs,
            addresses=["127.0.0.1"],
            announce=["127.0.0.1"],
            srtp_port=0,
            rtp_ports=range(30000, 39998, 2),
            timeout_s=60,
            gather_s=0.0,
            suites=tuple(Suite),
        )
        self._thread = threading.Thread(target=worker.run)
        self._thread.start()

    def __call__(self, op: str, **said: Any) -> Any:
        self._number += 1
        self._socket.sendall(json.dumps({"id": self._number, "op": op, **said}).encode() + b"\n")
        answer = json.loads(self._lines.readline())
        assert answer["id"] == self._number and "error" not in answer, answer
        return answer["result"]

    def refused(self, op: str, **said: Any) -> None:
        """The worker answers with an error, as it should."""
        with pytest.raises(AssertionError, match="error"):
            self(op, **said)

    def close(self) -> None:
        """The worker ends."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._lines.close()
        self._socket.close()


def call(orders: Orders, name: str, *, a: Phone, b: Phone) -> None:
    """Media, reports, forgeries and replays; new keys; a leg for another peer."""
    secure = {"a": a.leg().secure, "b": b.leg().secure}
    at = {side: LocalTransport(**local) for side, local in orders("open", call=name, secure=secure).items()}
    for side, phone in (("a", a), ("b", b)):
        orders("set", call=name, leg=side, remote=protocol.encode(phone.leg()))
    for side, phone in (("a", a), ("b", b)):
        if isinstance(phone, DtlsPhone):
            phone.shake_hands(at[side])
            phone.shake_hands(at[side], rtcp=True)
    strange(a, at["a"])
    talk(a, b, at)
    strange(a, at["a"])
    orders("stats", call=name)
    while b.receive_raw(0.05):
        pass
    for phone, side in ((a, "a"), (b, "b")):
        if phone.suite is not None:  # a re-INVITE with new keys
            phone.rekey()
            orders("set", call=name, leg=side, remote=protocol.encode(phone.leg()))
    talk(a, b, at)
    orders.refused("open", call=name, secure=secure)
    orders.refused("set", call=name, leg="c", remote=protocol.encode(a.leg()))
    orders("close", call=name)


def talk(a: Phone, b: Phone, at: dict[str, LocalTransport]) -> None:
    """Both ways, with reports."""
    for _ in range(6):
        for phone, other, side in ((a, b, "a"), (b, a, "b")):
            phone.send(at[side])
            other.receive()
    for phone, side in ((a, "a"), (b, "b")):
        report = write_compound(Report(phone.ssrc, None, (ReportBlock(1, lost=1),)), "phone")
        if isinstance(phone, DtlsPhone):
            report = phone.rtcp_outbound.protect_rtcp(report)
        elif phone.suite is not None:
            report = phone.outbound.protect_rtcp(report)
        phone.rtcp.sendto(report, (at[side].address, at[side].rtcp_port))


def strange(phone: Phone, at: LocalTransport) -> None:
    """From the phone's own address and from elsewhere: what is forged, cut, plain, old or no RTP at all."""
    genuine = phone.protect(phone.next())
    forged = genuine[:-1] + bytes((genuine[-1] ^ 1,))
    forged_report = write_compound(Report(phone.ssrc, None), "phone") + os.urandom(14)
    hello = bytes((22, 0xFE, 0xFD)) + bytes(8) + (40).to_bytes(2, "big") + bytes((1,)) + os.urandom(39)
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as stranger:
        stranger.bind((phone.address, 0))
        for datagram in (genuine, forged, genuine[:20], genuine, bytes(phone.next()), b"\0\1", b"\x80\xc9", hello):
            for by in (phone.rtp, stranger):
                by.sendto(datagram, (at.address, at.rtp_port))
        for by in (phone.rtcp, stranger):
            for datagram in (forged_report, forged_report[:9], hello):
                by.sendto(datagram, (at.address, at.rtcp_port))
    time.sleep(0.05)


@pytest.mark.parametrize("kind", ["sdes", "dtls", "plain"])
def test_calls_leave_nothing_for_the_collector_in_a_media_worker(kind: str) -> None:
    phones: list[Phone] = []
    with ExitStack() as stack, kept() as found:
        orders = Orders()
        stack.callback(orders.close)
        for number in range(3):
            a: Phone = DtlsPhone() if kind == "dtls" else Phone(CM80)
            b: Phone = Phone({"sdes": CM32, "dtls": GCM128, "plain": None}[kind])
            with closing(a), closing(b):
                phones += a, b  # what the phones' own TLS contexts leave is none of the worker's
                call(orders, f"call-{number}", a=a, b=b)
        load = orders("load")
        assert load["calls"] == 0 and load["received"] > 60
    assert not found


def answered(office: SimulatedOffice) -> None:
    talk = begin(office)
    office.loop.do(talk.hang_up)


def given_up(office: SimulatedOffice) -> None:
    office.phones[1].mood = "rings"
    talk = begin(office)
    office.loop.do(lambda: office.phones[0].cancel(talk))


def ringing_for_nobody(office: SimulatedOffice) -> None:
    office.phones[1].mood = "silent"
    begin(office)


def busy(office: SimulatedOffice) -> None:
    office.phones[1].mood = "busy"
    begin(office)


def redirected(office: SimulatedOffice) -> None:
    office.phones[1].mood = "redirects"
    begin(office)
    everybody_hangs_up(office)


def transferred(office: SimulatedOffice) -> None:
    talk = begin(office)
    office.loop.do(lambda: talk.refer(f"<sip:103@{DOMAIN}>"))
    office.loop.wait(5)
    everybody_hangs_up(office)


def transferred_to_a_call(office: SimulatedOffice) -> None:
    talk, other = begin(office), begin(office, "103")
    assert other.dialog is not None
    ids = other.dialog.id
    replaces = f"{ids.call_id}%3Bto-tag%3D{ids.remote_tag}%3Bfrom-tag%3D{ids.local_tag}"
    office.loop.do(lambda: talk.refer(f"<sip:103@{DOMAIN}?Replaces={replaces}>"))
    office.loop.wait(5)
    everybody_hangs_up(office)


def picked_up(office: SimulatedOffice) -> None:
    office.phones[1].mood = "rings"
    begin(office)
    office.loop.do(lambda: office.phones[3].call("*8"))
    office.loop.wait(1)
    everybody_hangs_up(office)


def held(office: SimulatedOffice) -> None:
    talk = begin(office)
    office.loop.do(lambda: talk.change("sendonly"))
    office.loop.wait(1)
    office.loop.do(lambda: talk.change("sendrecv"))
    office.loop.wait(1)
    office.loop.do(talk.hang_up)


def lost_for_good(office: SimulatedOffice) -> None:
    begin(office)
    office.loop.do(office.phones[1].end.close)


def lost_and_back(office: SimulatedOffice) -> None:
    talk = begin(office)
    office.loop.do(office.phones[1].end.close)
    office.connect(office.phones[1])
    office.loop.complete(office.phones[1].register())
    office.loop.wait(5)
    office.loop.do(talk.hang_up)


def without_media(office: SimulatedOffice) -> None:
    office.media.refusals = 2
    begin(office)


def wrong_password(office: SimulatedOffice) -> None:
    stranger = office.phone("103", password="wrong")
    assert office.loop.complete(stranger.register()).code == 403
    office.loop.do(lambda: stranger.call("102"))
    office.loop.wait(1)
    office.loop.do(stranger.end.close)


def begin(office: SimulatedOffice, to: str = "102") -> Talk:
    talk = office.loop.do(lambda: office.phones[0].call(to))
    office.loop.wait(1)
    return talk


def everybody_hangs_up(office: SimulatedOffice) -> None:
    for phone in office.phones:
        for talk in phone.talks:
            if talk.stands:
                office.loop.do(talk.hang_up)


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.UDP])
@pytest.mark.parametrize(
    "happens",
    [
        answered,
        given_up,
        ringing_for_nobody,
        busy,
        redirected,
        transferred,
        transferred_to_a_call,
        picked_up,
        held,
        lost_for_good,
        lost_and_back,
        without_media,
        wrong_password,
    ],
    ids=lambda each: each.__name__,
)
def test_calls_leave_nothing_for_the_collector_in_the_signalling(
    happens: Callable[[SimulatedOffice], None], transport: Transport
) -> None:
    office = SimulatedOffice(transport)
    try:
        office.registered("101", "102", "103", "104")
        with kept() as found:
            happens(office)
            office.everything_ends()
        assert not found
    finally:
        office.close()


async def test_connections_leave_nothing_for_the_collector(office: Office) -> None:
    phone = await office.handset("101")
    await asyncio.sleep(0.05)
    with kept() as found:
        for _ in range(3):
            silent = await asyncio.open_connection("127.0.0.1", office.port)
            garbage = await asyncio.open_connection("127.0.0.1", office.port)
            garbage[1].write(b"GET / HTTP/1.1\r\n\r\n")
            strange = await asyncio.open_connection(
                "127.0.0.1", office.port, ssl=office.certificates.client_context(), server_hostname=DOMAIN
            )
            strange[1].write(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\nnonsense\r\n\r\n")
            for reader, writer in (garbage, strange):
                await asyncio.wait_for(reader.read(), 5)
                writer.close()
            silent[1].close()
            await phone.connect("127.0.0.1", office.port, office.certificates.client_context())
            await phone.register()
        await asyncio.sleep(0.2)
    assert not found
