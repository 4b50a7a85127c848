"""The index of docs/decisions, made from the files: `python -m tests.support.decisions` writes it anew.

A decision's title is its first line. Its status is "in force" unless a line of it begins with `**Status.**`; the day it
was taken stands in the index alone and is kept there.
"""

import re
from datetime import UTC, date, datetime
from pathlib import Path

DECISIONS = Path(__file__).parents[2] / "docs/decisions"
INDEX = DECISIONS / "README.md"

_ROW = re.compile(r"^\| \[(\d{4})\]\((.+?)\) \| .+ \| (\d{4}-\d\d-\d\d) \| .+ \|$", re.MULTILINE)
_STATUS = re.compile(r"^\*\*Status\.\*\* (.+?)\.?$", re.MULTILINE)
_HEAD = """# Decisions

What was decided against the first design or where it left a choice: why, and what follows. A new one takes the next free
number and says Context, Choice, Consequence; one that no longer holds says so in a line `**Status.** Superseded by 00NN.`
`python -m tests.support.decisions` writes this page anew, and a test holds it to the files.

| number | decision | day | status |
| --- | --- | --- | --- |
"""


def index(known: str, today: date) -> str:
    """The index's text; days of decisions come from `known`, the index so far, or are `today`."""
    days = {name: day for _, name, day in _ROW.findall(known)}
    return _HEAD + "".join(_row(path, days.get(path.name, today.isoformat())) for path in files())


def files() -> list[Path]:
    """The decisions, by number."""
    return sorted(DECISIONS.glob("[0-9][0-9][0-9][0-9]-*.md"))


def _row(path: Path, day: str) -> str:
    text = path.read_text(encoding="utf-8")
    title = text.partition("\n")[0].removeprefix("# ").strip()
    status = _STATUS.search(text)
    return f"| [{path.name[:4]}]({path.name}) | {title} | {day} | {status[1] if status else 'in force'} |\n"


if __name__ == "__main__":
    INDEX.write_text(index(INDEX.read_text() if INDEX.exists() else "", datetime.now(UTC).date()), encoding="utf-8")
