"""The soak makes calls and tells a slope; no figure is judged here."""

from __future__ import annotations

import json

import pytest

from tests.bench import soak


def test_a_slope_is_that_of_the_line_an_hour() -> None:
    assert soak.slope([0, 60, 120], [100, 101, 102]) == pytest.approx(60)
    assert soak.slope([0, 60], [100, 200]) == 0


@pytest.mark.usefixtures("processes")
def test_calls_are_made_for_as_long_as_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--minutes", "0.05", "--rate", "4", "--talk", "0.3", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["calls"], figures["failed"]) == (12, 0)
    for name in ("signalling", "worker"):
        assert figures[name]["kb"][0] > 1000
        assert figures[name]["descriptors"][0] > 3
