"""What is known of a call before it begins, and what it needs of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from media_node.call.policy import Protection
from media_node.sip.grammar import URI, Address
from media_node.sip.transport import Connection
from media_node.worker_link.protocol import LegDescription, LegStats, LocalTransport


class Side(StrEnum):
    """The caller's leg and the called leg, by their names on the protocol."""

    A = "a"
    B = "b"

    @property
    def other(self) -> Side:
        """The other leg."""
        return Side.B if self is Side.A else Side.A


@dataclass(frozen=True)
class Target:
    """One place to ring: where the request goes and over what."""

    uri: URI
    connection: Connection


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the exchange decided. `caller` and `called` are masked already; without `targets` nobody can be reached."""

    customer_id: str
    caller: str
    called: str
    from_address: Address
    to_address: Address
    targets: tuple[Target, ...]
    caller_protection: Protection
    called_protection: Protection
    emergency: bool = False
    outside: bool = False
    """Whether the called side is reached over a trunk."""


class MediaPlane(Protocol):
    """What a call needs of a media worker (worker_link/protocol.py).

    Each raises an exception of the worker's own.
    """

    async def open(self, call: str, *, secure: dict[str, bool]) -> Mapping[str, LocalTransport]:
        """Reserves both legs."""

    async def set(self, call: str, leg: str, remote: LegDescription) -> None:
        """Describes a leg, first or anew."""

    async def close(self, call: str) -> Mapping[str, LegStats]:
        """Ends the call and says what both legs saw."""
