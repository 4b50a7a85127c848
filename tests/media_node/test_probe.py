"""The probe's own judgement: it must not call a bad call good."""

from __future__ import annotations

import pytest

from media_node.probe.audio import PERIOD, SAMPLES, alaw, pattern
from media_node.probe.check import Account, understood
from media_node.probe.stream import Tally


def test_no_two_packets_of_the_two_voices_are_alike() -> None:
    assert len(set(pattern(0)) | set(pattern(1))) == 2 * PERIOD
    assert {len(packet) for packet in pattern(0)} == {SAMPLES}


@pytest.mark.parametrize(
    ("sample", "code"), [(0, 0xD5), (-1, 0x55), (32767, 0xAA), (-32768, 0x2A), (1000, 0xFA), (-1000, 0x7A)]
)
def test_a_law_is_g_711(sample: int, code: int) -> None:
    assert alaw(sample) == code


def heard(*numbers: int, **other: int) -> Tally:
    return Tally(received=len(numbers), heard=list(numbers), **other)


def test_what_was_said_is_understood_though_it_wraps_around_and_the_first_packets_were_lost() -> None:
    assert understood(heard(*[n % PERIOD for n in range(5, 200)]), said=200)
    assert understood(heard(*[n for n in range(60) if n != 30]), said=60)


@pytest.mark.parametrize(
    "tally",
    [
        heard(),
        heard(*range(60), foreign=1),
        heard(*range(60), unverified=1),
        heard(*range(30), 29, *range(30, 60)),
        heard(*range(30), *range(29, 60)),
        heard(*range(40)),
    ],
    ids=["nothing", "foreign", "unverified", "repeated", "twice", "too little"],
)
def test_what_was_not_said_is_not_understood(tally: Tally) -> None:
    assert not understood(tally, said=60)


def test_an_account_may_have_a_colon_in_its_password() -> None:
    assert Account.parse("a:b:c") == Account("a", "b:c")
    with pytest.raises(ValueError):
        Account.parse("a")
