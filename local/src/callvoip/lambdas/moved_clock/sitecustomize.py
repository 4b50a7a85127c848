"""Python runs this at the start of a function's process when the local clock was moved (callvoip.lambdas.runtime).

Only the wall clock of `datetime` moves, before anything else imports it; deadlines and signatures of requests, which go
by `time`, stay right.
"""

import datetime as _module
import os

_AHEAD = _module.timedelta(seconds=float(os.environ["CALLVOIP_CLOCK_AHEAD"]))


class datetime(_module.datetime):
    """The standard class with its clock moved."""

    @classmethod
    def now(cls, tz: _module.tzinfo | None = None) -> "datetime":
        """The moved time."""
        return super().now(tz) + _AHEAD

    @classmethod
    def utcnow(cls) -> "datetime":
        """The moved time, as the standard class has it without a zone."""
        return super().utcnow() + _AHEAD


_module.datetime = datetime  # type: ignore[misc]
