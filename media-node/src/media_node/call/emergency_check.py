"""Whether 112 would be reached from an environment, told without calling it: the number that is shown, the address of each
phone as the centre would get it, and the way there. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final
from xml.etree import ElementTree

import phonenumbers

from media_node.call.directory import Environment, Phone
from media_node.call.identity import screened
from media_node.call.notices import Notice

_CIVIC: Final = "{urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr}"
_NEEDED: Final = ("country", "A3", "RD", "HNO", "PC")
"""Without these no ambulance finds the door (RFC 4119, RFC 5139)."""


@dataclass(frozen=True)
class EmergencyCheck:
    """What one day's check found; `failed` says what would be missing."""

    day: date
    version: int
    failed: frozenset[Notice] = frozenset()

    def item(self) -> dict[str, object]:
        """As REPORT says it."""
        return {"ok": not self.failed, "day": self.day.isoformat(), "failed": sorted(self.failed)}


def check(environment: Environment, location: Callable[[Phone], bytes], *, route: bool, today: date) -> EmergencyCheck:
    """`location` is what a phone's call would carry (outside.py), `route` whether a trunk that takes 112 answered OPTIONS just
    now. A customer without numbers of its own shows none, which is no fault of the route.
    """
    failed = set()
    if not route:
        failed.add(Notice.EMERGENCY_ROUTE)
    own = tuple(number.number for number in environment.numbers)
    for phone in environment.phones:
        if not _is_whole(location(phone)):
            failed.add(Notice.EMERGENCY_ADDRESS)
        if own and not _is_number(screened("", own, phone.number)):
            failed.add(Notice.EMERGENCY_NUMBER)
    return EmergencyCheck(today, environment.version, frozenset(failed))


def _is_whole(pidf: bytes) -> bool:
    """Whether a document is an address that can be driven to."""
    try:
        document = ElementTree.fromstring(pidf)  # noqa: S314 - our own
    except ElementTree.ParseError:
        return False
    return all((document.findtext(f".//{_CIVIC}{name}") or "").strip() for name in _NEEDED)


def _is_number(number: str) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False
