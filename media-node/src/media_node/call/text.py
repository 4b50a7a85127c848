"""Real-time text (RFC 4103) of a call: a second relayed stream for as long as both sides take text.

Nothing here ends a call or keeps one: text is silent while nobody types, and a call goes on without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from media_node.call.plan import Side
from media_node.sip.sdp import MediaType
from media_node.worker_link.protocol import LocalTransport

if TYPE_CHECKING:
    from media_node.call.b2bua import Call


@dataclass(eq=False)
class Text:
    """The text of one call."""

    call: Call

    @property
    def runs(self) -> bool:
        """Whether both sides take it and it has its places."""
        parties = self.call.parties.values()
        return len(parties) == len(Side) and all(
            party.media.takes_text and MediaType.TEXT in party.media.places for party in parties
        )

    async def offered(self, secure: Mapping[Side, bool] | None = None) -> dict[Side, LocalTransport]:
        """Somebody offers it: it gets its places, if the worker has room, so that the other side can be offered it; the
        new ones. `secure` tells which legs are SRTP where that is not agreed yet.
        """
        call = self.call
        if call.relayed.has_text:
            return {}
        agreed = {side: party.media.secure for side, party in call.parties.items() if party.media.remote is not None}
        local = await call.relayed.open_text({**dict.fromkeys(Side, True), **agreed, **(secure or {})})
        for side, party in call.parties.items():
            party.media.place(MediaType.TEXT, local.get(side))
        return local

    async def settle(self) -> None:
        """Both sides have said what they take: text is relayed if that is both."""
        call = self.call
        if not all(party.media.takes_text for party in call.parties.values()):
            await call.relayed.close_text()
        elif call.relayed.has_text:
            await self._reopen()
        elif len(call.parties) == len(Side):
            await self.offered()
        if not call.relayed.has_text:
            for party in call.parties.values():
                party.media.place(MediaType.TEXT, None)

    async def _reopen(self) -> None:
        """Gives a party its place that came from another call without one."""
        for side, party in self.call.parties.items():
            if MediaType.TEXT not in party.media.places:
                party.media.place(MediaType.TEXT, await self.call.relayed.reopen_text(side, secure=party.media.secure))
