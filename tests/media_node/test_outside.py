"""Calls outside: who they say they are from, 112, what may be called, and transfers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from media_node.call.directory import Directory, Limits, Number, Site
from media_node.sip.grammar import URI
from tests.support.node import DOMAIN
from tests.support.office import (
    NUMBER,
    OUTSIDE,
    Office,
    Provider,
    ask,
    desk_phone,
    environment,
    invite,
    provider,
    refer,
    refused,
    talking,
    trunk,
    trunks,
    until,
    users,
    with_number,
)

# Who calls.


async def test_a_call_outside_shows_the_customers_number_and_no_extension(office: Office) -> None:
    office.exchange.assign(with_number(rings=users("101")))
    caller = await office.handset("101")
    async with trunk(office) as other:
        await caller.call(OUTSIDE)
    asked = other.rang[0].request
    assert f"{NUMBER}@{DOMAIN}" in asked.headers["P-Asserted-Identity"]
    assert asked.from_address.uri.user == NUMBER


@pytest.mark.parametrize(("dialled", "privacy"), [(OUTSIDE, "id"), (f"#31#{OUTSIDE}", "")])
async def test_a_caller_who_asks_not_to_be_shown_is_not(office: Office, dialled: str, privacy: str) -> None:
    office.exchange.assign(with_number(rings=users("101")))
    caller = await office.handset("101")
    async with trunk(office) as other:
        await invite(caller, dialled, Privacy=privacy or "none")
    asked = other.rang[0].request
    assert asked.uri.user == OUTSIDE
    assert asked.headers["Privacy"] == "id"
    assert NUMBER not in str(asked.from_address) and "101" not in (asked.from_address.uri.user or "")
    assert NUMBER in asked.headers["P-Asserted-Identity"]


# 112.


SITE = Site(id="s1", street="Dorpsstraat", house_number="12", postcode="1234 AB", city="Utrecht")


def with_site() -> Directory:
    plain = environment(encrypted=False)
    return Directory((replace(plain, sites=(SITE,), numbers=(Number(number=NUMBER, rings=users("102")),)),))


@pytest.mark.parametrize("uri", ["112", "+31112", "1-1-2", "100"])
async def test_112_goes_by_its_own_trunk_with_the_callers_address(office: Office, uri: str) -> None:
    office.exchange.assign(with_site())
    first, emergency = provider(), provider()
    caller = await office.handset("101", suites=())
    async with trunks(office, first, emergency, trunk_2={"emergency": True}):
        office.exchange.outside.trunks.all[0].up = True
        await caller.call(uri)
    asked = emergency.rang[0].request
    assert first.rang == []
    assert asked.headers["Priority"] == "emergency"
    assert asked.headers["Geolocation"].startswith("<cid:")
    (body,) = emergency.locations
    assert b"<cl:RD>Dorpsstraat</cl:RD>" in body and b"v=0" in body
    assert NUMBER in asked.headers["P-Asserted-Identity"]


async def test_a_known_phone_that_is_not_registered_reaches_112_without_a_password(office: Office) -> None:
    caller = await office.handset("101", register=False, password="wrong")
    async with trunk(office) as other:
        await caller.call("112")
        assert (await refused(caller.call(OUTSIDE))).code in (403, 407)
    assert len(other.rang) == 1


async def test_the_call_back_after_112_rings_the_phone_that_called(office: Office) -> None:
    office.exchange.assign(with_site())
    caller = await office.handset("101", suites=())
    async with trunk(office) as other:
        other.challenge = ""
        ours = await caller.call("112")
        await ours.hang_up()
        call = asyncio.ensure_future(invite(other, NUMBER))
        await until(lambda: bool(caller.rang))
        await call


async def test_112_is_tried_on_every_trunk(office: Office) -> None:
    first, second = provider(answers=lambda transaction: 503), provider()
    caller = await office.handset("101")
    async with trunks(office, first, second):
        await caller.call("112")
    assert len(first.rang) == len(second.rang) == 1


# What may be called.


def limited(**limits: Any) -> Directory:
    return Directory((replace(environment(), limits=Limits(**limits)),))


async def test_what_the_plan_does_not_cover_is_refused_and_112_never(office: Office) -> None:
    office.exchange.assign(limited(destinations=frozenset({"national"}), calls_per_minute=1))
    caller = await office.handset("101")
    async with trunk(office) as other:
        assert (await refused(caller.call("+12125550123"))).code == 403
        assert (await refused(caller.call("+881612345678"))).code == 403
        await (await caller.call(OUTSIDE)).hang_up()
        assert (await refused(caller.call(OUTSIDE))).code == 480
        await (await caller.call("112")).hang_up()
    assert [transaction.request.uri.user for transaction in other.rang] == [OUTSIDE, "112"]


async def test_a_customer_may_have_so_many_calls_outside_at_a_time(office: Office) -> None:
    office.exchange.assign(limited(concurrent_calls=1))
    one, two = await office.handset("101"), await office.handset("102")
    async with trunk(office):
        ours = await one.call(OUTSIDE)
        assert (await refused(two.call(OUTSIDE))).code == 480
        await ours.hang_up()
        await until(lambda: not office.exchange.calls)
        await two.call(OUTSIDE)


async def test_calls_that_could_be_forwarded_and_are_not_count_for_no_limit(office: Office) -> None:
    directory = with_number(rings=users("102"), forward_busy=OUTSIDE)
    (served,) = directory.environments
    office.exchange.assign(Directory((replace(served, limits=Limits(concurrent_calls=1, forwarded_calls=1)),)))
    phone, outgoing = await desk_phone(office, "102"), await office.handset("101")
    async with trunk(office) as other:
        await invite(other, NUMBER)
        await outgoing.call(OUTSIDE)  # what came in takes no place on the way out
        phone.answers = lambda transaction: 486
        assert (await refused(invite(other, NUMBER))).code == 480, "the one place outside is taken"
    assert [each.request.uri.user for each in other.rang] == [OUTSIDE]


async def test_a_suspended_customers_calls_are_not_forwarded_outside(office: Office) -> None:
    directory = with_number(rings=users("102"), forward_always=OUTSIDE)
    office.exchange.assign(Directory((replace(directory.environments[0], suspended=True),)))
    caller = await office.handset("101")
    async with trunk(office) as other:
        assert (await refused(caller.call(NUMBER))).code == 403
        assert (await refused(invite(other, NUMBER))).code == 403
    assert other.rang == []


async def test_a_transfer_outside_answers_the_trunks_challenge_and_counts_for_the_limits(office: Office) -> None:
    office.exchange.assign(limited(concurrent_calls=1))
    ours, theirs = await talking(office)
    other = provider()
    other.challenge = 'Digest realm="r", nonce="n", qop="auth"'
    async with trunks(office, other, trunk_1={"username": "callvoip", "password": "geheim"}):
        await ask(theirs, refer(theirs, f"<sip:{OUTSIDE}@{DOMAIN}>"))
        await other.answered()
        assert (await refused((await office.handset("103")).call(OUTSIDE))).code == 480
        await ours.hang_up()


@pytest.mark.parametrize("fails", ["is silent", "answers 503"])
async def test_a_transfer_outside_goes_by_the_next_trunk_and_keeps_it_secure(office: Office, fails: str) -> None:
    ours, theirs = await talking(office)
    first, second = provider(answers=lambda transaction: 503), Provider("provider", "", DOMAIN)
    first.silent = fails == "is silent"
    async with trunks(office, first, second, trunk_2={"srtp": True}):
        await ask(theirs, refer(theirs, f"<sip:{OUTSIDE}@{DOMAIN}>"))
        await until(lambda: bool(second.rang), 10)
        third = await second.answered()
        assert third.suite == "AES_CM_128_HMAC_SHA1_80"
        await ours.hang_up()
        await asyncio.wait_for(third.ended.wait(), 5)
    await office.record()


async def test_when_no_trunk_takes_a_transfer_the_referrer_hears_it_and_the_call_goes_on(office: Office) -> None:
    transferor, caller = await desk_phone(office, "102"), await office.handset("101")
    ours = await caller.call("102")
    theirs = await transferor.answered()
    async with trunks(office, *(provider(answers=lambda transaction: 503) for _ in range(2))):
        await ask(theirs, refer(theirs, f"<sip:{OUTSIDE}@{DOMAIN}>"))
        await until(lambda: "503" in (transferor.progress() or [""])[-1])
        assert not ours.ended.is_set() and not theirs.ended.is_set()
        await ours.hang_up()
    await office.record()


async def test_a_belgian_customer_dials_and_is_called_in_the_belgian_way(office: Office) -> None:
    belgian = replace(
        environment(), country="BE", numbers=(Number(number="+3225550100", rings=users("102")),), limits=Limits()
    )
    office.exchange.assign(Directory((belgian,)))
    phone, caller = await desk_phone(office, "102"), await office.handset("101")
    other = provider()
    async with trunks(office, other, trunk_1={"country": "BE"}):
        await caller.call("02 555 01 99")
        await invite(other, "025550100")
    assert [each.request.uri.user for each in other.rang] == ["+3225550199"]
    assert len(phone.rang) == 1


async def test_a_tel_uri_and_an_sos_urn_are_112(office: Office) -> None:
    for uri in ("tel:112", "urn:service:sos", "urn:service:sos.ambulance"):
        caller = await office.handset("101")
        async with trunk(office) as other:
            await invite(caller, "112", uri=URI.parse(uri))
            assert other.rang[-1].request.headers["Priority"] == "emergency"
            assert other.rang[-1].request.uri.user == "112"
