"""What a call leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.call.record import CUT_SHORT, CallClock, CallRecord, claims, cut_short, mask
from media_node.worker_link.protocol import LegStats

START = datetime(2026, 11, 21, 17, 5, 0, 123000, tzinfo=UTC)
RECORD = CallRecord(
    call_id="c1",
    customer_id="abc234",
    caller=mask("101"),
    called=mask("+31201234567"),
    started_at=START,
    answered_at=START + timedelta(seconds=3),
    ended_at=START + timedelta(seconds=63),
    reason="completed",
    legs=(
        LegStats(suite="AES_CM_128_HMAC_SHA1_80", received=3000, sent=2998, jitter_ms=1.234),
        LegStats(suite=None, received=2998),
    ),
)


@pytest.mark.parametrize(
    ("party", "masked"),
    [
        ("+31201234567", "+31201234***"),
        ("102", "***"),
        ("abc234-102", "abc234-***"),
        ("31-20-123", "31-20-***"),
        ("12", "**"),
        ("piet", "piet"),
    ],
)
def test_the_last_three_digits_are_hidden(party: str, masked: str) -> None:
    assert mask(party) == masked


@given(st.text("0123456789+-abc", max_size=20))
@pytest.mark.promise("nummers-verborgen")
def test_masking_hides_exactly_three_digits_and_keeps_the_rest(party: str) -> None:
    digits = [c for c in party if c.isdigit()]
    masked = mask(party)
    assert len(masked) == len(party)
    assert masked.count("*") == min(3, len(digits))
    assert (
        [c for c in masked if c.isdigit()] == digits[:-3] if len(digits) > 3 else not any(c.isdigit() for c in masked)
    )


def test_a_record_is_plain_json_under_the_tables_names() -> None:
    item = json.loads(json.dumps(RECORD.item(keep_days=90)))
    assert item["pk"] == "CUSTOMER#abc234"
    assert item["sk"] == "2026-11-21T17:05:00.123Z#c1"
    assert (item["from"], item["to"]) == ("***", "+31201234***")
    assert item["answeredAt"] == "2026-11-21T17:05:03.123Z"
    assert [(leg["suite"], leg["packets"]) for leg in item["legs"]] == [
        ("AES_CM_128_HMAC_SHA1_80", 3000),
        ("none", 2998),
    ]
    assert item["expiresAt"] == int((START + timedelta(seconds=63, days=90)).timestamp())


def test_each_secured_leg_says_when_it_was_first_and_last_secured() -> None:
    leg = LegStats(
        suite="AES_CM_128_HMAC_SHA1_80", keying="SDES", received=9, first_secured_s=59.5, last_secured_s=0.02
    )
    [first, second] = replace(RECORD, legs=(leg, LegStats(suite=None))).item(keep_days=90)["legs"]
    assert (first["firstSecuredAt"], first["lastSecuredAt"]) == ("2026-11-21T17:05:03.623Z", "2026-11-21T17:06:03.103Z")
    assert (first["keying"], second["keying"]) == ("SDES", "none")
    assert "firstSecuredAt" not in second


@given(step=st.timedeltas(min_value=timedelta(days=-2), max_value=timedelta(days=2)), seconds=st.floats(0, 86_400))
def test_a_wall_clock_that_is_set_makes_no_call_longer_or_shorter(step: timedelta, seconds: float) -> None:
    wall, monotonic = [START], [5.0]
    clock = CallClock(lambda: wall[0], lambda: monotonic[0])
    wall[0] += step
    monotonic[0] += seconds
    assert clock.now() - clock.started_at == timedelta(seconds=monotonic[0] - 5.0)


def test_a_call_cut_short_ended_when_its_node_was_last_seen_and_never_before_its_answer() -> None:
    begun = replace(RECORD, ended_at=None, reason="", legs=()).item(keep_days=90)
    assert "endedAt" not in begun
    ended = cut_short(begun, START + timedelta(seconds=20), keep_days=90)
    assert (ended["endedAt"], ended["reason"]) == ("2026-11-21T17:05:20.123Z", CUT_SHORT)
    assert ended["expiresAt"] == int((START + timedelta(seconds=20, days=90)).timestamp())
    assert cut_short(begun, START - timedelta(days=1), keep_days=90)["endedAt"] == begun["answeredAt"]


def test_a_receipt_attests_how_each_leg_was_secured_and_nothing_unmasked() -> None:
    attested = claims(RECORD.item(keep_days=90), node="i-1")
    assert [(leg["suite"], leg["plaintextPackets"]) for leg in attested["legs"]] == [
        ("AES_CM_128_HMAC_SHA1_80", 0),
        ("none", 0),
    ]
    assert (attested["from"], attested["to"], attested["beyond"]) == ("***", "+31201234***", "unknown")
    assert "expiresAt" not in attested


def test_a_call_nobody_answered_has_no_answer_time() -> None:
    assert "answeredAt" not in replace(RECORD, answered_at=None).item(keep_days=90)
