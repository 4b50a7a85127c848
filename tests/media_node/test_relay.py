"""Real packets through a real worker: what gets through, and what never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.media_node.media_helpers.call import call_between, running_worker
from tests.media_node.media_helpers.phone import CM32, CM80, GCM128, GCM256, phones

SUITES = [(CM80, CM80), (CM80, CM32), (CM32, CM80), (CM80, GCM128), (GCM256, CM32), (GCM128, GCM256), (CM80, None), (None, GCM128), (None, None)]


@pytest.mark.parametrize("suites", SUITES, ids=lambda pair: "-".join(str(suite) for suite in pair))
async def test_audio_passes_both_ways_whatever_each_leg_speaks(tmp_path: Path, suites) -> None:
    with phones(*suites) as (a, b):
        async with running_worker(tmp_path) as (worker, _):
            call = await call_between(worker, a, b)
            call.talk(20)
            of_a, of_b = await call.stats()
    assert (of_a.received, of_a.sent, of_b.received, of_b.sent) == (20, 20, 20, 20)
    assert of_a.refused == of_b.refused == {}
    assert (of_a.lost, of_b.lost) == (0, 0)
    assert (of_a.suite, of_b.suite) == suites
