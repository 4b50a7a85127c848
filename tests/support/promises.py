"""Which tests keep which promise of site/data/promises.toml, and when they last did.

A test says so by @pytest.mark.promise("id"). With --promises the run writes down, in site/data/promises_tested.toml, the
promises of which every test passed: nothing skipped, nothing failed.
"""

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "site/data/promises.toml"
TESTED = ROOT / "site/data/promises_tested.toml"


def keeping(folder: Path = ROOT / "tests") -> Iterator[tuple[str, str]]:
    """(promise, file) of every marker below a folder, read from the source: no test is run or imported for it."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.promise":
                for argument in node.args:
                    if isinstance(argument, ast.Constant):
                        yield str(argument.value), file.relative_to(folder).as_posix()


class Recorder:
    """Remembers how the tests of each promise ended; works under xdist, as a report carries its promises along."""

    def __init__(self) -> None:
        self.passed: dict[str, set[str]] = {}
        self.spoiled: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test."""
        for name, promise in report.user_properties:
            if name != "promise":
                continue
            if not report.passed:
                self.spoiled.add(str(promise))
            elif report.when == "call":
                self.passed.setdefault(str(promise), set()).add(report.nodeid.partition("::")[0].removeprefix("tests/"))

    def pytest_sessionfinish(self) -> None:
        """Write down the promises all of whose files were run; the others keep their older date."""
        wanted: dict[str, set[str]] = {}
        for promise, file in keeping():
            wanted.setdefault(promise, set()).add(file)
        whole = {promise for promise, files in self.passed.items() if files == wanted.get(promise)}
        kept = {name: dict(entry) for name, entry in tomllib.loads(TESTED.read_text()).items()}
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        today = datetime.now(UTC).date()
        for promise in whole - self.spoiled:
            kept[promise] = {"date": today, "commit": commit.stdout.strip()}
        comment = TESTED.read_text().splitlines()[0]
        lines = [
            f'[{name}]\ndate = {entry["date"]}\ncommit = "{entry["commit"]}"' for name, entry in sorted(kept.items())
        ]
        TESTED.write_text("\n\n".join([comment, *lines]) + "\n")


def pytest_addoption(parser: pytest.Parser) -> None:
    """--promises."""
    parser.addoption("--promises", action="store_true", help="write down which promises of the site this run kept")


def pytest_configure(config: pytest.Config) -> None:
    """Only the process that the reports come to writes."""
    config.addinivalue_line("markers", "promise(*ids): keeps promises of site/data/promises.toml")
    if config.getoption("--promises") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(), "promises")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A report tells which promises its test keeps."""
    for item in items:
        for marker in item.iter_markers("promise"):
            item.user_properties.extend(("promise", promise) for promise in marker.args)
