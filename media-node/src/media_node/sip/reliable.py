"""Reliable provisional responses (RFC 3262): the side that sends them and the side that acknowledges them. Pure: no I/O and
no clock; what is done in which state stands in reliable_tables.py.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from media_node.sip.headers import Request, Response
from media_node.sip.message import reply
from media_node.sip.reliable_tables import (
    RECEIVER,
    SENDER,
    ReceiverEffect,
    ReceiverInput,
    ReceiverState,
    SenderEffect,
    SenderInput,
    SenderState,
)
from media_node.sip.transaction_tables import T1

OPTION: Final = "100rel"
MAX_WAITING: Final = 8
"""Provisional responses that wait for the one before them; more say nothing new, and the oldest of them goes."""
_RSEQ: Final = re.compile(r"[ \t]*+([0-9]{1,10})[ \t]*+")
_RACK: Final = re.compile(r"[ \t]*+([0-9]{1,10})[ \t]++([0-9]{1,10})[ \t]++([A-Za-z0-9\-.!%*_+`'~]++)[ \t]*+")
_FIRST_RSEQ: Final = range(1, 2**31)


@dataclass(frozen=True)
class RAck:
    """Which response a PRACK acknowledges (section 7.2)."""

    rseq: int
    sequence: int
    method: str

    @classmethod
    def parse(cls, value: str) -> RAck:
        """The header's value. Raises ValueError."""
        found = _RACK.fullmatch(value)
        if found is None:
            raise ValueError("RAck is not valid")
        return cls(int(found[1]), int(found[2]), found[3])

    def __str__(self) -> str:
        return f"{self.rseq} {self.sequence} {self.method}"


def rseq(response: Response) -> int | None:
    """The number of a reliable provisional response; None for one that is not sent reliably, or says so wrongly."""
    if not 100 < response.code < 200 or OPTION not in {each.lower() for each in response.require}:
        return None
    found = _RSEQ.fullmatch(response.headers.get("RSeq") or "")
    return int(found[1]) if found else None


def is_required(invite: Request) -> bool:
    """Whether provisional responses to this INVITE have to be reliable, but for 100."""
    return OPTION in {each.lower() for each in invite.require}


def is_supported(invite: Request) -> bool:
    """Whether they may be."""
    return is_required(invite) or OPTION in {each.lower() for each in invite.supported}


@dataclass(frozen=True)
class Send:
    """Action: put this on the wire, in the transaction of its request."""

    response: Response


@dataclass(frozen=True)
class Unheard:
    """Action: nobody acknowledged; `final` is the 2xx that waited for it."""

    final: Response | None


@dataclass
class Sender:
    """The provisional responses to one INVITE, sent one after the other. `rseq` is the first number (section 3)."""

    invite: Request
    rseq: int
    state: SenderState = SenderState.QUIET
    wake: float | None = None
    """When `fire` has something to do (seconds on any monotonic clock)."""
    _last: Response | None = None
    _interval: float = T1
    _ends_at: float = 0.0
    _waiting: deque[Response] = field(default_factory=lambda: deque(maxlen=MAX_WAITING))
    _final: Response | None = None

    def respond(self, response: Response, now: float) -> list[Send | Unheard]:
        """The transaction user answers the INVITE."""
        if response.code >= 200:
            return self._step(SenderInput.SUCCESS if response.code < 300 else SenderInput.FAILURE, now, response)
        return self._step(SenderInput.DESCRIPTION if response.body else SenderInput.PROVISIONAL, now, response)

    def acknowledged(self, prack: Request, now: float) -> list[Send | Unheard]:
        """A PRACK; the first of the actions is its own response, but for a body of it."""
        return self._step(SenderInput.PRACK if self.matches(prack) else SenderInput.STRAY, now, prack)

    def matches(self, prack: Request) -> bool:
        """Whether it acknowledges the last response that was sent."""
        try:
            rack = RAck.parse(prack.headers.get("RAck") or "")
        except ValueError:
            return False
        sent = RAck(self.rseq - 1, self.invite.cseq.sequence, "INVITE")
        return self._last is not None and rack == sent

    def awaits(self, prack: Request) -> bool:
        """Whether a PRACK will be taken: it matches what has not been acknowledged yet, or was overtaken by the 2xx."""
        return self.state is not SenderState.QUIET and self.matches(prack)

    def fire(self, now: float) -> list[Send | Unheard]:
        """What is due at `now`."""
        if self.wake is None or now < self.wake:
            return []
        return self._step(SenderInput.GIVE_UP if now >= self._ends_at else SenderInput.AGAIN, now, None)

    def _step(self, cause: SenderInput, now: float, message: Request | Response | None) -> list[Send | Unheard]:
        row = SENDER.get((self.state, cause))
        if row is None:
            return []
        self.state = row.to
        if self.state in (SenderState.QUIET, SenderState.GIVEN_UP, SenderState.OVER):
            self.wake = None
        actions: list[Send | Unheard] = []
        for effect in row.effects:
            actions += self._perform(effect, now, message)
        return actions

    def _perform(self, effect: SenderEffect, now: float, message: Request | Response | None) -> list[Send | Unheard]:
        match effect:
            case SenderEffect.SEND if isinstance(message, Response):
                message.headers.set("Require", OPTION)
                message.headers.set("RSeq", str(self.rseq))
                self.rseq += 1
                self._last, self._interval, self._ends_at = message, T1, now + 64 * T1
                self.wake = now + T1
                return [Send(message)]
            case SenderEffect.REPEAT if self._last is not None:
                self._interval *= 2
                self.wake = min(now + self._interval, self._ends_at)
                return [Send(self._last)]
            case SenderEffect.WAIT if isinstance(message, Response):
                self._waiting.append(message)
            case SenderEffect.CONFIRM if isinstance(message, Request):
                return [Send(reply(message, 200))]
            case SenderEffect.REFUSE if isinstance(message, Request):
                return [Send(reply(message, 481))]
            case SenderEffect.HOLD if isinstance(message, Response):
                self._final = message
            case SenderEffect.RELEASE:
                final = message if isinstance(message, Response) else self._final
                return [Send(final)] if final is not None else []
            case SenderEffect.NEXT if self._waiting:
                return self.respond(self._waiting.popleft(), now)
            case SenderEffect.UNHEARD:
                return [Unheard(self._final)]
        return []


@dataclass
class Receiver:
    """The provisional responses of one early dialog, taken in order."""

    state: ReceiverState = ReceiverState.NONE_YET
    last: int = 0

    def heard(self, response: Response) -> tuple[bool, RAck | None]:
        """Whether a response is to be looked at, and what is acknowledged of it."""
        effects = self._effects(response)
        number = rseq(response)
        if ReceiverEffect.PRACK not in effects or number is None:
            return ReceiverEffect.DELIVER in effects, None
        self.last = number
        return True, RAck(number, response.cseq.sequence, response.cseq.method)

    def _effects(self, response: Response) -> tuple[ReceiverEffect, ...]:
        row = RECEIVER.get((self.state, self._input(response)))
        if row is None:
            return (ReceiverEffect.DROP,)
        self.state = row.to
        return row.effects

    def _input(self, response: Response) -> ReceiverInput:
        number = rseq(response)
        if response.code >= 200:
            return ReceiverInput.FINAL
        if number is None:
            return ReceiverInput.UNRELIABLE
        if self.last == 0:
            return ReceiverInput.FIRST if number in _FIRST_RSEQ else ReceiverInput.OTHER
        return ReceiverInput.NEXT if number == self.last + 1 else ReceiverInput.OTHER
