"""The collector looks at what is new, and at everything only when memory has doubled."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from media_node import collector


class Knot:
    """In a cycle with itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)


def test_what_has_outlived_a_look_is_looked_at_again_only_once_memory_has_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = collector.Collector()
    watched.begin()
    try:
        old = Knot()
        left = weakref.ref(old)
        gc.collect()
        frozen = gc.get_freeze_count()
        assert frozen > 0
        del old
        young = weakref.ref(Knot())
        gc.collect()
        assert left() is not None and young() is None
        monkeypatch.setattr(collector, "FLOOR", 0)
        watched._blocks = 0
        gc.collect()
        assert not gc.get_freeze_count()
        gc.collect()
        assert left() is None
        assert gc.get_freeze_count() > 0 and watched._blocks > 0
    finally:
        watched.end()
    assert not gc.get_freeze_count()
