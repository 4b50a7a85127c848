"""Reliable provisional responses (RFC 3262): the two tables, whatever comes in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from media_node.sip.grammar import URI, CSeq, Parameters, Via
from media_node.sip.headers import Request, Response
from media_node.sip.message import reply
from media_node.sip.reliable import MAX_WAITING, RAck, Receiver, Send, Sender, Unheard, rseq
from media_node.sip.reliable_tables import ReceiverState, SenderState
from media_node.sip.transaction_tables import T1
from tests.support.node import DOMAIN

# The machines.


def an_invite(sequence: int = 7, **headers: str) -> Request:
    request = Request("INVITE", URI("sip", DOMAIN, user="102"))
    request.via = [Via("TLS", "10.0.0.1", 5061, Parameters(branch="z9hG4bK1"))]
    request.headers.set("From", "<sip:101@example.nl>;tag=a")
    request.headers.set("To", "<sip:102@example.nl>")
    request.headers.set("Call-ID", "1")
    request.cseq = CSeq(sequence, "INVITE")
    for name, value in headers.items():
        request.headers.set(name, value)
    return request


def a_prack(rack: str) -> Request:
    request = an_invite()
    request.method = "PRACK"
    request.cseq = CSeq(8, "PRACK")
    request.headers.set("RAck", rack)
    return request


def answers(invite: Request, code: int, body: bytes = b"") -> Response:
    response = reply(invite, code, to_tag="b")
    response.body = body
    return response


class Sending(RuleBasedStateMachine):
    """Whatever the user says, and however PRACKs come, late, twice or never: one unacknowledged response at a time, numbers
    that rise by one, no 2xx before a description was acknowledged, and nothing after 64*T1.
    """

    @initialize(first=st.integers(1, 2**31 - 100))
    def begins(self, first: int) -> None:
        self.invite, self.now, self.sent = an_invite(), 0.0, list[Response]()
        self.sender, self.finals, self.unheard = Sender(self.invite, rseq=first), list[Response](), 0
        self.numbers: list[int] = []
        self.open: tuple[int, bool, float] | None = None

    def take(self, actions: list[Send | Unheard]) -> None:
        for action in actions:
            match action:
                case Unheard(final):
                    self.finals += [final] if final is not None else []
                    assert self.open is not None and self.now >= self.open[2] + 64 * T1 - 1e-6
                    self.unheard += 1
                    self.open = None
                case Send(response) if response.cseq.method == "PRACK":
                    if response.code == 200:
                        self.open = None
                case Send(response) if response.code >= 200:
                    assert response.code >= 300 or self.open is None or not self.open[1], "a 2xx overtook a description"
                    self.finals.append(response)
                case Send(response):
                    number = rseq(response)
                    assert number is not None
                    if not self.numbers or number != self.numbers[-1]:
                        assert self.open is None, "the one before is not acknowledged"
                        assert not self.numbers or number == self.numbers[-1] + 1
                        self.numbers.append(number)
                        self.open = (number, bool(response.body), self.now)

    @rule(described=st.booleans())
    def provisional(self, described: bool) -> None:
        self.take(self.sender.respond(answers(self.invite, 183, b"v=0" if described else b""), self.now))

    @precondition(lambda self: not self.finals)
    @rule(code=st.sampled_from([200, 486]))
    def final(self, code: int) -> None:
        held = self.sender.state is SenderState.ANSWER_HELD
        self.take(self.sender.respond(answers(self.invite, code), self.now))
        assert self.finals or self.sender.state is SenderState.ANSWER_HELD or held, "whoever calls is answered"

    @rule(off=st.integers(-1, 1), sequence=st.sampled_from([7, 8]))
    def prack(self, off: int, sequence: int) -> None:
        number = (self.numbers[-1] if self.numbers else 5) + off
        self.take(self.sender.acknowledged(a_prack(f"{number} {sequence} INVITE"), self.now))

    @rule(seconds=st.floats(0, 40))
    def time(self, seconds: float) -> None:
        until_ = self.now + seconds
        while self.sender.wake is not None and self.sender.wake <= until_:
            self.now = self.sender.wake
            self.take(self.sender.fire(self.now))
        self.now = until_

    @invariant()
    def one_final(self) -> None:
        assert len(self.finals) <= 1 and self.unheard <= 1
        if self.sender.state in (SenderState.QUIET, SenderState.GIVEN_UP, SenderState.OVER):
            assert self.sender.wake is None, "nothing is repeated"
        else:
            assert self.sender.wake is not None, "whoever waits has a clock"


TestSending = Sending.TestCase


def test_it_is_repeated_at_doubled_intervals_and_given_up_after_64_t1() -> None:
    sender = Sender(invite := an_invite(), rseq=5)
    (sent,) = sender.respond(answers(invite, 180), 0.0)
    assert isinstance(sent, Send) and sent.response.headers["RSeq"] == "5" and sent.response.require == ["100rel"]
    times: list[float] = []
    while sender.wake is not None:
        times.append(sender.wake)
        last = sender.fire(sender.wake)
    assert times == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 32.0]
    assert last == [Unheard(None)]


def test_what_waits_is_bounded() -> None:
    sender = Sender(invite := an_invite(), rseq=1)
    for _ in range(1000):
        sender.respond(answers(invite, 180), 0.0)
    assert len(sender._waiting) == MAX_WAITING


@given(st.lists(st.one_of(st.none(), st.integers(-2, 6)), max_size=30))
def test_whatever_order_they_come_in_they_are_taken_in_their_own(numbers: list[int | None]) -> None:
    receiver, taken = Receiver(), list[int]()
    for number in numbers:
        response = answers(an_invite(), 183)
        if number is not None:
            response.headers.set("Require", "100rel")
            response.headers.set("RSeq", str(number))
        wanted, rack = receiver.heard(response)
        if number is None or number < 0:  # not a number at all: as if it were not reliable
            assert wanted and rack is None
        elif rack is not None:
            assert wanted
            taken.append(rack.rseq)
        else:
            assert not wanted
    assert not taken or taken == list(range(taken[0], taken[0] + len(taken)))
    assert 0 not in taken
    receiver.heard(answers(an_invite(), 200))
    assert receiver.state is ReceiverState.FINAL


@given(st.text(max_size=20))
def test_whatever_stands_in_rack_it_is_read_or_a_value_error(text: str) -> None:
    try:
        rack = RAck.parse(text)
    except ValueError:
        return
    assert RAck.parse(str(rack)) == rack
