"""fleet.placement: Erlang B and packed allocation."""

from math import factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.placement import BLOCKING, ERLANG_PER_PHONE, Room, calls_needed, choose

phones = st.integers(1, 2000)
rooms = st.lists(st.builds(Room, st.uuids().map(str), st.integers(0, 100)), unique_by=lambda room: room.node_id)


def erlang_b(erlang: float, circuits: int) -> float:
    """The formula as in the textbook, without the recursion."""
    terms = [erlang**n / factorial(n) for n in range(circuits + 1)]
    return terms[-1] / sum(terms)


@pytest.mark.parametrize(("number", "calls"), [(1, 1), (10, 6), (50, 14), (100, 21), (500, 71), (1000, 128)])
def test_the_known_figures(number: int, calls: int) -> None:
    assert calls_needed(number) == calls


@given(st.integers(10, 600))
def test_the_blocking_is_met_and_one_call_less_would_not_do(number: int) -> None:
    calls, erlang = calls_needed(number), number * ERLANG_PER_PHONE
    assert erlang_b(erlang, calls) <= BLOCKING < erlang_b(erlang, calls - 1)


@given(phones)
def test_more_phones_never_need_fewer_calls_and_never_more_than_there_are_phones(number: int) -> None:
    assert calls_needed(number) <= calls_needed(number + 1)
    assert 1 <= calls_needed(number) <= number


@pytest.mark.parametrize("number", [0, -1])
def test_no_phones_need_no_calls(number: int) -> None:
    with pytest.raises(ValueError, match=str(number)):
        calls_needed(number)


@given(rooms, st.integers(1, 100))
def test_the_fullest_node_with_room_is_chosen(offered: list[Room], calls: int) -> None:
    chosen = choose(offered, calls)
    fitting = [room.free for room in offered if room.free >= calls]
    assert (chosen.free if chosen else None) == min(fitting, default=None)
