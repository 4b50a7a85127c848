"""Loss and jitter against RFC 3550's own definitions; the E-model against published figures."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.media.packet import ReportBlock, ntp_time
from media_node.media.stats import Reception, mean_opinion_score, opinion_of, round_trip


def receive(sequences: list[int], start: int = 0) -> Reception:
    reception = Reception(1, start, 0, 8, 0.0)
    for number in sequences:
        reception.arrived(number & 0xFFFF, 0.0)
    return reception


def test_nothing_is_lost_when_all_arrive_even_past_the_wrap() -> None:
    reception = receive(list(range(65000, 65000 + 5000)), 65000)
    assert (reception.expected, reception.received, reception.lost) == (5000, 5000, 0)
    assert reception.highest == 69999


@given(st.integers(0, 0xFFFF), st.lists(st.booleans(), min_size=2, max_size=400), st.randoms(use_true_random=False))
def test_loss_is_what_is_missing_between_first_and_last_whatever_the_order(
    start: int, kept: list[bool], shuffle: random.Random
) -> None:
    kept = [True, *kept, True]
    arrived = [start + i for i, keep in enumerate(kept) if keep]
    middle = arrived[1:-1]
    for i in range(0, len(middle) - 1, 2):  # neighbours change places
        if shuffle.random() < 0.3:
            middle[i], middle[i + 1] = middle[i + 1], middle[i]
    reception = receive([arrived[0], *middle, arrived[-1]], start)
    assert reception.lost == kept.count(False)


def test_what_a_source_on_hold_did_not_send_is_not_lost() -> None:
    reception = receive([1, 2, 3], 1)
    reception.excuse(3000)
    reception.arrived(3000, 0.0)
    assert (reception.lost, reception.highest) == (0, 3000)


def test_a_source_that_starts_over_loses_nothing_by_it() -> None:
    reception = receive([40000, 40001], 40000)
    reception.rebase(100)
    for number in (100, 101, 103):
        reception.arrived(number, 0.0)
    assert (reception.received, reception.lost) == (5, 1)


def test_fraction_lost_is_of_the_last_interval_and_the_count_of_all() -> None:
    reception = receive([0, 1, 3], 0)
    block = reception.report(0, 0.0)
    assert (block.fraction_lost, block.lost, block.highest) == (64, 1, 3)
    for number in (4, 5, 6, 7):
        reception.arrived(number, 0.0)
    block = reception.report(0x1234, 0.5)
    assert (block.fraction_lost, block.lost, block.lsr, block.dlsr) == (0, 1, 0x1234, 32768)


def test_jitter_is_the_filter_of_rfc_3550_appendix_a8() -> None:
    random.seed(1)
    arrivals = [i * 0.02 + random.uniform(0, 0.01) for i in range(500)]
    reception = Reception(1, 0, 0, 8, arrivals[0])
    reference = 0.0
    transit = int(arrivals[0] * 8000)
    for i, arrival in enumerate(arrivals[1:], 1):
        reception.sample(i * 160, 8, arrival)
        now = int(arrival * 8000) - i * 160
        reference += (abs(now - transit) - reference) / 16
        transit = now
    assert reception.jitter == pytest.approx(reference / 8000, rel=0.02)


def test_the_clock_rate_of_a_dynamic_payload_type_is_measured() -> None:
    reception = Reception(1, 0, 0, 111, 0.0)
    for i in range(200):
        reception.sample(i * 960, 111, i * 0.02)
    assert reception.rate == 48000
    assert reception.jitter < 0.001


def test_events_of_one_timestamp_leave_jitter_alone() -> None:
    reception = Reception(1, 0, 0, 8, 0.0)
    reception.sample(160, 8, 0.02)
    for i in range(20):
        reception.sample(160, 101, 0.02 + i * 0.02)
    assert reception.jitter == pytest.approx(0.0, abs=1e-9)


def test_round_trip_is_now_less_the_report_less_the_delay_in_between() -> None:
    sent, now = ntp_time(1_000_000.0), ntp_time(1_000_000.350)
    block = ReportBlock(1, lsr=sent >> 16 & 0xFFFFFFFF, dlsr=int(0.3 * 65536))
    assert round_trip(block, now) == pytest.approx(0.05, abs=0.001)
    assert round_trip(ReportBlock(1), now) is None
    assert round_trip(ReportBlock(1, lsr=now + (1 << 20) >> 16 & 0xFFFFFFFF, dlsr=65536 * 60), now) is None


@pytest.mark.parametrize(
    ("rating", "opinion"),
    [(120, 4.5), (93.2, 4.41), (90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58), (0, 1), (-5, 1)],
)
def test_ratings_become_opinions_as_g_107_lists_them(rating: float, opinion: float) -> None:
    assert opinion_of(rating) == pytest.approx(opinion, abs=0.015)


def opinion(lost: int = 0, round_trip_s: float = 0.0, jitter: float = 0.0, payload_type: int = 8) -> float:
    found = mean_opinion_score(
        lost=lost, expected=100, jitter=jitter, round_trip_s=round_trip_s, payload_type=payload_type
    )
    assert found is not None
    return found


def test_opinion_falls_with_loss_delay_jitter_and_codec() -> None:
    assert opinion() == 4.41
    assert opinion() > opinion(lost=1) > opinion(lost=5) > opinion(lost=20) > opinion(lost=90)
    assert opinion() > opinion(round_trip_s=0.2) > opinion(round_trip_s=0.5) > opinion(round_trip_s=1.0)
    assert opinion() > opinion(jitter=0.03) > opinion(jitter=0.15)
    assert opinion() > opinion(payload_type=18)


def test_without_packets_there_is_no_opinion() -> None:
    assert mean_opinion_score(lost=0, expected=0, jitter=0.0, round_trip_s=0.0, payload_type=8) is None
