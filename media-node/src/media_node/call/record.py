"""The record a call leaves (CDR). Pure: numbers outside are masked before they get here; extensions, the customer's own, are not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from media_node.log import mask_digits
from media_node.worker_link.protocol import LegStats


def mask(party: str) -> str:
    """A telephone number with its last three digits as asterisks, which is all that anybody sees of it afterwards."""
    return mask_digits(party)


class Kind(StrEnum):
    """What a call was for."""

    INTERNAL = "internal"
    OUTGOING = "outgoing"
    INCOMING = "incoming"
    EMERGENCY = "emergency"
    PROBE = "probe"
    """The node's own, to prove an environment."""


def kind(*, from_phone: bool, outside: bool, emergency: bool) -> Kind:
    """Of a call that is no probe's; `outside` says that a trunk was to be asked or asked."""
    if emergency:
        return Kind.EMERGENCY
    if not from_phone:
        return Kind.INCOMING
    return Kind.OUTGOING if outside else Kind.INTERNAL


class Beyond(StrEnum):
    """What became of a call's media on the far side of this node, as far as the node can know it."""

    NOTHING = "nothing"
    """Both legs are the customer's own phones: there is no far side."""
    SECURED = "secured"
    """The trunk took SRTP; what the provider behind it does is its own."""
    NOT_SECURED = "notSecured"
    UNKNOWN = "unknown"


def beyond(trunk_leg: int | None, *, outside: bool, legs: tuple[LegStats, ...]) -> Beyond:
    """What is known of the far side when the leg at place `trunk_leg` was a trunk's; `outside` says that one was to be."""
    if trunk_leg is None and not outside:
        return Beyond.NOTHING
    if len(legs) < 2:
        return Beyond.UNKNOWN
    return Beyond.SECURED if legs[1 if trunk_leg is None else trunk_leg].suite else Beyond.NOT_SECURED


class CallClock:
    """UTC times of one call. The wall clock is read once and the rest is the monotonic clock, so that a wall clock that
    is set meanwhile makes no call longer, shorter or end before it began.
    """

    def __init__(
        self, wall: Callable[[], datetime] = lambda: datetime.now(UTC), monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.started_at = wall()
        self._monotonic = monotonic
        self._began = monotonic()

    def now(self) -> datetime:
        """This moment."""
        return self.started_at + timedelta(seconds=self._monotonic() - self._began)


@dataclass(frozen=True, kw_only=True)
class CallRecord:
    """One call, from the moment it was asked for.

    Times are UTC; `caller` and `called` are extensions or masked numbers; `ended_at` is None while it runs; `reason` says how it ended.
    """

    call_id: str
    customer_id: str
    caller: str
    called: str
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    reason: str
    legs: tuple[LegStats, ...]
    """Of each stream the caller's and the called leg, audio first, then those of parties that have left."""
    beyond: Beyond = Beyond.UNKNOWN
    kind: Kind = Kind.INTERNAL

    def item(self, keep_days: int) -> dict[str, Any]:
        """The record as plain JSON types under the names of the cdr table, to be deleted `keep_days` after its end."""
        last = self.ended_at or self.answered_at or self.started_at
        return {
            "pk": f"CUSTOMER#{self.customer_id}",
            "sk": f"{_iso(self.started_at)}#{self.call_id}",
            "callId": self.call_id,
            "customerId": self.customer_id,
            "from": self.caller,
            "to": self.called,
            "startedAt": _iso(self.started_at),
            **({"answeredAt": _iso(self.answered_at)} if self.answered_at else {}),
            **({"endedAt": _iso(self.ended_at)} if self.ended_at else {}),
            "reason": self.reason,
            "legs": [_leg(leg, last) for leg in self.legs],
            "beyond": self.beyond.value,
            "expiresAt": int((last + timedelta(days=keep_days)).timestamp()),
        }


CUT_SHORT: Final = "the node stopped during the call"

_ATTESTED: Final = ("from", "to", "startedAt", "answeredAt", "endedAt", "reason", "beyond")
_ATTESTED_OF_LEG: Final = (
    "media",
    "keying",
    "suite",
    "packets",
    "sent",
    "plaintextPackets",
    "firstSecuredAt",
    "lastSecuredAt",
)


def cut_short(item: dict[str, Any], last_seen: datetime, keep_days: int) -> dict[str, Any]:
    """The record of a call that was running when its node was last seen: what was begun, and that it ended there."""
    return {
        **item,
        "endedAt": max(_iso(last_seen), str(item.get("answeredAt", ""))),
        "reason": CUT_SHORT,
        "expiresAt": int((last_seen + timedelta(days=keep_days)).timestamp()),
    }


def claims(item: dict[str, Any], node: str) -> dict[str, Any]:
    """What the receipt of a recorded call attests: who, when, and of each leg and stream how it was secured."""
    return {
        "node": node,
        "environment": item["customerId"],
        "call": item["callId"],
        **{name: item[name] for name in _ATTESTED if name in item},
        "legs": [{name: leg[name] for name in _ATTESTED_OF_LEG if name in leg} for leg in item["legs"]],
    }


def _leg(leg: LegStats, ended_at: datetime) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "media": leg.media,
        "keying": leg.keying or "none",
        "suite": leg.suite or "none",
        "packets": leg.received,
        "sent": leg.sent,
        "plaintextPackets": leg.plaintext,
        "drops": leg.drops,
        "lost": leg.lost,
        "jitterMs": round(leg.jitter_ms, 2),
    }
    if leg.first_secured_s is not None and leg.last_secured_s is not None:
        figures["firstSecuredAt"] = _iso(ended_at - timedelta(seconds=leg.first_secured_s))
        figures["lastSecuredAt"] = _iso(ended_at - timedelta(seconds=leg.last_secured_s))
    if leg.round_trip_ms is not None:
        figures["roundTripMs"] = round(leg.round_trip_ms, 2)
    if leg.mos is not None:
        figures["mos"] = round(leg.mos, 2)
    return figures


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
