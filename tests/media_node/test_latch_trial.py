"""Trial decryption: the likeliest legs first, never more than eight a packet, and strangers pay from a budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media_node.media.trial import BURST, REFILL_PER_S, TRIALS, Budget, Directory

OFFICE, ELSEWHERE = ("host", 1), ("host", 2)


def test_owners_of_a_trace_come_before_neighbours_and_neighbours_before_the_rest() -> None:
    directory: Directory[str] = Directory()
    directory.expect("rest", {ELSEWHERE})
    directory.expect("neighbour", {OFFICE})
    directory.know("owner", ("ssrc", 7))
    directory.know("address", 12345)
    found = list(directory.candidates((12345, ("ssrc", 7)), OFFICE, OFFICE, 0.0))
    assert found == ["address", "owner", "neighbour", "rest"]


def test_a_leg_that_proved_itself_is_no_longer_tried_for_its_neighbours() -> None:
    directory: Directory[str] = Directory()
    directory.expect("a", {OFFICE})
    directory.settle("a")
    assert list(directory.candidates((), OFFICE, OFFICE, 0.0)) == []


def test_a_leg_that_is_gone_is_never_tried() -> None:
    directory: Directory[str] = Directory()
    directory.expect("a", {OFFICE})
    directory.know("a", 1)
    directory.know("a", ("ssrc", 2))
    directory.forget("a", 1)
    assert list(directory.candidates((1,), ELSEWHERE, ELSEWHERE, 0.0)) == ["a"]
    directory.remove("a")
    assert list(directory.candidates((1, ("ssrc", 2)), OFFICE, OFFICE, 0.0)) == []


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_no_packet_costs_more_than_eight_trials(owners: int, neighbours: int, others: int) -> None:
    directory: Directory[int] = Directory()
    for leg in range(owners):
        directory.know(leg, "trace")
    for leg in range(100, 100 + neighbours):
        directory.expect(leg, {OFFICE})
    for leg in range(200, 200 + others):
        directory.expect(leg, {ELSEWHERE})
    found = list(directory.candidates(("trace",), OFFICE, OFFICE, 0.0))
    assert len(found) == len(set(found)) == min(TRIALS, owners + neighbours + others)


def test_a_stranger_s_spray_runs_out_of_trials_and_an_owner_s_packets_do_not() -> None:
    directory: Directory[str] = Directory()
    directory.expect("pending", {OFFICE})
    directory.know("mine", "address")
    tried = sum(len(list(directory.candidates((), ELSEWHERE, ELSEWHERE, 0.0))) for _ in range(1000))
    assert tried == BURST
    assert list(directory.candidates(("address",), ELSEWHERE, ELSEWHERE, 0.0)) == ["mine"]
    assert list(directory.candidates((), OFFICE, OFFICE, 0.0)) == ["pending"], "another's spray costs a phone nothing"


def test_a_budget_fills_again_with_time() -> None:
    budget = Budget()
    while budget.spend("stranger", 0.0):
        pass
    assert sum(budget.spend("stranger", 1.0) for _ in range(1000)) == REFILL_PER_S


def test_only_so_many_strangers_are_remembered() -> None:
    budget = Budget(burst=1, strangers=10)
    assert budget.spend("first", 0.0) and not budget.spend("first", 0.0)
    for stranger in range(10):
        budget.spend(stranger, 0.0)
    assert budget.spend("first", 0.0)
