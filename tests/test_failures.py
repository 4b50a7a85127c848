"""docs/failures.md: each failure names tests, and each of them is there."""

import re
from pathlib import Path

import pytest

from callvoip.cli import COMMANDS

ROOT = Path(__file__).parents[1]
CELLS = ("failure", "what happens", "who notices", "how long", "test")
PLACES = {"stories": "fleet/test_stories.py", "histories": "fleet/histories.py"}
BESIDE = {"fleet/histories.py": "fleet/simulated_cloud.py"}


def rows() -> list[list[str]]:
    lines = (ROOT / "docs/failures.md").read_text(encoding="utf-8").splitlines()
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert found[0] == list(CELLS)
    assert set("".join(found[1])) <= set("- ")
    return found[2:]


def path(place: str) -> Path:
    name = PLACES.get(place, place)
    return ROOT / "tests" / ("functions" if name.startswith(("fleet/", "customers/")) else "") / name


def words_in(name: str) -> str:
    """The names of a file's tests, or for histories all of the simulation's text."""
    text = path(name).read_text(encoding="utf-8")
    beside = BESIDE.get(PLACES.get(name, name))
    if beside:
        return text + path(beside).read_text(encoding="utf-8")
    return " ".join(re.findall(r"def test_(\w+)", text)).replace("_", " ")


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:60])
def test_a_failure_is_told_whole_and_its_tests_are_there(row: list[str]) -> None:
    assert len(row) == len(CELLS)
    assert all(row), "what is not known is told by a dash"
    for reference in row[-1].split("; "):
        if command := re.fullmatch(r"`\./dev (\w+)[^`]*`.*", reference):
            assert command[1] in COMMANDS
            continue
        place, _, told = reference.partition(": ")
        assert path(place).is_file(), f"{reference}: there is no such test"
        for words in filter(None, told.split(", ")):
            assert words in words_in(place), f"{reference}: no test is called so"


def test_every_kind_of_event_of_the_histories_is_told() -> None:
    """What the simulated cloud does to the fleet is what the page says can fail."""
    told = "; ".join(row[-1] for row in rows())
    events = set(re.findall(r'st\.just\("([\w ]+)"\)', path("histories").read_text(encoding="utf-8")))
    wishes = {"wait", "want", "end", "calls", "operator", "move", "join", "release", "probe"}
    assert not [event for event in events - wishes if event not in told]
