"""The daily check of 112 and the limits that are told once a day, without a call."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from media_node.call.directory import Directory, Environment, Limits, Number, Site
from media_node.call.emergency_check import check
from media_node.call.notices import Notice, Notices
from media_node.control.heartbeat import report
from tests.support.node import DOMAIN
from tests.support.office import NUMBER, Office, Provider, environment, refused, trunk, trunks

TODAY = date(2026, 11, 26)
SITE = Site(id="1", street="Dorpsstraat", house_number="12 bis", postcode="1234 AB", city="Utrecht", country="NL")
WHOLE = replace(environment(), sites=(SITE,), numbers=(Number(number=NUMBER),))


def found(office: Office, each: Environment, *, route: bool = True) -> set[Notice]:
    office.exchange.assign(Directory((each,)))
    return set(check(each, office.exchange.outside.location, route=route, today=TODAY).failed)


@pytest.mark.parametrize(
    ("changed", "failed"),
    [
        ({}, set()),
        ({"sites": ()}, {Notice.EMERGENCY_ADDRESS}),
        ({"sites": (replace(SITE, house_number=""),)}, {Notice.EMERGENCY_ADDRESS}),
        ({"sites": (replace(SITE, city="  "),)}, {Notice.EMERGENCY_ADDRESS}),
        ({"sites": (SITE, replace(SITE, id="2"))}, {Notice.EMERGENCY_ADDRESS}),
        ({"numbers": ()}, set()),
        ({"numbers": (Number(number="+31"),)}, {Notice.EMERGENCY_NUMBER}),
    ],
)
async def test_the_check_says_what_112_would_lack(office: Office, changed: dict[str, object], failed: set[str]) -> None:
    assert found(office, replace(WHOLE, **changed)) == failed  # type: ignore[arg-type]


async def test_a_phone_at_one_of_several_places_is_found_there(office: Office) -> None:
    phones = tuple(replace(phone, site="2") for phone in WHOLE.phones)
    there = replace(WHOLE, phones=phones, sites=(SITE, replace(SITE, id="2")))
    assert found(office, there) == set()
    assert found(office, there, route=False) == {Notice.EMERGENCY_ROUTE}


async def test_the_daily_check_asks_the_trunks_and_calls_nobody(office: Office) -> None:
    office.exchange.assign(Directory((WHOLE,)))
    outside = office.exchange.outside
    provider = Provider("provider", "", DOMAIN, ())
    async with trunks(office, provider):
        await outside.check_emergency()
        assert not outside.checked[WHOLE.environment_id].failed
        provider.silent = True
        provider.connections[-1].receiver = type("Deaf", (), {"received": lambda *_: None, "lost": lambda *_: None})()
        await outside.check_emergency()
        assert not outside.checked[WHOLE.environment_id].failed, "once a day"
        office.exchange.assign(Directory((replace(WHOLE, version=2),)))
        await outside.check_emergency()
        assert outside.checked[WHOLE.environment_id].failed == {Notice.EMERGENCY_ROUTE}, "and after a change"
        assert not provider.rang
    said = report((WHOLE,), {}, outside.checked, outside.notices)[WHOLE.environment_id]
    assert said["emergency"]["ok"] is False
    assert list(said["notices"]) == ["emergencyRoute"]


async def test_a_limit_that_is_reached_is_reported_once_a_day_and_112_never(office: Office) -> None:
    news: list[bool] = []
    outside = office.exchange.outside
    outside.on_notice = lambda: news.append(True)
    limits = Limits(destinations=frozenset({"national"}), calls_per_minute=1)
    async with trunk(office):
        office.exchange.assign(Directory((replace(WHOLE, limits=limits),)))
        caller = await office.handset("101")
        for _ in range(3):
            assert (await refused(caller.call("+12025550123"))).code == 403
        assert outside.notices.of(WHOLE.customer_id).keys() == {"limitDestinations"} and len(news) == 1
        await caller.call("+31301112233")
        await refused(caller.call("+31301112233"))
        assert len(news) == 2
        await caller.call("112")
        assert len(news) == 2


def test_a_day_is_new_once() -> None:
    notices = Notices()
    assert notices.note("abc234", [Notice.DESTINATIONS], TODAY)
    assert not notices.note("abc234", [Notice.DESTINATIONS], TODAY)
    assert notices.note("abc234", [Notice.DESTINATIONS], date(2026, 11, 27))
    assert notices.of("abc234") == {"limitDestinations": "2026-11-27"} and notices.of("other") == {}
