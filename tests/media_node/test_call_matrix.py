"""What docs/calls-matrix.md says: the cells are from marks and runs, and what a program cannot do is not in the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.call_matrix import CLIENTS, FEATURES, LACKS, PAGE, TRUNKS, Lack, Outcome, Seen, page


def test_a_cell_is_what_became_of_its_tests() -> None:
    text = page(
        [
            Outcome("a", (("hold", "baresip"), ("hold", "sipp")), Seen.YES),
            Outcome("b", (("hold", "sipp"), ("trunk-udp", "sipp")), Seen.FAILED),
            Outcome("c", (("blind", "linphone"),), Seen.SKIPPED),
        ],
        "2026-11-26",
    )
    assert "| hold and resume | yes |  | **failed** |  |" in text
    assert "| blind transfer |  | not run |  |  |" in text
    assert "| over UDP |  | **failed** |  |" in text
    assert "| T.38 politely refused | cannot | cannot |  |  |" in text


def test_the_page_has_each_row_and_says_of_nothing_that_it_failed() -> None:
    text = PAGE.read_text()
    assert all(f"| {label} |" in text for label in (*FEATURES.values(), *TRUNKS.values()))
    assert Seen.FAILED.value not in text and f"| {Seen.SKIPPED.value} |" not in text


def test_the_page_names_tests_that_exist() -> None:
    for file, test in re.findall(r"- `(\w+\.py)::(\w+)`", PAGE.read_text()):
        assert re.search(rf"def {test}\(", (Path(__file__).parent / file).read_text()), test


@pytest.mark.needs("baresip", "linphonec", "sipp")
@pytest.mark.parametrize(("cell", "lack"), [pytest.param(*each, id="-".join(each[0])) for each in LACKS.items()])
def test_what_it_cannot_do_is_not_in_the_program(cell: tuple[str, str], lack: Lack) -> None:
    assert cell[0] in FEATURES and cell[1] in CLIENTS and lack.why
    files = [file for pattern in lack.files for file in Path("/").glob(pattern[1:])]
    assert bool(files) is bool(lack.word)
    for file in files:
        assert lack.word.encode() not in file.read_bytes(), f"{file} knows {lack.word}"
