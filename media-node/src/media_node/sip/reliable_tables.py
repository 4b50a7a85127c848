"""Reliable provisional responses (RFC 3262) as two tables. reliable.py runs on these rows and on nothing else;
`python -m media_node.state_diagrams` draws them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class SenderState(StrEnum):
    """Who answers an INVITE: how far its provisional responses have been acknowledged."""

    QUIET = "quiet"
    UNACKNOWLEDGED = "unacknowledged"
    DESCRIBED = "unacknowledged with a description"
    ANSWER_HELD = "answer held"
    """A 2xx may not overtake a description (section 3, last paragraph but one)."""
    GIVEN_UP = "given up"
    OVER = "over"


class SenderInput(StrEnum):
    """What drives it."""

    PROVISIONAL = "1xx from TU"
    DESCRIPTION = "1xx with a description from TU"
    SUCCESS = "2xx from TU"
    FAILURE = "300-699 from TU"
    PRACK = "PRACK that matches"
    STRAY = "any other PRACK"
    AGAIN = "time to repeat"
    GIVE_UP = "64*T1 passed"


class SenderEffect(StrEnum):
    """What a transition does, in this order where there are several."""

    SEND = "send 1xx with the next RSeq"
    REPEAT = "send it again, interval doubled"
    WAIT = "1xx waits its turn"
    CONFIRM = "200 to PRACK"
    REFUSE = "481 to PRACK"
    HOLD = "hold 2xx"
    RELEASE = "send final response"
    NEXT = "next 1xx from TU"
    UNHEARD = "unacknowledged to TU"


@dataclass(frozen=True)
class SenderRow:
    """The state that a row leads to and what is done."""

    to: SenderState
    effects: tuple[SenderEffect, ...] = ()


_S, _I, _E = SenderState, SenderInput, SenderEffect


def _waiting(state: SenderState) -> dict[tuple[SenderState, SenderInput], SenderRow]:
    return {
        (state, _I.PROVISIONAL): SenderRow(state, (_E.WAIT,)),
        (state, _I.DESCRIPTION): SenderRow(state, (_E.WAIT,)),
        (state, _I.AGAIN): SenderRow(state, (_E.REPEAT,)),
        (state, _I.GIVE_UP): SenderRow(_S.GIVEN_UP, (_E.UNHEARD,)),
        (state, _I.PRACK): SenderRow(_S.QUIET, (_E.CONFIRM, _E.NEXT)),
        (state, _I.STRAY): SenderRow(state, (_E.REFUSE,)),
        (state, _I.SUCCESS): SenderRow(_S.OVER, (_E.RELEASE,)),
        (state, _I.FAILURE): SenderRow(_S.OVER, (_E.RELEASE,)),
    }


SENDER: Final[Mapping[tuple[SenderState, SenderInput], SenderRow]] = {
    (_S.QUIET, _I.PROVISIONAL): SenderRow(_S.UNACKNOWLEDGED, (_E.SEND,)),
    (_S.QUIET, _I.DESCRIPTION): SenderRow(_S.DESCRIBED, (_E.SEND,)),
    (_S.QUIET, _I.PRACK): SenderRow(_S.QUIET, (_E.REFUSE,)),
    (_S.QUIET, _I.STRAY): SenderRow(_S.QUIET, (_E.REFUSE,)),
    (_S.QUIET, _I.SUCCESS): SenderRow(_S.OVER, (_E.RELEASE,)),
    (_S.QUIET, _I.FAILURE): SenderRow(_S.OVER, (_E.RELEASE,)),
    **_waiting(_S.UNACKNOWLEDGED),
    **_waiting(_S.DESCRIBED),
    (_S.DESCRIBED, _I.SUCCESS): SenderRow(_S.ANSWER_HELD, (_E.HOLD,)),
    (_S.ANSWER_HELD, _I.AGAIN): SenderRow(_S.ANSWER_HELD, (_E.REPEAT,)),
    (_S.ANSWER_HELD, _I.PRACK): SenderRow(_S.OVER, (_E.CONFIRM, _E.RELEASE)),
    (_S.ANSWER_HELD, _I.STRAY): SenderRow(_S.ANSWER_HELD, (_E.REFUSE,)),
    (_S.ANSWER_HELD, _I.GIVE_UP): SenderRow(_S.OVER, (_E.UNHEARD,)),
    (_S.ANSWER_HELD, _I.FAILURE): SenderRow(_S.OVER, (_E.RELEASE,)),
    (_S.GIVEN_UP, _I.PRACK): SenderRow(_S.GIVEN_UP, (_E.CONFIRM,)),
    (_S.GIVEN_UP, _I.STRAY): SenderRow(_S.GIVEN_UP, (_E.REFUSE,)),
    (_S.GIVEN_UP, _I.SUCCESS): SenderRow(_S.OVER, (_E.RELEASE,)),
    (_S.GIVEN_UP, _I.FAILURE): SenderRow(_S.OVER, (_E.RELEASE,)),
    (_S.OVER, _I.PRACK): SenderRow(_S.OVER, (_E.CONFIRM,)),
    (_S.OVER, _I.STRAY): SenderRow(_S.OVER, (_E.REFUSE,)),
}
"""Section 3: one at a time, repeated until its PRACK comes, given up after 64*T1."""


class ReceiverState(StrEnum):
    """Who sent the INVITE, in one early dialog."""

    NONE_YET = "none yet"
    IN_ORDER = "in order"
    FINAL = "final response heard"


class ReceiverInput(StrEnum):
    """What comes."""

    UNRELIABLE = "1xx without RSeq"
    FIRST = "the first reliable 1xx"
    NEXT = "1xx with the next RSeq"
    OTHER = "1xx with any other RSeq"
    FINAL = "final response"


class ReceiverEffect(StrEnum):
    """What is done with it."""

    PRACK = "send PRACK"
    DELIVER = "response to TU"
    DROP = "drop"


@dataclass(frozen=True)
class ReceiverRow:
    """The state that a row leads to and what is done."""

    to: ReceiverState
    effects: tuple[ReceiverEffect, ...] = ()


_R, _J, _F = ReceiverState, ReceiverInput, ReceiverEffect
RECEIVER: Final[Mapping[tuple[ReceiverState, ReceiverInput], ReceiverRow]] = {
    (_R.NONE_YET, _J.UNRELIABLE): ReceiverRow(_R.NONE_YET, (_F.DELIVER,)),
    (_R.NONE_YET, _J.FIRST): ReceiverRow(_R.IN_ORDER, (_F.PRACK, _F.DELIVER)),
    (_R.NONE_YET, _J.OTHER): ReceiverRow(_R.NONE_YET, (_F.DROP,)),
    (_R.NONE_YET, _J.FINAL): ReceiverRow(_R.FINAL, (_F.DELIVER,)),
    (_R.IN_ORDER, _J.UNRELIABLE): ReceiverRow(_R.IN_ORDER, (_F.DELIVER,)),
    (_R.IN_ORDER, _J.NEXT): ReceiverRow(_R.IN_ORDER, (_F.PRACK, _F.DELIVER)),
    (_R.IN_ORDER, _J.OTHER): ReceiverRow(_R.IN_ORDER, (_F.DROP,)),
    (_R.IN_ORDER, _J.FINAL): ReceiverRow(_R.FINAL, (_F.DELIVER,)),
    (_R.FINAL, _J.FINAL): ReceiverRow(_R.FINAL, (_F.DELIVER,)),
    (_R.FINAL, _J.UNRELIABLE): ReceiverRow(_R.FINAL, (_F.DROP,)),
    (_R.FINAL, _J.FIRST): ReceiverRow(_R.FINAL, (_F.DROP,)),
    (_R.FINAL, _J.NEXT): ReceiverRow(_R.FINAL, (_F.DROP,)),
    (_R.FINAL, _J.OTHER): ReceiverRow(_R.FINAL, (_F.DROP,)),
}
"""Section 4: what comes twice or too early is neither acknowledged nor looked at; its sender repeats it."""

AnyTable = (
    Mapping[tuple[SenderState, SenderInput], SenderRow] | Mapping[tuple[ReceiverState, ReceiverInput], ReceiverRow]
)
