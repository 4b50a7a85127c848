"""shared.text: what people paste is cleaned, in one place, the same in the browser (tests/site/test_form_check.py)."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import text

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/text.json").read_text())
EVERY = [(kind, given, wanted) for kind, pairs in VECTORS.items() for given, wanted in pairs]
INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u00ad\u061c\u3164\ufe0f"


@pytest.mark.parametrize(
    ("kind", "given", "wanted"), EVERY, ids=[f"{kind}-{n}" for n, (kind, _, _) in enumerate(EVERY)]
)
def test_the_shared_vectors_hold(kind: str, given: str, wanted: str) -> None:
    assert getattr(text, kind)(given) == wanted


@pytest.mark.parametrize("function", [text.line, text.lines, text.number])
@given(typed=st.text() | st.text(alphabet=INVISIBLE + " \n-e\u0301\u2013\u00a0"))
def test_what_is_clean_stays_as_it_is(function, typed: str) -> None:
    once = function(typed)
    assert function(once) == once
    assert not set(INVISIBLE) & set(once)


@given(st.text())
def test_a_line_is_composed_and_has_no_control_character_and_no_space_at_its_ends(typed: str) -> None:
    line = text.line(typed)
    assert unicodedata.is_normalized("NFC", line)
    assert line == line.strip() and "  " not in line
    assert not [
        c
        for c in line
        if unicodedata.category(c) in ("Cc", "Zl", "Zp") or (unicodedata.category(c) == "Zs" and c != " ")
    ]


@given(st.text(alphabet=INVISIBLE + "\u2800\u00a0\u2003\n\t ", min_size=1))
def test_what_shows_nothing_is_nothing(typed: str) -> None:
    assert text.line(typed) == text.lines(typed) == text.number(typed) == ""


def test_every_dash_and_space_that_unicode_knows_is_one_of_ours() -> None:
    for point in range(0x110000):
        c = chr(point)
        if unicodedata.category(c) == "Pd":
            assert text.number(f"1{c}2") in ("1-2", "1--2", "1---2"), hex(point)
        if unicodedata.category(c) in ("Zs", "Zl", "Zp", "Cc"):
            assert text.number(f"1{c}2") == "1 2", hex(point)
        if unicodedata.category(c) == "Cf" and not unicodedata.name(c, "").startswith(
            ("ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN")
        ):
            assert text.line(f"1{c}2") == "12", hex(point)
