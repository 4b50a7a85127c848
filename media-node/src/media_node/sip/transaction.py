"""The four transaction state machines of RFC 3261 section 17 with the corrections of RFC 6026. Pure: no I/O and no clock.

A machine takes an event and `now` (seconds on any monotonic clock) and returns what is to be done; what it does in which
state stands in transaction_tables.py. Its running timers are a value, `timers`; whoever runs it wakes it at `wake` with
`fire`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final, NamedTuple

from media_node.sip.grammar import CSeq, Via
from media_node.sip.headers import Request, Response
from media_node.sip.message import tag
from media_node.sip.transaction_tables import (
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    RELIABLE,
    T1,
    T2,
    T4,
    UNRELIABLE,
    BackOff,
    Effect,
    Input,
    Table,
    Timer,
    TransactionState,
    Transition,
)

__all__ = ["T1", "T2", "T4", "Timer", "TransactionState"]

_COOKIE: Final = "z9hG4bK"


class Cause(StrEnum):
    """Why a transaction failed, to be treated as a 408 or a 503 (section 8.1.3.1)."""

    TIMEOUT = "timeout"
    TRANSPORT = "transport"


@dataclass(frozen=True)
class Respond:
    """Event: the transaction user sends this response."""

    response: Response


@dataclass(frozen=True)
class Fired:
    """Event: a timer has run out."""

    timer: Timer


@dataclass(frozen=True)
class TransportFailed:
    """Event: the message could not be sent."""


@dataclass(frozen=True)
class Abandoned:
    """Event: a cancelled INVITE got no final response within 64*T1 (section 9.1)."""


Event = Request | Response | Respond | Fired | TransportFailed | Abandoned


@dataclass(frozen=True)
class Send:
    """Action: put this on the wire."""

    message: Request | Response


@dataclass(frozen=True)
class Pass:
    """Action: hand this to the transaction user."""

    message: Request | Response


@dataclass(frozen=True)
class Fail:
    """Action: tell the transaction user that nothing more will come."""

    cause: Cause


Action = Send | Pass | Fail


@dataclass
class Machine:
    """What the four have in common: the request, whether the transport is reliable, the state and the running timers."""

    table: ClassVar[Table]

    request: Request
    reliable: bool
    state: TransactionState = TransactionState.TERMINATED
    timers: dict[Timer, float] = field(default_factory=dict)
    interval: float = T1
    """Between the last two retransmissions."""
    last: Response | None = None
    """What a retransmitted request is answered with."""
    ack: Request | None = None

    @property
    def wake(self) -> float | None:
        """When the next timer runs out, or None."""
        return min(self.timers.values(), default=None)

    def step(self, event: Event, now: float) -> list[Action]:
        """What `event` leads to in the present state."""
        row = self.table.get((self.state, self._input(event)))
        return [] if row is None else self._take(row, event, now)

    def fire(self, now: float) -> list[Action]:
        """What the timers that are due at `now` lead to, in the order they ran out."""
        actions: list[Action] = []
        while (wake := self.wake) is not None and wake <= now:
            timer = min(self.timers, key=lambda name: self.timers[name])
            del self.timers[timer]
            actions += self.step(Fired(timer), now)
        return actions

    def _take(self, row: Transition, event: Event, now: float) -> list[Action]:
        self.state = row.to
        if not row.timers_go_on and self.timers:
            self.timers = {}
        actions: list[Action] = []
        for effect in row.effects:
            if (action := self._perform(effect, event)) is not None:
                actions.append(action)
        if row.again is not None:
            timer, back_off = row.again
            self.interval = {
                BackOff.DOUBLED: 2 * self.interval,
                BackOff.DOUBLED_TO_T2: min(2 * self.interval, T2),
                BackOff.AT_T2: T2,
            }[back_off]
            self.timers[timer] = now + self.interval
        if row.start:
            actions += self._start(row.start, now)
        return actions

    def _start(self, timers: tuple[Timer, ...], now: float) -> list[Action]:
        """Starts timers; one of no length has fired already."""
        lengths = RELIABLE if self.reliable else UNRELIABLE
        for timer in timers:
            seconds = lengths[timer]
            if seconds == 0:
                return self.step(Fired(timer), now)
            if seconds is not None:
                self.timers[timer] = now + seconds
        return []

    def _perform(self, effect: Effect, event: Event) -> Action | None:
        message = event.response if isinstance(event, Respond) else event
        match effect:
            case Effect.SEND_REQUEST:
                return Send(self.request)
            case Effect.SEND_ACK if isinstance(message, Response):
                self.ack = self.ack or acknowledge_refusal(self.request, message)
                return Send(self.ack)
            case Effect.KEEP_RESPONSE if isinstance(message, Response):
                self.last = message
            case Effect.SEND_RESPONSE if isinstance(message, Response):
                return Send(message)
            case Effect.SEND_LAST if self.last is not None:
                return Send(self.last)
            case Effect.DELIVER | Effect.DELIVER_ACK if isinstance(message, Request | Response):
                return Pass(message)
            case Effect.FAIL_TIMEOUT:
                return Fail(Cause.TIMEOUT)
            case Effect.FAIL_TRANSPORT:
                return Fail(Cause.TRANSPORT)
        return None

    def _input(self, event: Event) -> Input:
        if isinstance(event, Respond):
            code = event.response.code
            return Input.SEND_PROVISIONAL if code < 200 else Input.SEND_SUCCESS if code < 300 else Input.SEND_FAILURE
        if isinstance(event, Response):
            return Input.PROVISIONAL if event.code < 200 else Input.SUCCESS if event.code < 300 else Input.FAILURE
        if isinstance(event, Request):
            return _METHODS.get(event.method, Input.REQUEST)
        if isinstance(event, Fired):
            return _FIRED[event.timer]
        return Input.TRANSPORT_ERROR if isinstance(event, TransportFailed) else Input.ABANDONED


_METHODS: Final = {"ACK": Input.ACK, "INVITE": Input.INVITE}
_FIRED: Final = {timer: Input(f"timer {timer.value}") for timer in Timer}


@dataclass
class InviteClient(Machine):
    """The client transaction of an INVITE."""

    table: ClassVar[Table] = INVITE_CLIENT

    def start(self, now: float) -> list[Action]:
        """Sends the INVITE."""
        self.state = TransactionState.CALLING
        return [Send(self.request), *self._start((Timer.B, Timer.A), now)]


@dataclass
class NonInviteClient(Machine):
    """The client transaction of any other request."""

    table: ClassVar[Table] = NON_INVITE_CLIENT

    def start(self, now: float) -> list[Action]:
        """Sends the request."""
        self.state = TransactionState.TRYING
        return [Send(self.request), *self._start((Timer.F, Timer.E), now)]


@dataclass
class InviteServer(Machine):
    """The server transaction of an INVITE."""

    table: ClassVar[Table] = INVITE_SERVER
    state: TransactionState = TransactionState.PROCEEDING


@dataclass
class NonInviteServer(Machine):
    """The server transaction of any other request."""

    table: ClassVar[Table] = NON_INVITE_SERVER
    state: TransactionState = TransactionState.TRYING


class Key(NamedTuple):
    """What a message is matched to its transaction by (sections 17.1.3 and 17.2.3)."""

    branch: str
    method: str
    sent_by: str = ""


def client_key(message: Request | Response) -> Key:
    """The key of a client transaction: branch of the top Via and method of the CSeq."""
    return Key(_branch(message, message.via[0]), message.cseq.method)


def server_key(request: Request, method: str = "") -> Key:
    """The key of a server transaction. An ACK belongs to its INVITE; `method` asks for another one, as CANCEL does."""
    top = request.via[0]
    method = method or request.method
    return Key(_branch(request, top), "INVITE" if method == "ACK" else method, f"{top.host.lower()}:{top.port or ''}")


def _branch(message: Request | Response, top: Via) -> str:
    branch = top.parameters.get("branch") or ""
    if branch.startswith(_COOKIE) and branch != _COOKIE:
        return str(branch)
    # RFC 2543 peers do not make branches unique: section 17.2.3 then compares these fields instead.
    sequence = message.cseq.sequence
    return f"{message.headers['Call-ID']}|{tag(message.from_address)}|{sequence}|{message.headers['Via']}"


def acknowledge_refusal(invite: Request, response: Response) -> Request:
    """The ACK to a 3xx-6xx, which is part of the INVITE's transaction (section 17.1.1.3)."""
    return _companion(invite, "ACK", response.headers["To"])


def cancel(invite: Request) -> Request:
    """The CANCEL of a pending INVITE (section 9.1)."""
    return _companion(invite, "CANCEL", invite.headers["To"])


def _companion(invite: Request, method: str, to: str) -> Request:
    request = Request(method, invite.uri)
    request.headers.set("Via", invite.headers["Via"])
    request.headers.set("Max-Forwards", "70")
    request.headers.set("From", invite.headers["From"])
    request.headers.set("To", to)
    request.headers.set("Call-ID", invite.headers["Call-ID"])
    request.cseq = CSeq(invite.cseq.sequence, method)
    if routes := invite.headers.getlist("Route"):
        request.headers.setlist("Route", list(routes))
    return request
