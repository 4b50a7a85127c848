"""Values as phones really write them, and the proof that reading them takes time linear in their length."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import media_node.sip
from media_node.sip.grammar import URI, Address, CSeq, Parameters, Via, media_type, quoted, unquoted

op: Any = importlib.import_module("re._constants")
regex: Any = importlib.import_module("re._parser")
SIP = Path(media_node.sip.__path__[0])
BOUND = 64
"""How often a repetition may go back."""


def complaints(pattern: re.Pattern[Any] | str) -> list[str]:
    """Why an expression might take more than linear time; empty when it cannot."""
    text, flags = (pattern, 0) if isinstance(pattern, str) else (pattern.pattern, pattern.flags)
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    return list(_complaints(regex.parse(text, flags & ~re.UNICODE), repeated=False))


def _complaints(items: Any, *, repeated: bool) -> Iterator[str]:
    items = list(items)
    for number, (kind, value) in enumerate(items):
        match kind:
            case op.MAX_REPEAT | op.MIN_REPEAT | op.POSSESSIVE_REPEAT:
                _, most, body = value
                endless = most > BOUND
                if endless and kind is not op.POSSESSIVE_REPEAT:
                    yield f"{kind} without bound"
                if endless and repeated and number < len(items) - 1:
                    yield "something follows an endless repetition that is itself repeated: it may fail, and all is read again"
                yield from _complaints(body, repeated=repeated or endless)
            case op.SUBPATTERN:
                yield from _complaints(value[-1], repeated=repeated)
            case op.BRANCH:
                for branch in value[1]:
                    yield from _complaints(branch, repeated=repeated)
            case op.ATOMIC_GROUP:
                yield from _complaints(value, repeated=repeated)
            case op.ASSERT | op.ASSERT_NOT:
                if any(inner[0] in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT) for inner in value[1]):
                    yield "a look ahead that repeats"
            case op.LITERAL | op.NOT_LITERAL | op.IN | op.ANY | op.AT:
                pass
            case _:
                yield f"{kind} is not known to be linear"


def modules() -> list[str]:
    return [module.name for module in pkgutil.iter_modules([str(SIP)])]


@pytest.mark.parametrize("name", modules())
def test_every_expression_of_the_signalling_is_linear_by_construction(name: str) -> None:
    module = importlib.import_module(f"media_node.sip.{name}")
    for variable, value in vars(module).items():
        if isinstance(value, re.Pattern):
            assert complaints(value) == [], f"{name}.{variable}: {value.pattern}"
    for call in ast.walk(ast.parse((SIP / f"{name}.py").read_text())):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            # A search that begins anew at every octet is quadratic whatever it looks for.
            assert call.func.attr not in ("search", "findall", "finditer"), f"{name}:{call.lineno} searches"
            inline = (
                isinstance(call.func.value, ast.Name) and call.func.value.id == "re" and call.func.attr != "compile"
            )
            if inline:
                assert isinstance(call.args[0], ast.Constant), f"{name}:{call.lineno} builds an expression"
                assert complaints(str(call.args[0].value)) == [], f"{name}:{call.lineno}"


@pytest.mark.parametrize(
    "text",
    [
        r"[ \t]*\r\n[ \t]+",
        r"(?:[^\"]|\\\")*",
        r"a+?",
        r"(?:a++b|a)*+",
        r"(?:(?:[0-9]{1,4}:)*+x)*",
        r"(?=a*)b",
        r"(a)\1",
    ],
)
def test_the_proof_sees_what_is_not_linear(text: str) -> None:
    assert complaints(text)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (
            '"Lin 101" <sip:u@10.0.0.9:5071;transport=tls>;+sip.instance="<urn:uuid:00000000-0000>"',
            '"Lin 101" <sip:u@10.0.0.9:5071;transport=tls>;+sip.instance="<urn:uuid:00000000-0000>"',
        ),
        ("<sip:101@phone1>", "<sip:101@phone1>"),
        ("<sip:101@SEP001122334455:5061;transport=tls>", "<sip:101@SEP001122334455:5061;transport=tls>"),
        ("sip:101@phone_1.local", "<sip:101@phone_1.local>"),
        ("<SIP:101@phone1>", "<sip:101@phone1>"),
        ("<sip:101@[2001:db8::1]:5061>", "<sip:101@[2001:db8::1]:5061>"),
        (r'"a \"b\\" <sip:x@h>;n="c\"d;,"', r'"a \"b\\" <sip:x@h>;n="c\"d;,"'),
        ('"x>" <sip:x@h>, <sip:y@h>;q=0.3', '"x>" <sip:x@h>, <sip:y@h>;q=0.3'),
        ("Zoë de Vries <sip:x@h>", '"Zoë de Vries" <sip:x@h>'),
        ("caller<sip:x@h>;TAG = 1", '"caller" <sip:x@h>;tag=1'),
        ("<sip:#31#0612345678@h>", "<sip:%2331%230612345678@h>"),
        ("<sip:*21*0612345678#@h>", "<sip:*21*0612345678%23@h>"),
        ("<sip:x@h?Replaces=a@b%3Bto-tag=1>", "<sip:x@h?Replaces=a@b%3Bto-tag=1>"),
        ("<tel:+31-20-794.0000;phone-context=x>", "<tel:+31-20-794.0000;phone-context=x>"),
        ("<urn:service:sos>", "<urn:service:sos>"),
        ("<http://www.example.com>;tag=3", "<http://www.example.com>;tag=3"),
        ("<sip:h;lr>;self=1;cls=2", "<sip:h;lr>;self=1;cls=2"),
    ],
)
def test_an_address_is_read_as_it_is_meant_and_written_as_the_grammar_asks(value: str, written: str) -> None:
    assert ", ".join(str(address) for address in Address.parse_many(value)) == written
    assert ", ".join(str(address) for address in Address.parse_many(written)) == written


def test_what_an_address_says() -> None:
    address = Address.parse(r'"a \"b\\" <sip:%75ser;x=y:s%40cret@Host:5061;Transport=TLS;lr>;Tag="q w"')
    assert (address.name, address.uri.user, address.uri.password) == ('a "b\\', "user;x=y", "s@cret")
    assert (address.uri.host, address.uri.port) == ("Host", 5061)
    assert dict(address.uri.parameters) == {"transport": "TLS", "lr": None}
    assert address.parameters["tag"] == "q w"


@pytest.mark.parametrize(
    "value",
    [
        *(
            '"Mr. J. User <sip:j@h>',
            "Bell, Alexander <sip:a@h>",
            '"Watson" < sip:t@h >',
            "<sip:a@h>;;",
            "<sip:a@h>;",
            "",
        ),
        *(
            "sip:u@h?Route=x",
            "<sip:a@h",
            "<sip:a@>",
            "<sip:a@h:99999>",
            "<sip:a@[1::2::3]>",
            "<sip:a@h;=x>",
            "<sip:a%4@h>",
        ),
        *(
            '"x"',
            '"x" "y" <sip:a@h>',
            "<sip:a@h> x",
            "<sip:a@h>,",
            ",<sip:a@h>",
            "sip:" + "a" * 300,
            "<sip:a@b@c>",
            "*",
        ),
    ],
)
def test_what_is_no_address_is_refused(value: str) -> None:
    with pytest.raises(ValueError):
        Address.parse_many(value)


def test_hops_are_read_with_white_space_wherever_the_grammar_has_it() -> None:
    hops = Via.parse_many(
        "SIP  / 2.0  / TCP     spindle.example.com : 5 ; branch  =   z9 ,SIP/2.0/UDP h;received=2001:db8::1;rport"
    )
    assert [(hop.transport, hop.host, hop.port) for hop in hops] == [
        ("TCP", "spindle.example.com", 5),
        ("UDP", "h", None),
    ]
    assert dict(hops[1].parameters) == {"received": "2001:db8::1", "rport": None}
    assert str(hops[1]) == "SIP/2.0/UDP h;received=2001:db8::1;rport"


@pytest.mark.parametrize(
    "value", ["SIP/2.0/UDP", "SIP/3.0/UDP h", "SIP/2.0/UDP h;;", "SIP/2.0/UDP h;,", "SIP/2.0/UDP h x", ""]
)
def test_what_is_no_hop_is_refused(value: str) -> None:
    with pytest.raises(ValueError):
        Via.parse_many(value)


def test_small_values() -> None:
    assert CSeq.parse("0009 INVITE") == CSeq(9, "INVITE")
    assert media_type("Application / SDP ;charset=utf-8") == "application/sdp"
    for wrong in ("36893488147419103232 REGISTER", "1", "x INVITE", "1 a b"):
        with pytest.raises(ValueError):
            CSeq.parse(wrong)
    for wrong in ("", "application", "application/sdp x", "a b/c"):
        with pytest.raises(ValueError):
            media_type(wrong)


@given(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=50))
def test_any_text_can_be_a_display_name_or_a_parameter(text: str) -> None:
    assert unquoted(quoted(text)) == text
    address = Address.parse(str(Address(URI("sip", "h"), text.strip(" \t"), Parameters(x=text))))
    assert (address.name, address.parameters["x"]) == (text.strip(" \t"), text)


@given(st.text(max_size=60), st.sampled_from([Address.parse_many, Via.parse_many, URI.parse, CSeq.parse, media_type]))
def test_no_text_does_anything_but_be_refused(text: str, parse: Any) -> None:
    for value in (text, f"<sip:{text}>", f"SIP/2.0/UDP h;{text}", f'"{text}" <sip:a@h>;{text}'):
        try:
            parse(value)
        except ValueError:
            continue
