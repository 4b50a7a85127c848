"""customers.extensions: no colleague has the number of a service."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers import extensions
from customers.account import MOST_PHONES
from customers.extensions import NoExtensionLeftError

# Dialled as they stand in the Netherlands or Belgium, or by visitors in an emergency.
KNOWN = ["000", "08"] + [
    str(code)
    for code in (
        *(112, 113, 144, 116000, 116111, 116117, 14020, 14030, 1888, 1633, 1200),
        *range(100, 112),
        *(1207, 1307, 1212, 1313, 1414, 1700, 1718, 1722, 1733, 1813, 1819),
        *(118, 119, 911, 999),
    )
]


@pytest.mark.parametrize("digits", KNOWN)
def test_a_short_code_is_no_extension(digits: str) -> None:
    assert extensions.is_short_code(digits)
    assert not extensions.allowed(int(digits))


@pytest.mark.parametrize("extension", range(200))
def test_nothing_below_201_is_given(extension: int) -> None:
    assert not extensions.allowed(extension)


def test_extensions_begin_at_201() -> None:
    assert list(islice(extensions.free(set()), 3)) == [201, 202, 203]


@given(st.sets(st.integers(201, 1100), max_size=400), st.integers(1, 300))
def test_what_was_given_is_never_given_again_and_never_a_short_code(given_before: set[int], count: int) -> None:
    found = list(islice(extensions.free(given_before), count))
    assert len(found) == len(set(found)) == count
    assert found == sorted(found)
    assert given_before.isdisjoint(found)
    assert not any(extensions.is_short_code(str(extension)) for extension in found)


def test_there_is_room_for_all_phones_and_many_that_are_gone() -> None:
    everything = list(islice(extensions.free(set()), MOST_PHONES + 5000))
    assert not set(everything) & {911, 999}
    assert all(extension < 1000 or extension > 2000 for extension in everything)


def test_the_end_is_an_error_and_no_silence() -> None:
    with pytest.raises(NoExtensionLeftError):
        list(extensions.free(set(range(10_000))))
