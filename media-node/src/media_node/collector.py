"""Python's collector without its long stops.

A look at everything there is takes 140 ms of a node with 1,500 connections, in which nobody is served. The signalling leaves no
reference cycles behind (tests/media_node/test_unreachable.py), so what has outlived one look is not looked at again; what
libraries leave in cycles dies young, and is found by the short looks. Should something slip through all the same, memory that
has doubled is reason for a look at everything.
"""

from __future__ import annotations

import gc
import sys
from typing import Any, Final

THRESHOLDS: Final = (700, 10, 3)
"""New objects, and younger generations' looks, until the next look (gc.set_threshold): the oldest, which is what is not frozen yet,
is looked at while it is some 20,000 objects, which takes a few milliseconds.
"""
FLOOR: Final = 2_000_000
"""Blocks of memory below which it does not matter what has doubled; some 150 MB."""


class Collector:
    """Begun once what lives as long as the process is there."""

    def __init__(self) -> None:
        self._blocks = 0
        """In use after the last look at everything."""

    def begin(self) -> None:
        """From now on."""
        gc.set_threshold(*THRESHOLDS)
        gc.collect()
        gc.freeze()
        self._blocks = sys.getallocatedblocks()
        gc.callbacks.append(self._looked)

    def end(self) -> None:
        """As Python does it by itself."""
        gc.callbacks.remove(self._looked)
        gc.unfreeze()

    def _looked(self, phase: str, info: dict[str, Any]) -> None:
        if phase != "stop" or info["generation"] < 2:
            return
        blocks = sys.getallocatedblocks()
        if blocks < max(FLOOR, 2 * self._blocks):
            gc.freeze()
        elif gc.get_freeze_count():
            gc.unfreeze()  # the next look is at everything
        else:
            gc.freeze()
            self._blocks = blocks
