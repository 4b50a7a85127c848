"""A phone that loses its connection while it rings is not out of the call (RFC 5626): it comes back and rings again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from media_node.call import returning
from media_node.call.directory import Directory
from media_node.sip.headers import Request, Response
from media_node.sip.transaction_layer import ServerTransaction
from tests.support.node import DOMAIN
from tests.support.office import (
    CUSTOMER,
    NUMBER,
    PASSWORD,
    DeskPhone,
    Office,
    desk_phone,
    environment,
    invite,
    refused,
    trunk,
    until,
    users,
    with_number,
)

OUTSIDE = "+31301112233"


class Patient(DeskPhone):
    """It only rings, and notices nothing when its connection is gone."""

    def lost(self, connection: object) -> None:
        pass


async def patient(office: Office, extension: str, answers: int = 180) -> Patient:
    phone = Patient(f"{CUSTOMER}-{extension}", PASSWORD, DOMAIN, answers=lambda transaction: answers)
    office.handsets.append(phone)
    await connects(office, phone)
    return phone


async def connects(office: Office, phone: DeskPhone, answers: int | None = None) -> None:
    if answers is not None:
        phone.answers = lambda transaction: answers
    await phone.connect("127.0.0.1", office.port, office.certificates.client_context())
    await phone.register()


async def rings(phone: DeskPhone, times: int = 1) -> ServerTransaction:
    await until(lambda: len(phone.rang) >= times)
    return phone.rang[times - 1]


async def loses_its_connection(office: Office, phone: DeskPhone) -> None:
    phone.connection.close()
    await until(lambda: not office.exchange.registrar.lookup(phone.username, asyncio.get_running_loop().time()))


async def test_a_phone_that_comes_back_rings_again_and_answers(office: Office) -> None:
    callee = await patient(office, "102")
    caller = await office.handset("101")
    call = asyncio.ensure_future(caller.call("102"))
    await rings(callee)
    await loses_its_connection(office, callee)
    await asyncio.sleep(0.1)
    assert not call.done(), "it may come back"
    await connects(office, callee, answers=200)
    ours = await call
    theirs = await callee.answered()
    assert (await rings(callee, 2)).request.call_id != (await rings(callee)).request.call_id
    await ours.hang_up()
    await asyncio.wait_for(theirs.ended.wait(), 5)
    assert (await office.record()).reason == "completed"


class Heard:
    """All that a phone is sent."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def received(self, connection: object, message: Request | Response) -> None:
        if isinstance(message, Request):
            self.requests.append(message)

    def sent(self, connection: object, message: object) -> None:
        """Not looked at."""


async def test_it_stops_ringing_for_what_it_rang_for_before(office: Office) -> None:
    callee = await patient(office, "102")
    caller = await office.handset("101")
    call = asyncio.ensure_future(caller.call("102"))
    first = (await rings(callee)).request
    await loses_its_connection(office, callee)
    heard = Heard()
    callee.transactions.trace = heard  # type: ignore[assignment]
    await connects(office, callee)
    await rings(callee, 2)
    stop = next(each for each in heard.requests if each.method == "CANCEL")
    assert stop.call_id == first.call_id
    assert stop.headers["Via"].partition(";rport")[0] == first.headers["Via"].partition(";rport")[0]
    assert "Call completed elsewhere" in stop.headers["Reason"], "no missed call is listed"
    call.cancel()


async def test_a_phone_that_registered_anew_before_its_old_connection_was_known_to_be_dead_rings_at_once(
    office: Office,
) -> None:
    """As behind a router that restarted: the registration closes the old connection."""
    callee = await patient(office, "102")
    caller = await office.handset("101")
    call = asyncio.ensure_future(caller.call("102"))
    await rings(callee)
    await connects(office, callee, answers=200)
    await call
    await callee.answered()
    assert len(callee.rang) == 2


async def test_the_others_go_on_ringing_and_one_of_them_answers(office: Office) -> None:
    office.exchange.assign(with_number(rings=users("102", "103")))
    lost, other = await patient(office, "102"), await desk_phone(office, "103", answers=lambda transaction: 180)
    async with trunk(office) as provider:
        call = asyncio.ensure_future(invite(provider, NUMBER))
        await rings(lost)
        ringing = await rings(other)
        await loses_its_connection(office, lost)
        await connects(office, lost)
        await rings(lost, 2)
        assert len(other.rang) == 1 and not ringing.answered, "who rings is not disturbed"
        await other._accept(ringing)
        await call
        await until(lambda: "Call completed elsewhere" in "".join(lost.reasons))


@pytest.mark.parametrize("alone", [True, False])
async def test_one_that_does_not_come_back_counts_as_one_that_is_not_there(
    office: Office, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    monkeypatch.setattr(returning, "EARLY_FLOW_TIMEOUT", 0.3)
    called = ("102",) if alone else ("102", "103")
    office.exchange.assign(with_number(rings=users(*called), forward_no_answer=OUTSIDE, no_answer_seconds=60))
    callee = await patient(office, "102")
    if not alone:
        await desk_phone(office, "103", answers=lambda transaction: 480)
    caller = await office.handset("101")
    async with trunk(office) as provider:
        call = asyncio.ensure_future(caller.call(NUMBER))
        await rings(callee)
        await loses_its_connection(office, callee)
        await call
        asked = (await rings(provider)).request
        assert asked.uri.user == OUTSIDE
        reason = "unavailable" if alone else "no-answer"
        assert f"reason={reason}" in asked.headers["Diversion"], "nobody who was there let it ring"


async def test_without_anybody_else_the_caller_hears_that_it_is_gone(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(returning, "EARLY_FLOW_TIMEOUT", 0.3)
    callee = await patient(office, "102")
    caller = await office.handset("101")
    call = asyncio.ensure_future(caller.call("102"))
    await rings(callee)
    await loses_its_connection(office, callee)
    assert (await refused(call)).code == 480


async def test_the_time_that_was_chosen_is_not_lengthened(office: Office) -> None:
    office.exchange.assign(with_number(rings=users("102"), forward_no_answer=OUTSIDE, no_answer_seconds=0.6))
    callee = await patient(office, "102")
    caller = await office.handset("101")
    async with trunk(office) as provider:
        call = asyncio.ensure_future(caller.call(NUMBER))
        await rings(callee)
        await loses_its_connection(office, callee)
        await call
        assert (await rings(provider)).request.uri.user == OUTSIDE


async def test_a_caller_who_gives_up_leaves_nothing_that_waits(office: Office) -> None:
    callee = await patient(office, "102")
    caller = await office.handset("101")
    call = asyncio.ensure_future(caller.call("102"))
    await rings(callee)
    await loses_its_connection(office, callee)
    caller.connection.close()
    office.exchange.assign(Directory((replace(environment(), phones=()),)))
    call.cancel()
    await connects_in_vain(office, callee)


async def connects_in_vain(office: Office, phone: DeskPhone) -> None:
    await phone.connect("127.0.0.1", office.port, office.certificates.client_context())
    assert (await refused(phone.register())).code == 403
