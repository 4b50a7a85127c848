"""The four SIP transaction state machines as tables (RFC 3261 section 17, figures 5 to 8, with RFC 6026 section 7).

transaction.py runs on these rows and on nothing else; `python -m media_node.state_diagrams` draws them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

T1: Final = 0.5
"""Round-trip time estimate in seconds (section 17.1.1.1)."""
T2: Final = 4.0
T4: Final = 5.0


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


UNRELIABLE: Final[Mapping[Timer, float | None]] = {
    Timer.A: T1,
    Timer.B: 64 * T1,
    Timer.D: 32.0,
    Timer.E: T1,
    Timer.F: 64 * T1,
    Timer.G: T1,
    Timer.H: 64 * T1,
    Timer.I: T4,
    Timer.J: 64 * T1,
    Timer.K: T4,
    Timer.L: 64 * T1,
    Timer.M: 64 * T1,
}
"""Seconds until each timer fires first, over UDP (RFC 3261 table 4)."""

RELIABLE: Final[Mapping[Timer, float | None]] = {
    **UNRELIABLE,
    **dict.fromkeys((Timer.A, Timer.E, Timer.G)),  # nothing is retransmitted: they do not start
    **dict.fromkeys((Timer.D, Timer.I, Timer.J, Timer.K), 0.0),  # nothing comes twice: they fire at once
}
"""The same over TCP and TLS."""


class Input(StrEnum):
    """What drives a machine: a message of the peer, the transaction user, a timer, or the transport."""

    INVITE = "INVITE"
    ACK = "ACK"
    REQUEST = "request"
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "300-699"
    SEND_PROVISIONAL = "1xx from TU"
    SEND_SUCCESS = "2xx from TU"
    SEND_FAILURE = "300-699 from TU"
    TRANSPORT_ERROR = "transport error"
    ABANDONED = "cancelled, 64*T1 passed"
    """A cancelled INVITE got no final response within 64*T1 (section 9.1)."""
    TIMER_A = "timer A"
    TIMER_B = "timer B"
    TIMER_D = "timer D"
    TIMER_E = "timer E"
    TIMER_F = "timer F"
    TIMER_G = "timer G"
    TIMER_H = "timer H"
    TIMER_I = "timer I"
    TIMER_J = "timer J"
    TIMER_K = "timer K"
    TIMER_L = "timer L"
    TIMER_M = "timer M"


class Effect(StrEnum):
    """What a transition does, in this order where there are several."""

    SEND_REQUEST = "send request"
    SEND_ACK = "send ACK"
    SEND_RESPONSE = "send response"
    SEND_LAST = "send last response"
    KEEP_RESPONSE = "keep response"
    DELIVER = "response to TU"
    DELIVER_ACK = "ACK to TU"
    FAIL_TIMEOUT = "timeout to TU"
    FAIL_TRANSPORT = "transport error to TU"


class BackOff(StrEnum):
    """How long a timer runs that starts over."""

    DOUBLED = "doubled"
    DOUBLED_TO_T2 = "doubled, at most T2"
    AT_T2 = "T2"


@dataclass(frozen=True)
class Transition:
    """One row: the state it leads to, what is done, which timers start. All others stop, unless `timers_go_on`.

    `again` is a timer that starts over, for as long as its back-off says.
    """

    to: TransactionState
    effects: tuple[Effect, ...] = ()
    start: tuple[Timer, ...] = ()
    timers_go_on: bool = False
    again: tuple[Timer, BackOff] | None = None


Table = Mapping[tuple[TransactionState, Input], Transition]

_S, _I, _E, _T = TransactionState, Input, Effect, Timer


def _stay(state: TransactionState, *effects: Effect, again: tuple[Timer, BackOff] | None = None) -> Transition:
    return Transition(state, effects, timers_go_on=True, again=again)


_GONE: Final = Transition(_S.TERMINATED)
_TIMEOUT: Final = Transition(_S.TERMINATED, (_E.FAIL_TIMEOUT,))
_BROKEN: Final = Transition(_S.TERMINATED, (_E.FAIL_TRANSPORT,))

INVITE_CLIENT: Final[Table] = {
    (_S.CALLING, _I.TIMER_A): _stay(_S.CALLING, _E.SEND_REQUEST, again=(_T.A, BackOff.DOUBLED)),
    (_S.CALLING, _I.TIMER_B): _TIMEOUT,
    (_S.CALLING, _I.TRANSPORT_ERROR): _BROKEN,
    (_S.CALLING, _I.PROVISIONAL): Transition(_S.PROCEEDING, (_E.DELIVER,)),
    (_S.CALLING, _I.SUCCESS): Transition(_S.ACCEPTED, (_E.DELIVER,), (_T.M,)),
    (_S.CALLING, _I.FAILURE): Transition(_S.COMPLETED, (_E.SEND_ACK, _E.DELIVER), (_T.D,)),
    (_S.PROCEEDING, _I.PROVISIONAL): _stay(_S.PROCEEDING, _E.DELIVER),
    (_S.PROCEEDING, _I.SUCCESS): Transition(_S.ACCEPTED, (_E.DELIVER,), (_T.M,)),
    (_S.PROCEEDING, _I.FAILURE): Transition(_S.COMPLETED, (_E.SEND_ACK, _E.DELIVER), (_T.D,)),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): _BROKEN,
    (_S.PROCEEDING, _I.ABANDONED): _TIMEOUT,
    (_S.ACCEPTED, _I.SUCCESS): _stay(_S.ACCEPTED, _E.DELIVER),
    (_S.ACCEPTED, _I.TIMER_M): _GONE,
    (_S.COMPLETED, _I.FAILURE): _stay(_S.COMPLETED, _E.SEND_ACK),
    (_S.COMPLETED, _I.TIMER_D): _GONE,
    (_S.COMPLETED, _I.TRANSPORT_ERROR): _BROKEN,
}
"""RFC 3261 section 17.1.1, figure 5, with the Accepted state of RFC 6026 section 7.2.

How long a phone may ring in Proceeding is for the transaction user to say.
"""

_FINAL: Final = Transition(_S.COMPLETED, (_E.DELIVER,), (_T.K,))
NON_INVITE_CLIENT: Final[Table] = {
    (_S.TRYING, _I.TIMER_E): _stay(_S.TRYING, _E.SEND_REQUEST, again=(_T.E, BackOff.DOUBLED_TO_T2)),
    (_S.TRYING, _I.TIMER_F): _TIMEOUT,
    (_S.TRYING, _I.TRANSPORT_ERROR): _BROKEN,
    (_S.TRYING, _I.PROVISIONAL): _stay(_S.PROCEEDING, _E.DELIVER),
    (_S.TRYING, _I.SUCCESS): _FINAL,
    (_S.TRYING, _I.FAILURE): _FINAL,
    (_S.PROCEEDING, _I.TIMER_E): _stay(_S.PROCEEDING, _E.SEND_REQUEST, again=(_T.E, BackOff.AT_T2)),
    (_S.PROCEEDING, _I.TIMER_F): _TIMEOUT,
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): _BROKEN,
    (_S.PROCEEDING, _I.PROVISIONAL): _stay(_S.PROCEEDING, _E.DELIVER),
    (_S.PROCEEDING, _I.SUCCESS): _FINAL,
    (_S.PROCEEDING, _I.FAILURE): _FINAL,
    (_S.COMPLETED, _I.TIMER_K): _GONE,
}
"""RFC 3261 section 17.1.2, figure 6. Further final responses are absorbed in Completed."""

INVITE_SERVER: Final[Table] = {
    (_S.PROCEEDING, _I.INVITE): _stay(_S.PROCEEDING, _E.SEND_LAST),
    (_S.PROCEEDING, _I.SEND_PROVISIONAL): _stay(_S.PROCEEDING, _E.KEEP_RESPONSE, _E.SEND_RESPONSE),
    (_S.PROCEEDING, _I.SEND_SUCCESS): Transition(_S.ACCEPTED, (_E.KEEP_RESPONSE, _E.SEND_RESPONSE), (_T.L,)),
    (_S.PROCEEDING, _I.SEND_FAILURE): Transition(_S.COMPLETED, (_E.KEEP_RESPONSE, _E.SEND_RESPONSE), (_T.G, _T.H)),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): _BROKEN,
    (_S.ACCEPTED, _I.SEND_SUCCESS): _stay(_S.ACCEPTED, _E.SEND_RESPONSE),
    (_S.ACCEPTED, _I.ACK): _stay(_S.ACCEPTED, _E.DELIVER_ACK),
    (_S.ACCEPTED, _I.TIMER_L): _GONE,
    (_S.COMPLETED, _I.INVITE): _stay(_S.COMPLETED, _E.SEND_LAST),
    (_S.COMPLETED, _I.ACK): Transition(_S.CONFIRMED, (), (_T.I,)),
    (_S.COMPLETED, _I.TIMER_G): _stay(_S.COMPLETED, _E.SEND_LAST, again=(_T.G, BackOff.DOUBLED_TO_T2)),
    (_S.COMPLETED, _I.TIMER_H): _TIMEOUT,
    (_S.COMPLETED, _I.TRANSPORT_ERROR): _BROKEN,
    (_S.CONFIRMED, _I.TIMER_I): _GONE,
}
"""RFC 3261 section 17.2.1, figure 7, with the Accepted state of RFC 6026 section 7.1.

In Accepted the transaction user retransmits its 2xx and hears the ACK; retransmitted INVITEs are absorbed.
"""

_ANSWERED: Final = Transition(_S.COMPLETED, (_E.KEEP_RESPONSE, _E.SEND_RESPONSE), (_T.J,))
NON_INVITE_SERVER: Final[Table] = {
    (_S.TRYING, _I.SEND_PROVISIONAL): Transition(_S.PROCEEDING, (_E.KEEP_RESPONSE, _E.SEND_RESPONSE)),
    (_S.TRYING, _I.SEND_SUCCESS): _ANSWERED,
    (_S.TRYING, _I.SEND_FAILURE): _ANSWERED,
    (_S.TRYING, _I.TRANSPORT_ERROR): _BROKEN,
    (_S.PROCEEDING, _I.REQUEST): _stay(_S.PROCEEDING, _E.SEND_LAST),
    (_S.PROCEEDING, _I.SEND_PROVISIONAL): _stay(_S.PROCEEDING, _E.KEEP_RESPONSE, _E.SEND_RESPONSE),
    (_S.PROCEEDING, _I.SEND_SUCCESS): _ANSWERED,
    (_S.PROCEEDING, _I.SEND_FAILURE): _ANSWERED,
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): _BROKEN,
    (_S.COMPLETED, _I.REQUEST): _stay(_S.COMPLETED, _E.SEND_LAST),
    (_S.COMPLETED, _I.TIMER_J): _GONE,
    (_S.COMPLETED, _I.TRANSPORT_ERROR): _BROKEN,
}
"""RFC 3261 section 17.2.2, figure 8."""
