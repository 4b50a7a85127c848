"""A phone that comes to a standby waits for it to take over, as the RFCs would have it away for a minute otherwise."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import pytest_asyncio

from media_node.call import registration
from media_node.call.directory import Directory, Role
from media_node.probe.phone import Phone as Handset
from media_node.probe.phone import RequestRefused
from tests.support.office import Office, talking, until


def give(office: Office, role: Role) -> None:
    """As the node does when it has read its assignments."""
    environments = tuple(replace(one, role=role) for one in office.exchange.directory.environments)
    office.exchange.assign(Directory(environments))
    office.exchange.looked()


@pytest_asyncio.fixture
async def standby(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """It has never served the phones, or long ago."""
    monkeypatch.setattr(registration, "HANDED_OVER_SECONDS", 0)
    give(office, Role.STANDBY)
    return office


async def registering(office: Office) -> tuple[Handset, asyncio.Task[None]]:
    phone = await office.handset("101", register=False)
    task = asyncio.create_task(phone.register())
    await until(lambda: bool(office.exchange._registrations._expectant) or task.done())
    return phone, task


async def test_it_is_registered_as_soon_as_the_node_serves_it(standby: Office) -> None:
    phone, task = await registering(standby)
    standby.exchange.looked()
    await asyncio.sleep(0)
    assert not task.done(), "nobody serves it yet"
    give(standby, Role.PRIMARY)
    await asyncio.wait_for(task, 10)
    assert standby.exchange.registrar.lookup(phone.username, asyncio.get_running_loop().time())


@pytest.mark.parametrize("why", ["in vain", "drained", "its environment left", "removed"])
async def test_it_is_refused_when_there_is_nothing_to_wait_for(
    standby: Office, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(registration, "TAKEOVER_SECONDS", 0.3 if why == "in vain" else 600)
    _, task = await registering(standby)
    match why:
        case "in vain":
            await asyncio.sleep(0.4)
        case "drained":
            standby.exchange.draining = True
        case "its environment left":
            standby.exchange.assign(Directory())
        case "removed":
            [one] = standby.exchange.directory.environments
            standby.exchange.assign(Directory((replace(one, phones=one.phones[1:]),)))
    standby.exchange.looked()
    with pytest.raises(RequestRefused) as refused:
        await asyncio.wait_for(task, 10)
    assert refused.value.code == (403 if why == "removed" else 503)


async def test_the_node_that_handed_it_over_sends_it_on_at_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.handset("101")
    give(office, Role.STANDBY)
    _, task = await registering(office)
    with pytest.raises(RequestRefused) as refused:
        await asyncio.wait_for(task, 10)
    assert refused.value.code == 503
    monkeypatch.setattr(registration, "HANDED_OVER_SECONDS", 0)  # some time later it may be the next to take over
    _, task = await registering(office)
    give(office, Role.PRIMARY)
    await asyncio.wait_for(task, 10)


async def test_a_phone_that_hangs_up_is_waited_for_no_longer(standby: Office) -> None:
    phone, task = await registering(standby)
    phone.connection.close()
    await until(lambda: not standby.exchange._registrations._expectant)
    task.cancel()


async def test_phones_in_a_call_are_sent_on_when_it_is_over(office: Office) -> None:
    ours, theirs = await talking(office)
    caller, callee = office.handsets[1], office.handsets[0]
    idle = await office.handset("103")
    give(office, Role.STANDBY)
    await until(lambda: idle.connection.closed)
    office.exchange.looked()
    await asyncio.sleep(0.1)
    assert not caller.connection.closed and not callee.connection.closed
    assert not ours.ended.is_set() and not theirs.ended.is_set()
    await ours.hang_up()
    await until(lambda: caller.connection.closed and callee.connection.closed)


async def test_a_phone_whose_environment_has_left_is_sent_on_and_counts_as_no_guesser(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await office.handset("101")
    office.exchange.assign(Directory())
    await until(lambda: before.connection.closed)
    phone = await office.handset("101", register=False)
    for _ in range(20):
        with pytest.raises(RequestRefused) as refused:
            await phone.register()
        assert refused.value.code == 503
    monkeypatch.setattr(registration, "DEPARTED_SECONDS", 0)  # it was long ago
    with pytest.raises(RequestRefused) as refused:
        await phone.register()
    assert refused.value.code == 403


async def test_a_phone_whose_environment_has_ended_is_refused(office: Office) -> None:
    phone = await office.handset("101")
    give(office, Role.STANDBY)
    ended = tuple(replace(one, served=False) for one in office.exchange.directory.environments)
    office.exchange.assign(Directory(ended))
    office.exchange.assign(Directory())
    again = await office.handset(phone.username.partition("-")[2], register=False)
    with pytest.raises(RequestRefused) as refused:
        await again.register()
    assert refused.value.code == 403
