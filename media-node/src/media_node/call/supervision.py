"""Whether both parties of an answered call are still there.

A dialog outlives the connection it was made over (RFC 5626): media goes on, and a phone that comes back in time has its
call. Silence alone ends no call, since a phone on hold or a muted one may send nothing: it is asked (OPTIONS, session
timers of RFC 4028), and only who does not answer is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from media_node.call.events import (
    Event,
    FlowExpired,
    FlowResumed,
    Lost,
    MediaSilent,
    PeerChecked,
    SessionTimerFired,
)
from media_node.call.party import Party
from media_node.call.plan import Side
from media_node.call.session_timer import SessionTimer
from media_node.log import Event as LogEvent
from media_node.sip.headers import Response

if TYPE_CHECKING:
    from media_node.call.b2bua import Call

FLOW_TIMEOUT: Final = 60.0
"""Seconds a phone has to come back after its connection was lost: a router restarts, a network changes."""
EARLY_FLOW_TIMEOUT: Final = 20.0
"""The same for a caller while others ring: so long they may ring for nobody."""
CHECK_AGAIN: Final = 60.0
"""Seconds between two questions to a party whose media is silent."""
_LOST: Final = (408, 503)
"""Answers of our own that say a request did not get there."""


@dataclass(eq=False)
class Supervision:
    """Watches the parties of one call."""

    call: Call
    _checking: set[Party] = field(default_factory=set)
    _generation: dict[Party, object] = field(default_factory=dict)

    def happened(self, event: Event) -> Party | None:
        """Something that bears on whether a party is there; the party that is found to be gone."""
        match event:
            case Lost(connection):
                for party in self.call.parties.values():
                    if party.connection is connection:
                        self._flow_lost(party)
            case FlowResumed():
                self._resume(event)
            case FlowExpired(party) if party.connection.closed and party in self.call.parties.values():
                return party
            case MediaSilent(side) if side in self.call.parties:
                self._check(self.call.parties[side])
            case PeerChecked(party, response):
                return self._checked(party, response)
            case SessionTimerFired(party, generation) if self._generation.get(party) is generation:
                self._refresh(party)
        return None

    def watch_session(self, party: Party) -> None:
        """A session began or was refreshed: its clock starts over."""
        timer = party.timer = party.timer or SessionTimer(peer_supports=False)
        generation = self._generation[party] = object()
        party.later(timer.due_in, lambda: self.call.post(SessionTimerFired(party, generation)))

    def _flow_lost(self, party: Party) -> None:
        self.call.log(LogEvent.FLOW_LOST, call=self.call.id)
        seconds = EARLY_FLOW_TIMEOUT if self.call.answered_at is None else FLOW_TIMEOUT
        party.later(seconds, lambda: self.call.post(FlowExpired(party)))

    def _resume(self, event: FlowResumed) -> None:
        for party in self.call.parties.values():
            same_phone = party.username == event.username and (
                not party.instance or not event.instance or party.instance == event.instance
            )
            if not same_phone or party.connection is event.connection:
                continue
            if not party.connection.closed and not event.proved:
                continue  # another device of the same account has registered
            party.connection = event.connection
            if event.contact is not None:
                party.dialog.target = event.contact
            self.call.log(LogEvent.FLOW_RESUMED, call=self.call.id)
            if party is self.call.parties.get(Side.A) and (not self.call.answering.accepted or party.unconfirmed):
                party.transactions.resume(self.call.transaction, event.connection)

    def _check(self, party: Party) -> None:
        """Asks a party whose media is silent whether it is there."""
        if party in self._checking or party.connection.closed:
            return  # its other clock runs
        self._checking.add(party)

        def heard(response: Response) -> None:
            if response.code >= 200:
                self.call.post(PeerChecked(party, response))

        party.request("OPTIONS", heard)

    def _checked(self, party: Party, response: Response) -> Party | None:
        self._checking.discard(party)
        if party not in self.call.parties.values():
            return None
        if response.code == 481:
            return party
        if response.code in _LOST:
            if not party.connection.closed:
                party.connection.close()  # it is dead: whoever is behind it must come back over another
            return None
        party.later(CHECK_AGAIN, lambda: self._check(party))
        return None

    def _refresh(self, party: Party) -> None:
        timer = party.timer
        if timer is None or party.connection.closed:
            return
        side = next((side for side, each in self.call.parties.items() if each is party), None)
        if side is None:
            return
        party.timer = replace(timer, ours=True)  # whoever was to refresh has not, and is asked once
        self.watch_session(party)
        if "UPDATE" in party.allows:

            def heard(response: Response) -> None:
                if response.code >= 200:
                    self.call.post(PeerChecked(party, response))

            party.request("UPDATE", heard)
        else:
            self.call.renegotiation.refresh(side)
