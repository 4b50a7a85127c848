"""What is known to break peers (issue trackers of well-known relays are full of it), each with real packets through a
real worker.
"""

from __future__ import annotations

import asyncio
import os
import random
from itertools import pairwise
from pathlib import Path

import pytest

from media_node.media.latch import SILENCE_S
from tests.support.media.call import Call, call_between, running_worker
from tests.support.media.phone import CM32, CM80, GCM128, Phone, Rtp, phones, session

pytestmark = pytest.mark.usefixtures("processes")

SUITES = pytest.mark.parametrize("suite", [CM80, CM32, GCM128])


def numbers(packets: list[Rtp]) -> list[int]:
    """Outward sequence numbers counted from the first."""
    return [packet.sequence - packets[0].sequence & 0xFFFF for packet in packets]


# Hold


async def test_a_hold_longer_than_the_media_timeout_resumes(tmp_path: Path) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path, timeout_s=0.5) as (worker, events):
            call = await call_between(worker, a, b)
            call.talk()
            await call.describe(a_says={"direction": "inactive"}, b_says={"direction": "inactive"})
            await asyncio.sleep(1.3)
            assert events == []
            await call.describe()
            call.talk()
            assert [leg.lost for leg in await call.stats()] == [0, 0]


async def test_the_side_on_hold_hears_music_and_is_not_heard(tmp_path: Path) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            await call.describe(a_says={"direction": "sendonly"}, b_says={"direction": "recvonly"})
            assert call.a_to_b()[1] is not None
            assert b.send(call.b_at) and a.receive(0.2) is None
            await call.describe()
            call.talk()
            _, of_b = await call.stats()
    assert of_b.drops == {"direction": 1}


async def test_numbers_a_phone_counts_on_while_held_are_not_loss(tmp_path: Path) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            await call.describe(a_says={"direction": "inactive"})
            a.sequence += 3000
            a.timestamp += 3000 * 160
            await call.describe()
            call.talk()
            of_a, _ = await call.stats()
    assert (of_a.lost, of_a.received) == (0, 10)


# The wrap of the sequence number, and the rollover counter that no packet carries


@SUITES
async def test_the_sequence_number_wraps_in_mid_call(tmp_path: Path, suite) -> None:
    with phones(suite, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            a.sequence = 65530
            call = await call_between(worker, a, b)
            call.talk(20)
            of_a, _ = await call.stats()
    assert (of_a.received, of_a.lost, of_a.drops) == (20, 0, {})


@pytest.mark.parametrize("skipped", [0, 100, 30000])
async def test_the_sequence_number_wraps_while_on_hold(tmp_path: Path, skipped: int) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            a.sequence = 65530 - skipped // 2
            call = await call_between(worker, a, b)
            call.talk(3)
            await call.describe(a_says={"direction": "inactive"})
            for _ in range(5):  # some phones go on sending; what they send keeps the counter, and goes nowhere
                a.send(call.a_at)
            for _ in range(skipped):
                a.protect(a.next())
            assert b.receive(0.1) is None
            await call.describe()
            call.talk(10)


async def test_outward_numbers_wrap_too(tmp_path: Path) -> None:
    """Twice round the outward sequence space: the phone's own SRTP must come to the same rollover counter as ours."""
    with phones(None, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            heard = 0
            for _ in range(1100):
                for _ in range(64):
                    a.send(call.a_at)
                heard += sum(b.receive() is not None for _ in range(64))
            assert heard == 1100 * 64 > 65536
            call.talk()


# Keys


async def test_a_reinvite_with_the_same_keys_disturbs_nothing_even_after_a_wrap(tmp_path: Path) -> None:
    with phones(CM80, CM32) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            a.sequence = 65533
            call = await call_between(worker, a, b)
            call.talk(6)
            first = call.a_to_b()[1]
            await call.describe()
            second = call.a_to_b()[1]
            call.talk()
            of_a, of_b = await call.stats()
    assert first is not None and second is not None
    assert (second.ssrc, second.sequence) == (first.ssrc, first.sequence + 1)
    assert of_a.drops == of_b.drops == {} and of_a.latch == "latched"


@SUITES
async def test_a_reinvite_with_new_keys_takes_them_over_without_a_gap(tmp_path: Path, suite) -> None:
    with phones(suite, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            under_the_old_key = [a.protect(a.next()) for _ in range(3)]
            old_inbound = a.inbound
            a.rekey()
            await call.describe()
            for datagram in under_the_old_key:
                a.send_raw(call.a_at, datagram)
                assert b.receive() is not None, "packets under way when the key changed"
            call.talk()
            b.send(call.b_at)
            raw = a.receive_raw()
            with pytest.raises(Exception, match="authentication"):
                old_inbound.unprotect(raw or b"")
            of_a, _ = await call.stats()
    assert of_a.drops == {}


@pytest.mark.parametrize("counter_runs_on", [True, False])
async def test_a_new_key_after_a_wrap_works_whichever_way_the_phone_counts(
    tmp_path: Path, counter_runs_on: bool
) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            a.sequence = 65530
            call = await call_between(worker, a, b)
            call.talk(20)
            a.rekey()
            if (
                counter_runs_on
            ):  # lead the phone's fresh context past one wrap, as a phone that keeps its counter would be
                for sequence in (1, 20000, 40000, 60000):
                    a.outbound.protect(bytes(Rtp(sequence, 0, a.ssrc, b"")))
            await call.describe()
            call.talk(10)
            of_a, _ = await call.stats()
    assert of_a.drops == {}


async def test_a_key_changed_between_183_and_200_counts(tmp_path: Path) -> None:
    """Early media under the first answer's keys, the call under the second's."""
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await Call(worker, a, b).open()
            await worker.set(call.name, "a", a.leg())
            await worker.set(call.name, "b", b.leg())
            for _ in range(5):
                assert call.b_to_a()[1] is not None
            b.rekey()
            await worker.set(call.name, "b", b.leg())
            call.talk()


async def test_the_old_key_is_worth_nothing_once_the_new_one_is_in_use(tmp_path: Path) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            old = session(CM80, a.send_key, outbound=True)
            a.rekey()
            await call.describe()
            call.talk()
            a.send_raw(call.a_at, old.protect(bytes(Rtp(a.sequence + 10, 0, a.ssrc, bytes(os.urandom(160))))))
            assert b.receive_raw(0.2) is None
            of_a, _ = await call.stats()
    assert of_a.drops == {"unauthenticated": 1}


# Addresses


async def test_a_new_port_in_a_reinvite_is_followed_at_once_but_only_after_proof(tmp_path: Path) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            a.rtp, old = a.new_socket(), a.rtp
            await call.describe()
            b.send(call.b_at)
            assert a.receive_raw(0.1) is None and a.receive_raw(by=old) is not None, (
                "not before a packet from there verified"
            )
            for _ in range(3):
                assert call.a_to_b()[1] is not None
            call.talk()
            assert a.receive_raw(0.1, by=old) is None
            old.close()
            of_a, _ = await call.stats()
    assert of_a.latch == "moved"


async def test_a_phone_whose_nat_gives_it_another_port_is_found_again(tmp_path: Path) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            a.rtp, old = a.new_socket(), a.rtp
            a.send(call.a_at)
            assert b.receive_raw(0.1) is None, "the old source spoke a moment ago"
            await asyncio.sleep(SILENCE_S + 0.1)
            for _ in range(3):
                assert call.a_to_b()[1] is not None
            call.talk()
            assert a.receive_raw(0.1, by=old) is None
            old.close()
            of_a, _ = await call.stats()
    assert of_a.latch == "moved" and of_a.drops == {"source-alive": 1}


async def test_two_calls_from_one_phone_port(tmp_path: Path) -> None:
    with phones(CM80, CM80, CM80, CM32) as (one, two, b, c):
        two.rtp.close()
        two.rtp = one.rtp
        async with running_worker(tmp_path) as (worker, _):
            first = await call_between(worker, one, b)
            second = await call_between(worker, two, c)
            for _ in range(10):
                for call in (first, second):
                    sent, heard = call.a_to_b()
                    assert heard is not None and heard.payload == sent.payload
                    sent, heard = call.b_to_a()
                    assert heard is not None and heard.payload == sent.payload
            for call in (first, second):
                of_a, of_b = await call.stats()
                assert (of_a.received, of_b.received, of_a.drops, of_a.latch) == (10, 10, {}, "latched")


@pytest.mark.parametrize("suites", [(CM80, CM80), (CM80, None), (None, GCM128)])
async def test_ipv6_on_one_leg_and_ipv4_on_the_other(tmp_path: Path, suites) -> None:
    a, b = Phone(suites[0], "::1"), Phone(suites[1], "127.0.0.1")
    try:
        async with running_worker(tmp_path, address="127.0.0.1,::1") as (worker, _):
            call = await Call(worker, a, b).open(a=6, b=4)
            assert (call.a_at.address, call.b_at.address) == ("::1", "127.0.0.1")
            await call.describe()
            call.talk(10)
            of_a, of_b = await call.stats()
            assert of_a.drops == of_b.drops == {}
    finally:
        a.close()
        b.close()


# Streams


async def test_another_ssrc_in_mid_call_goes_on_in_the_same_outward_stream(tmp_path: Path) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            heard = []
            for _ in range(4):
                for _ in range(5):
                    await asyncio.sleep(0.02)
                    packet = call.a_to_b()[1]
                    assert packet is not None
                    heard.append(packet)
                a.ssrc, a.sequence, a.timestamp = random.getrandbits(32), random.getrandbits(16), random.getrandbits(32)
            of_a, _ = await call.stats()
    assert len({packet.ssrc for packet in heard}) == 1
    assert numbers(heard) == list(range(20))
    steps = [after.timestamp - before.timestamp & 0xFFFFFFFF for before, after in pairwise(heard)]
    assert all(100 <= step <= 4000 for step in steps), "time goes on at 8000 Hz, whatever the phone's clocks say"
    assert (of_a.received, of_a.lost, of_a.drops) == (20, 0, {})


async def test_two_ssrcs_taking_turns_both_get_through(tmp_path: Path) -> None:
    """A phone mixing its own music or tones in as a second source."""
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            other = Rtp(500, 0, a.ssrc ^ 1, b"")
            for number in range(20):
                a.send(call.a_at)
                a.send_raw(call.a_at, a.protect(Rtp(500 + number, number * 160, other.ssrc, os.urandom(160))))
            assert numbers(b.receive_all()) == list(range(40))


async def test_a_plain_source_that_starts_over_with_the_same_ssrc_is_carried_on(tmp_path: Path) -> None:
    with phones(None, CM80) as (trunk, phone):
        async with running_worker(tmp_path) as (worker, _):
            trunk.sequence = 40000
            call = await call_between(worker, trunk, phone)
            call.talk(10)
            trunk.sequence = 100
            sent = [trunk.send(call.a_at) for _ in range(10)]
            heard = phone.receive_all()
            call.talk()
    assert [packet.payload for packet in heard] == [packet.payload for packet in sent][-len(heard) :]
    assert len(heard) >= 9, "one packet tells that it started over"


async def test_a_leg_cannot_have_sources_without_end(tmp_path: Path) -> None:
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            for ssrc in range(100):
                a.send_raw(call.a_at, a.protect(Rtp(1, 0, ssrc, bytes(160))))
            b.receive_all()
            call.talk()
            of_a, _ = await call.stats()
    assert of_a.drops == {"ssrc-limit": 37}


async def test_a_storm_on_the_network_reorders_doubles_and_loses(tmp_path: Path) -> None:
    dice = random.Random(7)
    with phones(CM80, GCM128) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            sent = [a.next() for _ in range(1000)]
            protected = [
                (i + dice.uniform(0, 20), a.protect(packet))
                for i, packet in enumerate(sent)
                if i == 999 or dice.random() > 0.1
            ]
            arriving = sorted(
                [
                    *protected,
                    *((when + dice.uniform(0, 30), datagram) for when, datagram in protected if dice.random() < 0.1),
                ]
            )
            heard = []
            for start in range(0, len(arriving), 50):
                for _, datagram in arriving[start : start + 50]:
                    a.send_raw(call.a_at, datagram)
                heard += b.receive_all(0.02)
            of_a, _ = await call.stats()
    assert sorted(packet.payload for packet in heard) == sorted(
        sent[i].payload for i in {int(i) for i in kept(protected, sent, a)}
    )
    assert of_a.lost == 1000 - len(protected)
    assert of_a.drops == {"replayed": len(arriving) - len(protected)}


def kept(protected: list[tuple[float, bytes]], sent: list[Rtp], phone: Phone) -> list[int]:
    """Which of `sent` were not lost before the node."""
    first = sent[0].sequence
    return [Rtp.parse(datagram).sequence - first & 0xFFFF for _, datagram in protected]


# Payloads the relay has no business with


@pytest.mark.parametrize("suites", [(CM80, CM32), (CM80, None), (None, CM80)])
async def test_dtmf_events_pass_untouched(tmp_path: Path, suites) -> None:
    """RFC 4733: one timestamp for the whole event, marker on the first, the end sent three times."""
    with phones(*suites) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk()
            event = []
            for duration in (160, 320, 480, 640, 640, 640):
                payload = bytes((5, 0x8A if duration == 640 else 0x0A)) + duration.to_bytes(2, "big")
                event.append(a.next(payload, payload_type=101, marker=duration == 160, step=0))
            heard = []
            for packet in event:
                heard.append(call.a_to_b(packet)[1])
            a.timestamp += 960
            call.talk()
    found = [packet for packet in heard if packet is not None]
    assert [(packet.payload, packet.payload_type, packet.marker) for packet in found] == [
        (packet.payload, packet.payload_type, packet.marker) for packet in event
    ]
    assert len({packet.timestamp for packet in found}) == 1
    assert numbers(found) == list(range(6))


async def test_comfort_noise_and_the_silence_after_it(tmp_path: Path) -> None:
    """RFC 3389: one octet, then nothing for a while; timestamps jump, sequence numbers do not, and the next word has
    the marker.
    """
    with phones(CM80, CM80) as (a, b):
        async with running_worker(tmp_path) as (worker, events):
            call = await call_between(worker, a, b)
            call.talk()
            noise = call.a_to_b(a.next(b"\x3c", payload_type=13))[1]
            await asyncio.sleep(SILENCE_S + 0.3)
            a.timestamp += 6400
            word = call.a_to_b(a.next(marker=True))[1]
            call.talk()
            of_a, _ = await call.stats()
    assert noise is not None and word is not None
    assert (noise.payload, noise.payload_type) == (b"\x3c", 13)
    assert word.marker and word.timestamp - noise.timestamp == 6560 and word.sequence == noise.sequence + 1
    assert (of_a.lost, of_a.drops, events) == (0, {}, [])
