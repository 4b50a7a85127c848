"""Phones that lose their connection while they ring: they have some time to come back (RFC 5626), and ring again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from media_node.call.events import Branch, BranchExpired
from media_node.call.forking import Fork
from media_node.call.refusals import Absent, CallRefused, refusal
from media_node.call.supervision import EARLY_FLOW_TIMEOUT
from media_node.log import Event as LogEvent
from media_node.sip.message import reply

if TYPE_CHECKING:
    from media_node.call.b2bua import Call


@dataclass(eq=False)
class Returning:
    """Waits for the phones of one call."""

    call: Call
    _clocks: list[asyncio.TimerHandle] = field(default_factory=list)

    async def lost(self, fork: Fork, branch: Branch) -> None:
        """A phone's connection is gone."""
        if not await self._rings_again(fork, branch):
            loop = asyncio.get_running_loop()
            self._clocks.append(loop.call_later(EARLY_FLOW_TIMEOUT, self.call.post, BranchExpired(branch)))

    async def registered(self, fork: Fork, username: str) -> None:
        """A phone has registered: it may be one that is waited for."""
        for branch in fork.lost(username):
            await self._rings_again(fork, branch)

    def expired(self, fork: Fork, branch: Branch) -> CallRefused | None:
        """A phone has not come back: why the call is not answered when nobody else rings. It then counts as one that was not
        registered.
        """
        if branch not in fork.branches or branch.failed is not None:
            return None
        assert branch.client is not None  # noqa: S101 - it rang
        failure = fork.refused(branch, reply(branch.client.request, 480))
        if failure is None:
            return None
        absent = all(each.lost for each in fork.branches)
        return Absent("The called phone is gone") if absent else refusal(failure)

    def stop(self) -> None:
        """Nobody is waited for any more."""
        for clock in self._clocks:
            clock.cancel()

    async def _rings_again(self, fork: Fork, branch: Branch) -> bool:
        """Whether the phone is there over another connection, where it rings now."""
        before = branch.target
        taken = [each.target.connection for each in fork.branches if each is not branch and not each.lost]
        its_own = replace(fork.destination, phones=(before.username,), flow=None)
        for target in await self.call.control.targets(its_own):
            same = not before.instance or not target.instance or before.instance == target.instance
            if same and not target.connection.closed and target.connection not in taken:
                self.call.log(LogEvent.FLOW_RESUMED, call=self.call.id)
                fork.ring_again(branch, target)
                return True
        return False
