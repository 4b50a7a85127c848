"""`POST /_local/clock` with `{"functions": ["due"], "ahead_s": 2678400}`: these functions live that much later from now on.

What is scheduled runs at once then, so that dates that were agreed (notice, contracts, bills) come within seconds. All
others, nodes and phones keep the real time: a fleet that lived later would take every node for dead.
"""

from __future__ import annotations

from aiohttp import web

from callvoip.lambdas.runtime import Runtime
from callvoip.lambdas.triggers import Triggers

PATH = "/_local/clock"


class MovedClock:
    """The clock of one local system's functions."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.triggers: Triggers | None = None

    def routes(self) -> list[web.RouteDef]:
        """For the site's port, before everything else."""
        return [web.post(PATH, self._move)]

    async def _move(self, request: web.Request) -> web.Response:
        try:
            wanted = await request.json()
            ahead, labels = float(wanted["ahead_s"]), list(wanted["functions"])
            for label in labels:
                self._runtime.move_clock(label, ahead)
        except (ValueError, TypeError, KeyError) as error:
            raise web.HTTPBadRequest(text=f'{{"functions": [...], "ahead_s": SECONDS}} is expected: {error}') from None
        except LookupError as error:
            raise web.HTTPNotFound(text=str(error)) from None
        if self.triggers:
            self.triggers.run_schedules()
        return web.json_response({"functions": labels, "ahead_s": ahead})
