"""Where a leg's media may be sent: accepted only after packets from there verified
under the leg's key.

How far an address is from being accepted is a state (TRANSITIONS; docs/state-machines.md draws it).

Only a verified packet and the signalling (over TLS) drive it. A packet that does not verify proves nothing, neither for
nor against its source: it can move no media, and it cannot keep an honest phone from proving itself either.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

Address = TypeVar("Address")
"""Whatever tells one transport address from another; only compared."""

PROOFS = 3
"""Packets that must verify in a row: a 32-bit tag accepts one forgery in 2**32, three in a row 2**96."""

SILENCE_S = 0.5
"""Seconds a latched address must be silent before another may take its place: 25 packets of 20 ms."""


REDIRECT_S = 10.0
"""Seconds after an announced change of address during which the new one need not wait for silence."""


class LatchState(StrEnum):
    """How far the address of a leg's media is authenticated."""

    PENDING = "pending"
    PROBATION = "probation"
    LATCHED = "latched"
    MOVED = "moved"


class LatchInput(StrEnum):
    """What drives it: packets that verified under the leg's key, from an address that is not the accepted one."""

    VERIFIED = "verified"
    """Fewer in a row from there than are required."""
    PROVED = "verified as often as required"
    """From another address only while the accepted one is silent, and only packets newer than all before."""


TRANSITIONS: Final[dict[tuple[LatchState, LatchInput], LatchState]] = {
    (LatchState.PENDING, LatchInput.VERIFIED): LatchState.PROBATION,
    (LatchState.PENDING, LatchInput.PROVED): LatchState.LATCHED,
    (LatchState.PROBATION, LatchInput.VERIFIED): LatchState.PROBATION,
    (LatchState.PROBATION, LatchInput.PROVED): LatchState.LATCHED,
    (LatchState.LATCHED, LatchInput.VERIFIED): LatchState.LATCHED,
    (LatchState.LATCHED, LatchInput.PROVED): LatchState.MOVED,
    (LatchState.MOVED, LatchInput.VERIFIED): LatchState.MOVED,
    (LatchState.MOVED, LatchInput.PROVED): LatchState.MOVED,
}
"""Where the next packet leads. No state leads back: what was accepted stays so until something else is proved."""


@dataclass
class Latch(Generic[Address]):
    """The state of one leg's RTP, or of its RTCP where that has ports of its own.

    `now` is seconds on any monotonic clock.
    """

    proofs: int = PROOFS
    silence: float = SILENCE_S
    state: LatchState = LatchState.PENDING
    address: Address | None = None
    """The latched address; None before."""

    _heard: float = 0.0
    _open_until: float = float("-inf")
    _candidate: Address | None = None
    _proved: int = 0

    def admits(self, source: Address, now: float) -> bool:
        """Whether a packet from `source` may be tried at all: not while the latched address is alive elsewhere.

        Asked before decryption, so that a copy which overtakes the real packet does not use up its place in the replay
        list.
        """
        return (
            self.address is None
            or source == self.address
            or now < self._open_until
            or now - self._heard >= self.silence
        )

    def verified(self, source: Address, newer: bool, now: float) -> bool:
        """A packet from `source` verified; `newer` tells that its index lies beyond all before. True when the latched
        source changed.
        """
        if source == self.address:
            self._heard = now
            self._candidate, self._proved = None, 0
            return False
        if not self.admits(source, now):
            return False
        if source != self._candidate:
            self._candidate, self._proved = source, 0
        if self.address is not None and not newer:
            return False
        self._proved += 1
        proved = self._proved >= self.proofs
        self.state = TRANSITIONS[self.state, LatchInput.PROVED if proved else LatchInput.VERIFIED]
        if not proved:
            return False
        self.address, self._heard = source, now
        self._candidate, self._proved, self._open_until = None, 0, float("-inf")
        return True

    def redirect(self, now: float) -> None:
        """The signalling announced another address: whoever authenticates soon is latched to without waiting for
        silence.
        """
        self._open_until = now + REDIRECT_S

    def heard(self, now: float) -> None:
        """Packets from the latched address verified until `now`; what the relay's fast path tells instead of `verified`
        for each.
        """
        self._heard = max(self._heard, now)
