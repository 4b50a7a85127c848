"""The node's media workers: kept at their number, watched, and chosen for each call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from media_node.call.plan import MediaPlane
from media_node.log import Event, log
from media_node.worker_link.client import MediaWorker, WorkerGone
from media_node.worker_link.protocol import LegDescription, LegStats, LocalTransport

WATCH_INTERVAL: Final = 1.0
"""Seconds between questions to a worker that has nothing else to answer: with the bound on an answer, a worker that
hangs is found within 3 s.
"""
PATIENCE: Final = 5.0
"""Seconds a new call waits for a worker when none is up: a new one takes about one second to start."""
_RETRY: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

StartWorker = Callable[[int, Callable[[dict[str, Any]], None]], Awaitable[MediaWorker]]


class Workers:
    """So many workers as were asked for; one that dies or hangs is killed and replaced.

    `on_event` hears every event of every worker (worker_link/protocol.py).
    """

    def __init__(self, start: StartWorker, on_event: Callable[[dict[str, Any]], None]) -> None:
        self._start = start
        self._on_event = on_event
        self._workers: dict[int, MediaWorker] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that are up."""
        return [worker.pid for worker in self._workers.values()]

    async def start(self, count: int) -> None:
        """Start them all; raises WorkerGone or OSError when one does not come up."""
        for index in range(count):
            self._workers[index] = await self._start(index, self._heard)
        self._changed.set()
        self._spawn(self._watch())

    async def stop(self) -> None:
        """End all workers, and their calls with them."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers.values()), return_exceptions=True)

    def plane(self) -> MediaPlane:
        """What one call asks of the worker that it will get."""
        return _CallsPlane(self)

    async def least_busy(self, but: frozenset[MediaWorker] = frozenset()) -> MediaWorker:
        """The worker with the fewest calls that is none of `but`, waited for when there is none; raises WorkerGone."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not (others := [worker for worker in self._workers.values() if worker not in but]):
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError as error:
                raise WorkerGone("no media worker is up") from error
        return min(others, key=lambda worker: worker.calls)

    def _heard(self, event: dict[str, Any]) -> None:
        if event.get("event") == "gone" and not self._stopping:
            index = int(event["worker"])
            self._workers.pop(index, None)
            self._spawn(self._replace(index))
        self._on_event(event)

    async def _replace(self, index: int) -> None:
        attempt = 0
        while True:
            await asyncio.sleep(_RETRY[min(attempt, len(_RETRY) - 1)])
            attempt += 1
            try:
                self._workers[index] = await self._start(index, self._heard)
            except (WorkerGone, OSError) as error:
                log(Event.MEDIA_WORKER_FAILED, worker=index, error=str(error))
            else:
                log(Event.MEDIA_WORKER_REPLACED, worker=index)
                self._changed.set()
                return

    async def _watch(self) -> None:
        """Ask each worker something now and then: one that does not answer is killed by its client, and so replaced."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            await asyncio.gather(*(worker.load() for worker in self._workers.values()), return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _CallsPlane:
    """One call's way to its worker: chosen when it opens, another one when that is gone or hangs."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._worker: MediaWorker | None = None

    async def open(self, call: str, *, secure: dict[str, bool], further: bool = False) -> Mapping[str, LocalTransport]:
        """Reserve both legs on the least busy worker, a second call on the worker of the first; raises MediaError."""
        if self._worker is not None:
            return await self._worker.open(call, secure=secure, further=further)
        tried: frozenset[MediaWorker] = frozenset()
        while True:
            worker = await self._workers.least_busy(tried)
            try:
                local = await worker.open(call, secure=secure)
            except WorkerGone:
                if len(tried) >= 2:
                    raise
                tried |= {worker}
                continue
            self._worker = worker
            return local

    async def set(self, call: str, leg: str, remote: LegDescription) -> None:
        """Describe a leg; raises MediaError."""
        await self._opened.set(call, leg, remote)

    async def reopen(self, call: str, leg: str, *, secure: bool) -> tuple[LocalTransport, LegStats]:
        """Put another peer in a leg's place; raises MediaError."""
        return await self._opened.reopen(call, leg, secure=secure)

    async def move(self, call: str, leg: str, *, to: str, to_leg: str) -> LegStats:
        """Put a leg in the place of another call's leg on the same worker; raises MediaError."""
        return await self._opened.move(call, leg, to=to, to_leg=to_leg)

    async def close(self, call: str) -> Mapping[str, LegStats]:
        """End the call; raises MediaError."""
        return await self._opened.close(call)

    @property
    def _opened(self) -> MediaWorker:
        if self._worker is None:
            raise WorkerGone("the call has no media worker")
        return self._worker
