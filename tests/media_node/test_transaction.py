"""The transaction machines against the tables of RFC 3261 section 17 and RFC 6026."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.sip.headers import Request, Response
from media_node.sip.message import parse, reply
from media_node.sip.transaction import (
    T1,
    T2,
    T4,
    Abandoned,
    Cause,
    Event,
    Fail,
    InviteClient,
    InviteServer,
    Machine,
    NonInviteClient,
    NonInviteServer,
    Pass,
    Respond,
    Send,
    Timer,
    TransactionState,
    TransportFailed,
    cancel,
    client_key,
    server_key,
)


def request(method: str, branch: str = "z9hG4bKabc", cseq: str = "") -> Request:
    message = parse(
        f"{method} sip:102@sip.example.nl SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:101@sip.example.nl>;tag=a\r\nTo: <sip:102@sip.example.nl>\r\nCall-ID: c\r\nCSeq: 7 {cseq or method}\r\n"
        "Contact: <sip:101@192.0.2.1>\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(message, Request)
    return message


INVITE, BYE, ACK = request("INVITE"), request("BYE"), request("ACK")


def response(code: int, to: Request = INVITE) -> Response:
    return reply(to, code, to_tag="b" if code > 100 else "")


def sent(actions: list[object]) -> list[str]:
    """The actions in short: what is sent, passed up or failed."""
    short = []
    for action in actions:
        match action:
            case Send(Request(method=method)):
                short.append(f"send {method}")
            case Send(Response(code=code)):
                short.append(f"send {code}")
            case Pass(Request(method=method)):
                short.append(f"pass {method}")
            case Pass(Response(code=code)):
                short.append(f"pass {code}")
            case Fail(cause):
                short.append(f"fail {cause}")
    return short


def do(machine: Machine, event: Event, now: float) -> list[str]:
    return sent(list(machine.step(event, now)))


def fire(machine: Machine, now: float) -> list[str]:
    return sent(list(machine.fire(now)))


def test_an_invite_over_udp_is_repeated_at_doubling_intervals_and_given_up_after_32_seconds() -> None:
    machine = InviteClient(INVITE, reliable=False)
    assert sent(list(machine.start(0))) == ["send INVITE"]
    times = []
    while machine.wake is not None:
        times.append(machine.wake)
        last = fire(machine, machine.wake)
    assert times == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 32.0]
    assert last == ["fail timeout"]
    assert machine.state is TransactionState.TERMINATED


def test_an_invite_over_tls_is_sent_once() -> None:
    machine = InviteClient(INVITE, reliable=True)
    machine.start(0)
    assert machine.timers == {Timer.B: 32.0}


def test_a_refused_invite_is_acknowledged_every_time_the_refusal_comes() -> None:
    machine = InviteClient(INVITE, reliable=False)
    machine.start(0)
    assert do(machine, response(180), 1) == ["pass 180"]
    assert do(machine, response(486), 2) == ["send ACK", "pass 486"]
    assert do(machine, response(486), 3) == ["send ACK"]
    assert machine.wake == 34.0
    fire(machine, 34)
    assert machine.state is TransactionState.TERMINATED


def test_the_ack_to_a_refusal_belongs_to_the_invite() -> None:
    machine = InviteClient(INVITE, reliable=True)
    machine.start(0)
    (first, _) = machine.step(response(486), 1)
    assert isinstance(first, Send)
    assert isinstance(first.message, Request)
    assert first.message.headers["Via"] == INVITE.headers["Via"]
    assert first.message.headers["To"].endswith("tag=b")
    assert first.message.cseq.method == "ACK"
    assert machine.state is TransactionState.TERMINATED


def test_every_2xx_reaches_the_user_for_32_seconds() -> None:
    machine = InviteClient(INVITE, reliable=True)
    machine.start(0)
    for now in (1.0, 2.0, 20.0):
        assert do(machine, response(200), now) == ["pass 200"]
    fire(machine, 33)
    assert do(machine, response(200), 34) == []


def test_a_cancelled_invite_without_an_answer_is_abandoned() -> None:
    machine = InviteClient(INVITE, reliable=True)
    machine.start(0)
    do(machine, response(180), 1)
    assert do(machine, Abandoned(), 40) == ["fail timeout"]


def test_a_refusal_over_udp_is_repeated_until_its_ack() -> None:
    machine = InviteServer(INVITE, reliable=False)
    assert do(machine, Respond(response(486)), 0) == ["send 486"]
    assert fire(machine, 0.5) == ["send 486"]
    assert machine.wake == 0.5 + 2 * T1
    assert do(machine, INVITE, 1) == ["send 486"]
    assert do(machine, ACK, 1.2) == []
    assert machine.timers == {Timer.I: 1.2 + T4}
    fire(machine, 1.2 + T4)
    assert machine.state is TransactionState.TERMINATED


def test_a_refusal_without_an_ack_fails_after_32_seconds() -> None:
    machine = InviteServer(INVITE, reliable=True)
    do(machine, Respond(response(486)), 0)
    assert fire(machine, 32) == ["fail timeout"]


def test_an_invite_repeated_after_a_2xx_is_absorbed_and_its_ack_passed_on() -> None:
    machine = InviteServer(INVITE, reliable=False)
    do(machine, Respond(response(200)), 0)
    assert do(machine, INVITE, 1) == []
    assert do(machine, ACK, 2) == ["pass ACK"]
    assert do(machine, Respond(response(200)), 3) == ["send 200"]
    assert machine.timers == {Timer.L: 32.0}


def test_a_bye_over_udp_is_repeated_up_to_every_four_seconds() -> None:
    machine = NonInviteClient(BYE, reliable=False)
    machine.start(0)
    times = []
    while machine.wake is not None and machine.wake < 12:
        times.append(machine.wake)
        fire(machine, machine.wake)
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5]
    assert do(machine, response(200, BYE), 12) == ["pass 200"]
    assert machine.timers == {Timer.K: 12 + T4}


def test_after_a_provisional_response_a_request_is_repeated_slowly() -> None:
    machine = NonInviteClient(BYE, reliable=False)
    machine.start(0)
    do(machine, response(100, BYE), 0.1)
    fire(machine, 0.5)
    assert machine.timers[Timer.E] == 0.5 + T2


def test_a_repeated_request_gets_the_same_answer() -> None:
    machine = NonInviteServer(BYE, reliable=False)
    assert do(machine, BYE, 0) == []
    assert do(machine, Respond(response(200, BYE)), 1) == ["send 200"]
    assert do(machine, BYE, 2) == ["send 200"]
    fire(machine, 33)
    assert machine.state is TransactionState.TERMINATED


@pytest.mark.parametrize("kind", [InviteClient, NonInviteClient])
def test_a_connection_that_fails_counts_as_unavailable(kind: type[InviteClient | NonInviteClient]) -> None:
    machine = kind(INVITE if kind is InviteClient else BYE, reliable=True)
    machine.start(0)
    assert do(machine, TransportFailed(), 1) == [f"fail {Cause.TRANSPORT}"]


def test_an_ack_and_a_cancel_find_the_invite_they_belong_to() -> None:
    assert server_key(ACK) == server_key(INVITE)
    assert server_key(cancel(INVITE), "INVITE") == server_key(INVITE)
    assert server_key(cancel(INVITE)) != server_key(INVITE)
    assert server_key(request("INVITE", "z9hG4bKother")) != server_key(INVITE)


def test_a_response_finds_its_request_by_branch_and_method() -> None:
    assert client_key(response(200)) == client_key(INVITE)
    assert client_key(response(200, cancel(INVITE))) != client_key(INVITE)


EVENTS = st.one_of(
    st.sampled_from([INVITE, ACK, BYE, TransportFailed(), Abandoned()]),
    st.sampled_from([100, 180, 183, 200, 202, 302, 404, 486, 603]).map(response),
    st.sampled_from([180, 200, 404]).map(lambda code: Respond(response(code))),
)


@given(
    st.sampled_from([InviteClient, NonInviteClient, InviteServer, NonInviteServer]),
    st.booleans(),
    st.lists(st.tuples(st.one_of(EVENTS, st.none()), st.floats(0, 10)), max_size=40),
)
def test_whatever_happens_a_machine_keeps_its_promises(
    kind: type[Machine], reliable: bool, steps: list[tuple[Event | None, float]]
) -> None:
    machine = kind(INVITE, reliable)
    now, failures = 0.0, 0
    if isinstance(machine, InviteClient | NonInviteClient):
        machine.start(now)
    for event, pause in steps:
        now += pause
        before = machine.state
        actions = machine.fire(now) + (machine.step(event, now) if event is not None else [])
        failures += sum(isinstance(action, Fail) for action in actions)
        if before is TransactionState.TERMINATED:
            assert actions == []
        if machine.state is TransactionState.TERMINATED:
            assert machine.wake is None
        assert machine.wake is None or machine.wake > now
    assert failures <= 1, "the user is told once that nothing more will come"
    if machine.state is not TransactionState.TERMINATED and machine.wake is not None:
        for _ in range(200):
            if machine.wake is None:
                break
            machine.fire(machine.wake)
        assert machine.wake is None, "every machine with a running timer comes to an end"
