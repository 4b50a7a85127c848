"""For every sequence of packets without a valid tag, from whatever address and at whatever time, media goes where it
went before.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_node.media.candidate_keys import MAX_CANDIDATES
from media_node.media.leg import Leg
from media_node.media.port import open_pair
from media_node.media.relay import Relay
from media_node.media.slow_path import SlowPath
from tests.support.media.phone import CM32, CM80, GCM128, Phone, Rtp, phones

ATTACKERS = 3


class Bench:
    """A relay in this process with a clock of the test's, two phones, and attackers who know all but the keys."""

    def __init__(self, relay: Relay, legs: dict[str, Leg], a: Phone, b: Phone, attackers: list[socket.socket]) -> None:
        self.relay, self.legs, self.a, self.b = relay, legs, a, b
        self.senders = [*attackers, a.rtp, b.rtp]
        self.receiving = next(receiving for receiving in relay.sockets.values() if not receiving.rtcp)
        self.at = ("127.0.0.1", self.receiving.port.number)
        self.now = 100.0
        self.overheard: list[bytes] = []

    def destinations(self) -> list[object]:
        return [leg.outbound.name and leg.outbound.name.address for leg in self.legs.values()]

    def deliver(self) -> None:
        deadline = time.monotonic() + 1
        while not self.relay.serve(self.receiving, self.now, self.now) and time.monotonic() < deadline:
            pass

    def speak(self, phone: Phone) -> None:
        datagram = phone.protect(phone.next())
        self.overheard.append(datagram)
        phone.rtp.sendto(datagram, self.at)
        self.deliver()

    def heard(self) -> int:
        """Packets that came out at the phones since the last time."""
        found = 0
        for phone in (self.a, self.b):
            phone.rtp.setblocking(False)
            try:
                while phone.rtp.recv(2048):
                    found += 1
            except BlockingIOError:
                pass
        return found


@contextmanager
def bench(suite_a, suite_b) -> Iterator[Bench]:
    with ExitStack() as stack:
        a, b = stack.enter_context(phones(suite_a, suite_b))
        attackers = [
            stack.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))) for _ in range(ATTACKERS)
        ]
        for attacker in attackers:
            attacker.bind(("127.0.0.1", 0))
        pair = open_pair("127.0.0.1", range(43000, 59998, 2))
        for port in pair:
            stack.callback(port.close)
        relay = Relay({4: pair}, {4: pair}, lambda family: open_pair("127.0.0.1", [0]), 60.0)
        legs = relay.open("call", {"a": True, "b": True}, {}, 100.0)
        relay.set("call", "a", a.leg(), 100.0)
        relay.set("call", "b", b.leg(), 100.0)
        yield Bench(relay, legs, a, b, attackers)


FORGERIES = st.one_of(
    st.tuples(st.just("octets"), st.binary(min_size=12, max_size=300)),
    st.tuples(st.just("plain"), st.integers(0, 0xFFFF)),
    st.tuples(st.just("changed"), st.integers(0, 10_000)),
    st.tuples(st.just("cut"), st.integers(1, 100)),
    st.tuples(st.just("replayed"), st.integers(0, 10_000)),
)


@settings(max_examples=60, deadline=None)
@given(
    suites=st.sampled_from([(CM80, CM80), (CM32, GCM128), (GCM128, CM80)]),
    spoken=st.integers(0, 6),
    attack=st.lists(st.tuples(st.integers(0, ATTACKERS + 1), FORGERIES, st.floats(0, 3)), max_size=40),
)
def test_no_packet_without_a_valid_tag_changes_where_media_is_sent_or_is_relayed(suites, spoken: int, attack) -> None:
    with bench(*suites) as table:
        for _ in range(spoken):
            table.speak(table.a)
            table.speak(table.b)
        table.heard()
        before = table.destinations()
        states = [(leg.latch.state, leg.latch.address) for leg in table.legs.values()]
        for sender, (how, what), wait in attack:
            table.now += wait
            datagram = forged(table, how, what)
            table.senders[sender].sendto(datagram, table.at)
            table.deliver()
            assert table.destinations() == before
            assert [(leg.latch.state, leg.latch.address) for leg in table.legs.values()] == states
        assert table.heard() == 0
        refused = sum(sum(leg.drops.values()) for leg in table.legs.values()) + sum(table.relay.drops.values())
        assert refused == len(attack)
        table.now += 3
        table.speak(table.a)
        assert table.heard() == 1, "and the call goes on"


def forged(table: Bench, how: str, what) -> bytes:
    """A packet whose tag is wrong, or which was heard before."""
    genuine = (
        table.overheard[what % len(table.overheard)]
        if table.overheard and isinstance(what, int)
        else bytes(range(128, 228))
    )
    if how == "octets":
        return bytes(what)
    if how == "plain":
        return bytes(Rtp(what, 0, table.a.ssrc, bytes(160)))
    if how == "changed":
        place = what % (len(genuine) - 12) + 12
        return genuine[:place] + bytes([genuine[place] ^ 1]) + genuine[place + 1 :]
    if how == "cut":
        return genuine[: max(12, len(genuine) - what)]
    return genuine


def test_a_spray_costs_no_more_than_the_trials_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    original = Leg.unprotect

    def counting(self: Leg, packet: bytes, now: float):
        tried.append(packet)
        return original(self, packet, now)

    with bench(CM80, CM80) as table:
        for number in range(30):
            table.relay.open(f"waiting-{number}", {"a": True, "b": True}, {}, 100.0)
            with phones(CM80) as (phone,):
                table.relay.set(f"waiting-{number}", "a", phone.leg(), 100.0)
        monkeypatch.setattr(Leg, "unprotect", counting)
        table.senders[0].sendto(bytes(Rtp(1, 1, 1, bytes(170))), table.at)
        table.deliver()
        assert len(tried) == MAX_CANDIDATES
        for _ in range(200):
            table.senders[0].sendto(bytes(Rtp(1, 1, 1, bytes(170))), table.at)
        for _ in range(4):
            table.deliver()
        assert len(tried) == 64, "the stranger's budget"


def test_a_packet_that_cannot_be_considered_is_counted_and_the_next_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    with bench(CM80, CM80) as table:
        with monkeypatch.context() as patch:
            patch.setattr(SlowPath, "_rtp", broken)
            table.speak(table.a)
        assert table.relay.drops == {"internal": 1}
        table.speak(table.a)
        assert table.heard() == 1
