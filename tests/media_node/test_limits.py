"""What a stolen password may cost: classes of destinations, calls at a time, a minute, a day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.call.directory import Limits
from media_node.call.limits import DestinationClass, Usage, classify, refusal

TODAY = date(2026, 11, 26)
PLAN = frozenset({"national", "mobile", "freephone", "europe"})


@pytest.mark.parametrize(
    ("number", "country", "expected"),
    [
        ("+31201234567", "NL", "national"),
        ("+31850606060", "NL", "national"),
        ("+31612345678", "NL", "mobile"),
        ("+318001234", "NL", "freephone"),
        ("+319001234", "NL", "premium"),
        ("+31841234567", "NL", "premium"),
        ("+3225551234", "NL", "europe"),
        ("+32475123456", "BE", "mobile"),
        ("+3225551234", "BE", "national"),
        ("+3290212345", "BE", "premium"),
        ("+3270123456", "BE", "premium"),
        ("+3277123456", "NL", "premium"),
        ("+4930123456", "NL", "europe"),
        ("+447911123456", "NL", "europe"),
        ("+12125550123", "NL", "world"),
        ("+18765550123", "NL", "world"),
        ("+79161234567", "NL", "world"),
        ("+881612345678", "NL", "premium"),
        ("+870773123456", "NL", "premium"),
        ("+882161234567", "NL", "premium"),
        ("+979123456789", "NL", "premium"),
        ("+80012345678", "NL", "freephone"),
        ("+999123456789", "NL", "premium"),
        ("14020", "NL", "national"),
        ("1850", "NL", "premium"),
        ("1207", "BE", "premium"),
        ("1722", "BE", "national"),
        ("", "NL", "premium"),
        ("8816123456", "NL", "premium"),
        ("31900123456", "NL", "premium"),
        ("*21*0201234567#", "NL", "premium"),
    ],
)
def test_a_number_has_one_class(number: str, country: str, expected: str) -> None:
    assert classify(number, country) is DestinationClass(expected)


@given(st.from_regex(r"\+?[0-9*#]{0,20}", fullmatch=True), st.sampled_from(["NL", "BE"]))
def test_whatever_is_dialled_has_a_class(number: str, country: str) -> None:
    assert classify(number, country) in DestinationClass


def asked(
    limits: Limits,
    usage: Usage | None = None,
    number: str = "+31201234567",
    *,
    concurrent: int = 0,
    forwarded: int = 0,
    talking: float = 0,
    is_forward: bool = False,
    now: float = 1000.0,
    today: date = TODAY,
) -> int:
    found = refusal(
        limits,
        usage or Usage(),
        number,
        "NL",
        concurrent=concurrent,
        forwarded=forwarded,
        talking=talking,
        is_forward=is_forward,
        now=now,
        today=today,
    )
    return found.status if found else 0


def test_what_the_plan_does_not_cover_is_refused_and_what_fraud_calls_always() -> None:
    limits = Limits(destinations=PLAN)
    assert asked(limits, number="+4930123456") == 0
    assert asked(limits, number="+12125550123") == 403
    assert asked(Limits(), number="+12125550123") == 0, "no classes named: all but what fraud calls"
    assert asked(Limits(), number="+881612345678") == 403


def test_calls_at_a_time_and_forwards_have_bounds_of_their_own() -> None:
    limits = Limits(concurrent_calls=2, forwarded_calls=1)
    assert [asked(limits, concurrent=running) for running in (0, 1, 2)] == [0, 0, 480]
    assert asked(limits, concurrent=1, forwarded=1, is_forward=True) == 480
    assert asked(limits, concurrent=1, forwarded=1) == 0, "a call of a phone is no forward"


def test_calls_a_minute_are_counted_over_the_last_minute() -> None:
    limits, usage = Limits(calls_per_minute=3), Usage()
    for second in range(3):
        assert asked(limits, usage, now=second) == 0
        usage.begin(second)
    assert asked(limits, usage, now=59.9) == 480
    assert asked(limits, usage, now=60.0) == 0


def test_minutes_a_day_begin_anew_each_day() -> None:
    limits, usage = Limits(minutes_per_day=10), Usage()
    usage.end(599, TODAY)
    assert asked(limits, usage) == 0
    assert asked(limits, usage, talking=1) == 403, "what still runs counts"
    usage.end(1, TODAY)
    assert asked(limits, usage) == 403
    assert asked(limits, usage, today=TODAY + timedelta(days=1)) == 0


@given(st.lists(st.floats(0, 300), max_size=50), st.integers(1, 10))
def test_never_more_calls_begin_in_any_minute_than_may(moments: list[float], most: int) -> None:
    limits, usage, begun = Limits(calls_per_minute=most), Usage(), list[float]()
    for now in sorted(moments):
        if not asked(limits, usage, now=now):
            usage.begin(now)
            begun.append(now)
    for first in begun:
        assert sum(first <= each < first + 60 for each in begun) <= most
    assert len(usage.starts) <= most, "memory is bounded by the limit"
