"""Who a call outside says it is from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.call.identity import hides, screened, towards_trunk, wants_privacy
from media_node.sip.grammar import Address

OWN = ("+31201234567", "+31201234568")


def test_the_customers_number_is_asserted_and_shown() -> None:
    identity = towards_trunk(OWN[0], "Bakkerij", "sip.example.nl", private=False)
    assert identity.headers == {"P-Asserted-Identity": str(identity.from_address)}
    assert "+31201234567@sip.example.nl" in str(identity.from_address)


def test_privacy_hides_the_caller_from_the_called_and_not_from_the_trunk() -> None:
    identity = towards_trunk(OWN[0], "Bakkerij", "sip.example.nl", private=True)
    assert identity.headers["Privacy"] == "id"
    assert "+31201234567" in identity.headers["P-Asserted-Identity"]
    assert "Bakkerij" not in str(identity.headers) and OWN[0] not in str(identity.from_address)
    assert identity.from_address.uri.host == "anonymous.invalid"


def test_a_customer_without_a_number_asserts_none() -> None:
    identity = towards_trunk("", "", "sip.example.nl", private=False)
    assert identity.headers == {}
    assert identity.from_address.uri.user == "anonymous"


@given(wanted=st.text(max_size=15), assigned=st.sampled_from(["", *OWN, "+31600000000"]))
def test_a_number_that_is_not_the_customers_is_never_shown(wanted: str, assigned: str) -> None:
    assert screened(wanted, OWN, assigned) in OWN
    assert screened(wanted, (), assigned) == ""


def test_the_phones_own_number_goes_before_the_customers_first() -> None:
    assert screened("201", OWN, OWN[1]) == OWN[1]
    assert screened(OWN[0], OWN, OWN[1]) == OWN[0], "a phone may choose among the customer's numbers"


@pytest.mark.parametrize(
    ("header", "sender", "private"),
    [
        ("", "<sip:201@sip.example.nl>", False),
        ("id", "<sip:201@sip.example.nl>", True),
        ("header;id", "<sip:201@sip.example.nl>", True),
        (" USER ", "<sip:201@sip.example.nl>", True),
        ("none", "Anonymous <sip:anonymous@anonymous.invalid>", False),
        ("", "Anonymous <sip:anonymous@anonymous.invalid>", True),
        ("history", "<sip:201@sip.example.nl>", False),
    ],
)
def test_privacy_is_asked_in_the_ways_that_phones_ask(header: str, sender: str, private: bool) -> None:
    assert wants_privacy(Address.parse(sender), header) is private


@pytest.mark.parametrize(
    ("dialled", "number", "hidden"),
    [
        ("#31#0612345678", "0612345678", True),
        ("*31*0612345678", "0612345678", True),
        ("*31#", "*31#", False),
        ("0612345678", "0612345678", False),
    ],
)
def test_a_prefix_hides_the_caller_for_one_call(dialled: str, number: str, hidden: bool) -> None:
    assert hides(dialled) == (number, hidden)
