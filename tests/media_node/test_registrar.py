"""Bindings: who is where, over which connection, for how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.sip.headers import Request
from media_node.sip.message import parse
from media_node.sip.registrar import (
    DEFAULT_EXPIRES,
    MANY_ALIKE,
    MAX_BINDINGS,
    MAX_EXPIRES,
    MIN_EXPIRES,
    Registrar,
    Rejected,
)

USER = "abc234-101"


def register(*headers: str, sequence: int = 1, call_id: str = "c") -> Request:
    lines = "".join(f"{header}\r\n" for header in headers)
    message = parse(
        "REGISTER sip:sip.example.nl SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKa\r\nMax-Forwards: 70\r\n"
        f"From: <sip:{USER}@sip.example.nl>;tag=a\r\nTo: <sip:{USER}@sip.example.nl>\r\nCall-ID: {call_id}\r\n"
        f"CSeq: {sequence} REGISTER\r\n{lines}Content-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(message, Request)
    return message


def test_a_binding_is_found_until_it_expires() -> None:
    registrar = Registrar()
    registrar.register(register("Contact: <sip:x@192.0.2.1>", "Expires: 120"), username=USER, connection=1, now=0)
    assert [str(binding.contact) for binding in registrar.lookup(USER, 119)] == ["sip:x@192.0.2.1"]
    assert registrar.lookup(USER, 120) == ()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["Contact: <sip:x@192.0.2.1>;expires=90", "Expires: 120"], 90),
        (["Contact: <sip:x@192.0.2.1>"], DEFAULT_EXPIRES),
        (["Contact: <sip:x@192.0.2.1>", "Expires: 999999"], MAX_EXPIRES),
        (["Contact: <sip:x@192.0.2.1>;expires=99999999999999999999"], DEFAULT_EXPIRES),
    ],
)
def test_a_lifetime_is_what_was_asked_within_bounds(headers: list[str], seconds: int) -> None:
    (binding,) = Registrar().register(register(*headers), username=USER, connection=1, now=0).bindings
    assert binding.expires_at == seconds


def test_too_short_a_lifetime_is_refused_with_the_shortest_that_is_not() -> None:
    with pytest.raises(Rejected) as refused:
        Registrar().register(register("Contact: <sip:x@192.0.2.1>", "Expires: 10"), username=USER, connection=1, now=0)
    assert (refused.value.status, refused.value.min_expires) == (423, MIN_EXPIRES)


def test_a_contact_that_no_call_can_be_sent_to_is_refused() -> None:
    with pytest.raises(Rejected, match="no call can be sent to"):
        Registrar().register(register("Contact: <mailto:x@example.nl>"), username=USER, connection=1, now=0)


def test_zero_removes_one_binding_and_a_star_all() -> None:
    registrar = Registrar()
    for number in (1, 2):
        registrar.register(
            register(f"Contact: <sip:x@192.0.2.{number}>", call_id=str(number)), username=USER, connection=number, now=0
        )
    registrar.register(
        register("Contact: <sip:x@192.0.2.1>;expires=0", call_id="1", sequence=2), username=USER, connection=1, now=1
    )
    assert [binding.connection for binding in registrar.lookup(USER, 1)] == [2]
    registrar.register(register("Contact: *", "Expires: 0", call_id="9"), username=USER, connection=1, now=1)
    assert registrar.lookup(USER, 1) == ()
    with pytest.raises(Rejected):
        registrar.register(register("Contact: *", "Expires: 60"), username=USER, connection=1, now=1)


def test_a_query_changes_nothing() -> None:
    registrar = Registrar()
    registrar.register(register("Contact: <sip:x@192.0.2.1>"), username=USER, connection=1, now=0)
    assert len(registrar.register(register(), username=USER, connection=2, now=1).bindings) == 1


def test_an_old_register_is_refused() -> None:
    registrar = Registrar()
    registrar.register(register("Contact: <sip:x@192.0.2.1>", sequence=5), username=USER, connection=1, now=0)
    with pytest.raises(Rejected):
        registrar.register(register("Contact: <sip:x@192.0.2.9>", sequence=4), username=USER, connection=1, now=1)
    assert [str(binding.contact) for binding in registrar.lookup(USER, 1)] == ["sip:x@192.0.2.1"]


def test_a_phone_that_comes_back_over_a_new_connection_replaces_itself() -> None:
    registrar = Registrar()
    for connection in (1, 2):
        contact = f'Contact: <sip:x@192.0.2.1:{5000 + connection}>;+sip.instance="<urn:uuid:1>";reg-id=1'
        registrar.register(register(contact, sequence=connection), username=USER, connection=connection, now=0)
    assert [binding.connection for binding in registrar.lookup(USER, 1)] == [2]


def test_a_binding_ends_with_its_connection() -> None:
    registrar = Registrar()
    registrar.register(register("Contact: <sip:x@192.0.2.1>"), username=USER, connection=7, now=0)
    assert registrar.users(7, 1) == [USER]
    registrar.drop_connection(7)
    assert registrar.lookup(USER, 1) == ()
    assert registrar.users(7, 1) == []


def test_a_phone_that_comes_back_replaces_its_old_connection_with_or_without_an_instance() -> None:
    for contact in ('<sip:x@192.0.2.1:{}>;+sip.instance="<urn:uuid:1>"', "<sip:x@192.0.2.1:{}>"):
        registrar = Registrar()
        for connection in (1, 2):
            request = register("Contact: " + contact.format(5000 + connection), sequence=connection)
            done = registrar.register(request, username=USER, connection=connection, now=0)
        assert done.replaced == (1,)
        assert [binding.connection for binding in done.bindings] == [2]


def test_a_phone_that_restarted_may_count_from_the_beginning_over_its_new_connection() -> None:
    registrar = Registrar()
    registrar.register(register("Contact: <sip:x@192.0.2.1:1>", sequence=50), username=USER, connection=1, now=0)
    done = registrar.register(register("Contact: <sip:x@192.0.2.1:2>"), username=USER, connection=2, now=0)
    assert done.replaced == (1,)


def test_lines_of_one_device_keep_its_connection_while_one_of_them_moves() -> None:
    registrar = Registrar()
    registrar.register(register("Contact: <sip:x@192.0.2.1>"), username=USER, connection=1, now=0)
    registrar.register(register("Contact: <sip:y@192.0.2.1>", call_id="y"), username="abc234-202", connection=1, now=0)
    done = registrar.register(register("Contact: <sip:x@192.0.2.1>", sequence=2), username=USER, connection=2, now=0)
    assert (done.replaced, done.released) == ((), ())
    assert registrar.users(1, 0) == ["abc234-202"]
    assert registrar.users(2, 0) == [USER]


def test_two_flows_of_one_phone_stand_side_by_side() -> None:
    registrar = Registrar()
    for flow in (1, 2):
        contact = f'Contact: <sip:x@192.0.2.1>;+sip.instance="<urn:uuid:1>";reg-id={flow}'
        done = registrar.register(register(contact, call_id=str(flow)), username=USER, connection=flow, now=0)
    assert len(done.bindings) == 2


def test_a_phone_without_an_instance_that_loses_its_connection_over_and_over_evicts_no_other() -> None:
    registrar = Registrar()
    for number, host in enumerate(("192.0.2.10", "192.0.2.11"), start=1):
        request = register(f"Contact: <sip:x@{host}>", call_id=host)
        registrar.register(request, username=USER, connection=number, now=0, source="198.51.100.1")
    for number in range(3, 60):
        request = register(f"Contact: <sip:x@192.0.2.12:{number}>", call_id=str(number))
        done = registrar.register(request, username=USER, connection=number, now=0, source="198.51.100.1")
        assert {1, 2, number} <= {binding.connection for binding in done.bindings}
        assert len(done.bindings) <= MAX_BINDINGS
        # From the fifth on it is asked which of them still live, and never the two others.
        asked = {binding.connection for binding in done.doubtful}
        assert bool(asked) == (number >= 3 + MANY_ALIKE)
        assert not asked & {1, 2, number}


def test_who_has_no_room_any_more_is_a_stranger_again() -> None:
    registrar = Registrar()
    for number in range(1, MAX_BINDINGS + 2):
        request = register(f"Contact: <sip:x@192.0.2.{number}>", call_id=str(number))
        done = registrar.register(request, username=USER, connection=number, now=0)
    assert (done.replaced, done.released) == ((), (1,))


def test_the_indexes_agree_whatever_happens() -> None:
    registrar = Registrar()
    for number in range(1, 30):
        request = register(f"Contact: <sip:x@192.0.2.{number}>", call_id=str(number))
        registrar.register(request, username=f"u{number % 3}", connection=number // 2, now=number)
    registrar.drop_connection(7)
    registrar.drop_user("u1")
    registrar.expire(MAX_EXPIRES + 20)
    seen = {(binding.connection, binding.username) for binding in registrar}
    counted = {(connection, user) for connection, users in registrar._users.items() for user in users}
    assert seen == counted
    assert not any(connection == 7 or user == "u1" for connection, user in seen)


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(1, 4), st.sampled_from([0, 60, 600])), max_size=40))
def test_there_are_never_more_bindings_than_allowed_nor_two_for_one_contact(steps: list[tuple[int, int, int]]) -> None:
    registrar = Registrar()
    for number, (contact, connection, expires) in enumerate(steps, start=1):
        headers = (f"Contact: <sip:x@192.0.2.{contact}>", f"Expires: {expires}")
        request = register(*headers, sequence=number, call_id=str(contact))
        registrar.register(request, username=USER, connection=connection, now=number)
        bindings = registrar.lookup(USER, number)
        assert len(bindings) <= MAX_BINDINGS
        assert len({str(binding.contact) for binding in bindings}) == len(bindings) == len(registrar)
        assert (expires > 0) == any(str(binding.contact).endswith(f".{contact}") for binding in bindings)
