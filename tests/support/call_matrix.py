"""Which feature of calls was seen with which client: docs/calls-matrix.md, written from a run of the tests that are marked
with `@pytest.mark.feature(...)`.

    python -m tests.support.call_matrix

runs them and writes the page; a cell says what became of its tests in that run. Without an argument of its own pytest only
checks the marks.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/calls-matrix.md"
CLIENTS: Final = {
    "baresip": "baresip",
    "linphone": "linphone",
    "sipp": "sipp",
    "kamailio": "Kamailio as the exchange",
}
FEATURES: Final = {
    "call": "call between two phones, SRTP by SDES",
    "dtls": "SRTP by DTLS",
    "trunk": "call to a trunk",
    "incoming": "call from a trunk to a number",
    "delayed-offer": "delayed offer (INVITE without SDP)",
    "100rel": "reliable provisional responses (100rel, PRACK)",
    "early-media": "early media",
    "timer": "session timers",
    "hold": "hold and resume",
    "blind": "blind transfer",
    "attended": "attended transfer (Replaces)",
    "forward": "forwarding, by the phone or the number",
    "fork": "three devices ring, one answers",
    "pick-up": "pick-up of a ringing call",
    "two-calls": "two calls on one phone",
    "dtmf-events": "DTMF by RFC 4733",
    "dtmf-info": "DTMF by INFO",
    "t38": "T.38 politely refused",
    "video": "video politely refused",
    "text": "real-time text (RFC 4103)",
    "message": "text messages (MESSAGE)",
    "mwi": "message waiting (RFC 3842)",
    "lamps": "lamps (RFC 4235)",
    "reconnect": "the call outlives the phone's connection",
    "emergency": "112",
    "exchange": "registered at the exchange with a Path, called by it",
    "voicemail": "the exchange's voicemail",
}


TRUNKS: Final = {
    "trunk-several": "several, tried in their order",
    "trunk-udp": "over UDP",
    "trunk-tcp": "over TCP",
    "trunk-tls": "over TLS, its name checked",
    "trunk-digest": "asks for an account, with a qop and without",
    "trunk-options": "asked by OPTIONS whether it is there, beside the calls",
    "trunk-silent": "says nothing to a call: the next has it",
    "trunk-sdes": "SRTP by SDES as far as the trunk",
    "trunk-dtls": "SRTP by DTLS as far as the trunk",
    "trunk-rtp": "RTP where it has no SRTP, and the record says so",
    "trunk-identity": "is told the customer's number (P-Asserted-Identity), and who asked not to be shown (Privacy: id)",
    "trunk-screening": "a phone that says it is another number is shown as its customer's",
    "trunk-e164": "numbers as they are dialled in NL and BE reach it in E.164",
    "trunk-account": "calls in over a connection of its own, with its account",
    "trunk-unknown": "a stranger does not call in: not from another address, not with a wrong password",
}
TRUNK_CLIENTS: Final = {"baresip": "baresip", "sipp": "sipp", "kamailio": "Kamailio"}


@dataclass(frozen=True)
class Lack:
    """That a client cannot do a thing at all: `why`, and the word that would stand in one of its files if it could."""

    why: str
    word: str = ""
    files: tuple[str, ...] = ()


_BARESIP: Final = ("/usr/bin/baresip", "/lib/x86_64-linux-gnu/libre.so.0", "/usr/lib/baresip/modules/*.so")
_LINPHONE: Final = ("/lib/x86_64-linux-gnu/liblinphone.so.10", "/lib/x86_64-linux-gnu/libbellesip.so.1")
LACKS: Final = {
    ("delayed-offer", "baresip"): Lack(
        "baresip 1.0 always makes an offer; sipp's call without one reaches it all the same"
    ),
    ("100rel", "baresip"): Lack("not in baresip 1.0", "PRACK", _BARESIP),
    ("timer", "baresip"): Lack("not in baresip 1.0", "Session-Expires", _BARESIP),
    ("attended", "baresip"): Lack("not in baresip 1.0", "Replaces", _BARESIP),
    ("t38", "baresip"): Lack("no fax in baresip 1.0", "udptl", _BARESIP),
    ("lamps", "baresip"): Lack("baresip 1.0 lights none; its calls light those of others", "dialog-info", _BARESIP),
    ("t38", "linphone"): Lack("no fax in linphone 5.1", "udptl", _LINPHONE),
    ("mwi", "linphone"): Lack("not in linphone 5.1", "message-summary", _LINPHONE),
    ("lamps", "linphone"): Lack("linphone 5.1 lights none; its calls light those of others", "dialog-info", _LINPHONE),
    ("dtls", "sipp"): Lack("Debian's sipp is built without TLS and DTLS", "DTLS", ("/usr/bin/sipp",)),
    ("dtmf-events", "sipp"): Lack("Debian's sipp has no SRTP to send them by", "srtp", ("/usr/bin/sipp",)),
    ("lamps", "kamailio"): Lack("the node's own: the exchange has no part in them"),
}
"""What is known not to be there, which is not the same as not tried. Where there is a word, a test looks for it."""


class Seen(StrEnum):
    """What a cell says."""

    YES = "yes"
    FAILED = "**failed**"
    SKIPPED = "not run"
    CANNOT = "cannot"
    NO_TEST = ""


Cell = tuple[str, str]
"""A feature and a client."""


@dataclass(frozen=True)
class Outcome:
    """One test's part in the table."""

    test: str
    cells: tuple[Cell, ...]
    seen: Seen


def marks(item: pytest.Item) -> tuple[Cell, ...]:
    """The cells that a test is marked with. Raises ValueError for one that is in no table."""
    cells = tuple(
        (feature, client)
        for mark in item.iter_markers("feature")
        for feature in mark.args
        for client in mark.kwargs["clients"]
    )
    unknown = [
        name
        for cell in cells
        for name, known in zip(cell, (FEATURES | TRUNKS, CLIENTS), strict=True)
        if name not in known
    ]
    if unknown:
        raise ValueError(f"{item.nodeid}: {', '.join(unknown)} stands in no row or column of calls-matrix.md")
    return cells


def page(outcomes: Iterable[Outcome], day: str) -> str:
    """The whole page."""
    cells: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        for cell in outcome.cells:
            cells.setdefault(cell, []).append(outcome)
    tests = sorted({outcome.test for found in cells.values() for outcome in found})
    return "\n".join(
        [
            "# Features of calls, and with what they were seen",
            "",
            f"Written by `python -m tests.support.call_matrix` on {day} from a run of the tests below, which use programs that others",
            "wrote, over real sockets. *yes* is a test that passed; *not run* one that was left out; *cannot* tells why below; an",
            "empty cell has no test. `test_phones_baresip.py`, `test_phones_linphone.py`, `test_phones_sipp.py`, `test_phones_home.py`",
            "and `test_phones_trunks.py` end with a look at the wire: what tshark finds in all SIP and SDP of their run,",
            "TLS opened with the node's keys, and what the rules of `tests/support/sip_sanity.py` find, which is nothing.",
            "What our own phones show beside that stands in [call-features.md](call-features.md).",
            "",
            "## As phones, and Kamailio as the exchange behind the node",
            "",
            *_table(FEATURES, CLIENTS, cells),
            "",
            *(f"- *{FEATURES[feature]}*, {CLIENTS[client]}: {lack.why}." for (feature, client), lack in LACKS.items()),
            "",
            "## As trunks",
            "",
            *_table(TRUNKS, TRUNK_CLIENTS, cells),
            "",
            "## The tests",
            "",
            *(f"- `{test}`" for test in tests),
            "",
        ]
    )


def _table(
    features: Mapping[str, str], clients: Mapping[str, str], cells: Mapping[Cell, list[Outcome]]
) -> Iterator[str]:
    yield "| feature | " + " | ".join(clients.values()) + " |"
    yield "| --- |" + " --- |" * len(clients)
    for feature, label in features.items():
        yield f"| {label} | " + " | ".join(_cell((feature, client), cells) for client in clients) + " |"


def _cell(cell: Cell, cells: Mapping[Cell, list[Outcome]]) -> str:
    for seen in (Seen.FAILED, Seen.YES, Seen.SKIPPED):
        if any(each.seen is seen for each in cells.get(cell, ())):
            return seen.value
    return Seen.CANNOT.value if cell in LACKS else Seen.NO_TEST.value


class Recorder:
    """A pytest plugin that keeps what became of each marked test, and writes the page at the end."""

    def __init__(self) -> None:
        self._marked: dict[str, tuple[Cell, ...]] = {}
        self._seen: dict[str, Seen] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        self._marked = {item.nodeid: found for item in items if (found := marks(item))}
        left = [item for item in items if item.nodeid not in self._marked]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item.nodeid in self._marked]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._seen[report.nodeid] = Seen.FAILED
        elif report.when == "call" or report.skipped:
            self._seen.setdefault(report.nodeid, Seen.YES if report.passed else Seen.SKIPPED)

    def pytest_sessionfinish(self) -> None:
        outcomes = [
            Outcome(re.sub(r"^tests/media_node/|\[.*\]$", "", test), found, self._seen.get(test, Seen.SKIPPED))
            for test, found in self._marked.items()
        ]
        PAGE.write_text(page(outcomes, datetime.now(UTC).date().isoformat()))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--calls-matrix", action="store_true", help="run the marked tests and write docs/calls-matrix.md")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "feature(*names, clients): a row and columns of docs/calls-matrix.md")
    if config.getoption("--calls-matrix", default=False):
        config.pluginmanager.register(Recorder())


def main() -> int:
    """Runs the marked tests."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--calls-matrix", "tests/media_node"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
