"""What becomes of phones, calls and 112 when a phone or its whole environment is served no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.call import former, leaving
from media_node.call.directory import Directory, Environment, Phone, Role, Site
from media_node.call.former import FormerPhones
from tests.support.office import CUSTOMER, Office, environment, refused, talking, trunk, until

SITE = Site(id="1", street="Voorbeeldstraat", house_number="1", postcode="3511 AA", city="Utrecht")


def gives(office: Office, *environments: Environment) -> None:
    """As the node does when it has read its assignments."""
    office.exchange.assign(Directory(environments))
    office.exchange.looked()


def the_one(office: Office) -> Environment:
    [one] = office.exchange.directory.environments
    return one


def ends(office: Office) -> None:
    """The fleet tells it in this order: a standby that is served no more, and then nothing."""
    gives(office, replace(the_one(office), role=Role.STANDBY, served=False))


@pytest.mark.parametrize("how", ["ended", "removed", "blocked", "another password"])
async def test_an_idle_phone_learns_at_once_that_it_is_registered_no_more(office: Office, how: str) -> None:
    phone = await office.handset("101")
    other = await office.handset("102")
    one = the_one(office)
    first, *others = one.phones
    match how:
        case "ended":
            ends(office)
        case "removed":
            gives(office, replace(one, phones=tuple(others)))
        case "blocked":
            gives(office, replace(one, phones=(replace(first, ha1={}), *others)))
        case "another password":
            gives(office, replace(one, phones=(replace(first, ha1=dict.fromkeys(first.ha1, "0" * 64)), *others)))
    await until(lambda: phone.connection.closed)
    assert first.username not in office.exchange.registered((one,))[CUSTOMER], "its lamp goes out"
    again = await office.handset("101", register=False)
    assert (await refused(again.register())).code == 403
    assert other.connection.closed is (how == "ended")


async def test_who_talks_when_the_contract_ends_talks_on_but_not_for_ever(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = await talking(office)
    monkeypatch.setattr(leaving, "ENDED_SECONDS", 0.5)
    ends(office)
    caller = office.handsets[1]
    assert not caller.connection.closed and not ours.ended.is_set()
    gives(office)  # the assignment is deleted some seconds later
    await asyncio.wait_for(asyncio.gather(ours.ended.wait(), theirs.ended.wait()), 5)
    assert (await office.record()).reason == "the contract has ended"
    await until(lambda: caller.connection.closed)


async def test_a_contract_that_goes_on_after_all_keeps_its_calls(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = await talking(office)
    monkeypatch.setattr(leaving, "ENDED_SECONDS", 0.1)
    before = the_one(office)
    ends(office)
    gives(office, before)
    await asyncio.sleep(0.3)
    assert not ours.ended.is_set()


async def test_a_phone_that_is_blocked_stops_talking_at_once(office: Office) -> None:
    """It may be a thief's."""
    ours, theirs = await talking(office)
    one = the_one(office)
    gives(office, replace(one, phones=tuple(replace(each, ha1={}) for each in one.phones)))
    await asyncio.wait_for(asyncio.gather(ours.ended.wait(), theirs.ended.wait()), 5)
    assert (await office.record()).reason == "the phone is blocked"


async def test_a_phone_that_leaves_talks_on(office: Office) -> None:
    ours, _ = await talking(office)
    one = the_one(office)
    gives(office, replace(one, phones=one.phones[2:]))
    await asyncio.sleep(0.2)
    assert not ours.ended.is_set()


@pytest.mark.parametrize("how", ["ended", "gone", "moved", "removed", "blocked"])
async def test_112_is_reached_by_any_phone_that_was_known_and_nothing_else_is(office: Office, how: str) -> None:
    one = replace(the_one(office), sites=(SITE,))
    gives(office, one)
    first, *others = one.phones
    match how:
        case "ended":
            ends(office)
        case "gone":
            ends(office)
            gives(office)
        case "moved":
            gives(office)
        case "removed":
            gives(office, replace(one, phones=tuple(others)))
        case "blocked":
            gives(office, replace(one, phones=(replace(first, ha1={}), *others)))
    phone = await office.handset("101", register=False)
    async with trunk(office) as provider:
        assert (await refused(phone.call("0201112233"))).code in (403, 503)
        await phone.call("112")
        assert provider.rang[0].request.headers["Priority"] == "emergency"
        assert b"Voorbeeldstraat" in provider.locations[0], "the address of where it stood"


def phones(names: Iterable[str], customer: str) -> tuple[Phone, ...]:
    return tuple(
        Phone(
            username=f"{customer}-{name}",
            extension=name,
            customer_id=customer,
            encrypted=True,
            ha1={"MD5": "1"},
            number="+31850",
        )
        for name in names
    )


NAMES = st.sets(st.sampled_from("abcdef"))
STEPS = st.lists(st.tuples(NAMES, NAMES, st.booleans(), st.floats(0, 30 * 3600.0)), max_size=12)


@given(STEPS)
def test_former_phones_are_those_that_were_here_within_a_day_and_are_not_now(steps: list[Any]) -> None:
    """Whatever comes and goes: no password is kept, nobody is here and gone at once, and the address of the site stays known."""
    remembered, before, now = FormerPhones(), Directory(), 0.0
    last_here: dict[str, float] = {}
    one = replace(environment(), environment_id="one", customer_id="one", numbers=())
    two = replace(one, environment_id="two", customer_id="two")
    for first, second, served, later in steps:
        members = [(one, phones(sorted(first), "one")), (two, phones(sorted(second), "two"))]
        after = Directory(tuple(replace(each, phones=had, served=served) for each, had in members if had))
        now += later
        last_here |= dict.fromkeys(before.usernames(), now)
        gone = remembered.remember(before, after, now)
        found = {phone.username: phone for each in gone for phone in each.phones}
        assert not found.keys() & after.usernames()
        assert before.usernames() - after.usernames() <= found.keys()
        assert all(not phone.ha1 and not phone.previous_ha1 for phone in found.values())
        assert all(each.sites == one.sites and not each.numbers for each in gone)
        assert all(now - last_here[name] <= former.REMEMBERED_SECONDS for name in found)
        before = after


def test_there_are_never_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(former, "MOST_PHONES", 5)
    remembered, before = FormerPhones(), Directory()
    for number in range(20):
        one = replace(environment(), environment_id=f"c{number}", customer_id=f"c{number}")
        after = Directory((replace(one, phones=phones("12", one.customer_id)),))
        gone = remembered.remember(before, after, float(number))
        assert sum(len(each.phones) for each in gone) <= 5
        before = after
    assert {each.customer_id for each in gone} == {"c18", "c17", "c16"}, "the newest"
