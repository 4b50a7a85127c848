"""`./dev test`: lint, types, dependency rules, then all tests; the first step that fails ends the run with its name."""

import argparse
import os
import subprocess
import sys
import time

from callvoip.commands.programs import install_missing
from callvoip.paths import ROOT

BIN = sys.prefix + "/bin/"

CHECKS: dict[str, list[str]] = {
    "lint": [BIN + "ruff", "check", "--quiet", "."],
    "format": [BIN + "ruff", "format", "--check", "--quiet", "."],
    "types": [BIN + "mypy"],
    "dependency rules": [BIN + "lint-imports", "--no-cache"],
    "build": [BIN + "callvoip", "synth"],
}

# Two at a time: most tests wait for processes and packets. A file stays whole, as its tests share what they started.
ALL_TESTS = ["--quiet", "--numprocesses=2", "--dist=loadfile"]


def main(arguments: list[str]) -> int:
    """Run every check and test; with arguments, only pytest with those arguments."""
    parser = argparse.ArgumentParser(
        prog="./dev test",
        description="Lint, types, unit, infra, site and end-to-end tests. Arguments are handed to pytest, alone.",
    )
    _, pytest_arguments = parser.parse_known_args(arguments)

    missing = install_missing()
    if missing:
        names = " ".join(program.package for program in missing)
        print(
            f"Not installed: {names}\nInstall with: sudo apt-get install --no-install-recommends {names}",
            file=sys.stderr,
        )
        if os.environ.get("CI"):
            return 1
        print("Tests that need them are skipped.", file=sys.stderr)

    for name, command in {} if pytest_arguments else CHECKS.items():
        started = time.monotonic()
        print(f"{name} ...", flush=True)
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            print(f"{done.stdout}\n./dev test: {name} failed: {' '.join(command)}", file=sys.stderr)
            return done.returncode
        print(f"{name}: ok ({time.monotonic() - started:.0f} s)", flush=True)
    return subprocess.run([BIN + "pytest", *(pytest_arguments or ALL_TESTS)], cwd=ROOT).returncode
