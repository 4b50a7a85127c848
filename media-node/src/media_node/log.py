"""One JSON object a line on standard error. Callers pass no names, numbers or addresses of people.

Every event that the node can log is listed here, with its level; docs/runbook.md names no other, which a test holds.
"""

from __future__ import annotations

import ipaddress
import json
import sys
import time
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import cache, lru_cache
from typing import Any, Protocol


class Level(IntEnum):
    """How much an event matters, as in syslog (RFC 5424 section 6.2.1), the graver the higher."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class Event(StrEnum):
    """What can be logged: the text of the line's `event`, and the level it is logged at."""

    level: Level

    def __new__(cls, text: str, level: Level = Level.INFO) -> Event:
        member = str.__new__(cls, text)
        member._value_ = text
        member.level = level
        return member

    # The node.
    LISTENING = "listening"
    DRAINING = "draining"
    STOPPED = "stopped"
    STOPPED_BY_ERROR = "stopped by an error", Level.ERROR
    WAITING = "waiting", Level.WARNING
    FAILING = "failing", Level.ERROR
    WORKING_AGAIN = "working again"
    ASSIGNMENTS_LOADED = "assignments loaded"
    ASSIGNMENT_REFUSED = "assignment refused", Level.ERROR
    CERTIFICATE_LOADED = "certificate loaded"
    CERTIFICATE_REFUSED = "certificate refused", Level.ERROR
    PROBE = "probe"
    METRICS_NOT_SERVED = "metrics not served", Level.WARNING
    RECORDS_SENT = "call records sent", Level.DEBUG
    RECORDS_IN_MEMORY = "call records stay in memory", Level.ERROR
    RECORD_SET_ASIDE = "call record set aside", Level.ERROR
    RECORDS_RECOVERED = "call records recovered", Level.WARNING
    RECEIPT_CHAINS_ANEW = "receipt chains begin anew", Level.WARNING
    # Media workers.
    MEDIA_TIMEOUT = "media timeout", Level.WARNING
    MEDIA_WORKER_GONE = "media worker gone", Level.ERROR
    MEDIA_WORKER_FAILED = "media worker does not start", Level.ERROR
    MEDIA_WORKER_REPLACED = "media worker replaced", Level.WARNING
    # Connections and accounts.
    CONNECTION_REFUSED = "connection refused", Level.WARNING
    AUTHENTICATED = "authenticated", Level.DEBUG
    AUTHENTICATION_FAILED = "authentication failed", Level.WARNING
    LOCKED_OUT = "locked out", Level.WARNING
    REGISTERED = "registered"
    UNREGISTERED = "unregistered"
    # Calls.
    CALL_BEGINS = "call begins"
    CALL_ENDED = "call ended"
    CALL_REFUSED = "call refused"
    CALL_FAILED = "call failed", Level.ERROR
    FLOW_LOST = "flow lost", Level.WARNING
    FLOW_RESUMED = "flow resumed"
    FORWARDED = "call forwarded"
    TRANSFERRED = "call transferred"
    TRUNK_UNREACHABLE = "trunk unreachable", Level.ERROR
    TRUNK_REACHABLE = "trunk reachable again"
    EMERGENCY_CHECK_FAILED = "112 would fail", Level.ERROR
    HOME_FORGOT = "exchange has forgotten the phones", Level.WARNING
    HOME_REFUSED = "exchange refuses a registration", Level.ERROR
    LIMIT_REACHED = "customer limit reached", Level.WARNING


class Log(Protocol):
    """How an event is logged: `log(Event.REGISTERED, customer=...)`."""

    def __call__(self, event: Event, /, **fields: Any) -> None: ...


def silent(event: Event, /, **fields: Any) -> None:
    """A Log that keeps nothing."""


_string = json.encoder.encode_basestring_ascii
_encode = json.JSONEncoder(default=str).encode
_threshold = Level.DEBUG


def log_from(level: Level) -> None:
    """Events below this level are not written from now on."""
    global _threshold
    _threshold = level


@lru_cache(maxsize=4096)
def mask_address(host: str) -> str:
    """The network of an IP address (IPv4: /24, IPv6: /48), as logs show sources; empty for what is no address."""
    try:
        address = ipaddress.ip_address(host.partition("/")[0].partition("%")[0])
    except ValueError:
        return ""
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def mask_digits(text: str) -> str:
    """A text with the last three of its digits as asterisks, as staff and logs see numbers."""
    shown = list(text)
    left = 3
    for position in range(len(shown) - 1, -1, -1):
        if shown[position] in "0123456789":
            shown[position] = "*"
            left -= 1
            if not left:
                break
    return "".join(shown)


@cache
def _kind(event: Event) -> str:
    return f'"level": {_encode(event.level.name.lower())}, "event": {_encode(event.value)}'


@lru_cache(maxsize=2)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def log(event: Event, /, **fields: Any) -> None:
    """Writes one line: when, how grave, what, and the fields given."""
    if event.level < _threshold:
        return
    now = time.time()
    line = [f'{{"at": "{_second(int(now))}.{int(now % 1 * 1000):03d}Z", {_kind(event)}']
    for name, value in fields.items():
        line.append(f', "{name}": {_string(value) if type(value) is str else _encode(value)}')
    line.append("}\n")
    sys.stderr.write("".join(line))
    sys.stderr.flush()
