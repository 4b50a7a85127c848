"""Who waits after wrong passwords, and who never does."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from media_node.sip.lockout import REMEMBERED, RULES, Lockout, Reason


def test_a_phone_with_an_old_password_waits_longer_each_time_and_comes_in_with_the_new_one() -> None:
    lockout, now = Lockout(), 0.0
    waits = []
    for _ in range(12):
        lockout.failed("a", "s", now)
        wait = lockout.wait("a", "s", now)
        waits.append(wait.seconds if wait else 0)
        now += waits[-1]
    assert waits[: RULES[Reason.PHONE].free] == [0] * RULES[Reason.PHONE].free
    first = waits[RULES[Reason.PHONE].free :]
    assert first[0] == RULES[Reason.PHONE].first
    assert all(later > earlier for earlier, later in pairwise(first))
    lockout.succeeded("a", "s", now)
    assert lockout.wait("a", "s", now) is None


def test_no_wait_is_for_ever() -> None:
    lockout = Lockout()
    for _ in range(10_000):
        lockout.failed("a", "s", 0)
    wait = lockout.wait("a", "s", 0)
    assert wait is not None
    assert wait.seconds <= max(rule.most for rule in RULES.values())
    assert lockout.wait("a", "s", 700) is None
    # And what it did is forgotten at last: the next mistakes are free again.
    later = 700 + 60 * 30
    lockout.failed("a", "s", later)
    assert lockout.wait("a", "s", later) is None


def test_a_stranger_who_tries_many_accounts_waits_with_all_and_an_office_behind_his_address_does_not() -> None:
    lockout = Lockout()
    lockout.succeeded("office", "s", 0)
    for number in range(RULES[Reason.SOURCE].free + 1):
        lockout.failed(f"guess{number}", "s", 0)
    waiting = lockout.wait("another", "s", 0)
    assert waiting is not None
    assert waiting.reason is Reason.SOURCE
    assert lockout.wait("office", "s", 0) is None


def test_many_strangers_who_try_one_account_do_not_lock_its_phone_out() -> None:
    lockout = Lockout()
    lockout.succeeded("victim", "home", 0)
    for number in range(RULES[Reason.ACCOUNT].free + 10):
        lockout.failed("victim", f"bot{number}", 0)
    waiting = lockout.wait("victim", "another bot", 0)
    assert waiting is not None
    assert waiting.reason is Reason.ACCOUNT
    assert lockout.wait("victim", "home", 0) is None
    assert lockout.wait("victim", "home", REMEMBERED + 1) is None  # the wait is over by then too


def test_a_phone_that_forgot_its_new_password_does_not_lock_out_its_colleagues() -> None:
    lockout = Lockout()
    lockout.succeeded("a", "office", 0)
    for _ in range(200):
        lockout.failed("a", "office", 0)
    assert lockout.wait("a", "office", 0) is not None
    assert lockout.wait("b", "office", 0) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 500), st.booleans())))
def test_waits_are_bounded_and_a_proven_phone_waits_only_for_itself(
    steps: list[tuple[str, str, int, bool]],
) -> None:
    lockout, now, proven, failed = Lockout(), 0.0, set(), set()
    for account, source, seconds, right in steps:
        now += seconds
        if right:
            lockout.succeeded(account, source, now)
            proven.add((account, source))
            failed.discard((account, source))
        else:
            lockout.failed(account, source, now)
            failed.add((account, source))
        for pair in proven - failed:
            assert lockout.wait(*pair, now) is None
        wait = lockout.wait(account, source, now)
        assert wait is None or 0 < wait.seconds <= 600


def test_what_is_remembered_of_strangers_is_bounded() -> None:
    lockout = Lockout()
    for number in range(25_000):
        lockout.failed(f"a{number}", f"s{number}", 0)
        lockout.succeeded(f"b{number}", f"s{number}", 0)
    assert len(lockout._phones._keys) <= 20_000
    assert len(lockout._sources._keys) <= 20_000
    assert len(lockout._accounts._keys) <= 20_000
    assert len(lockout._proven) <= 20_000
