"""The four transaction state machines of RFC 3261 section 17 with the corrections of RFC 6026. Pure: no I/O and no
clock.

A machine takes an event and `now` (seconds on any monotonic clock) and returns what is to be done. Its running timers
are a value, `timers`; whoever runs it wakes it at `wake` with `fire`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from media_node.sip.grammar import CSeq
from media_node.sip.headers import Request, Response
from media_node.sip.message import tag

T1: Final = 0.5
"""Round-trip time estimate in seconds (section 17.1.1.1)."""
T2: Final = 4.0
T4: Final = 5.0
_TIMER_D: Final = 32.0
_COOKIE: Final = "z9hG4bK"


class TransactionState(StrEnum):
    """States of all four machines; each machine uses some of them."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class Timer(StrEnum):
    """Timers by their letters in RFC 3261 table 4 and RFC 6026 section 7."""

    A = "A"
    B = "B"
    D = "D"
    E = "E"
    F = "F"
    G = "G"
    H = "H"
    I = "I"  # noqa: E741
    J = "J"
    K = "K"
    L = "L"
    M = "M"


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
Step = Callable[[Event, float], list[Action]]


@dataclass
class Machine:
    """What the four have in common: the request, whether the transport is reliable, the state and the running
    timers.
    """

    request: Request
    reliable: bool
    state: TransactionState = TransactionState.TERMINATED
    timers: dict[Timer, float] = field(default_factory=dict)

    @property
    def wake(self) -> float | None:
        """When the next timer runs out, or None."""
        return min(self.timers.values(), default=None)

    def step(self, event: Event, now: float) -> list[Action]:
        """What `event` leads to in the present state."""
        if self.state is TransactionState.TERMINATED:
            return []
        handle: Step = getattr(self, self.state.value)
        return handle(event, now)

    def fire(self, now: float) -> list[Action]:
        """What the timers that are due at `now` lead to, in the order they ran out."""
        actions: list[Action] = []
        while (wake := self.wake) is not None and wake <= now:
            timer = min(self.timers, key=lambda name: self.timers[name])
            del self.timers[timer]
            actions += self.step(Fired(timer), now)
        return actions

    def _enter(self, state: TransactionState, **timers: float) -> None:
        """TransactionState and timers change together: what ran in the old state no longer matters in the new."""
        self.state = state
        self.timers = {Timer(name): at for name, at in timers.items()}

    def _leave(self, *actions: Action) -> list[Action]:
        self._enter(TransactionState.TERMINATED)
        return list(actions)


@dataclass
class InviteClient(Machine):
    """RFC 3261 section 17.1.1, figure 5, with the Accepted state of RFC 6026 section 7.2."""

    interval: float = T1
    ack: Request | None = None

    def start(self, now: float) -> list[Action]:
        """Sends the INVITE."""
        self._enter(TransactionState.CALLING, B=now + 64 * T1)
        if not self.reliable:
            self.timers[Timer.A] = now + T1
        return [Send(self.request)]

    def calling(self, event: Event, now: float) -> list[Action]:
        """INVITE sent, nothing heard."""
        match event:
            case Fired(Timer.A):
                self.interval *= 2
                self.timers[Timer.A] = now + self.interval
                return [Send(self.request)]
            case Fired(Timer.B):
                return self._leave(Fail(Cause.TIMEOUT))
            case TransportFailed():
                return self._leave(Fail(Cause.TRANSPORT))
            case Response():
                return self._heard(event, now)
        return []

    def proceeding(self, event: Event, now: float) -> list[Action]:
        """A provisional response was heard; how long it may ring is for the transaction user to say."""
        match event:
            case TransportFailed():
                return self._leave(Fail(Cause.TRANSPORT))
            case Abandoned():
                return self._leave(Fail(Cause.TIMEOUT))
            case Response():
                return self._heard(event, now)
        return []

    def accepted(self, event: Event, now: float) -> list[Action]:
        """Every further 2xx goes to the transaction user, who acknowledges it."""
        match event:
            case Response(code=code) if 200 <= code < 300:
                return [Pass(event)]
            case Fired(Timer.M):
                return self._leave()
        return []

    def completed(self, event: Event, now: float) -> list[Action]:
        """A refusal was acknowledged; its retransmissions are acknowledged again."""
        match event:
            case Response(code=code) if code >= 300 and self.ack is not None:
                return [Send(self.ack)]
            case Fired(Timer.D):
                return self._leave()
            case TransportFailed():
                return self._leave(Fail(Cause.TRANSPORT))
        return []

    def _heard(self, response: Response, now: float) -> list[Action]:
        if response.code < 200:
            self._enter(TransactionState.PROCEEDING)
            return [Pass(response)]
        if response.code < 300:
            self._enter(TransactionState.ACCEPTED, M=now + 64 * T1)
            return [Pass(response)]
        self.ack = acknowledge_refusal(self.request, response)
        if self.reliable:
            return self._leave(Send(self.ack), Pass(response))
        self._enter(TransactionState.COMPLETED, D=now + _TIMER_D)
        return [Send(self.ack), Pass(response)]


@dataclass
class NonInviteClient(Machine):
    """RFC 3261 section 17.1.2, figure 6."""

    interval: float = T1

    def start(self, now: float) -> list[Action]:
        """Sends the request."""
        self._enter(TransactionState.TRYING, F=now + 64 * T1)
        if not self.reliable:
            self.timers[Timer.E] = now + T1
        return [Send(self.request)]

    def trying(self, event: Event, now: float) -> list[Action]:
        """Request sent, nothing heard."""
        return self._waiting(event, now, min(2 * self.interval, T2))

    def proceeding(self, event: Event, now: float) -> list[Action]:
        """A provisional response was heard: retransmit slowly."""
        return self._waiting(event, now, T2)

    def completed(self, event: Event, now: float) -> list[Action]:
        """The final response was heard; retransmissions of it are absorbed."""
        return self._leave() if event == Fired(Timer.K) else []

    def _waiting(self, event: Event, now: float, interval: float) -> list[Action]:
        match event:
            case Fired(Timer.E):
                self.interval = interval
                self.timers[Timer.E] = now + interval
                return [Send(self.request)]
            case Fired(Timer.F):
                return self._leave(Fail(Cause.TIMEOUT))
            case TransportFailed():
                return self._leave(Fail(Cause.TRANSPORT))
            case Response(code=code) if code < 200:
                self.state = TransactionState.PROCEEDING  # timers E and F go on
                return [Pass(event)]
            case Response():
                if self.reliable:
                    return self._leave(Pass(event))
                self._enter(TransactionState.COMPLETED, K=now + T4)
                return [Pass(event)]
        return []


@dataclass
class InviteServer(Machine):
    """RFC 3261 section 17.2.1, figure 7, with the Accepted state of RFC 6026 section 7.1."""

    state: TransactionState = TransactionState.PROCEEDING
    last: Response | None = None
    interval: float = T1

    def proceeding(self, event: Event, now: float) -> list[Action]:
        """The INVITE is with the transaction user."""
        match event:
            case Request(method="INVITE"):
                return [Send(self.last)] if self.last else []
            case TransportFailed():
                return self._leave(Fail(Cause.TRANSPORT))
            case Respond(response):
                self.last = response
                if response.code >= 300:
                    self._enter(TransactionState.COMPLETED, H=now + 64 * T1)
                    if not self.reliable:
                        self.timers[Timer.G] = now + T1
                elif response.code >= 200:
                    self._enter(TransactionState.ACCEPTED, L=now + 64 * T1)
                return [Send(response)]
        return []

    def accepted(self, event: Event, now: float) -> list[Action]:
        """Retransmitted INVITEs are absorbed; the transaction user retransmits its 2xx and hears the ACK."""
        match event:
            case Respond(response) if 200 <= response.code < 300:
                return [Send(response)]
            case Request(method="ACK"):
                return [Pass(event)]
            case Fired(Timer.L):
                return self._leave()
        return []

    def completed(self, event: Event, now: float) -> list[Action]:
        """A refusal was sent and waits for its ACK."""
        match event:
            case Request(method="INVITE") if self.last:
                return [Send(self.last)]
            case Request(method="ACK"):
                if self.reliable:
                    return self._leave()
                self._enter(TransactionState.CONFIRMED, I=now + T4)
            case Fired(Timer.G) if self.last:
                self.interval = min(2 * self.interval, T2)
                self.timers[Timer.G] = now + self.interval
                return [Send(self.last)]
            case Fired(Timer.H):
                return self._leave(Fail(Cause.TIMEOUT))
            case TransportFailed():
                return self._leave(Fail(Cause.TRANSPORT))
        return []

    def confirmed(self, event: Event, now: float) -> list[Action]:
        """Further ACKs are absorbed."""
        return self._leave() if event == Fired(Timer.I) else []


@dataclass
class NonInviteServer(Machine):
    """RFC 3261 section 17.2.2, figure 8."""

    state: TransactionState = TransactionState.TRYING
    last: Response | None = None

    def trying(self, event: Event, now: float) -> list[Action]:
        """The request is with the transaction user; its retransmissions are absorbed."""
        return self._respond(event, now)

    def proceeding(self, event: Event, now: float) -> list[Action]:
        """A provisional response was sent."""
        if isinstance(event, Request) and self.last:
            return [Send(self.last)]
        return self._respond(event, now)

    def completed(self, event: Event, now: float) -> list[Action]:
        """The final response was sent; a retransmitted request gets it again."""
        match event:
            case Request() if self.last:
                return [Send(self.last)]
            case Fired(Timer.J):
                return self._leave()
            case TransportFailed():
                return self._leave(Fail(Cause.TRANSPORT))
        return []

    def _respond(self, event: Event, now: float) -> list[Action]:
        match event:
            case TransportFailed():
                return self._leave(Fail(Cause.TRANSPORT))
            case Respond(response):
                self.last = response
                if response.code < 200:
                    self.state = TransactionState.PROCEEDING
                elif self.reliable:
                    return self._leave(Send(response))
                else:
                    self._enter(TransactionState.COMPLETED, J=now + 64 * T1)
                return [Send(response)]
        return []


@dataclass(frozen=True)
class Key:
    """What a message is matched to its transaction by (sections 17.1.3 and 17.2.3)."""

    branch: str
    method: str
    sent_by: str = ""


def client_key(message: Request | Response) -> Key:
    """The key of a client transaction: branch of the top Via and method of the CSeq."""
    return Key(_branch(message), message.cseq.method)


def server_key(request: Request, method: str = "") -> Key:
    """The key of a server transaction. An ACK belongs to its INVITE; `method` asks for another one, as CANCEL does."""
    top = request.via[0]
    method = method or request.method
    return Key(_branch(request), "INVITE" if method == "ACK" else method, f"{top.host.lower()}:{top.port or ''}")


def _branch(message: Request | Response) -> str:
    branch = message.via[0].parameters.get("branch") or ""
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
