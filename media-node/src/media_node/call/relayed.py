"""What a call asks of its media worker, and what its legs saw."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TypeVar

from media_node.call.negotiation import LegMedia
from media_node.call.plan import MediaPlane, Side
from media_node.call.refusals import CallRefused
from media_node.worker_link.protocol import LegStats, LocalTransport

T = TypeVar("T")


class MediaFailed(Exception):
    """The media worker refused or is gone."""


class RelayedMedia:
    """The relayed stream of one call, by its name on the worker. Everything that is asked may raise MediaFailed."""

    def __init__(self, plane: MediaPlane, name: str) -> None:
        self._plane = plane
        self._name = name
        self._opened = False
        self._earlier: list[LegStats] = []
        """What the legs of parties saw that have left the call."""

    async def open(self, secure: Mapping[Side, bool]) -> dict[Side, LocalTransport]:
        """Reserves both legs."""
        local = await self._ask(self._plane.open(self._name, secure={side.value: secure[side] for side in Side}))
        self._opened = True
        return {side: local[side.value] for side in Side}

    async def reopen(self, side: Side, *, secure: bool) -> LocalTransport:
        """Makes a leg anew for another peer."""
        local, before = await self._ask(self._plane.reopen(self._name, side.value, secure=secure))
        if before.received or before.sent:
            self._earlier.append(before)
        return local

    async def describe(self, side: Side, media: LegMedia, peer: str, name: str = "") -> None:
        """What was agreed with a side, whose signalling comes from `peer`; `name` is that of a call beside this one."""
        await self._ask(self._plane.set(name or self._name, side.value, media.leg(peer)))

    async def open_beside(self, name: str, secure: Mapping[Side, bool]) -> dict[Side, LocalTransport]:
        """Another relayed call on the same worker. Raises CallRefused when there is no room."""
        try:
            local = await self._plane.open(name, secure={side.value: secure[side] for side in Side})
        except Exception as error:
            raise CallRefused(503, "The media relay refused") from error
        return {side: local[side.value] for side in Side}

    async def take(self, name: str, side: Side, as_side: Side) -> None:
        """A leg of a relayed call beside this one takes one of this one's places; the rest of that call is let go."""
        before = await self._ask(self._plane.move(name, side.value, to=self._name, to_leg=as_side.value))
        self._earlier.append(before)
        await self.close_beside(name)

    async def give(self, side: Side, to: str, as_side: Side) -> LegStats:
        """A leg of this call goes to another call on the same worker; what the leg saw whose place it takes."""
        return await self._ask(self._plane.move(self._name, side.value, to=to, to_leg=as_side.value))

    def note(self, before: LegStats) -> None:
        """What a leg of this call saw whose place another call's leg has taken."""
        self._earlier.append(before)

    async def close_beside(self, name: str) -> None:
        """Ends a relayed call beside this one."""
        try:
            await self._plane.close(name)
        except Exception:  # the worker is gone, and the call with it
            return

    async def close(self) -> tuple[LegStats, ...]:
        """Ends the call: what its legs saw, those of parties that left behind the others."""
        if not self._opened:
            return ()
        try:
            stats = await self._plane.close(self._name)
        except Exception:  # the worker is gone, and its figures with it
            return tuple(self._earlier)
        return (*(stats[side.value] for side in Side if side.value in stats), *self._earlier)

    @staticmethod
    async def _ask(question: Awaitable[T]) -> T:
        try:
            return await question
        except Exception as error:
            raise MediaFailed(str(error)) from error
