"""Calls as offices make them: numbers, forks, forwarding, transfers, pick-up, session timers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from media_node.call.directory import Directory
from media_node.probe.phone import Conversation
from media_node.sip.sdp import Direction
from media_node.sip.transaction_layer import ServerTransaction, to_tag
from tests.support.node import DOMAIN
from tests.support.office import (
    CUSTOMER,
    NUMBER,
    DeskPhone,
    Office,
    ask,
    desk_phone,
    environment,
    invite,
    refer,
    refused,
    trunk,
    until,
    users,
    with_number,
)
from tests.support.ruleful_media import RulefulMedia

# Forks.


async def test_the_devices_that_did_not_answer_hear_that_the_call_was_answered_elsewhere(office: Office) -> None:
    others = [await desk_phone(office, "102", answers=lambda transaction: 180) for _ in range(2)]
    caller = await office.handset("101")
    call = asyncio.ensure_future(caller.call("102"))
    await until(lambda: all(phone.rang for phone in others))
    await others[0]._accept(others[0].rang[0])
    await call
    await until(lambda: bool(others[1].reasons))
    assert others[1].reasons == ['SIP;cause=200;text="Call completed elsewhere"']


async def test_one_device_that_declines_for_all_stops_the_others(office: Office) -> None:
    ringing = await desk_phone(office, "102", answers=lambda transaction: 180)
    declining = await desk_phone(office, "102", answers=lambda transaction: 180)
    caller = await office.handset("101")
    call = asyncio.ensure_future(caller.call("102"))
    await until(lambda: bool(ringing.rang and declining.rang))
    declining.rang[0].respond(603)
    assert (await refused(call)).code == 603
    await until(lambda: bool(ringing.reasons))
    assert "cause=603" in ringing.reasons[0]


async def test_one_device_that_is_busy_lets_the_others_ring(office: Office) -> None:
    await desk_phone(office, "102", answers=lambda transaction: 486)
    ringing = await desk_phone(office, "102", answers=lambda transaction: 180)
    caller = await office.handset("101")
    call = asyncio.ensure_future(caller.call("102"))
    await until(lambda: bool(ringing.rang))
    await ringing._accept(ringing.rang[0])
    await call


# Transfers.


async def connected(office: Office) -> tuple[DeskPhone, Conversation, Conversation]:
    """101 has called 102, which will transfer: its phone, and both ends of the call."""
    transferor = await desk_phone(office, "102")
    caller = await desk_phone(office, "101")
    ours = await caller.call("102")
    return transferor, ours, await transferor.answered()


async def test_a_blind_transfer_connects_the_caller_with_the_target(office: Office) -> None:
    transferor, ours, theirs = await connected(office)
    target = await desk_phone(office, "103")
    await theirs.change(Direction.SENDONLY)
    accepted = await ask(theirs, refer(theirs, f"<sip:103@{DOMAIN}>"))
    assert str(accepted.code) + " " + accepted.phrase == "202 Accepted"
    assert accepted.contact, "RFC 3515 section 2.4.2: it makes a dialog"
    third = await target.answered()
    await asyncio.wait_for(theirs.ended.wait(), 5)
    await until(lambda: ours.directions[-1] is Direction.SENDRECV)
    assert transferor.progress()[0] == "SIP/2.0 100 Trying"
    assert transferor.progress()[-1] == "SIP/2.0 200 OK"
    assert not ours.ended.is_set()
    await ours.change(Direction.SENDONLY)
    assert third.directions[-1] is Direction.SENDONLY
    await third.hang_up()
    await asyncio.wait_for(ours.ended.wait(), 5)
    assert (await office.record()).reason == "completed"


async def test_a_transferor_that_hangs_up_at_once_has_still_transferred(office: Office) -> None:
    _, ours, theirs = await connected(office)
    target = await desk_phone(office, "103", answers=lambda transaction: 180)
    await ask(theirs, refer(theirs, f"<sip:103@{DOMAIN}>"))
    await until(lambda: bool(target.rang))
    await theirs.hang_up()
    await asyncio.sleep(0.1)
    assert not ours.ended.is_set()
    await target._accept(target.rang[0])
    third = await target.answered()
    await ours.hang_up()
    await asyncio.wait_for(third.ended.wait(), 5)


async def test_a_transfer_that_fails_leaves_the_call_as_it_was(office: Office) -> None:
    transferor, ours, theirs = await connected(office)
    await desk_phone(office, "103", answers=lambda transaction: 486)
    await ask(theirs, refer(theirs, f"<sip:103@{DOMAIN}>"))
    await until(lambda: transferor.progress()[-1:] == ["SIP/2.0 486 Busy Here"])
    await ours.change(Direction.SENDONLY)
    assert theirs.directions[-1] is Direction.SENDONLY


async def test_a_transfer_to_nobody_says_why(office: Office) -> None:
    transferor, ours, theirs = await connected(office)
    for target, answer in (("104", "480"), ("nobody", "404"), ("102", "482")):
        await ask(theirs, refer(theirs, f"<sip:{target}@{DOMAIN}>"))
        await until(lambda answer=answer: answer in (transferor.progress() or [""])[-1])  # type: ignore[misc]
    assert not ours.ended.is_set() and not theirs.ended.is_set()


async def test_who_hangs_up_while_the_target_rings_ends_that_too(office: Office) -> None:
    _, ours, theirs = await connected(office)
    target = await desk_phone(office, "103", answers=lambda transaction: 180)
    await ask(theirs, refer(theirs, f"<sip:103@{DOMAIN}>"))
    await until(lambda: bool(target.rang))
    await ours.hang_up()
    await until(lambda: bool(target.rang[0].cancelled))
    await office.record()


async def test_an_attended_transfer_joins_the_two_calls(office: Office) -> None:
    transferor, ours, theirs = await connected(office)
    target = await desk_phone(office, "103")
    await theirs.change(Direction.SENDONLY)
    second = await transferor.call("103")
    third = await target.answered()
    assert second.dialog is not None
    replaces = (
        f"{second.dialog.id.call_id}%3Bto-tag%3D{second.dialog.id.remote_tag}%3Bfrom-tag%3D{second.dialog.id.local_tag}"
    )
    assert (await ask(theirs, refer(theirs, f"<sip:103@{DOMAIN}?Replaces={replaces}>"))).code == 202
    await asyncio.wait_for(theirs.ended.wait(), 5)
    await asyncio.wait_for(second.ended.wait(), 5)
    await until(lambda: ours.directions[-1] is Direction.SENDRECV)
    assert transferor.progress()[-1] == "SIP/2.0 200 OK"
    await ours.change(Direction.SENDONLY)
    assert third.directions[-1] is Direction.SENDONLY
    await ours.hang_up()
    await asyncio.wait_for(third.ended.wait(), 5)
    await until(lambda: len(office.records) == 2)
    assert {record.reason for record in office.records} == {"completed", "transferred"}
    assert not office.media.secure


async def test_an_attended_transfer_joins_calls_of_two_workers(office: Office) -> None:
    second_worker = RulefulMedia()
    transferor, ours, theirs = await connected(office)
    target = await desk_phone(office, "103")
    await theirs.change(Direction.SENDONLY)
    office.exchange.media = lambda: second_worker
    second = await transferor.call("103")
    third = await target.answered()
    key = third._secured_with
    assert second.dialog is not None
    ids = second.dialog.id
    replaces = f"{ids.call_id}%3Bto-tag%3D{ids.remote_tag}%3Bfrom-tag%3D{ids.local_tag}"
    assert (await ask(theirs, refer(theirs, f"<sip:103@{DOMAIN}?Replaces={replaces}>"))).code == 202
    await asyncio.wait_for(theirs.ended.wait(), 5)
    await until(lambda: ours.directions[-1] is Direction.SENDRECV and third._secured_with != key)
    await ours.hang_up()
    await asyncio.wait_for(third.ended.wait(), 5)
    await until(lambda: len(office.records) == 2)
    assert not office.media.secure and not second_worker.secure


async def test_an_attended_transfer_of_a_call_that_is_no_more_is_a_blind_one(office: Office) -> None:
    _, ours, theirs = await connected(office)
    target = await desk_phone(office, "103")
    await ask(theirs, refer(theirs, f"<sip:103@{DOMAIN}?Replaces=gone%3Bto-tag%3Da%3Bfrom-tag%3Db>"))
    await target.answered()
    await asyncio.wait_for(theirs.ended.wait(), 5)
    assert not ours.ended.is_set()


async def test_an_invite_with_replaces_takes_a_partys_place(office: Office) -> None:
    _, ours, theirs = await connected(office)
    newcomer = await desk_phone(office, "103")
    call = next(iter(office.exchange.calls.values()))
    dialog = next(party.dialog for party in call.parties.values() if party.username == f"{CUSTOMER}-102")
    replaces = f"{dialog.id.call_id};to-tag={dialog.id.local_tag};from-tag={dialog.id.remote_tag}"
    third = await invite(newcomer, "102", Replaces=replaces)
    await asyncio.wait_for(theirs.ended.wait(), 5)
    await ours.change(Direction.SENDONLY)
    assert third.directions[-1] is Direction.SENDONLY


async def test_replaces_names_no_dialog_of_another_customer(office: Office) -> None:
    _, ours, _ = await connected(office)
    newcomer = await desk_phone(office, "103")
    refusal = await refused(invite(newcomer, "102", Replaces="nothing;to-tag=a;from-tag=b"))
    assert refusal.code == 481
    assert not ours.ended.is_set()


# Pick-up.


@pytest.mark.parametrize("code", ["*8102", "*8"])
async def test_a_ringing_call_is_picked_up(office: Office, code: str) -> None:
    ringing = await desk_phone(office, "102", answers=lambda transaction: 180)
    caller = await desk_phone(office, "101")
    call = asyncio.ensure_future(caller.call("102"))
    await until(lambda: bool(ringing.rang))
    colleague = await desk_phone(office, "103")
    picked = await colleague.call(code)
    ours = await call
    await until(lambda: bool(ringing.reasons))
    await ours.change(Direction.SENDONLY)
    assert picked.directions[-1] is Direction.SENDONLY
    await picked.hang_up()
    await asyncio.wait_for(ours.ended.wait(), 5)


async def test_nothing_to_pick_up_is_said(office: Office) -> None:
    colleague = await desk_phone(office, "103")
    assert (await refused(colleague.call("*8"))).code == 404


# Session timers.


async def test_the_node_takes_part_in_session_timers_and_refreshes(office: Office) -> None:
    await desk_phone(office, "102")
    caller = await desk_phone(office, "101")
    ours = await invite(caller, "102", Session_Expires="90;refresher=uas", Supported="timer")
    assert ours.headers.get("Session-Expires") == "90;refresher=uas"  # type: ignore[attr-defined]
    call = next(iter(office.exchange.calls.values()))
    for party in call.parties.values():
        call.supervision._refresh(party)
    await until(lambda: any(request.method in ("INVITE", "UPDATE") and to_tag(request) for request in caller.seen))


async def test_an_interval_that_is_too_small_is_refused_with_the_least(office: Office) -> None:
    await desk_phone(office, "102")
    caller = await desk_phone(office, "101")
    assert (await refused(invite(caller, "102", Session_Expires="30", Supported="timer"))).code == 422


# Forwarding and numbers: a trunk that calls and is called.


async def test_a_call_from_outside_rings_the_phones_of_the_number(office: Office) -> None:
    office.exchange.assign(with_number(rings=users("101", "102", "103")))
    phones = [await desk_phone(office, each, answers=lambda transaction: 180) for each in ("101", "102", "103")]
    async with trunk(office) as provider:
        call = asyncio.ensure_future(
            invite(provider, NUMBER, P_Asserted_Identity='"J. Jansen" <sip:+31612345678@provider.example.nl>')
        )
        await until(lambda: all(phone.rang for phone in phones))
        assert phones[0].rang[0].request.from_address.uri.user == "+31612345678"
        assert phones[0].rang[0].request.from_address.name == "J. Jansen"
        await phones[1]._accept(phones[1].rang[0])
        outside = await call
        inside = await phones[1].answered()
        assert (outside.suite, inside.suite) == (None, "AES_CM_128_HMAC_SHA1_80")
        await until(lambda: bool(phones[0].reasons and phones[2].reasons))
        await outside.hang_up()
        await asyncio.wait_for(inside.ended.wait(), 5)
    record = await office.record()
    assert (record.caller, record.called, record.customer_id) == ("+31612345***", "+31201230***", CUSTOMER)


@pytest.mark.parametrize("privacy", ["id", "user;id", "header", "critical"])
async def test_a_caller_outside_who_asked_not_to_be_shown_is_not(office: Office, privacy: str) -> None:
    office.exchange.assign(with_number(rings=users("101")))
    phone = await desk_phone(office, "101")
    async with trunk(office) as provider:
        caller = '"J. Jansen" <sip:+31612345678@provider.example.nl>'
        await (await invite(provider, NUMBER, P_Asserted_Identity=caller, Privacy=privacy)).hang_up()
    rang = phone.rang[0].request
    assert "31612345678" not in str(rang.headers) and "Jansen" not in str(rang.headers)
    assert rang.from_address.uri.host == "anonymous.invalid"
    assert (await office.record()).caller == "anonymous"


@pytest.mark.parametrize("dialled", ["+31209999999", "101", "abc", "112"])
async def test_a_call_from_outside_for_a_number_of_nobody_is_refused(office: Office, dialled: str) -> None:
    office.exchange.assign(with_number(rings=users("101")))
    await desk_phone(office, "101")
    async with trunk(office) as provider:
        assert (await refused(invite(provider, dialled))).code == 404


async def test_phones_ring_in_order(office: Office) -> None:
    office.exchange.assign(with_number(rings=users("101", "102"), together=False, ring_seconds=0.3))
    first = await desk_phone(office, "101", answers=lambda transaction: 180)
    second = await desk_phone(office, "102")
    async with trunk(office) as provider:
        await invite(provider, NUMBER)
        await second.answered()
        assert first.rang[0].cancelled


@pytest.mark.parametrize(
    ("options", "answers", "reason"),
    [
        ({"forward_always": "+31301112233"}, 200, "unconditional"),
        ({"forward_busy": "+31301112233"}, 486, "user-busy"),
        ({"forward_no_answer": "+31301112233", "no_answer_seconds": 0.3}, 180, "no-answer"),
    ],
)
async def test_a_number_is_forwarded_and_says_by_whom(
    office: Office, options: dict[str, Any], answers: int, reason: str
) -> None:
    office.exchange.assign(with_number(rings=users("102"), **options))
    await desk_phone(office, "102", answers=lambda transaction: answers)
    caller = await office.handset("101")
    async with trunk(office) as provider:
        ours = await caller.call(NUMBER)
        theirs = await provider.answered()
        asked = provider.rang[0].request
        assert asked.uri.user == "+31301112233"
        assert f"{NUMBER}@" in asked.headers["Diversion"] and f"reason={reason}" in asked.headers["Diversion"]
        assert "index=1.1" in asked.headers["History-Info"]
        assert (ours.suite, theirs.suite) == ("AES_CM_128_HMAC_SHA1_80", None)
        await theirs.hang_up()
        await asyncio.wait_for(ours.ended.wait(), 5)


async def test_a_phone_that_redirects_forwards_at_its_own_account(office: Office) -> None:
    phone = await desk_phone(office, "102", answers=lambda transaction: 180)
    caller = await office.handset("101")
    async with trunk(office) as provider:
        call = asyncio.ensure_future(caller.call("102"))
        await until(lambda: bool(phone.rang))
        phone.rang[0].respond(302, Contact="<sip:0612345678@example.org>")
        await call
        await provider.answered()
        asked = provider.rang[0].request
        assert asked.uri.user == "+31612345678"
        assert "reason=deflection" in asked.headers["Diversion"]


async def test_phones_that_redirect_to_each_other_do_not_ring_for_ever(office: Office) -> None:
    caller = await office.handset("101")
    for extension, to in (("102", "103"), ("103", "102")):
        phone = await desk_phone(office, extension, answers=lambda transaction: 180)

        def redirects(transaction: ServerTransaction, to: str = to) -> int:
            asyncio.get_running_loop().call_soon(lambda: transaction.respond(302, Contact=f"<sip:{to}@{DOMAIN}>"))
            return 180

        phone.answers = redirects
    refusal = await refused(caller.call("102"))
    assert refusal.code in (480, 482)


async def test_a_phone_may_not_redirect_where_it_may_not_call(office: Office) -> None:
    phone = await desk_phone(office, "102", answers=lambda transaction: 180)
    caller = await office.handset("101")
    call = asyncio.ensure_future(caller.call("102"))
    await until(lambda: bool(phone.rang))
    phone.rang[0].respond(302, Contact=f"<sip:zz999-201@{DOMAIN}>")
    assert (await refused(call)).code in (403, 404)


async def test_a_suspended_customer_calls_colleagues_and_no_one_outside(office: Office) -> None:
    office.exchange.assign(Directory((replace(environment(), suspended=True),)))
    await desk_phone(office, "102")
    caller = await office.handset("101")
    async with trunk(office) as provider:
        assert (await refused(caller.call("0201112233"))).code == 403
        await caller.call("102")
        await caller.call("112")
        assert provider.rang[0].request.headers["Priority"] == "emergency"
