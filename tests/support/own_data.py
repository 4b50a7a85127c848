"""The data that tests run on: site/data with a catalogue, brand and retention table of the tests' own.

So a new price, another provider or another term of keeping changes no test; the live files are checked for their shape
in tests/site/test_live_data.py.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIVE = ROOT / "site" / "data"
OWN = Path(__file__).parent / "data"


def lay_over(data: Path) -> None:
    """Put the tests' own files in the place of the live ones."""
    for file in OWN.glob("*.toml"):
        shutil.copy(file, data / file.name)


def _made() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="callvoip-data-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    shutil.copytree(LIVE, directory / "data")
    lay_over(directory / "data")
    return directory / "data"


DATA = _made()
os.environ["DATA_DIR"] = str(DATA)  # what the functions read
