"""The checks of scripts and styles (./dev test runs them on site/) say no to what they are there for."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.site.npm import ROOT, command

pytestmark = pytest.mark.usefixtures("processes")


def said(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What a tool says of a project like ours that holds only what a test wrote."""
    return subprocess.run(command(*words), cwd=directory, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Our settings, and nothing to check yet."""
    for component in ("a", "shared"):
        (tmp_path / "site/components" / component).mkdir(parents=True)
    for name in ("biome.jsonc", "site/tsconfig.json", "site/types.d.ts"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("a.js", 'export const a = "a";\n', None),
        ("a.css", ".a {\n  margin: 0;\n}\n", None),
        ("a.js", "export const a = 'a'\n", "format"),
        ("a.css", ".a { margin: 0 }\n", "format"),
        ("a.js", "const unused = 1;\n\nexport const a = 1;\n", "lint/correctness/noUnusedVariables"),
        ("a.js", "export const a = (b) => b == 1;\n", "lint/suspicious/noDoubleEquals"),
        ("a.css", ".a {\n  colour: red;\n}\n", "lint/correctness/noUnknownProperty"),
        ("a.css", ".a {\n  margin: 0;\n  margin: 1px;\n}\n", "lint/suspicious/noDuplicateProperties"),
    ],
)
def test_lint_and_format(project: Path, file: str, text: str, fault: str | None) -> None:
    (project / "site/components/a" / file).write_text(text)
    done = said(project, "biome", "ci", "--error-on-warnings", "--colors=off")
    assert (done.returncode == 0) == (fault is None), done.stdout + done.stderr
    assert fault is None or fault in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('import { byId } from "../shared/dom.js";\n\nbyId("q").value = "a";\n', None),
        ('import { byId } from "../shared/dom.js";\n\nbyId("list").value = "a";\n', "TS2339"),
        ('document.querySelector(".a").remove();\n', "TS2531"),
        ('import { nowhere } from "../shared/dom.js";\n\nnowhere();\n', "TS2305"),
    ],
)
def test_types(project: Path, text: str, fault: str | None) -> None:
    shutil.copy(ROOT / "site/components/shared/dom.js", project / "site/components/shared/dom.js")
    (project / "site/components/a/a.js").write_text(text)
    done = said(project, "tsc", "--project", "site")
    assert (done.returncode == 0) == (fault is None), done.stdout
    assert fault is None or fault in done.stdout


def test_the_lock_names_no_registry() -> None:
    """Whoever builds this has a registry of their own; the integrity alone says what is installed."""
    packages = json.loads((ROOT / "tests/site/package-lock.json").read_text())["packages"]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in packages.items() if name)
