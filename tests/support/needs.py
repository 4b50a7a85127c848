"""Which tests are fast, and what a test needs beside Python: a pytest plugin (tests/conftest.py loads it).

A test is fast when nothing that it asks for starts a process: neither it nor any fixture of its requests `processes`,
and it names no system program (`needs`). That decides alone; nobody marks a test as fast. Where a fast test starts a
process all the same, it fails there and then, and says what to do.

A whole file whose `pytestmark` requests `processes` is not even imported by `--fast`.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callvoip.commands.programs import programs

_WHOLE_FILE = re.compile(r"^pytestmark = .*\b(usefixtures\(\"(processes|takes_long)\"|needs\()", re.MULTILINE)
_STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"})

_NOT_FAST = frozenset({"processes", "takes_long"})

_fast_test: str | None = None
"""The fast test that runs now."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="only tests that start no process, program or browser")
    parser.addoption("--slow", action="store_true", help="only the tests that --fast leaves out")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*programs): system programs without which the test cannot run")
    sys.addaudithook(_guard)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not config.getoption("--fast") or collection_path.suffix != ".py":
        return None
    return True if _WHOLE_FILE.search(collection_path.read_text(encoding="utf-8")) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = {name for name in ("fast", "slow") if config.getoption(f"--{name}")}
    if len(wanted) == 1:
        left = [item for item in items if is_fast(item) != ("fast" in wanted)]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if is_fast(item) == ("fast" in wanted)]


def is_fast(item: pytest.Item) -> bool:
    """Whether the test starts no process, as far as what it asks for tells."""
    return _NOT_FAST.isdisjoint(getattr(item, "fixturenames", ())) and item.get_closest_marker("needs") is None


@pytest.fixture(scope="session")
def processes() -> None:
    """Asked for by whatever starts a process, a program or a browser, or speaks to one: a test with it is not fast."""


@pytest.fixture(scope="session")
def takes_long() -> None:
    """Asked for by what needs seconds, of the clock or of the processor: a test with it is not fast."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global _fast_test
    _fast_test = item.nodeid if is_fast(item) else None
    try:
        return (yield)
    finally:
        _fast_test = None


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    """Keep a fast test from starting a process (https://docs.python.org/3/library/audit_events.html)."""
    if _fast_test is not None and event in _STARTS:
        pytest.fail(
            f"{_fast_test} starts a process ({event}: {arguments[:1]}): let it, or the fixture that does so, "
            'request the fixture "processes" (a whole file: pytestmark = pytest.mark.usefixtures("processes"))'
        )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs are missing, with the way to get them; where CI is set, fail instead."""
    known = {program.proof: program for program in programs()}
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            program = known.get(name)
            if program is None:
                pytest.fail(f"needs({name!r}): tests/programs.txt does not list it")
            if program.present:
                continue
            reason = f"{name} is not installed; apt-get install {program.package}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
