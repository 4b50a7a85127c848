"""`./dev test`: lint, types, dependency rules, dead code; then the fast tests, then all others.

The first step that fails ends the run with its name. With arguments only pytest runs, with those arguments.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from callvoip.commands.programs import install_missing
from callvoip.nodes import boot_root
from callvoip.paths import ROOT

BIN = sys.prefix + "/bin/"

NPM = [BIN + "python", "-m", "tests.support.site.npm"]

# Two rows side by side, as most machines of a pipeline have two cores; types alone take as long as all others.
CHECKS: Sequence[Mapping[str, list[str]]] = (
    {
        "lint": [BIN + "ruff", "check", "--quiet", "."],
        "format": [BIN + "ruff", "format", "--check", "--quiet", "."],
        "dependency rules": [BIN + "lint-imports", "--no-cache"],
        "lint and format of scripts and styles": [*NPM, "biome", "ci", "--error-on-warnings"],
        "types of scripts": [*NPM, "tsc", "--project", "site"],
        "dead code": [BIN + "python", "-m", "tests.support.dead_code"],
        "build": [BIN + "callvoip", "synth"],
    },
    {"types": [BIN + "mypy"]},
)

PYTEST = [BIN + "pytest", "--quiet", "--durations=25", "--durations-min=0.1"]
FAST = ["--fast", "--numprocesses=2", "--dist=worksteal", "-p", "no:schemathesis"]
# Four at a time: most tests wait for processes and packets. tests/support/workers.py says which stay together.
SLOW = ["--slow", "--numprocesses=4", "--dist=loadgroup", "--no-loadscope-reorder"]
# What --deep runs unless told what.
HISTORIES = [f"tests/media_node/test_{name}_histories.py" for name in ("transaction", "registrar", "call")]
COVERAGE = ["--cov", "--cov-report=term:skip-covered", "--cov-report=html:build/coverage"]


def main(arguments: list[str]) -> int:
    """Run the checks and the tests that are asked for; 0 when all are well."""
    parser = argparse.ArgumentParser(
        prog="./dev test",
        description="Lint, types, dependency rules and dead code, then the fast tests, then all others.",
        epilog="Whatever else is given goes to pytest, which then runs alone: ./dev test tests/local -k streams",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="only what starts no process, with fewer examples of each property: seconds instead of minutes, and no checks",
    )
    parser.add_argument("--coverage", action="store_true", help="say which lines no test runs; more in build/coverage/")
    parser.add_argument(
        "--deep",
        action="store_true",
        help="a thousand longer histories of each state machine and as many examples of each property: minutes",
    )
    options, pytest_arguments = parser.parse_known_args(arguments)
    coverage = COVERAGE if options.coverage else []
    if options.deep:
        pytest_arguments = ["--hypothesis-profile=deep", *(pytest_arguments or HISTORIES)]

    if options.fast:
        return _pytest([*FAST, "--hypothesis-profile=few", *coverage, *pytest_arguments])
    if pytest_arguments:
        return _pytest([*coverage, *pytest_arguments]) if _install() else 1
    # What only the slow tests need is installed while all else runs.
    with ThreadPoolExecutor() as pool:
        installed = pool.submit(_install_and_build_root)
        if not _checks():
            return 1
        if failed := _pytest([*FAST, *coverage]):
            return failed
        if not installed.result():
            return 1
    return _pytest([*SLOW, *coverage, *(["--cov-append"] if coverage else [])])


def _install() -> bool:
    """Whether all programs of tests/programs.txt are there, or may be missing as this is nobody's pipeline."""
    missing = install_missing()
    if not missing:
        return True
    names = " ".join(program.package for program in missing)
    print(
        f"Not installed: {names}\nInstall with: sudo apt-get install --no-install-recommends {names}", file=sys.stderr
    )
    if os.environ.get("CI"):
        return False
    print("Tests that need them are skipped.", file=sys.stderr)
    return True


def _install_and_build_root() -> bool:
    """Also the Debian that the boot test boots, once for this machine: a minute of processor time beside the checks."""
    installed = _install()
    try:
        boot_root.build(print)
    except OSError as error:
        print(f"NO MACHINE IS BOOTED by the tests: {error}", file=sys.stderr, flush=True)
    return installed


def _checks() -> bool:
    """Whether all are well; the first that is not is told, with what it said."""
    failed = threading.Event()

    def row(checks: Mapping[str, list[str]]) -> None:
        for name, command in checks.items():
            if failed.is_set():
                return
            started = time.monotonic()
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                failed.set()
                print(f"{done.stdout}\n./dev test: {name} failed: {' '.join(command)}", file=sys.stderr, flush=True)
            else:
                print(f"{name}: ok ({time.monotonic() - started:.0f} s)", flush=True)

    with ThreadPoolExecutor() as pool:
        for running in [pool.submit(row, checks) for checks in CHECKS]:
            running.result()
    return not failed.is_set()


def _pytest(arguments: list[str]) -> int:
    return subprocess.run([*PYTEST, *arguments], cwd=ROOT).returncode
