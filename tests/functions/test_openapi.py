"""docs/openapi.json is what the handlers declare. That every answer is in it, tests.support.functions.Api asserts in each test."""

import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from shared import openapi

COMMITTED = Path(__file__).parents[2] / "docs/openapi.json"


@pytest.mark.usefixtures("processes")
def test_the_committed_document_is_the_generated_one(tmp_path: Path) -> None:
    made = tmp_path / "openapi.json"
    subprocess.run([sys.executable, "-m", "shared.openapi", str(made)], check=True)
    assert COMMITTED.read_text() == made.read_text(), (
        "run: PYTHONPATH=functions/src .venv/bin/python -m shared.openapi docs/openapi.json"
    )


def test_the_document_is_valid_openapi() -> None:
    validate(openapi.document())
