"""What every test shares: the settings of property tests, and the rules of tests/support/needs.py and workers.py."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.needs", "tests.support.workers", "tests.support.promises", "tests.support.call_matrix"]

# A loaded machine is no counterexample; a fixture that is shared by all examples of a test is made for that.
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
# ./dev test --fast looks at fewer examples of each property; ./dev test, which a pipeline runs, at all.
settings.register_profile(
    "few",
    settings.get_profile("shared"),
    max_examples=15,
    stateful_step_count=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
# ./dev test --deep: whoever changes a state machine looks at many more of its histories.
settings.register_profile("deep", settings.get_profile("shared"), max_examples=1000, stateful_step_count=60)
settings.load_profile("shared")
