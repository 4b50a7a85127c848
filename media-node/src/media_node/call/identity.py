"""Who a call outside says it is from: the customer's own number, or nobody where privacy was asked. Pure.

P-Asserted-Identity (RFC 3325) towards a trunk, which is trusted; Privacy (RFC 3323); a number that is not the
customer's is never shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from media_node.sip.grammar import URI, Address, Parameters

ANONYMOUS: Final = Address(URI("sip", "anonymous.invalid", user="anonymous"), "Anonymous")
"""RFC 3323 section 4.1.1.3."""
_HIDE: Final = re.compile(r"(?:\*31\*|#31#|\*31)(?P<number>\+?[0-9].*)")
"""Dialled before a number, it hides the caller's for this call (ETSI EN 300 089; in the Netherlands and Belgium)."""


@dataclass(frozen=True)
class Identity:
    """What the called side is told: the From, and the header fields that go to the trunk beside it."""

    from_address: Address
    headers: dict[str, str]
    number: str = ""
    """The number that the trunk is told, in E.164."""


def hides(dialled: str) -> tuple[str, bool]:
    """What was dialled without a prefix that hides the caller, and whether there was one."""
    found = _HIDE.fullmatch(dialled)
    return (found["number"], True) if found else (dialled, False)


def wants_privacy(from_address: Address, privacy: str) -> bool:
    """Whether the calling phone asked not to be shown."""
    values = {value.strip().lower() for value in re.split("[;,]", privacy)}
    if "none" in values:
        return False
    return bool(values & {"id", "user", "header", "critical"}) or from_address.uri.host.lower() == "anonymous.invalid"


def screened(wanted: str, own: tuple[str, ...], assigned: str) -> str:
    """The number that is shown: what the phone's From wants where it is the customer's, else the one assigned to the
    phone, else the customer's first; empty when the customer has none.
    """
    for number in (wanted, assigned):
        if number in own:
            return number
    return own[0] if own else ""


def towards_trunk(number: str, name: str, domain: str, *, private: bool) -> Identity:
    """The identity of a call to a trunk. A hidden number is asserted all the same: only the trunk sees it, as 112 and
    malicious call tracing need.
    """
    parameters = Parameters(user="phone")
    asserted = Address(URI("sip", domain, user=number, parameters=parameters), "" if private else name)
    headers = {"P-Asserted-Identity": str(asserted)} if number else {}
    if private or not number:
        return Identity(ANONYMOUS, {**headers, "Privacy": "id"} if private else headers, number)
    return Identity(asserted, headers, number)
