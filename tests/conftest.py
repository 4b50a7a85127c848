"""What every test shares: the rule for tests that need a system program, and the settings of property tests."""

import os

import pytest
from hypothesis import HealthCheck, settings

from callvoip.commands.programs import programs

# A loaded machine is no counterexample; a fixture that is shared by all examples of a test is made for that.
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("shared")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs are missing, with the way to get them; where CI is set, fail instead."""
    known = {program.proof: program for program in programs()}
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            program = known.get(name)
            if program is None:
                pytest.fail(f"needs({name!r}): tests/programs.txt does not list it")
            if program.present:
                continue
            reason = f"{name} is not installed; apt-get install {program.package}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
