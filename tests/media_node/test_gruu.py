"""Addresses of one device (RFC 5627): given to those that ask, and they reach that device alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.sip.grammar import URI, Address
from media_node.sip.gruu import Device, Gruus
from media_node.sip.headers import Response
from media_node.sip.registrar import Binding
from tests.support.node import DOMAIN
from tests.support.simulated_office import SimulatedOffice
from tests.support.simulated_phone import SimulatedPhone

GRUUS = Gruus(DOMAIN)
INSTANCE = '"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"'.strip('"')
BINDING = Binding(
    username="abc234-102",
    contact=URI.parse("sip:abc234-102@192.0.2.7:5061"),
    connection=1,
    expires_at=300.0,
    call_id="one@phone",
    sequence=1,
    instance=f"{INSTANCE} 1",
)


def test_both_addresses_mean_the_device_and_no_other() -> None:
    others = [
        replace(BINDING, username="abc234-103"),
        replace(BINDING, instance="<urn:uuid:00000000-7dec-11d0-a765-00a0c91e6bf6> 1"),
        replace(BINDING, instance=""),
    ]
    for gruu in (GRUUS.public(BINDING), GRUUS.temporary(BINDING)):
        device = GRUUS.device(URI.parse(str(gruu)))
        assert device is not None and device.is_at(BINDING)
        assert not any(device.is_at(other) for other in others)
        assert device.is_at(replace(BINDING, connection=9, contact=URI.parse("sip:a@203.0.113.9"), sequence=7))
    assert str(GRUUS.public(BINDING)) == f"sip:abc234-102@{DOMAIN};gr={INSTANCE[1:-1]}"


def test_a_temporary_one_is_new_each_time_tells_nothing_and_ends_with_its_registration() -> None:
    one, two = GRUUS.temporary(BINDING), GRUUS.temporary(BINDING)
    assert one != two and "abc234" not in str(one) and len(str(one)) < 150
    device = GRUUS.device(one)
    assert device is not None and not device.is_at(replace(BINDING, call_id="another@phone"))
    for forged in (Gruus(DOMAIN).temporary(BINDING), replace(one, user=f"{one.user}A"), replace(one, user="tgruu.!")):
        assert GRUUS.device(forged) == Device("")


@given(st.text(max_size=40), st.sampled_from(["gr", "gr=urn:x:1", "gr=", "lr"]), st.sampled_from([DOMAIN, "b.example"]))
def test_any_address_means_a_device_or_none(user: str, parameter: str, host: str) -> None:
    try:
        uri = URI.parse(f"sip:{user}@{host};{parameter}")
    except ValueError:
        return
    device = GRUUS.device(uri)
    assert (device is not None) is (parameter != "lr" and host == DOMAIN)
    assert device is None or not device.is_at(BINDING)


@pytest.mark.parametrize(
    "instance", ["", "<urn:uuid:a b>", "<http://x>", "urn:uuid:1", '<urn:x:">', f"<urn:{'x' * 300}>"]
)
def test_a_device_without_a_usable_instance_gets_none(instance: str) -> None:
    assert GRUUS.parameters(replace(BINDING, instance=f"{instance} ")) == ""


@pytest.fixture
def office() -> Iterator[SimulatedOffice]:
    office = SimulatedOffice()
    yield office
    office.close()


def registered(office: SimulatedOffice, phone: SimulatedPhone) -> Address:
    response: Response = office.loop.complete(phone.register())
    assert response.code == 200
    return next(each for each in response.contact if str(each.uri) == str(phone.contact.uri))


@pytest.mark.parametrize("kind", ["pub-gruu", "temp-gruu"])
@pytest.mark.parametrize("transfers", [False, True])
def test_a_colleague_and_a_transfer_reach_one_device_by_it(office: SimulatedOffice, kind: str, transfers: bool) -> None:
    (caller, colleague) = office.registered("101", "103")
    devices = [office.phone("102", f"203.0.113.{number}") for number in range(3)]
    for device in devices:
        device.supported = "outbound, gruu"
    contacts = [registered(office, device) for device in devices]
    assert all("+sip.instance" in contact.parameters for contact in contacts)
    gruu = contacts[1].parameters[kind]
    assert gruu is not None
    if transfers:
        talk = office.loop.do(lambda: caller.call("103"))
        office.loop.wait(1)
        office.loop.do(lambda: colleague.talks[0].refer(f"<{gruu}>"))
    else:
        talk = office.loop.do(lambda: caller.call(URI.parse(gruu)))
    office.loop.wait(3)
    assert [len(device.talks) for device in devices] == [0, 1, 0]
    assert devices[1].talks[0].stands and talk.stands
    # Gone: the account's other devices do not ring in its place.
    office.loop.do(talk.hang_up)
    office.loop.wait(3)
    assert office.loop.complete(devices[1].register(0)).code == 200
    again = office.loop.do(lambda: caller.call(URI.parse(gruu)))
    office.loop.wait(3)
    assert again.code == 480 and [len(device.talks) for device in devices] == [0, 1, 0]


def test_only_who_asks_gets_them_and_nobody_calls_another_customers_device(office: SimulatedOffice) -> None:
    (caller,) = office.registered("101")
    assert "pub-gruu" not in registered(office, office.phone("102")).parameters
    for unknown in (f"sip:xyz999-201@{DOMAIN};gr={INSTANCE[1:-1]}", f"sip:tgruu.AAAA@{DOMAIN};gr"):
        talk = office.loop.do(lambda unknown=unknown: caller.call(URI.parse(unknown)))  # type: ignore[misc]
        office.loop.wait(2)
        assert talk.code == 404
