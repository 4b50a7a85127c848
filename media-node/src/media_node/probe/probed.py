"""What a probe of one environment came to, as the node reports it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Probed:
    """What the probe found in one environment. `at` is epoch milliseconds; `error` says why it is not ok."""

    ok: bool
    at: int
    suites: tuple[str | None, ...] = ()
    packets: int = 0
    plaintext_packets: int = 0
    error: str = ""

    def item(self) -> dict[str, Any]:
        """Under the names of the fleet table."""
        return {
            "ok": self.ok,
            "at": self.at,
            "suites": [suite or "none" for suite in self.suites],
            "packets": self.packets,
            "plaintextPackets": self.plaintext_packets,
            **({"error": self.error} if self.error else {}),
        }
