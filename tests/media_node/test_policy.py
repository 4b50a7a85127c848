"""Who may call whom."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.call.directory import Directory, Environment, Phone
from media_node.call.policy import Occupancy, Protection, Refusal, ToPhone, ToTrunk, caller_protection, route


def environment(customer: str, *, encrypted: bool = True, calls: int = 4) -> Environment:
    phones = tuple(
        Phone(username=f"{customer}-{extension}", extension=extension, customer_id=customer, encrypted=encrypted)
        for extension in ("101", "102")
    )
    return Environment(
        environment_id=customer, customer_id=customer, encrypted=encrypted, calls=calls, version=1, phones=phones
    )


DIRECTORY = Directory((environment("abc234"), environment("xyz789", encrypted=False)))
CALLER = DIRECTORY.environments[0].phones[0]


DISGUISED = [
    "8816123456",
    "31900123456",
    "09001234567#",
    "*09001234567",
    "*21*+881612345678#",
    "0#9001234567",
    "+0900123456",
    "++31900123456",
]
"""What a trunk might take for a costly number, and what would change the trunk's own settings."""


@pytest.mark.parametrize("dialled", ["102", "abc234-102"])
def test_a_colleague_is_called_by_extension_or_user_name(dialled: str) -> None:
    decision = route(DIRECTORY, CALLER, dialled, trunk=False, occupancy=Occupancy())
    assert isinstance(decision, ToPhone)
    assert decision.phone.username == "abc234-102"
    assert decision.protection is Protection.REQUIRED


def test_a_phone_of_another_customer_cannot_be_called() -> None:
    for trunk in (False, True):
        decision = route(DIRECTORY, CALLER, "xyz789-102", trunk=trunk, occupancy=Occupancy())
        assert isinstance(decision, Refusal)
        assert decision.status == 404


@pytest.mark.parametrize(
    ("dialled", "number"),
    [
        ("+31201234567", "+31201234567"),
        ("0201234567", "+31201234567"),
        ("+31 (20) 123-45.67", "+31201234567"),
        ("+31 (0)20 1234567", "+31201234567"),
        ("0012125550123", "+12125550123"),
        ("1200", "1200"),
        ("116117", "116117"),
    ],
)
def test_every_other_number_goes_to_the_trunk_in_e164_over_plain_rtp(dialled: str, number: str) -> None:
    decision = route(DIRECTORY, CALLER, dialled, trunk=True, occupancy=Occupancy())
    assert isinstance(decision, ToTrunk)
    assert decision.number == number
    assert decision.protection is Protection.NONE
    assert not decision.emergency
    assert isinstance(route(DIRECTORY, CALLER, dialled, trunk=False, occupancy=Occupancy()), Refusal)


@pytest.mark.parametrize("dialled", ["", "piet", "a@b", "+", "9" * 40, "0201234567;ext=1", *DISGUISED])
def test_what_nobody_can_dial_is_not_found(dialled: str) -> None:
    decision = route(DIRECTORY, CALLER, dialled, trunk=True, occupancy=Occupancy())
    assert isinstance(decision, Refusal)
    assert decision.status == 404


@given(st.text(st.sampled_from("0123456789+*#-() .a;"), max_size=20), st.sampled_from(["NL", "BE"]))
def test_whatever_is_dialled_a_trunk_gets_e164_or_a_short_code(dialled: str, country: str) -> None:
    directory = Directory((replace(DIRECTORY.environments[0], country=country),))
    decision = route(directory, CALLER, dialled, trunk=True, occupancy=Occupancy())
    if isinstance(decision, ToTrunk):
        assert re.fullmatch(r"\+[1-9]\d{6,14}|[1-9]\d{2,5}", decision.number, re.ASCII)


def test_a_phone_does_not_call_itself() -> None:
    assert route(DIRECTORY, CALLER, "101", trunk=True, occupancy=Occupancy()) == Refusal(
        482, "A phone cannot call itself"
    )


def test_a_draining_node_and_a_full_customer_are_told_to_try_again() -> None:
    for occupancy, status in ((Occupancy(draining=True), 503), (Occupancy(calls=4, allowed=4), 480)):
        decision = route(DIRECTORY, CALLER, "102", trunk=True, occupancy=occupancy)
        assert isinstance(decision, Refusal)
        assert decision.status == status
        assert decision.retry_after


@given(
    st.booleans(), st.integers(0, 500), st.integers(0, 100), st.booleans(), st.sampled_from(["112", "1-1-2", "1.1 2"])
)
@pytest.mark.promise("112")
def test_nothing_refuses_112(draining: bool, calls: int, allowed: int, encrypted: bool, dialled: str) -> None:
    caller = replace(CALLER, encrypted=encrypted)
    decision = route(DIRECTORY, caller, dialled, trunk=True, occupancy=Occupancy(draining, calls, allowed))
    assert decision == ToTrunk("112", emergency=True)
    assert caller_protection(caller, emergency=True) is not Protection.REQUIRED


@pytest.mark.promise("srtp-verplicht")
def test_an_encrypted_customers_phone_has_to_offer_srtp() -> None:
    assert caller_protection(CALLER, emergency=False) is Protection.REQUIRED
    assert caller_protection(replace(CALLER, encrypted=False), emergency=False) is Protection.PREFERRED


def test_two_orders_of_one_customer_are_one_environment_to_its_phones() -> None:
    more = replace(
        environment("abc234", calls=3),
        environment_id="second",
        phones=(Phone(username="abc234-103", extension="103", customer_id="abc234", encrypted=True),),
    )
    directory = Directory((*DIRECTORY.environments, more))
    assert isinstance(route(directory, CALLER, "103", trunk=False, occupancy=Occupancy()), ToPhone)
    assert directory.calls("abc234") == 7


@pytest.mark.parametrize("dialled", ["112", "100", "101", "+31112", "1-1-2"])
@pytest.mark.parametrize("country", ["NL", "BE"])
def test_emergency_numbers_of_both_countries_leave_by_the_trunk_whatever_stands_in_the_way(
    dialled: str, country: str
) -> None:
    phone = Phone(username="abc234-201", extension="201", customer_id="abc234", encrypted=True)
    directory = Directory(
        (
            Environment(
                environment_id="abc234",
                customer_id="abc234",
                encrypted=True,
                calls=1,
                version=1,
                phones=(phone,),
                country=country,
                suspended=True,
            ),
        )
    )
    decision = route(directory, phone, dialled, trunk=True, occupancy=Occupancy(draining=True, calls=9, allowed=1))
    assert isinstance(decision, ToTrunk) and decision.emergency


def test_101_is_a_colleague_only_where_it_is_nobodys_emergency_number() -> None:
    phones = tuple(
        Phone(username=f"abc234-{extension}", extension=extension, customer_id="abc234", encrypted=True)
        for extension in ("101", "112", "201")
    )
    for country, kind in (("NL", ToPhone), ("BE", ToTrunk)):
        environment = Environment(
            environment_id="abc234", customer_id="abc234", encrypted=True, calls=1, version=1, phones=phones,
            country=country,
        )  # fmt: skip
        directory = Directory((environment,))
        assert isinstance(route(directory, phones[2], "101", trunk=True, occupancy=Occupancy()), kind)
        assert isinstance(route(directory, phones[2], "112", trunk=True, occupancy=Occupancy()), ToTrunk)
