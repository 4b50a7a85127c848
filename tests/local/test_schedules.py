"""When rates and cron expressions of EventBridge come next."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callvoip.lambdas.schedules import Cron, Rate, parse

MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("rate(1 minute)", 60), ("rate(5 minutes)", 300), ("rate(1 hour)", 3600), ("rate(2 days)", 172800)],
)
def test_a_rate_is_so_many_seconds(expression: str, seconds: int) -> None:
    assert parse(expression) == Rate(seconds)
    now = datetime.now(UTC)
    assert parse(expression).after(now) == now + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("expression", "after", "due"),
    [
        ("cron(30 2-12 1 * ? *)", "2026-11-26T09:00:00", "2026-12-01T02:30:00"),
        ("cron(30 2-12 1 * ? *)", "2026-12-01T02:30:00", "2026-12-01T03:30:00"),
        ("cron(30 2-12 1 * ? *)", "2026-12-01T12:30:00", "2027-01-01T02:30:00"),
        ("cron(0 10 * * ? *)", "2026-11-26T10:00:00", "2026-11-27T10:00:00"),
        ("cron(15 12 * * ? *)", "2026-11-26T10:00:59", "2026-11-26T12:15:00"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-27T18:00:00", "2026-11-30T18:00:00"),
        ("cron(0/15 * * * ? *)", "2026-11-26T09:46:00", "2026-11-26T10:00:00"),
        ("cron(0 0 29 FEB ? *)", "2026-11-26T00:00:00", "2028-02-29T00:00:00"),
        ("cron(0 8 1,15 * ? 2027)", "2026-11-26T00:00:00", "2027-01-01T08:00:00"),
    ],
)
def test_a_cron_expression_comes_next_when_eventbridge_says(expression: str, after: str, due: str) -> None:
    found = parse(expression).after(datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_what_never_comes_again_is_told_so() -> None:
    assert parse("cron(0 0 1 1 ? 2020)").after(datetime(2026, 1, 1, tzinfo=UTC)) is None


@given(MOMENTS, st.integers(0, 59), st.integers(0, 23))
def test_no_run_is_left_out(now: datetime, minute: int, hour: int) -> None:
    due = parse(f"cron({minute} {hour} * * ? *)").after(now)
    assert due is not None and timedelta(0) < due - now <= timedelta(days=1)
    assert (due.hour, due.minute, due.second) == (hour, minute, 0)


@pytest.mark.parametrize(
    "expression",
    ["cron(0 0 L * ? *)", "cron(0 0 1W * ? *)", "cron(61 0 * * ? *)", "cron(* *)", "at(now)", "x * * * * *"],
)
def test_a_schedule_that_is_not_known_is_refused_rather_than_ignored(expression: str) -> None:
    with pytest.raises(NotImplementedError, match="add it to"):
        parse(expression)


def test_a_field_is_the_values_it_lets_through() -> None:
    schedule = parse("cron(0/20 8-9 ? JAN,MAR SUN *)")
    assert isinstance(schedule, Cron)
    assert schedule.fields[0] == {0, 20, 40} and schedule.fields[1] == {8, 9}
    assert schedule.fields[3] == {1, 3} and schedule.fields[4] == {1}
