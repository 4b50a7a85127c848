"""Work for strangers, done in what time the known phones leave: a slice of each turn of the loop, each source in its turn.

Whatever strangers send, a known phone waits no longer than one slice and the piece of work that was begun in it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

SLICE: Final = 0.005
"""Seconds."""

Work = Callable[[], None]


@dataclass(eq=False)
class Turns:
    """`schedule` calls back at the loop's next turn; `clock` is in seconds."""

    schedule: Callable[[Work], object]
    clock: Callable[[], float]
    _sources: OrderedDict[str, deque[Work]] = field(default_factory=OrderedDict)
    _waiting: bool = False
    """Whether the loop will call, or is calling."""

    def put(self, source: str, work: Work) -> None:
        """Queues work of a source after what it has queued already."""
        self._sources.setdefault(source, deque()).append(work)
        if not self._waiting:
            self._waiting = True
            self.schedule(self._run)

    def _run(self) -> None:
        end = self.clock() + SLICE
        try:
            while self._sources and self.clock() < end:
                source, queue = self._sources.popitem(last=False)
                work = queue.popleft()
                if queue:
                    self._sources[source] = queue
                work()
        finally:
            self._waiting = bool(self._sources)
            if self._waiting:
                self.schedule(self._run)
