"""What the tests of the functions share."""

from hypothesis import HealthCheck, settings

# On a fresh clone the first draw builds Hypothesis' table of Unicode; the machine may be busy with other tests.
settings.register_profile("functions", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("functions")
