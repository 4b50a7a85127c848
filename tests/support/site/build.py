"""The site built as callvoip.build does it, with the tests' own catalogue, brand and retention table."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from callvoip.build import index
from callvoip.texts import check as texts
from tests.support.own_data import ROOT, lay_over

__all__ = ["ROOT", "build", "built", "checkout", "sizes"]

sizes = pytest.mark.parametrize("width", [360, 1280])
"""For the main way through each flow: on a telephone and on a desk."""


def checkout(directory: Path) -> Path:
    """A checkout of the site and its texts in `directory`, to build and to spoil."""
    shutil.copytree(ROOT / "site", directory / "site", ignore=shutil.ignore_patterns("public", "resources"))
    shutil.copytree(ROOT / "content", directory / "content")
    lay_over(directory / "site" / "data")
    return directory


def build(destination: Path, root: Path | None = None) -> None:
    """Check the texts of a checkout (without one, of one made for it) and build its site.

    Raises SlipsError with what an editor would read.
    """
    if root is not None:
        texts.build(root, destination)
        return
    with tempfile.TemporaryDirectory(prefix="callvoip-checkout-") as directory:
        texts.build(checkout(Path(directory)), destination)


def built(temporary: pytest.TempPathFactory) -> Path:
    """The site with its index, built by the first worker that asks for it. It is for reading."""
    mine = temporary.getbasetemp()
    ours = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine
    with (ours / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (ours / "site").exists():
            build(ours / "site-begun")
            index(ours / "site-begun")
            (ours / "site-begun").rename(ours / "site")
    return ours / "site"
