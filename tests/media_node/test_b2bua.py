"""Calls through the exchange over real TLS, with phones of our own and a media worker that only keeps the rules of the
protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from media_node.call import registration, supervision
from media_node.call.directory import Directory, Phone
from media_node.call.events import Cancelled, Event, Heard
from media_node.probe.phone import RequestRefused
from media_node.sip.digest import Algorithm
from media_node.sip.grammar import URI
from media_node.sip.headers import Request, Response
from media_node.sip.message import reply
from media_node.sip.sdp import Direction, Session, attach
from media_node.sip.transaction_layer import ClientTransaction
from media_node.sip.transport import Connection
from tests.support.node import DOMAIN
from tests.support.office import CUSTOMER, Office, environment, refused, talking, until


async def test_a_phone_whose_password_was_just_handed_out_waits_for_the_next_look(office: Office) -> None:
    complete = environment()
    office.exchange.assign(
        Directory((replace(complete, phones=tuple(replace(phone, ha1={}) for phone in complete.phones)),))
    )
    phone = await office.handset("101", register=False)
    office.exchange.will_look(60)
    registering = asyncio.ensure_future(phone.register())
    await until(lambda: bool(office.exchange._registrations._refused))
    assert not registering.done()
    office.exchange.assign(Directory((complete,)))
    office.exchange.looked()
    await registering


async def test_a_phone_without_a_password_is_refused_once_the_node_has_looked(office: Office) -> None:
    complete = environment()
    office.exchange.assign(
        Directory((replace(complete, phones=tuple(replace(phone, ha1={}) for phone in complete.phones)),))
    )
    phone = await office.handset("101", register=False)
    office.exchange.will_look(60)
    registering = asyncio.ensure_future(phone.register())
    await until(lambda: bool(office.exchange._registrations._refused))
    office.exchange.looked()
    assert (await refused(registering)).code == 403


async def test_how_long_a_refusal_takes_tells_nobody_which_accounts_there_are(office: Office) -> None:
    """A wrong password, nobody's name, a phone without a password yet, one whose environment has just left: all wait for one look."""
    complete = environment()
    left = replace(complete.phones[0], username="zzz999-101", customer_id="zzz999")
    gone = replace(complete, environment_id="zzz999", customer_id="zzz999", phones=(left,))
    office.exchange.assign(Directory((complete, gone)))
    first, *others = complete.phones
    office.exchange.assign(Directory((replace(complete, phones=(replace(first, ha1={}), *others)),)))
    office.exchange.will_look(60)
    guesses = {"101": CUSTOMER, "102": CUSTOMER, "999": CUSTOMER, "777": "qqq777"}
    guessers = [
        await office.handset(name, register=False, password="ander", customer=of) for name, of in guesses.items()
    ]
    guessers.append(await office.handset("101", register=False, password="ander", customer="zzz999"))
    registering = [asyncio.ensure_future(each.register()) for each in guessers]
    await until(lambda: len(office.exchange._registrations._refused) == len(guessers))
    assert not any(each.done() for each in registering)
    office.exchange.looked()
    answers = [await refused(each) for each in registering]
    assert {(each.code, each.phrase) for each in answers} == {(403, "Forbidden")}


async def test_a_refusal_waits_for_no_look_that_does_not_come(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.exchange.will_look(0.2)
    assert (await refused(office.handset("101", password="ander"))).code == 403
    office.exchange.will_look(60)
    monkeypatch.setattr(registration, "MAX_REFUSED", 1)
    one = asyncio.ensure_future(office.handset("102", password="ander"))
    await until(lambda: bool(office.exchange._registrations._refused))
    assert (await refused(office.handset("999"))).code == 403, "there is room for no more"
    office.exchange.looked()
    assert (await refused(one)).code == 403


async def test_what_waits_for_a_look_is_forgotten_with_its_connection(office: Office) -> None:
    office.exchange.will_look(60)
    phone = await office.handset("101", register=False, password="ander")
    registering = asyncio.ensure_future(phone.register())
    await until(lambda: bool(office.exchange._registrations._refused))
    phone.connection.close()
    await until(lambda: not office.exchange._registrations._refused)
    registering.cancel()


async def test_a_call_is_answered_hung_up_and_recorded(office: Office) -> None:
    ours, theirs = await talking(office)
    (call,) = office.media.secure
    assert office.media.secure[call] == {"a": True, "b": True}
    await ours.hang_up()
    await theirs.ended.wait()
    record = await office.record()
    assert (record.reason, record.caller, record.called) == ("completed", "101", "102")
    assert record.answered_at is not None
    assert [leg.suite for leg in record.legs] == ["AES_CM_128_HMAC_SHA1_80"] * 2


async def test_the_called_side_may_hang_up_too(office: Office) -> None:
    ours, theirs = await talking(office)
    await theirs.hang_up()
    await asyncio.wait_for(ours.ended.wait(), 5)
    assert (await office.record()).reason == "completed"


async def test_the_called_phone_sees_its_colleagues_extension_and_no_address(office: Office) -> None:
    _, theirs = await talking(office)
    invite = theirs.phone.rang[0].request
    assert invite.from_address.uri == URI("sip", DOMAIN, user="101")
    assert invite.headers["Max-Forwards"] == "69"
    assert b"192." not in invite.body


async def test_hold_and_resume_reach_the_other_side(office: Office) -> None:
    ours, theirs = await talking(office)
    for direction in (Direction.SENDONLY, Direction.SENDRECV, Direction.INACTIVE, Direction.SENDRECV):
        await ours.change(direction)
        assert theirs.directions[-1] is direction
        assert ours.directions[-1] is direction.reversed
    (call,) = office.media.secure
    assert [leg.direction for leg in office.media.legs[call, "a"]] == [
        "sendrecv",
        "sendonly",
        "sendrecv",
        "inactive",
        "sendrecv",
    ]
    assert len({leg.crypto.send_key for leg in office.media.legs[call, "a"] if leg.crypto}) == 1


async def test_the_called_side_may_hold(office: Office) -> None:
    ours, theirs = await talking(office)
    await theirs.change(Direction.SENDONLY)
    assert ours.directions[-1] is Direction.SENDONLY


async def test_a_re_invite_that_drops_srtp_is_refused_and_the_call_goes_on(office: Office) -> None:
    ours, theirs = await talking(office)
    refusal = await refused(ours.change(Direction.SENDRECV, suites=()))
    assert refusal.code == 488
    assert not theirs.ended.is_set()
    await ours.change(Direction.SENDONLY)


async def test_a_re_invite_without_an_offer_is_offered_what_was_said_before(office: Office) -> None:
    ours, _ = await talking(office)
    assert ours.dialog is not None
    request = ours.dialog.request("INVITE", ours.phone.contact)
    response = await ours.phone.invite(ours.connection, request)
    assert b"m=audio" in response.body
    ack = ours.dialog.request("ACK", ours.phone.contact, request.cseq.sequence)
    ack.headers.set("Content-Type", "application/sdp")
    ack.body = str(ours.description((ours.suite.value,) if ours.suite else ())).encode()
    ours.phone.transactions.acknowledge(ours.connection, ack)
    await ours.change(Direction.SENDONLY)


async def test_options_info_and_update_are_answered_within_a_call(office: Office) -> None:
    ours, theirs = await talking(office)
    assert ours.dialog is not None
    for method, status in (("OPTIONS", 200), ("INFO", 200), ("UPDATE", 200), ("REFER", 400), ("PUBLISH", 405)):
        response = await ours.phone.transactions.ask(ours.connection, ours.dialog.request(method, ours.phone.contact))
        assert (method, response.code) == (method, status)
    assert not theirs.ended.is_set()


async def test_an_update_with_an_offer_holds_the_call(office: Office) -> None:
    ours, theirs = await talking(office)
    assert ours.dialog is not None and ours.suite is not None
    request = ours.dialog.request("UPDATE", ours.phone.contact)
    request.headers.set("Content-Type", "application/sdp")
    ours._direction = Direction.SENDONLY
    request.body = str(ours.description((ours.suite.value,))).encode()
    response = await ours.phone.transactions.ask(ours.connection, request)
    assert response.code == 200
    assert b"a=recvonly" in response.body
    assert theirs.directions[-1] is Direction.SENDONLY


async def test_a_cancelled_call_stops_ringing(office: Office) -> None:
    callee = await office.handset("102", answers=lambda transaction: 180)
    caller = await office.handset("101")
    conversation = await caller.call("102", wait=False)
    await until(lambda: bool(callee.rang))
    assert conversation.client is not None
    conversation.client.cancel()
    await until(lambda: callee.rang[0].cancelled)
    record = await office.record()
    assert record.reason == "487 Cancelled"
    assert record.answered_at is None


@pytest.mark.parametrize("status", [486, 603, 404, 480])
async def test_a_refusal_of_the_called_phone_reaches_the_caller(office: Office, status: int) -> None:
    await office.handset("102", answers=lambda transaction: status)
    caller = await office.handset("101")
    assert (await refused(caller.call("102"))).code == status
    assert (await office.record()).answered_at is None


@pytest.mark.parametrize("status", [488, 606])
async def test_a_phone_that_refuses_sdes_is_asked_again_with_dtls_and_then_believed(
    office: Office, status: int
) -> None:
    callee = await office.handset("102", answers=lambda transaction: status)
    caller = await office.handset("101")
    assert (await refused(caller.call("102"))).code == status
    offers = [transaction.request.body.decode() for transaction in callee.rang]
    assert [("RTP/SAVP" in offer, "a=crypto:" in offer, "a=fingerprint:sha-256" in offer) for offer in offers] == [
        (True, True, False),
        (True, False, True),
    ]
    assert "UDP/TLS/RTP/SAVP" in offers[1]
    assert callee.rang[0].request.headers["Call-ID"] != callee.rang[1].request.headers["Call-ID"]
    assert (await office.record()).answered_at is None


async def test_all_phones_of_a_user_ring_and_the_first_to_answer_has_the_call(office: Office) -> None:
    ringing = await office.handset("102", answers=lambda transaction: 180)
    answering = await office.handset("102")
    caller = await office.handset("101")
    await caller.call("102")
    await answering.answered()
    await until(lambda: bool(ringing.rang) and ringing.rang[0].cancelled)


async def test_a_phone_that_is_not_registered_cannot_be_reached(office: Office) -> None:
    caller = await office.handset("101")
    assert (await refused(caller.call("102"))).code == 480


@pytest.mark.parametrize(
    ("suites", "text"), [((), "SRTP is required"), (("F8_128_HMAC_SHA1_80",), "F8_128_HMAC_SHA1_80 is not supported")]
)
@pytest.mark.promise("srtp-verplicht")
async def test_a_phone_without_usable_srtp_is_told_why(office: Office, suites: tuple[str, ...], text: str) -> None:
    await office.handset("102")
    caller = await office.handset("101")
    refusal = await refused(caller.call("102", suites=suites))
    assert refusal.code == 488
    assert text in refusal.warning


@pytest.mark.promise("srtp-verplicht")
async def test_a_called_phone_that_answers_without_srtp_ends_the_call(office: Office) -> None:
    callee = await office.handset("102", suites=())
    caller = await office.handset("101")
    assert (await refused(caller.call("102"))).code == 488
    theirs = await callee.answered()
    await asyncio.wait_for(theirs.ended.wait(), 5)


async def test_an_environment_without_srtp_calls_in_plain_rtp(office: Office) -> None:
    office.exchange.assign(Directory((environment(encrypted=False),)))
    await office.handset("102", suites=())
    caller = await office.handset("101", suites=())
    await caller.call("102")
    assert list(office.media.secure.values()) == [{"a": False, "b": False}]


async def test_a_wrong_password_and_an_unknown_user_are_refused_alike(office: Office) -> None:
    wrong = await refused(office.handset("101", password="ander"))
    unknown = await refused(office.handset("999"))
    assert (wrong.code, wrong.phrase) == (unknown.code, unknown.phrase) == (403, "Forbidden")


async def test_who_keeps_guessing_waits_ever_longer_and_nobody_else_does(office: Office) -> None:
    registered = await office.handset("101")
    guesser = await office.handset("101", register=False, password="ander")
    tried = [(await refused(guesser.register())).code for _ in range(8)]
    assert tried == [403] * 6 + [503] * 2
    # The phone whose password is guessed goes on, as it has shown it on its connection; so does another one there.
    await registered.register()
    await office.handset("102")


async def test_the_password_before_holds_until_the_new_one_is_used(office: Office) -> None:
    registered = await office.handset("101")
    old = environment()
    until_when = datetime.now(UTC) + timedelta(hours=1)

    def rotated(phone: Phone) -> Phone:
        ha1 = {name.value: name.ha1(phone.username, DOMAIN, "nieuw") for name in Algorithm}
        return replace(phone, ha1=ha1, previous_ha1=phone.ha1, previous_until=until_when)

    office.exchange.assign(Directory((replace(old, phones=tuple(map(rotated, old.phones))),)))
    await registered.register()  # it has not been told yet
    await office.handset("102")
    await office.handset("101", password="nieuw")
    assert (await refused(registered.register())).code == 403
    await office.handset("102", password="nieuw")


async def test_the_password_before_ends_at_its_time(office: Office) -> None:
    old = environment()
    past = datetime.now(UTC) - timedelta(seconds=1)
    phones = tuple(replace(each, ha1={}, previous_ha1=each.ha1, previous_until=past) for each in old.phones)
    office.exchange.assign(Directory((replace(old, phones=phones),)))
    phone = await office.handset("101", register=False)
    office.exchange.will_look(60)
    registering = asyncio.ensure_future(phone.register())
    await until(lambda: bool(office.exchange._registrations._refused))
    office.exchange.looked()
    assert (await refused(registering)).code == 403


async def test_a_phone_authenticates_with_sha_256(office: Office) -> None:
    assert (await office.handset("101")).algorithm == "SHA-256"


async def test_a_phone_that_did_not_register_is_asked_who_it_is(office: Office) -> None:
    callee = await office.handset("102")
    stranger = await office.handset("101", register=False)
    await stranger.call("102")
    await callee.answered()
    assert (await refused((await office.handset("103", register=False, password="x")).call("102"))).code == 403


async def test_a_phone_registers_only_itself(office: Office) -> None:
    handset = await office.handset("101", register=False)
    request = Request("REGISTER", URI("sip", DOMAIN))
    for name, value in {
        "Max-Forwards": "70",
        "From": f"<sip:{CUSTOMER}-102@{DOMAIN}>;tag=x",
        "To": f"<sip:{CUSTOMER}-102@{DOMAIN}>",
        "Call-ID": "other",
        "CSeq": "1 REGISTER",
        "Contact": str(handset.contact),
    }.items():
        request.headers.set(name, value)
    challenged = await handset.transactions.ask(handset.connection, request)
    response = await handset.transactions.ask(handset.connection, handset._authorised(request, challenged))
    assert response.code == 403
    assert len(office.exchange.registrar) == 0


async def test_a_connection_that_is_lost_ends_its_registration_and_in_time_its_call(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "FLOW_TIMEOUT", 0.5)
    ours, theirs = await talking(office)
    ours.connection.close()
    await asyncio.wait_for(theirs.ended.wait(), 5)
    assert (await office.record()).reason == "connection lost"
    assert len(office.exchange.registrar) == 1


async def test_a_media_worker_that_is_gone_ends_its_calls_and_a_broken_one_refuses_new_ones(office: Office) -> None:
    ours, _ = await talking(office)
    office.exchange.media_event({"event": "gone", "worker": 0, "calls": list(office.media.secure)})
    await asyncio.wait_for(ours.ended.wait(), 5)
    office.media.broken = True
    assert (await refused(ours.phone.call("102"))).code == 503


async def test_a_node_that_drains_refuses_new_calls_and_says_goodbye_to_the_old(office: Office) -> None:
    ours, theirs = await talking(office)
    drain = asyncio.create_task(office.exchange.drain(patience=0.5, emergency_patience=10))
    await asyncio.sleep(0.1)
    assert (await refused(theirs.phone.call("101"))).code == 503
    assert not ours.ended.is_set()
    await asyncio.wait_for(drain, 5)
    await asyncio.wait_for(ours.ended.wait(), 5)
    assert "this node is stopping" in ours.end_reason


async def test_a_customer_has_as_many_calls_as_were_sold(office: Office) -> None:
    office.exchange.assign(Directory((environment(calls=1),)))
    ours, _ = await talking(office)
    third = await office.handset("103")
    assert (await refused(third.call("104"))).code == 480
    await ours.hang_up()


async def test_changed_assignments_leave_calls_alone_and_take_registrations_of_phones_that_left(office: Office) -> None:
    ours, theirs = await talking(office)
    office.exchange.assign(Directory())
    assert len(office.exchange.registrar) == 0
    await ours.change(Direction.SENDONLY)
    assert not theirs.ended.is_set()


async def test_a_request_that_may_go_no_further_is_refused(office: Office) -> None:
    await office.handset("102")
    caller = await office.handset("101")
    send = caller.transactions.send

    def without_hops(
        connection: Connection, request: Request, on_response: Callable[[Response], None]
    ) -> ClientTransaction:
        request.headers.set("Max-Forwards", "0")
        return send(connection, request, on_response)

    caller.transactions.send = without_hops  # type: ignore[method-assign]
    assert (await refused(caller.call("102"))).code == 483


async def test_a_phone_does_not_call_itself(office: Office) -> None:
    caller = await office.handset("101")
    assert (await refused(caller.call("101"))).code == 482


async def test_112_without_a_trunk_is_refused_only_for_want_of_one(office: Office) -> None:
    caller = await office.handset("101")
    refusal = await refused(caller.call("112", suites=()))
    assert refusal.code == 503
    assert "112" in refusal.warning


async def test_extensions_nobody_supports_are_named(office: Office) -> None:
    caller = await office.handset("101")
    request = Request("INVITE", URI("sip", DOMAIN, user="102"))
    for name, value in {
        "Max-Forwards": "70",
        "From": f"<sip:{CUSTOMER}-101@{DOMAIN}>;tag=x",
        "To": f"<sip:102@{DOMAIN}>",
        "Call-ID": "c",
        "CSeq": "1 INVITE",
        "Contact": str(caller.contact),
        "Require": "precondition",
    }.items():
        request.headers.set(name, value)
    refusal = await refused(caller.invite(caller.connection, request))
    assert refusal.code == 420


async def test_early_media_is_passed_on_and_a_key_changed_by_the_answer_counts(office: Office) -> None:
    callee, caller = await office.handset("102", answers=lambda transaction: 180), await office.handset("101")
    calling = asyncio.create_task(caller.call("102"))
    await until(lambda: bool(callee.rang))
    (transaction,) = callee.rang
    early = await callee._conversation(voice=1)
    for status in (183, 200):
        early.keys.clear()
        offer = Session.parse(transaction.request.body)
        description = early.answer(offer)
        assert description is not None
        response = reply(transaction.request, status, to_tag=transaction.tag)
        response.contact = [callee.contact]
        attach(response, description)
        transaction.send(response)
        if status == 183:
            await until(lambda: bool(office.media.legs))
    ours = await calling
    (call,) = office.media.secure
    received = [leg.crypto.receive_key for leg in office.media.legs[call, "b"] if leg.crypto]
    assert len(received) == len(set(received)) == 2
    assert received[-1] == early.keys[ours.suite or ""]
    early.close("done")


async def test_an_answer_that_crosses_a_cancel_is_acknowledged_and_ended(office: Office) -> None:
    callee, caller = await office.handset("102", answers=lambda transaction: 180), await office.handset("101")
    conversation = await caller.call("102", wait=False)
    await until(lambda: bool(callee.rang))
    (transaction,) = callee.rang
    answering: list[asyncio.Task[None]] = []
    transaction.on_cancel = lambda cancel: answering.append(asyncio.create_task(callee._accept(transaction)))
    assert conversation.client is not None
    conversation.client.cancel()
    theirs = await callee.answered()
    await asyncio.wait_for(theirs.ended.wait(), 5)
    assert (await office.record()).reason == "487 Cancelled"


async def test_an_answer_that_waits_behind_a_cancel_is_acknowledged_and_ended(office: Office) -> None:
    callee, caller = await office.handset("102", answers=lambda transaction: 180), await office.handset("101")
    await caller.call("102", wait=False)
    await until(lambda: bool(callee.rang))
    (call,) = office.exchange.calls.values()
    post = call.post

    def behind_a_cancel(event: Event) -> None:
        if isinstance(event, Heard) and event.response.code == 200:
            post(Cancelled())
        post(event)

    call.post = behind_a_cancel  # type: ignore[method-assign]
    await callee._accept(callee.rang[0])
    theirs = await callee.answered()
    await asyncio.wait_for(theirs.ended.wait(), 1)
    assert (await office.record()).reason == "487 Cancelled"


async def test_two_changes_that_meet_do_not_both_happen(office: Office) -> None:
    ours, theirs = await talking(office)
    results = await asyncio.gather(
        ours.change(Direction.SENDONLY), theirs.change(Direction.SENDONLY), return_exceptions=True
    )
    refusals = [result for result in results if isinstance(result, RequestRefused)]
    assert [refusal.code for refusal in refusals] == [491]
    await ours.change(Direction.SENDRECV)


async def test_the_same_invite_by_a_second_way_is_a_loop(office: Office) -> None:
    await office.handset("102", answers=lambda transaction: 180)
    caller = await office.handset("101")
    conversation = await caller.call("102", wait=False)
    assert conversation.client is not None
    await until(lambda: bool(office.exchange.calls))
    assert (await refused(caller.invite(caller.connection, conversation.client.request))).code == 482


async def test_a_request_for_a_call_that_is_no_more_is_told_so(office: Office) -> None:
    ours, _ = await talking(office)
    await ours.hang_up()
    await office.record()
    assert ours.dialog is not None
    for method in ("BYE", "INFO", "INVITE"):
        response: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        ours.phone.transactions.send(
            ours.connection,
            ours.dialog.request(method, ours.phone.contact),
            lambda heard, response=response: response.set_result(heard.code) if heard.code >= 200 else None,  # type: ignore[misc]
        )
        assert await asyncio.wait_for(response, 5) == 481


async def test_another_body_than_sdp_and_broken_sdp_are_refused(office: Office) -> None:
    await office.handset("102")
    caller = await office.handset("101")
    conversation = await caller.call("102", wait=False)
    assert conversation.client is not None
    for kind, body, status in (
        ("text/plain", b"hello", 415),
        ("application/sdp", b"hello", 400),
    ):
        request = conversation.client.request
        again = Request("INVITE", request.uri, body)
        for name in ("Max-Forwards", "From", "To", "CSeq", "Contact"):
            again.headers.set(name, request.headers[name])
        again.headers.set("Call-ID", f"{kind}{len(body)}")
        again.headers.set("Content-Type", kind)
        assert (await refused(caller.invite(caller.connection, again))).code == status
