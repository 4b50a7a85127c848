"""What becomes of phones and their calls when the assignments say that this node serves them no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from media_node.call.b2bua import Call
from media_node.call.directory import Directory, Phone
from media_node.call.events import Stop
from media_node.call.former import FormerPhones
from media_node.call.registration import Registrations

ENDED_SECONDS: Final = 3600.0
"""So long a call may go on that runs when its customer's contract ends."""


@dataclass(eq=False)
class Leaving:
    """Ends registrations, and calls where they may not go on. `calls` and `directory` are asked for what they are at each."""

    registrations: Registrations
    calls: Callable[[], Mapping[str, Call]]
    directory: Callable[[], Directory]
    _former: FormerPhones = field(default_factory=FormerPhones)

    def take_over(self, before: Directory, after: Directory) -> Directory:
        """The new directory, with the phones that were known before. Calls go on but of a phone that was blocked; a phone that left
        or has new credentials has to register again.
        """
        for username in before.usernames():
            if (phone := before.phone(username)) is not None:
                self._change(phone, before, after)
        loop = asyncio.get_running_loop()
        for environment in after.environments:
            known = before.environment(environment.customer_id)
            if known is not None and known.served and not environment.served:
                # Who talks talks on; but not for ever, as nobody pays for it any more.
                loop.call_later(ENDED_SECONDS, self._contract_ended, environment.customer_id)
        return replace(after, former=self._former.remember(before, after, loop.time()))

    def _change(self, phone: Phone, before: Directory, directory: Directory) -> None:
        after = directory.phone(phone.username)
        if _has_moved(phone, before, directory):
            self.registrations.depart(phone)
        elif after is None or directory.has_ended(after):
            self.registrations.dismiss(phone.username)
        elif phone.ha1 not in (after.ha1, after.previous_ha1):
            self.registrations.dismiss(phone.username)
            if not after.ha1:
                self._end_calls("the phone is blocked", lambda call: call.has_party(phone.username))
        elif before.serves(phone) and not directory.serves(after):
            # Another node serves it from now on: who is idle looks for it at once, who talks does when the call is over.
            self.registrations.end(phone.username)

    def let_leave(self) -> None:
        """Closes the connections of phones that are served no more, as soon as they neither call, talk nor ring."""
        self.registrations.let_leave(
            {
                username
                for call in self.calls().values()
                for username in (
                    call.plan.username,
                    *(party.username for party in call.parties.values()),
                    *call.ringing(),
                )
            }
        )

    def _contract_ended(self, customer_id: str) -> None:
        known = self.directory().environment(customer_id)
        if known is None or not known.served:
            self._end_calls("the contract has ended", lambda call: call.plan.customer_id == customer_id)

    def _end_calls(self, reason: str, which: Callable[[Call], bool]) -> None:
        """Ends calls in progress, but none to 112."""
        for call in self.calls().values():
            if not call.plan.emergency and which(call):
                call.post(Stop(reason, cause=403))


def _has_moved(phone: Phone, before: Directory, after: Directory) -> bool:
    """Whether its environment is on this node no longer, and has not ended."""
    known = before.environment(phone.customer_id)
    return known is not None and known.served and after.environment(phone.customer_id) is None
