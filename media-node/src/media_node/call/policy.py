"""Who may call whom, and how protected. Pure: it sees a snapshot and answers.

112 is decided first, before anything that could refuse it (EECC article 109).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from media_node.call.directory import Directory, Environment, Number, Phone
from media_node.call.emergency import EUROPEAN, dialled_emergency
from media_node.call.numbering import e164, is_short_code, normalised


class Protection(StrEnum):
    """What media a leg may have."""

    REQUIRED = "required"
    """SRTP or no call."""
    PREFERRED = "preferred"
    """SRTP when the phone offers it, else plain RTP."""
    NONE = "none"
    """Plain RTP: the other side of the leg has no SRTP."""


@dataclass(frozen=True)
class Occupancy:
    """What could stand in the way of a call."""

    draining: bool = False
    calls: int = 0
    """Calls the customer has now."""
    allowed: int = 0
    """Calls the customer may have; 0 for no bound."""


@dataclass(frozen=True)
class ToPhone:
    """Ring this phone of the same customer."""

    phone: Phone

    @property
    def protection(self) -> Protection:
        """What the called phone is offered."""
        return Protection.REQUIRED if self.phone.encrypted else Protection.NONE


@dataclass(frozen=True)
class ToNumber:
    """Ring what belongs to this number of a customer on this node."""

    environment: Environment
    number: Number


@dataclass(frozen=True)
class ToTrunk:
    """Hand the call to the provider that reaches all other numbers; `number` is in E.164 or a short code."""

    number: str
    emergency: bool

    @property
    def protection(self) -> Protection:
        """What the trunk is offered: beyond the exchange a call is not protected, as the page says."""
        return Protection.NONE


@dataclass(frozen=True)
class ToHome:
    """Hand the call to the provider's own exchange, which knows what `dialled` is; a colleague is asked for by account.

    `outside` is what it is in E.164; empty where it is no number outside.
    """

    dialled: str
    outside: str


@dataclass(frozen=True)
class Refusal:
    """The call is not made; `status` and `reason` go to the caller, `retry_after` in seconds where trying again
    helps.
    """

    status: int
    reason: str
    retry_after: int | None = None
    limit: str = ""
    """Which of the customer's limits it was, by the names of call/notices.py."""


SUSPENDED: Final = Refusal(403, "Calls to outside are suspended; 112 is not")

Decision = ToPhone | ToNumber | ToTrunk | ToHome | Refusal


def route(
    directory: Directory, caller: Phone, dialled: str, *, trunk: bool, occupancy: Occupancy, home: bool = False
) -> Decision:
    """Where the call goes; `trunk` says whether there is one, `home` whether the provider's own exchange is there."""
    number = normalised(dialled)
    if (emergency := dialled_emergency(dialled)) and not _is_dutch_extension(directory, caller, emergency):
        return ToTrunk(emergency, emergency=True) if trunk else Refusal(503, "There is no way out to 112 on this node")
    if occupancy.draining:
        return Refusal(503, "This node takes no new calls", retry_after=5)
    if occupancy.allowed and occupancy.calls >= occupancy.allowed:
        return Refusal(480, "All lines of this customer are in use", retry_after=10)
    colleague = directory.colleague(caller, dialled) or directory.colleague(caller, number)
    if colleague == caller:
        return Refusal(482, "A phone cannot call itself")
    environment = directory.environment(caller.customer_id)
    outside = e164(number, environment.country if environment else "NL")
    if home and caller not in directory.guests and not (environment and environment.suspended and outside):
        return ToHome(colleague.username if colleague else number, outside)
    if colleague is not None:
        return ToPhone(colleague)
    if not outside and not is_short_code(number):
        return Refusal(404, "No such phone or number; numbers outside begin with 0 or +")
    own = directory.number(outside)
    if own is not None and own[0].customer_id == caller.customer_id:
        return ToNumber(*own)
    if environment is not None and environment.suspended:
        return SUSPENDED
    if not trunk:
        return Refusal(404, "No such extension, and numbers outside cannot be reached from here")
    return ToTrunk(outside or number, emergency=False)


def _is_dutch_extension(directory: Directory, caller: Phone, number: str) -> bool:
    """Whether 100 or 101, which are Belgium's, is a colleague in the Netherlands: no extension is given out below 201,
    but a phone that has one is called by it.
    """
    environment = directory.environment(caller.customer_id)
    dutch = environment is None or environment.country == "NL"
    return number != EUROPEAN and dutch and directory.colleague(caller, number) is not None


def caller_protection(caller: Phone, *, emergency: bool) -> Protection:
    """What the calling phone has to offer. A plain call to 112 is better than none."""
    return Protection.REQUIRED if caller.encrypted and not emergency else Protection.PREFERRED
