"""Personal data and secrets in log files: what a local system was told is gathered from it and looked for in each line
that it wrote.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import requests

from callvoip.system import LocalSystem
from tests.support.orders_table import items

# What has a form of its own is found without being known.
FORMS = {
    "an order's token": r"token=[\w-]{20}",
    "an access token": r"eyj[\w-]{20,}\.eyj",
    "an SRTP key": r"inline:[\w+/]{30}",
    "a digest response": r'response="[0-9a-f]{32}',
    "an e-mail address": r"[\w.+-]+@example\.(?:nl|com)",
}
_NUMBER = re.compile(r"\+?[0-9][0-9 .()-]+")
_SHORTEST, _VARIED = 6, 4
"""A shorter or more uniform text stands in a log by chance."""


def stored_by(system: LocalSystem) -> set[str]:
    """What customers and sales told a system, from its orders, and the tokens that it mailed."""
    mails = requests.get(f"{system.mail.rstrip('/')}.json", timeout=30).json()
    return {text for item in items(system) for text in _texts(item)} | set(
        re.findall(r"token=([\w-]+)", json.dumps(mails))
    )


def _texts(item: dict[str, Any]) -> Iterator[str]:
    """The personal data in an order or an event.

    A choice from a list is shown in other words than it is stored: it tells of nobody.
    """
    yield from item.get("relatedParty", {}).values()
    yield from (item[name] for name in ("note", "why") if name in item)
    yield from (detail["value"] for detail in item.get("details", []) if detail["value"] == detail["text"])


def leaks(logs: Path, known: Iterable[str]) -> list[str]:
    """Where a log holds what is `known` or has one of the FORMS, as "file:line: what", however it is encoded."""
    told = sorted(
        {text.strip().lower() for text in known if len(text.strip()) >= _SHORTEST and len(set(text)) >= _VARIED}
    )
    wanted = re.compile("|".join([*FORMS.values(), *map(_pattern, told)]))
    found = []
    for file in sorted(path for path in logs.rglob("*") if path.is_file()):
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").lower().splitlines(), 1):
            escaped = re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), line)
            if match := next(filter(None, map(wanted.search, (line, escaped.lower(), unquote_plus(line)))), None):
                found.append(f"{file.relative_to(logs)}:{number}: {match[0]}")
    return found


def _pattern(text: str) -> str:
    """A number in any of the ways it is written, alone; any other text as it is."""
    if not _NUMBER.fullmatch(text):
        return re.escape(text)
    digits = re.sub(r"[^0-9]", "", text).removeprefix("0031").removeprefix("31").removeprefix("0")
    return rf"(?<!\d)(?:(?:\+|00)?31[ .-]*(?:\(0\))?|0)?{'[ .-]*'.join(digits)}(?!\d)"
