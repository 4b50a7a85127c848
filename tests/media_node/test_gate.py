"""Places for strangers, rates, and turns: the pure parts of what keeps strangers from hurting phones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from media_node.sip.gate import Full, Gate, Guest, Limits, source_of
from media_node.sip.rates import Bucket, Throttle
from media_node.sip.turns import SLICE, Turns, Work


@dataclass(eq=False)
class Visitor:
    source: str


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_what_an_address_counts_as(host: str, source: str) -> None:
    assert source_of(host) == source


def test_a_silent_stranger_makes_room_before_one_who_spoke() -> None:
    gate = Gate(Limits(per_source=2))
    first, second, third = Visitor("a"), Visitor("a"), Visitor("a")
    assert gate.enter(first) is None
    assert gate.enter(second) is None
    gate.spoke(first)
    assert gate.enter(third) is second
    assert set(gate.everyone()) == {first, third}


def test_the_fullest_source_makes_room_for_one_from_elsewhere() -> None:
    gate = Gate(Limits(per_source=10, strangers=5))
    crowd = [Visitor("a") for _ in range(4)]
    for visitor in (*crowd, Visitor("b")):
        assert gate.enter(visitor) is None
    assert gate.enter(Visitor("c")) is crowd[0]


def test_known_phones_take_no_stranger_s_place_and_are_never_asked_to_leave() -> None:
    gate = Gate(Limits(per_source=1, strangers=1, connections=3))
    phones = [Visitor("a") for _ in range(3)]
    for phone in phones:
        assert gate.enter(phone) is None
        gate.know(phone)
    with pytest.raises(Full):
        gate.enter(Visitor("b"))
    gate.forget(phones[0])
    assert gate.enter(Visitor("b")) is phones[0]


class Doors(RuleBasedStateMachine):
    """Whatever happens in whatever order, the gate's counts are right and its limits hold."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate(Limits(per_source=4, strangers=8, connections=12))
        self.inside: list[Guest] = []
        self.known: set[Guest] = set()

    @rule(source=st.sampled_from("abcd"))
    def enter(self, source: str) -> None:
        visitor = Visitor(source)
        try:
            leaving = self.gate.enter(visitor)
        except Full:
            assert len(self.known) == 12
            return
        if leaving is not None:
            assert leaving not in self.known
            self.inside.remove(leaving)
        self.inside.append(visitor)

    @rule(data=st.data(), act=st.sampled_from(["spoke", "know", "forget", "leave"]))
    def change(self, data: st.DataObject, act: str) -> None:
        if not self.inside:
            return
        guest = data.draw(st.sampled_from(self.inside))
        getattr(self.gate, act)(guest)
        match act:
            case "know":
                self.known.add(guest)
            case "forget":
                self.known.discard(guest)
            case "leave":
                self.inside.remove(guest)
                self.known.discard(guest)

    @invariant()
    def counts_are_right(self) -> None:
        assert set(self.gate.everyone()) == set(self.inside)
        assert self.gate.known == len(self.known)
        assert self.gate.strangers == len(self.inside) - len(self.known)
        assert len(self.inside) <= 13
        sources = Counter(guest.source for guest in self.inside if guest not in self.known)
        assert dict(self.gate._strangers) == dict(sources)


TestDoors = Doors.TestCase
TestDoors.settings = settings(max_examples=60, stateful_step_count=40)


def test_a_limit_is_a_rate_and_no_life_sentence() -> None:
    bucket = Bucket(5, 1 / 60)
    assert [bucket.take(0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.take(60)
    assert not bucket.take(61)
    # Five in an hour, every hour, is nothing.
    assert all(Bucket(5, 1 / 60).take(3600 * n / 5) for n in range(100))


def test_lines_about_a_source_are_few_and_tell_how_many_they_stand_for() -> None:
    throttle = Throttle(capacity=2, per_second=0.1)
    assert [throttle.allow("a", 0) for _ in range(5)] == [0, 0, None, None, None]
    assert throttle.allow("b", 0) == 0
    assert throttle.allow("a", 10) == 3
    for number in range(5000):
        throttle.allow(str(number), 20)
    assert len(throttle._sources) <= 1000


class Loop:
    """A loop whose clock moves only by the work that is done in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.next: list[Work] = []
        self.turns = Turns(self.next.append, lambda: self.now)

    def work(self, name: str, seconds: float, done: list[str]) -> Work:
        def run() -> None:
            self.now += seconds
            done.append(name)

        return run

    def turn(self) -> None:
        run, self.next[:] = list(self.next), []
        for each in run:
            each()


def test_a_source_that_sends_much_waits_and_another_does_not() -> None:
    loop, done = Loop(), list[str]()
    for _ in range(1000):
        loop.turns.put("flood", loop.work("flood", 0.001, done))
    loop.turns.put("other", loop.work("other", 0.001, done))
    loop.turn()
    assert "other" in done
    assert loop.now <= SLICE + 0.001
    while loop.next:
        loop.turn()
    assert len(done) == 1001


def test_work_that_fails_does_not_stop_the_rest() -> None:
    loop, done = Loop(), list[str]()

    def fail() -> None:
        raise ValueError

    loop.turns.put("a", fail)
    loop.turns.put("a", loop.work("a", 0, done))
    with pytest.raises(ValueError):
        loop.turn()
    loop.turn()
    assert done == ["a"]
    assert not loop.next
