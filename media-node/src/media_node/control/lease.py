"""The node's right to serve as primary: as long as it hears what it should serve and is heard itself.

Who cannot reach the fleet's table does not know whether another node has taken over. For five minutes it goes on; then it accepts no
registrations until it has read its assignments anew. The reconciler waits a little longer before it lets another node serve
(functions/src/fleet/observed.py), so there are never two.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LEASE: Final = 300.0
"""Seconds; the reconciler's LEASE is the same."""


class Lease:
    """Measured on the monotonic clock, from when each request that renewed it began."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._read: float | None = None
        self._heard: float | None = None

    def read(self, began: float) -> None:
        """The assignments were read by a request that began then."""
        self._read = began

    def heard(self, began: float) -> None:
        """A heartbeat was written by a request that began then."""
        self._heard = began

    def now(self) -> float:
        """For the moment at which a request begins."""
        return self._clock()

    @property
    def fresh(self) -> bool:
        """Whether both happened within the lease."""
        if self._read is None or self._heard is None:
            return False
        return self._clock() - min(self._read, self._heard) < LEASE
