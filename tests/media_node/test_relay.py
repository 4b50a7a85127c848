"""Real packets through a real worker: what gets through, and what never does."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

import pylibsrtp
import pytest

from media_node.media.packet import Kind, Report, ReportBlock, SenderInfo, kind, ntp_time, read_reports, write_compound
from media_node.worker_link.protocol import LocalTransport
from tests.support.media.call import Call, call_between, running_worker
from tests.support.media.phone import CM32, CM80, GCM128, GCM256, Phone, Rtp, phones, session

pytestmark = pytest.mark.usefixtures("processes")

SUITES = [
    (CM80, CM80),
    (CM80, CM32),
    (CM32, CM80),
    (CM80, GCM128),
    (GCM256, CM32),
    (GCM128, GCM256),
    (CM80, None),
    (None, GCM128),
    (None, None),
]


@pytest.mark.parametrize("suites", SUITES, ids=lambda pair: "-".join(str(suite) for suite in pair))
async def test_audio_passes_both_ways_whatever_each_leg_speaks(tmp_path: Path, suites) -> None:
    with phones(*suites) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk(20)
            of_a, of_b = await call.stats()
    assert (of_a.received, of_a.sent, of_b.received, of_b.sent) == (20, 20, 20, 20)
    assert of_a.drops == of_b.drops == {}
    assert (of_a.lost, of_b.lost) == (0, 0)
    assert (of_a.suite, of_b.suite) == suites


async def test_each_leg_gets_an_ssrc_and_numbers_of_its_own_under_its_own_key(tmp_path: Path) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            sent, heard = call.a_to_b(a.next(marker=True))
            assert heard is not None
            a.send(call.a_at)
            raw = b.receive_raw()
    assert heard.ssrc != sent.ssrc and heard.sequence != sent.sequence and heard.sequence < 0x8000
    assert (heard.marker, heard.payload_type, heard.timestamp, heard.payload) == (True, 8, sent.timestamp, sent.payload)
    assert raw is not None
    with pytest.raises(pylibsrtp.Error):
        session(CM80, a.send_key, outbound=False).unprotect(raw)
    assert Rtp.parse(b.inbound.unprotect(raw)).payload_type == 8


async def test_loss_and_disorder_come_out_as_they_went_in(tmp_path: Path) -> None:
    order = [0, 1, 3, 2, 4, 7, 6, 9]
    with phones(CM80, None) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            packets = [a.next() for _ in range(10)]
            for i in order:
                a.send(call.a_at, packets[i])
            heard = b.receive_all()
            of_a, _ = await call.stats()
    first = heard[0].sequence
    assert [packet.sequence - first for packet in heard] == order
    assert [packet.payload for packet in heard] == [packets[i].payload for i in order]
    assert of_a.lost == 2


async def test_a_doubled_packet_goes_through_once(tmp_path: Path) -> None:
    with phones(CM80, CM32) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            datagram = a.protect(a.next())
            for _ in range(5):
                a.send_raw(call.a_at, datagram)
            assert len(b.receive_all()) == 1
            of_a, _ = await call.stats()
    assert of_a.drops == {"replayed": 4}


def spray(at: LocalTransport, senders: list[Phone], datagrams: list[bytes]) -> None:
    """Send all datagrams from every sender, in bursts the worker can swallow."""
    for start in range(0, len(datagrams), 200):
        for sender in senders:
            for datagram in datagrams[start : start + 200]:
                sender.send_raw(at, datagram)
        time.sleep(0.004)


async def test_a_hundred_thousand_forgeries_during_a_call_are_never_relayed_and_move_nothing(tmp_path: Path) -> None:
    with phones(CM80, CM32, CM80, None) as (a, b, liar, plain):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            liar.ssrc = plain.ssrc = a.ssrc
            liar.sequence = plain.sequence = a.sequence
            wrong_key = [liar.protect(liar.next(os.urandom(160))) for _ in range(30_000)]
            plaintext = [bytes(plain.next()) for _ in range(20_000)]
            attack = asyncio.create_task(asyncio.to_thread(spray, call.a_at, [a, liar], wrong_key + plaintext))
            talked = 5
            while not attack.done():
                call.talk(1)
                talked += 1
                await asyncio.sleep(0.02)
            await attack
            call.talk()
            assert b.receive_raw(0.2) is None and a.receive_raw(0.1) is None and liar.receive_raw(0.1) is None
            of_a, of_b = await call.stats()
            load = await worker.load()
    assert (of_a.received, of_a.latch, of_a.lost) == (talked + 5, "latched", 0)
    assert set(of_a.drops) <= {"unauthenticated", "plaintext", "too-old", "source-alive", "replayed"}
    assert of_a.plaintext >= 20_000, "all from the phone's own address; others are looked at only while it is silent"
    assert sum(of_a.drops.values()) + sum(load.drops.values()) == 100_000, "every refused packet has a reason"
    assert of_b.drops == {} and load.kernel_drops == 0


async def test_genuine_packets_replayed_from_elsewhere_are_refused_and_the_originals_still_count(
    tmp_path: Path,
) -> None:
    with phones(CM80, CM80, CM80) as (a, b, thief):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            overtaken = [a.protect(a.next()) for _ in range(20)]
            for datagram in overtaken:
                thief.send_raw(call.a_at, datagram)
                a.send_raw(call.a_at, datagram)
            assert len(b.receive_all()) == 20
            await asyncio.sleep(0.6)
            for datagram in overtaken * 3:
                thief.send_raw(call.a_at, datagram)
            assert b.receive_raw(0.2) is None
            heard = call.b_to_a()[1]
            assert heard is not None and thief.receive_raw(0.1) is None
            of_a, _ = await call.stats()
    assert of_a.drops == {"source-alive": 20, "replayed": 60}
    assert of_a.latch == "latched"


async def test_before_a_phone_has_proved_itself_media_goes_only_where_its_signalling_comes_from(tmp_path: Path) -> None:
    with phones(CM80, CM80, CM80) as (a, b, behind_nat):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            assert call.a_to_b()[1] is not None, "b announced the address its signalling comes from"
            await worker.close(call.name)
            call = await call_between(worker, behind_nat, b, a_says={"address": "127.0.0.99"})
            b.send(call.b_at)
            assert behind_nat.receive(0.2) is None
            for _ in range(3):
                behind_nat.send(call.a_at)
            b.send(call.b_at)
            assert behind_nat.receive() is not None
            _, of_b = await call.stats()
    assert of_b.drops == {"unanswered": 1}


async def test_a_plain_leg_believes_only_the_negotiated_address(tmp_path: Path) -> None:
    with phones(CM80, None, None) as (phone, trunk, other):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, phone, trunk)
            call.talk()
            for _ in range(50):
                other.send(call.b_at)
            assert phone.receive_raw(0.2) is None
            call.talk()
            _, of_trunk = await call.stats()
    assert of_trunk.drops == {"not-negotiated": 50}


async def test_a_plain_leg_behind_nat_is_believed_from_its_signalling_s_host_when_policy_says_so(
    tmp_path: Path,
) -> None:
    with phones(CM80, None, None) as (phone, customer, other):
        async with running_worker(tmp_path) as (worker, _):
            call = await Call(worker, phone, customer).open()
            await worker.set(call.name, "a", phone.leg())
            await worker.set(
                call.name, "b", replace(customer.leg(peer="127.0.0.1", address="10.9.8.7"), symmetric=True)
            )
            assert call.b_to_a()[1] is not None
            assert call.a_to_b()[1] is not None
            other.send(call.b_at)
            assert phone.receive_raw(0.2) is None, "one address a leg, the first"


async def test_rtcp_goes_both_ways_as_reports_of_the_node_s_own(tmp_path: Path) -> None:
    with phones(CM80, None) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk(10)
            for phone, at in ((a, call.a_at), (b, call.b_at)):
                block = ReportBlock(0, lost=3)
                datagram = write_compound(
                    Report(phone.ssrc, SenderInfo(ntp_time(0), phone.timestamp, 10, 1600), (block,)), "phone"
                )
                phone.rtcp.sendto(
                    phone.outbound.protect_rtcp(datagram) if phone.suite else datagram, (at.address, at.rtcp_port)
                )
            from_node = a.receive_raw(8.0, a.rtcp)
            assert from_node is not None
            (report,) = read_reports(a.inbound.unprotect_rtcp(from_node))
            plain = b.receive_raw(8.0, b.rtcp)
            assert plain is not None
            (plain_report,) = read_reports(plain)
            of_a, of_b = await call.stats()
    for found, phone in ((report, a), (plain_report, b)):
        assert found.sender is not None and found.sender.packets == 10 and found.sender.octets == 1600
        assert [(block.ssrc, block.lost, block.highest & 0xFFFF) for block in found.blocks] == [
            (phone.ssrc, 0, phone.sequence - 1)
        ]
    assert (of_a.rtcp_received, of_b.rtcp_received) == (1, 1) and of_a.rtcp_sent >= 1
    assert of_a.drops == of_b.drops == {}


async def test_rtcp_may_share_the_rtp_port_and_gives_the_round_trip(tmp_path: Path) -> None:
    with phones(GCM128, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b, a_says={"rtcp_mux": True})
            call.talk()
            while kind(datagram := a.receive_raw(8.0) or b"") is not Kind.RTCP:
                assert datagram, "no report came"
            (report,) = read_reports(a.inbound.unprotect_rtcp(datagram))
            assert report.sender is not None
            await asyncio.sleep(0.03)
            block = ReportBlock(report.ssrc, lost=2, lsr=report.sender.ntp >> 16 & 0xFFFFFFFF, dlsr=0)
            a.send_raw(call.a_at, a.outbound.protect_rtcp(write_compound(Report(a.ssrc, None, (block,)), "phone")))
            await asyncio.sleep(0.05)
            of_a, _ = await call.stats()
    assert of_a.round_trip_ms is not None and 25 <= of_a.round_trip_ms < 1000
    assert of_a.reported_lost == 2 and of_a.mos is not None


async def test_plain_rtcp_beside_srtp_is_dropped_and_counted(tmp_path: Path) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            a.rtcp.sendto(write_compound(Report(a.ssrc, None), "cisco"), (call.a_at.address, call.a_at.rtcp_port))
            call.talk()
            of_a, _ = await call.stats()
    assert (of_a.drops, of_a.plaintext, of_a.rtcp_received) == ({"plaintext-rtcp": 1}, 0, 0)


@pytest.mark.parametrize(
    ("first_octet", "counter"), [(22, "dtls"), (1, "stun"), (100, "malformed"), (200, "malformed")]
)
async def test_what_is_not_rtp_is_counted_by_what_it_is(tmp_path: Path, first_octet: int, counter: str) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            a.send_raw(call.a_at, bytes([first_octet]) + bytes(40))
            call.talk()
            assert (await worker.load()).drops == {counter: 1}
