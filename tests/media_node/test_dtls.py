"""Legs keyed by DTLS-SRTP, with real handshakes and packets through a real worker."""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from media_node.media import dtls
from media_node.media.packet import Report, read_reports, write_compound
from media_node.worker_link.protocol import LocalTransport
from tests.support.media.call import Call, call_between, running_worker
from tests.support.media.dtls_phone import DtlsPhone
from tests.support.media.phone import CM32, CM80, GCM128, GCM256, Phone

pytestmark = pytest.mark.usefixtures("processes")

ALL = (CM80, CM32, GCM128, GCM256)


@pytest.fixture
def made() -> Iterator[list[Phone]]:
    phones: list[Phone] = []
    yield phones
    for phone in phones:
        phone.close()


async def handshake(phone: DtlsPhone, at: LocalTransport, **how: Any) -> SSL.Connection:
    return await asyncio.to_thread(phone.shake_hands, at, **how)


@pytest.mark.parametrize("node_active", [False, True], ids=["phone-begins", "node-begins"])
@pytest.mark.parametrize("suite", ALL)
async def test_a_phone_keyed_by_dtls_talks_to_one_keyed_by_sdes(
    tmp_path: Path, made: list[Phone], suite, node_active: bool
) -> None:
    a, b = DtlsPhone(suite, node_active=node_active), Phone(CM32)
    made += [a, b]
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b)
        await handshake(a, call.a_at)
        call.talk(10)
        of_a, of_b = await call.stats()
    assert (of_a.suite, of_b.suite, of_a.latch) == (suite, CM32, "latched")
    assert (of_a.received, of_b.received, of_a.drops, of_b.drops) == (10, 10, {}, {})


@pytest.mark.parametrize("other", [DtlsPhone, lambda: Phone(None)], ids=["dtls", "plain"])
async def test_dtls_goes_with_every_other_kind_of_leg(tmp_path: Path, made: list[Phone], other) -> None:
    a, b = DtlsPhone(), other()
    made += [a, b]
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b)
        for phone, at in ((a, call.a_at), (b, call.b_at)):
            if isinstance(phone, DtlsPhone):
                await handshake(phone, at)
        call.talk(10)


@pytest.mark.parametrize(
    ("offered", "chosen"), [((GCM256, CM32, CM80), CM80), ((GCM256, GCM128, CM32), CM32), ((GCM256, GCM128), GCM128)]
)
async def test_our_order_of_suites_decides(tmp_path: Path, made: list[Phone], offered, chosen) -> None:
    a, b = DtlsPhone(*offered), Phone(CM80)
    made += [a, b]
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b)
        await handshake(a, call.a_at)
        call.talk()
        assert (await call.stats())[0].suite == chosen


@pytest.mark.parametrize("node_active", [False, True], ids=["phone-begins", "node-begins"])
async def test_a_certificate_that_was_not_announced_gets_no_keys_and_is_counted(
    tmp_path: Path, made: list[Phone], node_active: bool
) -> None:
    a, liar, b = DtlsPhone(), DtlsPhone(node_active=node_active), Phone(CM80)
    made += [a, b, liar]
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, liar, b, a_says={"fingerprint": a.fingerprint})
        with pytest.raises(SSL.Error):
            await handshake(liar, call.a_at)
            await handshake(liar, call.a_at)  # a client learns of its refusal only after its own last flight
        of_a, _ = await call.stats()
        assert of_a.suite is None and of_a.drops["fingerprint"] >= 1
        if not node_active:
            assert call.b_to_a()[1] is None, "and nothing is sent before there are keys, least of all in clear"


async def test_nothing_reaches_a_leg_before_its_keys(tmp_path: Path, made: list[Phone]) -> None:
    a, b = DtlsPhone(), Phone(None)
    made += [a, b]
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b)
        for _ in range(5):
            b.send(call.b_at)
        assert a.receive_raw(0.3) is None
        assert a.receive_raw(0.1, a.rtcp) is None
        assert (await call.stats())[1].drops == {"unanswered": 5}


@pytest.mark.parametrize("first", ["audio", "text"])
async def test_two_streams_of_one_phone_behind_nat_under_one_certificate_are_told_apart_by_the_nodes_ports(
    tmp_path: Path, made: list[Phone], first: str
) -> None:
    a, b, typing, reading = DtlsPhone(), Phone(CM80), DtlsPhone(), Phone(CM80)
    typing.context, typing.fingerprint = a.context, a.fingerprint
    made += [a, b, typing, reading]
    behind_nat = {"address": "10.0.0.7", "peer": "127.0.0.1"}
    async with running_worker(tmp_path) as (worker, events):
        streams = {"audio": Call(worker, a, b), "text": Call(worker, typing, reading, further=True)}
        for stream in streams.values():
            await stream.open()
            await stream.describe(a_says=behind_nat)
        for kind in (first, *(streams.keys() - {first})):
            await handshake({"audio": a, "text": typing}[kind], streams[kind].a_at)
        for stream in streams.values():
            for _ in range(3):
                assert stream.a_to_b()[1] is not None, "latched by what it sends"
            stream.talk()
            assert (await stream.stats())[0].keying == "DTLS-SRTP"
        assert (await worker.load()).calls == 1 and not events


@pytest.mark.parametrize("node_active", [False, True], ids=["phone-begins", "node-begins"])
async def test_lost_flights_are_sent_again(tmp_path: Path, made: list[Phone], node_active: bool) -> None:
    a, b = DtlsPhone(node_active=node_active), Phone(CM80)
    made += [a, b]
    a.lose = lambda number: number in (0, 2, 3, 4)
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b)
        await handshake(a, call.a_at, patience=20)
        call.talk()


async def test_the_nodes_flights_reach_a_phone_that_was_not_there_yet(tmp_path: Path, made: list[Phone]) -> None:
    a, b = DtlsPhone(node_active=True), Phone(CM80)
    made += [a, b]
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b)
        assert a.receive_raw() is not None, "lost on its way"
        await handshake(a, call.a_at)
        call.talk()


async def test_the_last_flight_is_sent_again_to_a_client_that_did_not_hear_it(
    tmp_path: Path, made: list[Phone]
) -> None:
    a, b = DtlsPhone(), Phone(CM80)
    made += [a, b]
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b)
        deaf = DeafToLastFlight(a.rtp)
        await handshake(a, call.a_at, by=deaf)
        assert deaf.lost == 1
        call.talk()


class DeafToLastFlight:
    """A socket that loses the first datagram with a change_cipher_spec record in it."""

    def __init__(self, real: Any) -> None:
        self.real, self.lost = real, 0

    def recv(self, size: int) -> bytes:
        datagram: bytes = self.real.recv(size)
        if self.lost == 0 and self._has_change(datagram):
            self.lost += 1
            raise TimeoutError
        return datagram

    def _has_change(self, datagram: bytes) -> bool:
        while datagram:
            if datagram[0] == 20:
                return True
            datagram = datagram[13 + int.from_bytes(datagram[11:13], "big") :]
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


async def test_rtcp_on_a_port_of_its_own_has_keys_of_its_own(tmp_path: Path, made: list[Phone]) -> None:
    a, b = DtlsPhone(), Phone(CM80)
    made += [a, b]
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b)
        await handshake(a, call.a_at)
        await handshake(a, call.a_at, rtcp=True)
        call.talk()
        report = a.rtcp_outbound.protect_rtcp(write_compound(Report(a.ssrc, None, ()), "phone@example.nl"))
        a.rtcp.sendto(report, (call.a_at.address, call.a_at.rtcp_port))
        await asyncio.sleep(0.1)
        of_a, _ = await call.stats()
        assert of_a.rtcp_received == 1 and of_a.drops == {}
        while (datagram := await asyncio.to_thread(a.receive_raw, 8.0, a.rtcp)) is not None and datagram[0] < 128:
            pass
        assert datagram is not None
        assert read_reports(a.rtcp_inbound.unprotect_rtcp(datagram))


async def test_rtcp_that_shares_the_port_shares_the_keys(tmp_path: Path, made: list[Phone]) -> None:
    a, b = DtlsPhone(), Phone(CM80)
    made += [a, b]
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b, a_says={"rtcp_mux": True})
        await handshake(a, call.a_at)
        call.talk()
        a.send_raw(call.a_at, a.outbound.protect_rtcp(write_compound(Report(a.ssrc, None, ()), "phone@example.nl")))
        await asyncio.sleep(0.1)
        of_a, _ = await call.stats()
    assert of_a.rtcp_received == 1 and of_a.drops == {}


async def test_described_again_it_keeps_its_keys_and_with_another_certificate_it_gets_new_ones(
    tmp_path: Path, made: list[Phone]
) -> None:
    a, b, after = DtlsPhone(), Phone(CM80), DtlsPhone()
    made += [a, b, after]
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b)
        await handshake(a, call.a_at)
        call.talk()
        await call.describe(a_says={"direction": "sendonly"})
        await call.describe()
        call.talk()
        a.certificate, a.fingerprint, a.context = after.certificate, after.fingerprint, after.context
        await call.describe()
        await handshake(a, call.a_at)
        call.talk()
        of_a, _ = await call.stats()
    assert of_a.received == 15 and of_a.drops == {}


async def test_a_phone_behind_nat_is_known_by_its_certificate(tmp_path: Path, made: list[Phone]) -> None:
    a, b, c = DtlsPhone(), Phone(CM80), DtlsPhone()
    made += [a, b, c]
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b, a_says={"address": "192.0.2.7"})
        other = await call_between(worker, c, Phone(CM80), a_says={"address": "192.0.2.7"})
        made.append(other.b)
        await asyncio.gather(handshake(c, other.a_at), handshake(a, call.a_at))
        for each in (call, other):
            for _ in range(3):
                each.a_to_b()
            each.talk()


async def test_two_calls_of_one_phone_are_told_apart_by_address_or_not_at_all(
    tmp_path: Path, made: list[Phone]
) -> None:
    a, b, twin, c = DtlsPhone(), Phone(CM80), DtlsPhone(), Phone(CM80)
    made += [a, b, twin, c]
    twin.certificate, twin.fingerprint, twin.context = a.certificate, a.fingerprint, a.context
    async with running_worker(tmp_path) as (worker, _):
        call, second = await call_between(worker, a, b), await call_between(worker, twin, c)
        await handshake(twin, second.a_at)
        await handshake(a, call.a_at)
        call.talk()
        second.talk()
        hidden = {"a_says": {"address": "192.0.2.7"}}
        third, fourth = DtlsPhone(), DtlsPhone()
        made += [third, fourth]
        fourth.certificate, fourth.fingerprint, fourth.context = third.certificate, third.fingerprint, third.context
        calls = [await call_between(worker, third, b, **hidden), await call_between(worker, fourth, c, **hidden)]
        await handshake(third, calls[0].a_at)
        assert [(await each.stats())[0].suite for each in calls] == [None, None]
        assert (await worker.load()).drops == {"fingerprint": 1}


def forged(number: int, hello: bytes) -> bytes:
    """DTLS of all sorts: hellos without a cookie, records in clear and under no key, garbage behind a right first
    octet.
    """
    kinds = (
        hello,
        bytes((22, 254, 253)) + bytes(8) + (60).to_bytes(2, "big") + os.urandom(60),
        bytes((21, 254, 253)) + bytes(8) + b"\0\2\2\50",
        bytes((23, 254, 253, 0, 1)) + os.urandom(6) + (40).to_bytes(2, "big") + os.urandom(40),
        bytes((20 + number % 44,)) + os.urandom(80),
    )
    return kinds[number % len(kinds)]


async def test_a_flood_of_forged_dtls_disturbs_neither_a_running_call_nor_a_handshake(
    tmp_path: Path, made: list[Phone]
) -> None:
    a, b, stranger, waiting, c = DtlsPhone(), Phone(CM80), Phone(None, address="127.0.0.2"), DtlsPhone(), Phone(CM80)
    made += [a, b, stranger, waiting, c]
    hello = SSL.Connection(a.context, None)
    hello.set_connect_state()
    hello.set_ciphertext_mtu(1200)
    with pytest.raises(SSL.WantReadError):
        hello.do_handshake()
    first = hello.bio_read(4096)
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b)
        await handshake(a, call.a_at)
        call.talk()
        other = await call_between(worker, waiting, c)

        def flood() -> None:
            for number in range(20_000):
                (stranger, a)[number % 2].send_raw(call.a_at, forged(number // 2, first))
                if number % 100 == 0:
                    stranger.rtp.settimeout(0.004)
                    try:
                        while stranger.rtp.recv(2048):
                            pass
                    except TimeoutError:
                        pass

        attack = asyncio.create_task(asyncio.to_thread(flood))
        shaken = asyncio.create_task(handshake(waiting, other.a_at))
        talked = 5
        while not attack.done():
            assert await asyncio.to_thread(both_hear, call)
            talked += 1
            await asyncio.sleep(0.02)
        await shaken
        other.talk()
        of_a, of_b = await call.stats()
        load = await worker.load()
    assert (of_a.received, of_a.lost, of_a.latch, of_b.lost) == (talked, 0, "latched", 0)
    assert of_a.suite == CM80 and load.kernel_drops == 0
    refused = of_a.drops["dtls"] + load.drops["dtls"]
    assert 19_000 < refused <= 20_000, "but for the few that came within the budget"


def both_hear(call: Call) -> bool:
    (_, by_b), (_, by_a) = call.a_to_b(), call.b_to_a()
    return by_a is not None and by_b is not None


async def test_a_phone_that_begins_before_its_answer_is_known_is_not_kept_waiting(
    tmp_path: Path, made: list[Phone]
) -> None:
    a, b = DtlsPhone(), Phone(CM80)
    made += [a, b]
    async with running_worker(tmp_path) as (worker, _):
        call = await Call(worker, a, b).open()
        shaken = asyncio.create_task(handshake(a, call.a_at))
        await asyncio.sleep(0.3)
        await call.describe()
        async with asyncio.timeout(0.6):  # before it would repeat itself
            await shaken
        call.talk()


async def test_without_a_leg_that_waits_for_it_dtls_is_refused(tmp_path: Path, made: list[Phone]) -> None:
    a, b, stranger = Phone(CM80), Phone(CM80), DtlsPhone()
    made += [a, b, stranger]
    async with running_worker(tmp_path) as (worker, _):
        call = await call_between(worker, a, b)
        with pytest.raises(TimeoutError):
            await handshake(stranger, call.a_at, patience=0.5)
        assert (await worker.load()).drops == {"dtls": 1}


def pumped(client: dtls.Association, identity: dtls.Identity, expected: str) -> dtls.Association | None:
    """Both ends of a handshake in memory; the server's."""
    server: dtls.Association | None = None
    flight = client.take()
    while flight:
        answers: list[bytes] = []
        for datagram in flight:
            if server is None:
                server, answer = identity.answer(datagram, b"there", lambda: (expected,))
            else:
                answer = server.take(datagram)
            answers += answer
        flight = [each for answer in answers for each in client.take(answer)]
    return server


def test_keys_are_the_same_at_both_ends_and_only_for_who_names_the_certificate() -> None:
    one, other = dtls.Identity(), dtls.Identity()
    client = one.begin(lambda: (other.fingerprint,))
    server = pumped(client, other, one.fingerprint)
    assert server is not None
    ours, theirs = client.keys(other.fingerprint), server.keys(one.fingerprint)
    assert ours is not None and theirs is not None
    assert (ours.suite, ours.send, ours.receive) == (CM80, theirs.receive, theirs.send)
    assert len(ours.send) == CM80.key_length and ours.send != ours.receive
    assert ours.send.hex() not in repr(ours)
    assert (
        client.keys(one.fingerprint) is None and server.keys("") is None and server.keys("sha-1 " + "AA:" * 20) is None
    )


def test_an_association_that_is_over_is_freed_without_the_collector() -> None:
    one, other = dtls.Identity(), dtls.Identity()
    gc.disable()
    try:
        client = one.begin(lambda: (other.fingerprint,))
        server = pumped(client, other, one.fingerprint)
        left: list[weakref.ref[Any]] = [weakref.ref(client), weakref.ref(server), weakref.ref(client._connection)]
        del client, server
        assert [each() for each in left] == [None, None, None]
    finally:
        gc.enable()


def test_a_hello_with_anothers_cookie_begins_nothing() -> None:
    one, other = dtls.Identity(), dtls.Identity()
    client = one.begin(lambda: (other.fingerprint,))
    [hello] = client.take()
    none, [retry] = other.answer(hello, b"here", lambda: ())
    [again] = client.take(retry)
    assert none is None and dtls.is_client_hello(again)
    assert other.answer(again, b"elsewhere", lambda: ())[0] is None
    begun, flight = other.answer(again, b"here", lambda: ())
    assert begun is not None and flight and all(len(datagram) <= dtls.MTU for datagram in flight)
