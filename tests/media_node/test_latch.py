"""The latch believes an address only after packets from it verified; the models here say so for every sequence of
events.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from media_node.media.latch import PROOFS, REDIRECT_S, SILENCE_S, Latch, LatchState

PHONE, NEW, EVIL = ("192.0.2.1", 4000), ("192.0.2.1", 5000), ("198.51.100.66", 666)


def latched(now: float = 0.0) -> Latch[tuple[str, int]]:
    latch: Latch[tuple[str, int]] = Latch()
    for _ in range(PROOFS):
        latch.verified(PHONE, True, now)
    return latch


def test_it_takes_three_verified_packets_to_be_believed() -> None:
    latch: Latch[tuple[str, int]] = Latch()
    assert latch.state is LatchState.PENDING
    assert [latch.verified(PHONE, True, 0.0) for _ in range(PROOFS)] == [False, False, True]
    assert (latch.state, latch.address) == (LatchState.LATCHED, PHONE)


def test_a_verified_packet_from_elsewhere_starts_the_proof_again() -> None:
    latch: Latch[tuple[str, int]] = Latch()
    for source in (PHONE, PHONE, NEW, NEW):
        assert not latch.verified(source, True, 0.0)
    assert latch.state is LatchState.PROBATION and latch.address is None
    assert latch.verified(NEW, True, 0.0)


def test_a_live_source_cannot_be_replaced_even_by_verified_packets() -> None:
    latch = latched(0.0)
    for step in range(50):
        now = step * 0.02
        latch.verified(PHONE, True, now)
        assert not latch.admits(NEW, now)
        assert not latch.verified(NEW, True, now)
    assert latch.address == PHONE


def test_a_silent_source_is_replaced_by_newer_verified_packets() -> None:
    latch = latched(0.0)
    assert latch.admits(NEW, SILENCE_S)
    assert [latch.verified(NEW, True, SILENCE_S) for _ in range(PROOFS)] == [False, False, True]
    assert (latch.state, latch.address) == (LatchState.MOVED, NEW)


def test_old_packets_move_nothing_however_many_verify() -> None:
    latch = latched(0.0)
    assert not any(latch.verified(EVIL, False, 10.0) for _ in range(20))
    assert latch.address == PHONE


def test_the_old_source_speaking_up_ends_a_move_half_way() -> None:
    latch = latched(0.0)
    latch.verified(NEW, True, 1.0)
    latch.verified(NEW, True, 1.0)
    latch.verified(PHONE, True, 1.0)
    assert not latch.verified(NEW, True, 1.0 + SILENCE_S)
    assert latch.address == PHONE


def test_an_announced_move_need_not_wait_for_silence_but_needs_the_same_proof() -> None:
    latch = latched(0.0)
    latch.redirect(0.0)
    latch.heard(0.1)
    assert [latch.verified(NEW, True, 0.1) for _ in range(PROOFS)] == [False, False, True]
    latch.heard(0.2)
    assert not latch.admits(PHONE, 0.3), "one announcement allows one move"


def test_an_announced_move_that_nobody_makes_lapses() -> None:
    latch = latched(0.0)
    latch.redirect(0.0)
    latch.heard(REDIRECT_S)
    assert not latch.admits(NEW, REDIRECT_S + 0.01)


class AnyTraffic(RuleBasedStateMachine):
    """An attacker sends whatever it likes and verifies nothing; the phone verifies now and then, from either of its
    addresses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.latch: Latch[tuple[str, int]] = Latch()
        self.now = 0.0
        self.proved: list[tuple[tuple[str, int], float]] = []

    @rule(seconds=st.floats(0, 2))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(source=st.sampled_from([PHONE, NEW, EVIL]))
    def forged_packet(self, source: tuple[str, int]) -> None:
        before = (self.latch.state, self.latch.address)
        self.latch.admits(source, self.now)
        assert (self.latch.state, self.latch.address) == before

    @rule()
    def signalling_redirects(self) -> None:
        before = self.latch.address
        self.latch.redirect(self.now)
        assert self.latch.address == before

    @rule(source=st.sampled_from([PHONE, NEW]), newer=st.booleans())
    def verified_packet(self, source: tuple[str, int], newer: bool) -> None:
        before, alive = self.latch.address, not self.latch.admits(source, self.now)
        changed = self.latch.verified(source, newer, self.now)
        self.proved.append((source, self.now))
        if changed:
            assert not alive and self.latch.address == source != before
            assert [each for each, _ in self.proved[-PROOFS:]] == [source] * PROOFS
            assert before is None or newer
        else:
            assert self.latch.address == before

    @invariant()
    def nobody_unproved_is_believed(self) -> None:
        assert self.latch.address != EVIL
        assert (self.latch.address is None) == (self.latch.state in (LatchState.PENDING, LatchState.PROBATION))


TestAnyTraffic = AnyTraffic.TestCase


@given(st.lists(st.tuples(st.sampled_from([PHONE, NEW, EVIL]), st.floats(0, 100))))
def test_no_sequence_of_unverified_packets_is_believed(packets: list[tuple[tuple[str, int], float]]) -> None:
    for latch in (Latch[tuple[str, int]](), latched()):
        before = latch.address
        for source, now in packets:
            latch.admits(source, now)
        assert latch.address == before


@pytest.mark.parametrize("proofs", [2, 3, 5])
def test_the_number_of_proofs_is_a_choice(proofs: int) -> None:
    latch: Latch[str] = Latch(proofs=proofs)
    assert sum(not latch.verified("here", True, 0.0) for _ in range(proofs)) == proofs - 1
