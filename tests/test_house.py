"""The rules of the house that no linter keeps: sizes, import circles, what stands in conftest files, the decisions."""

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tomllib import loads

import grimp
import pytest

from tests.support import decisions

ROOT = Path(__file__).parents[1]
SOURCES = ("functions/src", "media-node/src", "infra/src", "local/src", "tests")
FILE_LINES, CLASS_LINES = 350, 300

# One thought that takes more room: the file or class, and why it is one.
EXCEPTIONS: dict[str, str] = loads((Path(__file__).parent / "exceptions.toml").read_text(encoding="utf-8"))["longer"]


def python_files() -> list[Path]:
    return [path for source in SOURCES for path in sorted((ROOT / source).rglob("*.py")) if ".venv" not in path.parts]


def too_long(part: float = 1) -> Iterator[tuple[str, int]]:
    """What is longer than a thought, or than a part of that, with its lines."""
    for path in python_files():
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT).as_posix()
        if (lines := text.count("\n")) > part * FILE_LINES:
            yield name, lines
        if lines > part * CLASS_LINES:
            for node in ast.walk(ast.parse(text)):
                if (
                    isinstance(node, ast.ClassDef)
                    and (length := (node.end_lineno or 0) - node.lineno + 1) > part * CLASS_LINES
                ):
                    yield f"{name}:{node.name}", length


def test_a_file_is_one_thought() -> None:
    told = {name: lines for name, lines in too_long() if name not in EXCEPTIONS}
    assert not told, (
        f"longer than {FILE_LINES} lines (a class: {CLASS_LINES}): {told}. Split it; what is one thought all the same "
        "stands in tests/exceptions.toml with its reason"
    )


def test_no_exception_names_what_needs_none() -> None:
    for name, reason in EXCEPTIONS.items():
        path, _, class_name = name.partition(":")
        assert (ROOT / path).exists(), name
        assert reason.strip(), name
        if class_name:
            assert f"class {class_name}" in (ROOT / path).read_text(encoding="utf-8"), name
    # Not what was just above it and is just below it now: with the next line it would be needed again.
    assert not EXCEPTIONS.keys() - {name for name, _ in too_long(0.9)}, (
        "no longer too long: out of tests/exceptions.toml"
    )


@pytest.mark.parametrize("package", ["functions", "media-node", "infra", "local"])
def test_no_module_imports_itself_by_way_of_others(package: str) -> None:
    names = sorted(path.parent.name for path in (ROOT / package / "src").glob("*/__init__.py"))
    graph = grimp.build_graph(*names, cache_dir=None, exclude_type_checking_imports=True)
    circles = [circle for circle in _circles(graph) if len(circle) > 1]
    assert not circles, circles


def _circles(graph: grimp.ImportGraph) -> Iterator[set[str]]:
    """Modules that reach one another: whoever a module imports, and that imports it in turn."""
    for module in sorted(graph.modules):
        reached = _reached(graph, module)
        if module in reached:
            yield {module} | {other for other in reached if module in _reached(graph, other)}


def _reached(graph: grimp.ImportGraph, module: str) -> set[str]:
    seen: set[str] = set()
    left = set(graph.find_modules_directly_imported_by(module))
    while left:
        seen |= left
        left = {further for one in left for further in graph.find_modules_directly_imported_by(one)} - seen
    return seen


def test_conftest_files_hold_fixtures_only() -> None:
    for path in (ROOT / "tests").rglob("conftest.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            assert not isinstance(node, ast.ClassDef), f"{path}: {node.name} belongs into tests/support"
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                fixture = any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
                assert fixture or node.name.startswith("pytest_"), f"{path}: {node.name} belongs into tests/support"


def test_the_index_of_the_decisions_is_theirs() -> None:
    known = decisions.INDEX.read_text(encoding="utf-8")
    rows = known.count("\n| [")
    assert rows == len(decisions.files()), "write it anew: .venv/bin/python -m tests.support.decisions"
    assert known == decisions.index(known, datetime.now(UTC).date())


def test_numbers_of_decisions_are_given_once() -> None:
    numbers = [path.name[:4] for path in decisions.files()]
    assert len(set(numbers)) == len(numbers), numbers


def test_mypy_reads_the_modules_of_cdk_that_infra_names() -> None:
    """What it does not read is Any, and anything would pass."""
    named = set[str]()
    for path in sorted((ROOT / "infra/src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "aws_cdk":
                inner = [f"{node.module}.{each.name}" for each in node.names if each.name.islower()]
                named |= set(inner) if node.module == "aws_cdk" else {str(node.module)}
    settings = loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["overrides"]
    [read] = [set(one["module"]) for one in settings if one.get("follow_imports") == "silent"]
    assert read == named | {"aws_cdk"}
