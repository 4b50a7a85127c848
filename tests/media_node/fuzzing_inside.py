"""What a phone that is known may send, as one function for fuzzers: mutated messages outside and inside of dialogs, and in
answer to the node's own, to a whole exchange of a simulated world.
"""

from __future__ import annotations

import contextlib
import re
import traceback
from dataclasses import replace

from media_node.log import Event
from media_node.sip.grammar import CSeq
from media_node.sip.headers import Request, Response
from media_node.sip.message import Malformed, datagram, parse
from tests.support.simulated_office import SimulatedOffice
from tests.support.simulation import End

WORLD_LASTS = 60
"""Messages in one world; then all of it has to end as calls end."""
_LENGTH = re.compile(rb"\r\nContent-Length: \d+")
_OF_THE_PHONES = "simulated_phone.py"


class Inside:
    """An office of four phones: 101 talks with 102, and a call rings at 104."""

    def __init__(self) -> None:
        self.heard = 0
        """Messages that were well-formed."""
        self._left = 0
        self._office: SimulatedOffice | None = None

    def message(self, data: bytes) -> None:
        """One message, its length as it comes. What goes wrong in the node is an AssertionError."""
        with contextlib.suppress(Malformed):
            self.frame(datagram(_LENGTH.sub(b"", data)))

    def frame(self, frame: bytes) -> None:
        """The same of what is framed. Raises Malformed."""
        message = parse(frame)
        self.heard += 1
        if not self._left:
            self.end()
            self._begin()
        self._left -= 1
        if isinstance(message, Response):
            self._answer(message)
        else:
            self._hear(self._ends[0], message)
            self._hear(self._ends[0], self._within(parse(frame)))
        self._check()

    def end(self) -> None:
        """The world comes to its end: no call may be left, no transaction, no leg."""
        office, self._office, self._left = self._office, None, 0
        if office is None:
            return
        try:
            for phone in office.phones:
                office.loop.do(phone.end.close)
            office.loop.wait(0.1)
            self._check(office)
            office.loop.failures.clear()
            office.everything_ends()
        finally:
            office.close()

    def _begin(self) -> None:
        self._left = WORLD_LASTS
        self._office = office = SimulatedOffice()
        a, _, c, d = office.registered("101", "102", "103", "104")
        self._ends: list[End] = list(office.ends)
        d.mood = "rings"
        self._talk = office.loop.do(lambda: a.call("102"))
        office.loop.do(lambda: c.call("104"))
        office.loop.wait(1)
        assert self._talk.stands
        self._sequence = 1000

    def _hear(self, end: End, message: Request | Response) -> None:
        office = self._office
        assert office is not None
        if not end.closed:
            office.loop.do(lambda: end.receiver.received(end, message))
            office.loop.wait(0.2)

    def _within(self, message: Request | Response) -> Request:
        """The same as the next request of the call that stands."""
        dialog = self._talk.dialog
        assert dialog is not None and isinstance(message, Request)
        proper = dialog.request(message.method, self._talk.phone.contact)
        self._sequence += 1
        for name in ("From", "To", "Call-ID"):
            message.headers.set(name, proper.headers[name])
        message.cseq = CSeq(self._sequence, message.method)
        (top, *others) = message.via
        message.via = [replace(top, parameters=top.parameters.replace(branch=f"z9hG4bK{self._sequence}")), *others]
        return message

    def _answer(self, response: Response) -> None:
        """The same as what 104 answers to the INVITE that rings there."""
        invites = [
            each for each in self._ends[3].sent if isinstance(each, Request) and each.method in ("INVITE", "CANCEL")
        ]
        for invite in invites[-1:]:
            for name in ("Via", "From", "Call-ID", "CSeq"):
                response.headers.set(name, invite.headers[name])
            self._hear(self._ends[3], response)

    def _check(self, office: SimulatedOffice | None = None) -> None:
        office = office or self._office
        assert office is not None
        failures = [
            text
            for each in office.loop.failures
            if (error := each.get("exception")) is not None
            and _OF_THE_PHONES not in (text := "".join(traceback.format_exception(error)))
        ]
        office.loop.failures.clear()
        assert not failures, failures[0]
        assert not [fields for event, fields in office.log if event is Event.CALL_FAILED]
