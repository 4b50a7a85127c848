"""What a node can log is one list; the runbook names all of it that a person may act on, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from media_node import log as logging
from media_node.log import Event, Level, log, mask_address

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs/runbook.md").read_text()


def documented() -> dict[str, str]:
    """The events of the runbook's table, and their levels."""
    section = RUNBOOK.partition("## What a node logs")[2].partition("\n## ")[0]
    events: dict[str, str] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`"):
            names, levels = re.findall(r"`([^`]+)`", cells[0]), cells[1].split(", ")
            events |= dict(zip(names, levels * len(names) if len(levels) == 1 else levels, strict=False))
    return events


def test_the_runbook_tells_of_every_event_and_its_level_and_of_no_other() -> None:
    assert documented() == {event.value: event.level.name.lower() for event in Event}


def test_every_event_is_logged_somewhere() -> None:
    sources = "".join(
        path.read_text() for path in (ROOT / "media-node/src/media_node").rglob("*.py") if path.name != "log.py"
    )
    assert [event.name for event in Event if not re.search(rf"Event\.{event.name}\b", sources)] == []


def test_what_the_runbook_says_of_a_phone_that_does_not_register_are_events() -> None:
    (row,) = [line for line in RUNBOOK.splitlines() if line.startswith("| a phone does not register")]
    named = {name for name in re.findall(r"`([^`]+)`", row.split("|")[3]) if " " in name}
    assert named and named <= {event.value for event in Event}


def test_events_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        logging.log_from(Level.WARNING)
        for event in Event:
            log(event)
    finally:
        logging.log_from(Level.DEBUG)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {line["event"] for line in lines} == {event.value for event in Event if event.level >= Level.WARNING}
    assert all(Level[line["level"].upper()] is Event(line["event"]).level for line in lines)


@pytest.mark.parametrize(
    ("address", "shown"),
    [("192.0.2.17", "192.0.2.0/24"), ("2001:db8:1:2::17", "2001:db8:1::/48"), ("", ""), ("a name", "")],
)
def test_a_source_is_shown_without_its_last_part(address: str, shown: str) -> None:
    assert mask_address(address) == shown
