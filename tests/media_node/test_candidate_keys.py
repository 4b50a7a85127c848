"""Trial decryption: the likeliest legs first, never more than eight a packet, and strangers pay from a budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media_node.media.candidate_keys import BURST, MAX_CANDIDATES, REFILL_PER_S, Budget, CandidateKeys

OFFICE, ELSEWHERE = ("host", 1), ("host", 2)


def test_owners_of_a_trace_come_before_neighbours_and_neighbours_before_the_rest() -> None:
    candidate_keys: CandidateKeys[str] = CandidateKeys()
    candidate_keys.expect("rest", {ELSEWHERE})
    candidate_keys.expect("neighbour", {OFFICE})
    candidate_keys.know("owner", ("ssrc", 7))
    candidate_keys.know("address", 12345)
    found = list(candidate_keys.candidates((12345, ("ssrc", 7)), OFFICE, OFFICE, 0.0))
    assert found == ["address", "owner", "neighbour", "rest"]


def test_a_leg_that_proved_itself_is_no_longer_tried_for_its_neighbours() -> None:
    candidate_keys: CandidateKeys[str] = CandidateKeys()
    candidate_keys.expect("a", {OFFICE})
    candidate_keys.settle("a")
    assert list(candidate_keys.candidates((), OFFICE, OFFICE, 0.0)) == []


def test_a_leg_that_is_gone_is_never_tried() -> None:
    candidate_keys: CandidateKeys[str] = CandidateKeys()
    candidate_keys.expect("a", {OFFICE})
    candidate_keys.know("a", 1)
    candidate_keys.know("a", ("ssrc", 2))
    candidate_keys.forget("a", 1)
    assert list(candidate_keys.candidates((1,), ELSEWHERE, ELSEWHERE, 0.0)) == ["a"]
    candidate_keys.remove("a")
    assert list(candidate_keys.candidates((1, ("ssrc", 2)), OFFICE, OFFICE, 0.0)) == []


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_no_packet_costs_more_than_eight_trials(owners: int, neighbours: int, others: int) -> None:
    candidate_keys: CandidateKeys[int] = CandidateKeys()
    for leg in range(owners):
        candidate_keys.know(leg, "trace")
    for leg in range(100, 100 + neighbours):
        candidate_keys.expect(leg, {OFFICE})
    for leg in range(200, 200 + others):
        candidate_keys.expect(leg, {ELSEWHERE})
    found = list(candidate_keys.candidates(("trace",), OFFICE, OFFICE, 0.0))
    assert len(found) == len(set(found)) == min(MAX_CANDIDATES, owners + neighbours + others)


def test_a_stranger_s_spray_runs_out_of_trials_and_an_owner_s_packets_do_not() -> None:
    candidate_keys: CandidateKeys[str] = CandidateKeys()
    candidate_keys.expect("pending", {OFFICE})
    candidate_keys.know("mine", "address")
    tried = sum(len(list(candidate_keys.candidates((), ELSEWHERE, ELSEWHERE, 0.0))) for _ in range(1000))
    assert tried == BURST
    assert list(candidate_keys.candidates(("address",), ELSEWHERE, ELSEWHERE, 0.0)) == ["mine"]
    assert list(candidate_keys.candidates((), OFFICE, OFFICE, 0.0)) == ["pending"], (
        "another's spray costs a phone nothing"
    )


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
