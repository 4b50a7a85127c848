"""What a call asks of its media worker, and what its legs saw."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from media_node.call.negotiation import LegMedia
from media_node.call.plan import MediaPlane, Side
from media_node.call.refusals import CallRefused
from media_node.sip.sdp import MediaType
from media_node.worker_link.protocol import LegStats, LocalTransport

T = TypeVar("T")
Places = dict[MediaType, LocalTransport]
"""Where the streams of one leg are to be sent."""


class MediaFailed(Exception):
    """The media worker refused or is gone."""


class RelayedMedia:
    """The relayed streams of one call: its audio under the call's name on the worker, its text under one of its own.

    What is asked of the audio may raise MediaFailed. Text that the worker does not take is not relayed, and the call
    goes on without it.
    """

    def __init__(self, plane: MediaPlane, name: str) -> None:
        self._plane = plane
        self._name = name
        self._open: set[MediaType] = set()
        self._earlier: list[LegStats] = []
        """What the legs of parties saw that have left the call, and legs of text that was given up."""

    @property
    def has_text(self) -> bool:
        """Whether text is relayed."""
        return MediaType.TEXT in self._open

    async def open(self, secure: Mapping[Side, bool]) -> dict[Side, Places]:
        """Reserves both legs, for audio."""
        local = await self._ask(self._plane.open(self._name, secure=_by_name(secure)))
        self._open.add(MediaType.AUDIO)
        return {side: {MediaType.AUDIO: local[side.value]} for side in Side}

    async def open_text(self, secure: Mapping[Side, bool]) -> dict[Side, LocalTransport]:
        """Reserves both legs for text too; nothing when the worker has no room."""
        try:
            local = await self._plane.open(_named(self._name, MediaType.TEXT), secure=_by_name(secure), further=True)
        except Exception:  # no port is free, or the worker is gone, which the audio hears
            return {}
        self._open.add(MediaType.TEXT)
        return {side: local[side.value] for side in Side}

    async def close_text(self) -> None:
        """Text is not relayed any more."""
        if MediaType.TEXT in self._open:
            self._earlier += _that_saw(await self._close(MediaType.TEXT))

    async def reopen(self, side: Side, *, secure: bool) -> Places:
        """Makes a leg anew for another peer."""
        places = {MediaType.AUDIO: await self._reopen(MediaType.AUDIO, side, secure=secure)}
        if self.has_text and (text := await self.reopen_text(side, secure=secure)) is not None:
            places[MediaType.TEXT] = text
        return places

    async def reopen_text(self, side: Side, *, secure: bool) -> LocalTransport | None:
        """Makes the text of a leg anew; there is none any more when the worker has no room for it."""
        try:
            return await self._reopen(MediaType.TEXT, side, secure=secure)
        except MediaFailed:
            await self.close_text()
            return None

    async def _reopen(self, kind: MediaType, side: Side, *, secure: bool) -> LocalTransport:
        question = self._plane.reopen(_named(self._name, kind), side.value, secure=secure)
        local, before = await self._ask(question)
        self._earlier += _that_saw([_of(kind, before)])
        return local

    async def describe(self, side: Side, media: LegMedia, peer: str, name: str = "") -> None:
        """What was agreed with a side, whose signalling comes from `peer`; `name` is that of a call beside this one."""
        assert media.remote is not None  # noqa: S101 - it has been agreed
        for kind, _ in media.remote.streams():
            if kind not in media.places:
                continue
            try:
                await self._ask(self._plane.set(_named(name or self._name, kind), side.value, media.leg(peer, kind)))
            except MediaFailed:
                if kind is MediaType.AUDIO:
                    raise

    async def open_beside(self, name: str, secure: Mapping[Side, bool], *, text: bool) -> dict[Side, Places]:
        """Another relayed call on the same worker, with `text` or without. Raises CallRefused when there is no room."""
        beside = RelayedMedia(self._plane, name)
        try:
            places = await beside.open(secure)
        except MediaFailed as error:
            raise CallRefused(503, "The media relay refused") from error
        for side, local in (await beside.open_text(secure)).items() if text else ():
            places[side][MediaType.TEXT] = local
        return places

    async def take(self, name: str, side: Side, as_side: Side, streams: Mapping[MediaType, object]) -> set[MediaType]:
        """A leg of a relayed call beside this one, with these `streams`, takes one of this one's places; the rest of that
        call is let go. Which streams came.
        """
        moved = await self._move(name, side, self._name, as_side, streams)
        self.note(moved)
        await self.close_beside(name)
        return set(moved)

    async def give(self, side: Side, to: str, as_side: Side) -> dict[MediaType, LegStats]:
        """A leg of this call goes to another call on the same worker, its text only if that one has text; what the legs
        saw whose places it takes.
        """
        return await self._move(self._name, side, to, as_side, dict.fromkeys(self._open))

    async def _move(
        self, name: str, side: Side, to: str, as_side: Side, streams: Mapping[MediaType, object]
    ) -> dict[MediaType, LegStats]:
        moved = {}
        for kind in sorted(streams):
            question = self._plane.move(_named(name, kind), side.value, to=_named(to, kind), to_leg=as_side.value)
            try:
                moved[kind] = _of(kind, await self._ask(question))
            except MediaFailed:
                if kind is MediaType.AUDIO:
                    raise
        return moved

    def note(self, before: Mapping[MediaType, LegStats]) -> None:
        """What legs of this call saw whose places others have taken."""
        self._earlier += before.values()

    async def close_beside(self, name: str) -> None:
        """Ends a relayed call beside this one."""
        for kind in MediaType:
            try:
                await self._plane.close(_named(name, kind))
            except Exception:  # noqa: S112 - it had no text, or the worker is gone, and the call with it
                continue

    async def close(self) -> tuple[LegStats, ...]:
        """Ends the call: what its legs saw, the audio's two first, those of parties that left last."""
        stats = [each for kind in sorted(self._open) for each in await self._close(kind)]
        return (*stats, *self._earlier)

    async def _close(self, kind: MediaType) -> list[LegStats]:
        self._open.discard(kind)
        try:
            stats = await self._plane.close(_named(self._name, kind))
        except Exception:  # the worker is gone, and its figures with it
            return []
        return [_of(kind, stats[side.value]) for side in Side if side.value in stats]

    @staticmethod
    async def _ask(question: Awaitable[T]) -> T:
        try:
            return await question
        except Exception as error:
            raise MediaFailed(str(error)) from error


_SUFFIXES: Final = {MediaType.AUDIO: "", MediaType.TEXT: "/text"}


def _named(call: str, kind: MediaType) -> str:
    """The name of a call's stream on the worker."""
    return call + _SUFFIXES[kind]


def _by_name(secure: Mapping[Side, bool]) -> dict[str, bool]:
    return {side.value: secure[side] for side in Side}


def _that_saw(legs: list[LegStats]) -> list[LegStats]:
    return [leg for leg in legs if leg.received or leg.sent]


def _of(kind: MediaType, stats: LegStats) -> LegStats:
    """A leg's figures with the name of what it carried. Jitter and opinion (ITU-T G.107) are of speech."""
    return stats if kind is MediaType.AUDIO else replace(stats, media=kind.value, jitter_ms=0.0, mos=None)
