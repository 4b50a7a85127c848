"""Session timers (RFC 4028): how a peer that vanished without a BYE is noticed. Pure: no clock of its own.

The node refreshes each of its dialogs itself unless the peer says that it will, and when the peer then does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from media_node.sip.headers import Request, Response

SESSION_EXPIRES: Final = 1800
"""Seconds a session lives without a refresh, where the peer asks for nothing else (section 4)."""
MIN_SE: Final = 90
"""The shortest interval that is taken (section 5)."""
_VALUE: Final = re.compile(r"\s*([0-9]{1,9})\s*(.*)", re.DOTALL)
_REFRESHER: Final = re.compile(r";\s*refresher\s*=\s*(uac|uas)", re.IGNORECASE)


class IntervalTooSmall(ValueError):
    """The session is to be refreshed more often than Min-SE allows: 422 (section 6)."""


@dataclass(frozen=True)
class SessionTimer:
    """What was agreed on one dialog: the interval in seconds, and whether it is this side that refreshes."""

    interval: int = SESSION_EXPIRES
    ours: bool = True
    peer_supports: bool = True

    @classmethod
    def as_server(cls, request: Request) -> SessionTimer | None:
        """From the peer's INVITE or UPDATE; None for a peer without timers. Raises IntervalTooSmall."""
        supports = supports_timer(request)
        value, refresher = _read(request)
        if value is None and not supports:
            return None
        if value is not None and value < MIN_SE:
            raise IntervalTooSmall
        return cls(value or SESSION_EXPIRES, ours=not (supports and refresher == "uac"), peer_supports=supports)

    @classmethod
    def as_client(cls, response: Response) -> SessionTimer | None:
        """From the peer's 2xx to ours; None when it wants no timer (then ours refreshes all the same, for itself)."""
        value, refresher = _read(response)
        if value is None:
            return None
        return cls(max(value, MIN_SE), ours=refresher != "uas")

    @property
    def due_in(self) -> float:
        """Seconds until this side has something to do: refresh at half the interval, or look whether the peer did.

        A peer that did not refresh is given until a third of the interval, at most 32 s, is left (section 10), and
        then asked.
        """
        return self.interval / 2 if self.ours else self.interval - min(32.0, self.interval / 3)

    def write(self, message: Request | Response) -> None:
        """Puts the agreement into an INVITE or UPDATE, or into a 2xx to one."""
        if isinstance(message, Request):
            message.headers.set("Session-Expires", f"{self.interval};refresher={'uac' if self.ours else 'uas'}")
            message.headers.set("Min-SE", str(MIN_SE))
        else:
            message.headers.set("Session-Expires", f"{self.interval};refresher={'uas' if self.ours else 'uac'}")
            if self.peer_supports and not self.ours:
                message.headers.set("Require", "timer")


def supports_timer(message: Request | Response) -> bool:
    """Whether the peer knows session timers."""
    return "timer" in {each.lower() for each in message.supported}


def _read(message: Request | Response) -> tuple[int | None, str]:
    header = message.headers.get("Session-Expires") or ""
    match = _VALUE.match(header)
    if match is None:
        return None, ""
    refresher = _REFRESHER.search(match[2])
    return int(match[1]), refresher[1].lower() if refresher else ""
