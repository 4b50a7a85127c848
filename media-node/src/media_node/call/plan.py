"""What is known of a call before it begins, and what it needs of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from media_node.call.policy import Protection
from media_node.call.record import Kind, kind
from media_node.call.trunk_settings import TrunkSettings
from media_node.sip.dialog import Dialog
from media_node.sip.grammar import URI, Address
from media_node.sip.gruu import Device
from media_node.sip.transport import Connection
from media_node.worker_link.protocol import LegDescription, LegStats, LocalTransport

if TYPE_CHECKING:
    from media_node.call.b2bua import Call

NO_ANSWER: Final = 120.0
"""Seconds a phone may ring where nothing else was chosen."""
SILENCE: Final = 2.0
"""Seconds a trunk may take to its first word while there is another one to try."""
LAST_SILENCE: Final = 8.0
"""The same for the last one: two retransmissions more."""
MAX_DIVERSIONS: Final = 5
"""Times one call may be forwarded before it counts as a loop."""


class Side(StrEnum):
    """The caller's leg and the called leg, by their names in the worker link."""

    A = "a"
    B = "b"

    @property
    def other(self) -> Side:
        """The other leg."""
        return Side.B if self is Side.A else Side.A


@dataclass(frozen=True)
class Target:
    """One place to ring: where the request goes and over what. `username` is the phone's account, `instance` its
    +sip.instance (RFC 5626) where it gives one; `trunk` is there when it is none.
    """

    uri: URI
    connection: Connection
    username: str = ""
    instance: str = ""
    trunk: TrunkSettings | None = None


@dataclass(frozen=True)
class Diversion:
    """That `party` forwarded the call, and why, in the words of RFC 5806 section 4 (user-busy, no-answer, ...)."""

    party: URI
    reason: str


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Who is rung at one time, and for how many `seconds`: phones by their usernames, or a `number` over the trunk."""

    to_address: Address | None = None
    """What the To says; None for the target's own address."""
    phones: tuple[str, ...] = ()
    number: str = ""
    seconds: float = NO_ANSWER
    protection: Protection = Protection.NONE
    diversions: tuple[Diversion, ...] = ()
    """Who forwarded the call here, the first first."""
    account: str = ""
    """The customer whose limits count for a call outside."""
    emergency: bool = False
    home: bool = False
    """Whether `number` is what the provider's own exchange is asked for, as it was dialled."""
    internal: bool = False
    """Whether the exchange is asked for something of its own, which is no call outside."""
    otherwise: Destination | None = None
    """Who is rung when the exchange cannot be had."""
    flow: int | None = None
    """The one connection over which a phone is rung, None for all of its devices."""
    device: Device | None = None
    """The one device that is rung, as a GRUU names it; None for all."""
    tried: frozenset[str] = frozenset()
    """Trunks by name that did not take this call."""

    @property
    def outside(self) -> bool:
        """Whether it is a call outside, which a customer's limits count."""
        return bool(self.number) and not self.internal

    @property
    def secure(self) -> bool:
        """Whether those who are rung are offered SRTP."""
        return self.protection is Protection.REQUIRED


def reached_over(destination: Destination, trunk: TrunkSettings | None) -> Destination:
    """The destination as it is offered over this trunk: secured where that takes SRTP."""
    if trunk is None or not trunk.srtp:
        return destination
    return replace(destination, protection=Protection.REQUIRED)


def patience(*, another: bool) -> float:
    """Seconds a trunk may take to its first word; `another` tells whether there is one left to try."""
    return SILENCE if another else LAST_SILENCE


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the exchange decided. `caller` and `called` are masked already.

    The destinations of `hunt` are rung one after the other; `busy` and `no_answer` say who is rung when that leads to
    nothing.
    """

    customer_id: str
    caller: str
    called: str
    from_address: Address
    hunt: tuple[Destination, ...]
    caller_protection: Protection
    caller_secure: bool = False
    """Whether a caller that makes no offer is offered SRTP."""
    username: str = ""
    """The calling phone's account; empty when a trunk calls."""
    instance: str = ""
    busy: Destination | None = None
    no_answer: Destination | None = None
    emergency: bool = False

    @property
    def kind(self) -> Kind:
        """What the call is for."""
        return kind(from_phone=bool(self.username), outside=self.outside, emergency=self.emergency)

    @property
    def outside(self) -> bool:
        """Whether one side is reached over a trunk, as far as is known beforehand."""
        return not self.username or any(destination.outside for destination in self.hunt)


class MediaPlane(Protocol):
    """What a call needs of a media worker (worker_link/protocol.py). Each raises an exception of the worker's own."""

    async def open(self, call: str, *, secure: dict[str, bool], further: bool = False) -> Mapping[str, LocalTransport]:
        """Reserves both legs; a second call is opened beside the first, and so is a `further` stream of one."""

    async def set(self, call: str, leg: str, remote: LegDescription) -> None:
        """Describes a leg, first or anew."""

    async def reopen(self, call: str, leg: str, *, secure: bool) -> tuple[LocalTransport, LegStats]:
        """Puts another peer in a leg's place; what the leg saw before."""

    async def move(self, call: str, leg: str, *, to: str, to_leg: str) -> LegStats:
        """Puts a leg in the place of another call's leg; what that leg saw."""

    async def close(self, call: str) -> Mapping[str, LegStats]:
        """Ends the call and says what both legs saw."""


class CallControl(Protocol):
    """What a call asks of the exchange."""

    def bind(self, dialog: Dialog, call: Call, side: Side) -> None:
        """Requests of this dialog go to this side of this call from now on."""

    def changed(self) -> None:
        """Something about a call changed that others may want to see."""

    def unbind(self, dialog: Dialog) -> None:
        """Requests of this dialog are answered 481 from now on."""

    def other_way(self, destination: Destination, failed: str) -> Destination | None:
        """The same destination by another trunk than `failed` (a name); None when none is left."""

    async def targets(self, destination: Destination) -> tuple[Target, ...]:
        """Where a destination can be reached now. Raises CallRefused when that is nowhere."""

    def redirected(self, plan: Plan, by: str, to: URI, reason: str, before: tuple[Diversion, ...]) -> Destination:
        """Where the account `by` sends a call that would have rung it. Raises CallRefused for what it may not call."""

    def call_of(self, call_id: str, local_tag: str, remote_tag: str) -> tuple[Call, Side] | None:
        """The call that a dialog belongs to, by its identifiers as this side has them (RFC 3891 section 3)."""
