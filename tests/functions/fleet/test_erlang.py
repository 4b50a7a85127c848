"""fleet.erlang: the Erlang B formula."""

from math import factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.erlang import BLOCKING, ERLANG_PER_PHONE, calls_needed, most_phones

phones = st.integers(1, 2000)


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


@given(st.integers(1, 400))
def test_the_largest_environment_fits_and_one_phone_more_does_not(calls: int) -> None:
    assert calls_needed(most_phones(calls)) <= calls < calls_needed(most_phones(calls) + 1)
