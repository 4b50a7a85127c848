"""The fleet under random histories of a cloud that fails in every way; `./dev bench histories` tries thousands."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.functions.fleet import histories
from tests.functions.fleet.histories import Event


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(histories.histories)
@pytest.mark.usefixtures("takes_long")
def test_every_history_ends_well_and_never_breaks_what_must_always_hold(history: list[Event]) -> None:
    histories.live(history)
