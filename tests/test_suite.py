"""What ./dev test says of itself: tests that share what they started stay on one worker, and the longest begin first."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import workers


def test_a_file_stays_together_and_so_do_the_end_to_end_tests_and_the_infrastructure() -> None:
    assert workers.group_of("tests/infra/test_boot.py::test_x[a::b]") == workers.group_of(
        "tests/infra/test_stack.py::y"
    )
    assert workers.group_of("tests/e2e/test_roll.py::test_x") == workers.group_of("tests/e2e/test_sales.py::test_y")
    assert workers.group_of("tests/local/test_ec2.py::test_x") == "local/test_ec2.py"
    assert workers.group_of("tests/functions/fleet/test_ec2.py::test_x") == "functions/fleet/test_ec2.py"


def test_what_begins_first_is_there(request: pytest.FixtureRequest) -> None:
    here = request.config.rootpath / "tests"
    assert [name for name in workers.FIRST if not (here / name).exists()] == []


@pytest.mark.usefixtures("processes")
def test_each_group_of_a_run_is_on_one_worker(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """xdist is asked, as what it hands out depends on what it and pytest make of one another."""
    for name in ("a", "b", "c"):
        (tmp_path / f"test_{name}.py").write_text(
            "import os, pytest\n"
            "@pytest.mark.parametrize('n', range(9))\n"
            f"def test_it(n):\n    print('RAN {name}', os.environ['PYTEST_XDIST_WORKER'])\n"
        )
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.needs", "-p", "tests.support.workers", "-rP"]
    done = subprocess.run(
        [*command, "--numprocesses=2", "--dist=loadgroup", f"--rootdir={tmp_path}", tmp_path],
        cwd=request.config.rootpath,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    ran = [line for line in done.stdout.splitlines() if line.startswith("RAN")]
    assert (len(ran), len(set(ran))) == (27, 3), done.stdout
