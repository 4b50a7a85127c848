"""ordering.spam, ordering.challenge and ordering.source: what an order looks like to sales, and what a proof of work
proves.
"""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordering import challenge, source, spam
from ordering.challenge import Challenge
from ordering.spam import Clues, Proof

NOW = datetime(2026, 11, 21, 17, 5, tzinfo=UTC)
CLEAN = Clues(honeypot=False, proof=Proof.GOOD, age=timedelta(seconds=40), email="jansen@example.nl", orders_before=0)


def solve(given: Challenge, **changes: Any) -> str:
    """What ALTCHA's widget sends."""
    number = next(
        n
        for n in range(given.maxnumber + 1)
        if hashlib.sha256(f"{given.salt}{n}".encode()).hexdigest() == given.challenge
    )
    told = {
        "algorithm": given.algorithm,
        "challenge": given.challenge,
        "number": number,
        "salt": given.salt,
        "signature": given.signature,
    }
    return base64.b64encode(json.dumps({**told, **changes}).encode()).decode()


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({}, []),
        ({"honeypot": True}, ["honeypot"]),
        ({"proof": Proof.ABSENT, "age": None}, ["no_proof"]),
        ({"proof": Proof.WRONG}, ["wrong_proof"]),
        ({"age": timedelta(seconds=1)}, ["too_fast"]),
        ({"email": "x@mailinator.com"}, ["disposable"]),
        ({"email": "x@eu.YOPmail.com"}, ["disposable"]),
        ({"email": "x@notmailinator.com"}, []),
        ({"orders_before": 2}, []),
        ({"orders_before": 3}, ["repeated"]),
    ],
)
def test_each_oddity_has_its_reason(change: dict[str, Any], codes: list[str]) -> None:
    found = spam.suspicions(Clues(**{**vars(CLEAN), **change}))
    assert [suspicion.code for suspicion in found] == codes
    assert all(suspicion.points > 0 and suspicion.text.endswith(".") for suspicion in found)


def test_an_order_without_javascript_alone_is_nothing_to_call_about() -> None:
    found = spam.suspicions(Clues(False, Proof.ABSENT, None, "jansen@example.nl", 0))
    assert sum(suspicion.points for suspicion in found) < 50


def test_a_solved_challenge_holds_and_tells_when_and_to_whom_it_was_given() -> None:
    made = challenge.make("key", "0a1b", NOW)
    found = challenge.check("key", solve(made), NOW + timedelta(minutes=1))
    assert found == challenge.Solution(made.challenge, NOW, "0a1b")


def test_a_solution_does_not_hold_when_it_is_late_forged_or_wrong() -> None:
    made = challenge.make("key", "0a1b", NOW)
    late = made.salt.replace("expires=", "expires=9")
    assert challenge.check("key", solve(made), NOW + challenge.VALID_FOR) is None
    assert challenge.check("other key", solve(made), NOW) is None
    for change in (
        {"number": -1},
        {"salt": late},
        {"signature": "0" * 64},
        {"algorithm": "MD5"},
        {"number": "1"},
        {"salt": made.salt[:-1]},
    ):
        assert challenge.check("key", solve(made, **change), NOW) is None


def test_digits_cannot_be_moved_from_the_number_into_the_salt() -> None:
    """Another split of the same text would be a second solution, with another time of expiry."""
    made = challenge.make("key", "0a1b", NOW)
    told = json.loads(base64.b64decode(solve(made)))
    digits = str(told["number"])
    moved = {**told, "salt": made.salt + digits[:1], "number": int(digits[1:] or 0)}
    assert challenge.check("key", base64.b64encode(json.dumps(moved).encode()).decode(), NOW) is None


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_any_payload_gets_an_answer(payload: str) -> None:
    assert challenge.check("key", payload, NOW) is None


@given(
    st.fixed_dictionaries(
        {
            name: st.text() | st.integers() | st.none()
            for name in ("algorithm", "challenge", "number", "salt", "signature")
        },
    )
)
def test_any_members_get_an_answer(members: dict[str, object]) -> None:
    assert challenge.check("key", base64.b64encode(json.dumps(members).encode()).decode(), NOW) is None


@pytest.mark.promise("misbruik-zonder-adres")
def test_a_source_is_another_each_day_and_tells_no_address() -> None:
    today, tomorrow = source.name("key", "192.0.2.7", NOW), source.name("key", "192.0.2.7", NOW + timedelta(days=1))
    assert today != tomorrow
    assert today == source.name("key", "192.0.2.7", NOW + timedelta(hours=1))
    assert "192" not in today
