"""The build: what the deploy uploads, under build/. Each step runs only when its inputs changed, by content.

Every step makes its output beside the old one and then takes its place, so that nobody reads half a build.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path

from callvoip.paths import BUILD, ROOT
from callvoip.texts import check as texts

# What Lambda and the nodes run on.
LAMBDA_PYTHON = "3.13"
NODE_PYTHON = "3.13"  # Debian 13's
PLATFORM = "aarch64-manylinux_2_28"

Say = Callable[[str], None]


class BuildError(Exception):
    """A step failed; the text is for a person and holds what the tool said."""


@dataclass(frozen=True)
class Step:
    """Makes `build/<name>` from the files below `inputs`.

    `make` gets the directory to fill; `salt` is what else it depends on.
    """

    name: str
    inputs: tuple[Path, ...]
    make: Callable[[Path], None]
    salt: str = ""

    @property
    def output(self) -> Path:
        """What the step makes."""
        return BUILD / self.name

    def digest(self) -> str:
        """Hash of everything that the output depends on."""
        return digest(self.inputs, self.salt)


def digest(inputs: Iterable[Path], salt: str = "") -> str:
    """Hash of the names and contents of all files below `inputs`, and of `salt`."""
    total = hashlib.sha256(salt.encode())
    for base in inputs:
        for path in sorted(_files(base)):
            total.update(f"\0{path.relative_to(ROOT)}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _files(base: Path) -> Iterator[Path]:
    if base.is_file():
        yield base
    elif base.is_dir():
        for path in base.iterdir():
            if path.name not in ("__pycache__", "build") and not path.name.endswith((".egg-info", ".pyc")):
                yield from _files(path)


def stamp(name: str) -> str:
    """The digest that `build/<name>` was made with, empty when it is not there."""
    path = BUILD / ".stamps" / name
    return path.read_text() if path.exists() and (BUILD / name).exists() else ""


def mark(name: str, made_with: str) -> None:
    """Remember what `build/<name>` was made with."""
    path = BUILD / ".stamps" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(made_with)


def run(steps: Iterable[Step], say: Say) -> None:
    """Run the steps that are due, in order. Raises BuildError."""
    for step in steps:
        wanted = step.digest()
        if stamp(step.name) == wanted:
            continue
        say(f"building {step.name} ...")
        started = time.monotonic()
        fresh = step.output.with_name(f".new-{step.output.name}")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        step.make(fresh)
        shutil.rmtree(step.output, ignore_errors=True)
        fresh.rename(step.output)
        mark(step.name, wanted)
        say(f"  built {step.name} in {time.monotonic() - started:.1f} s")


@contextmanager
def exclusive(say: Say) -> Iterator[None]:
    """Only one process builds in a checkout at a time; others wait."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build in this checkout ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _common_steps() -> list[Step]:
    return [
        Step("rendered", (ROOT / "content", ROOT / "site"), _render, version("hugo")),
        Step("site", (BUILD / "rendered",), _site, version("pagefind-bin")),
        Step("views", (BUILD / "rendered" / "views",), _views),
        Step("functions", (ROOT / "functions" / "src", ROOT / "site" / "data", BUILD / "views"), _functions),
    ]


def local_steps() -> list[Step]:
    """What a local system needs.

    Functions and nodes run on this environment's packages there: those two bundles are only there.
    """
    return [
        *_common_steps(),
        Step(
            "thin/layer",
            (ROOT / "functions" / "pyproject.toml",),
            lambda out: _copy(ROOT / "functions" / "pyproject.toml", out),
        ),
        Step(
            "thin/media-node",
            (ROOT / "media-node" / "boot",),
            lambda out: _copy(ROOT / "media-node" / "boot", out / "boot"),
        ),
    ]


def deploy_steps() -> list[Step]:
    """What goes to AWS: every bundle with its third-party packages, for arm64."""
    pins = ROOT / "requirements.txt"
    return [
        *_common_steps(),
        Step("layer", (ROOT / "functions" / "pyproject.toml", pins), _layer, f"{LAMBDA_PYTHON} {PLATFORM}"),
        Step("media-node", (ROOT / "media-node", pins), _media_node, f"{NODE_PYTHON} {PLATFORM}"),
    ]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(
            source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "*.pyc"), dirs_exist_ok=True
        )
    else:
        shutil.copy(source, target)


def _render(out: Path) -> None:
    try:
        texts.build(ROOT, out)
    except texts.SlipsError as slips:
        raise BuildError(str(slips)) from slips


def _site(out: Path) -> None:
    shutil.copytree(BUILD / "rendered", out, ignore=_without_views, dirs_exist_ok=True)
    index(out)


def index(site: Path) -> None:
    """Make the index of a rendered site for its search page, at /zoeken/pagefind/, and drop the interfaces that
    Pagefind brings along.
    """
    _tool(
        str(distribution("pagefind-bin").locate_file("pagefind_bin/pagefind")),
        "--site", str(site), "--output-subdir", "zoeken/pagefind", "--quiet",
    )  # fmt: skip
    for interface in ("ui", "modular-ui", "component-ui", "highlight"):
        for file in (site / "zoeken" / "pagefind").glob(f"pagefind-{interface}.*"):
            file.unlink()


def _without_views(directory: str, names: list[str]) -> list[str]:
    return ["views"] if Path(directory) == BUILD / "rendered" else []


def _views(out: Path) -> None:
    for template in sorted((BUILD / "rendered" / "views").glob("*.j2")):
        shutil.copy(template, out)


def _functions(out: Path) -> None:
    _copy(ROOT / "functions" / "src", out)
    _copy(ROOT / "site" / "data", out / "data")
    _copy(BUILD / "views", out / "views")
    # What infra/ makes API Gateway's routes and CloudFront's behaviours of.
    _tool(sys.executable, "-m", "shared.routes", str(out / "routes.json"), directory=ROOT / "functions" / "src")


def _layer(out: Path) -> None:
    _copy(ROOT / "functions" / "pyproject.toml", out)
    _packages(out / "python", ROOT / "functions" / "pyproject.toml", LAMBDA_PYTHON)


def _media_node(out: Path) -> None:
    _copy(ROOT / "media-node" / "boot", out / "boot")
    _packages(out / "packages", ROOT / "media-node" / "pyproject.toml", NODE_PYTHON)
    _copy(ROOT / "media-node" / "src" / "media_node", out / "packages" / "media_node")


def _packages(target: Path, project: Path, python: str) -> None:
    """The pinned dependencies of a member as they are installed on the platform that it deploys to."""
    _tool(
        f"{sys.prefix}/bin/uv", "pip", "install", "--quiet", "--requirements", str(project), "--constraints", "requirements.txt",
        "--target", str(target), "--python-version", python, "--python-platform", PLATFORM, "--only-binary", ":all:", "--link-mode", "copy",
    )  # fmt: skip


def _tool(*command: str, directory: Path = ROOT) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{Path(command[0]).name} failed:\n{(done.stdout + done.stderr).strip()}")
