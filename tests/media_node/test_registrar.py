"""Bindings: who is where, over which connection, for how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.sip.headers import Request
from media_node.sip.message import parse
from media_node.sip.registrar import DEFAULT_EXPIRES, MAX_BINDINGS, MAX_EXPIRES, MIN_EXPIRES, Registrar, Rejected

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
    (binding,) = Registrar().register(register(*headers), username=USER, connection=1, now=0)
    assert binding.expires_at == seconds


def test_too_short_a_lifetime_is_refused_with_the_shortest_that_is_not() -> None:
    with pytest.raises(Rejected) as refused:
        Registrar().register(register("Contact: <sip:x@192.0.2.1>", "Expires: 10"), username=USER, connection=1, now=0)
    assert (refused.value.status, refused.value.min_expires) == (423, MIN_EXPIRES)


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
    assert len(registrar.register(register(), username=USER, connection=2, now=1)) == 1


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


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.sampled_from([0, 60, 600])), max_size=30))
def test_there_are_never_more_bindings_than_allowed_nor_two_for_one_contact(steps: list[tuple[int, int, int]]) -> None:
    registrar = Registrar()
    for number, (contact, connection, expires) in enumerate(steps, start=1):
        request = register(f"Contact: <sip:x@192.0.2.{contact}>", f"Expires: {expires}", sequence=number)
        registrar.register(request, username=USER, connection=connection, now=number)
        bindings = registrar.lookup(USER, number)
        assert len(bindings) <= MAX_BINDINGS
        assert len({str(binding.contact) for binding in bindings}) == len(bindings) == len(registrar)
        assert (expires > 0) == any(str(binding.contact).endswith(f".{contact}") for binding in bindings)
