"""The record a call leaves (CDR). Pure: parties are masked before they get here in any readable form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from media_node.worker_link.protocol import LegStats

_LAST_DIGITS: Final = re.compile(r"[0-9](?=(?:[^0-9]*[0-9]){0,2}[^0-9]*$)")


def mask(party: str) -> str:
    """The party with its last three digits as asterisks, which is all that staff and logs ever see."""
    return _LAST_DIGITS.sub("*", party)


@dataclass(frozen=True, kw_only=True)
class CallRecord:
    """One call, from the moment it was asked for.

    Times are UTC; `caller` and `called` are masked; `reason` says how it ended.
    """

    call_id: str
    customer_id: str
    caller: str
    called: str
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime
    reason: str
    legs: tuple[LegStats, ...]

    def item(self, keep_days: int) -> dict[str, Any]:
        """The record as plain JSON types under the names of the cdr table, to be deleted `keep_days` after its end."""
        return {
            "pk": f"CUSTOMER#{self.customer_id}",
            "sk": f"{_iso(self.started_at)}#{self.call_id}",
            "callId": self.call_id,
            "customerId": self.customer_id,
            "from": self.caller,
            "to": self.called,
            "startedAt": _iso(self.started_at),
            **({"answeredAt": _iso(self.answered_at)} if self.answered_at else {}),
            "endedAt": _iso(self.ended_at),
            "reason": self.reason,
            "legs": [_leg(leg) for leg in self.legs],
            "expiresAt": int((self.ended_at + timedelta(days=keep_days)).timestamp()),
        }


def _leg(leg: LegStats) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "suite": leg.suite or "none",
        "packets": leg.received,
        "sent": leg.sent,
        "plaintextPackets": leg.plaintext,
        "drops": leg.drops,
        "lost": leg.lost,
        "jitterMs": round(leg.jitter_ms, 2),
    }
    if leg.round_trip_ms is not None:
        figures["roundTripMs"] = round(leg.round_trip_ms, 2)
    if leg.mos is not None:
        figures["mos"] = round(leg.mos, 2)
    return figures


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
