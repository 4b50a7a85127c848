"""The site built as callvoip.build does it."""

from pathlib import Path

import pytest

from callvoip.texts import check as texts

ROOT = Path(__file__).parents[3]


def build(destination: Path, root: Path = ROOT) -> None:
    """Check the texts of a checkout and build its site. Raises SlipsError with what an editor would read."""
    texts.build(root, destination)


sizes = pytest.mark.parametrize("width", [360, 1280])
"""For the main way through each flow: on a telephone and on a desk."""
