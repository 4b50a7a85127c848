"""Dialogs outlive the connections they were made over (RFC 5626), and silence alone ends no call."""

from __future__ import annotations

import asyncio

import pytest

from media_node.call import supervision
from media_node.call.events import Event, Lost
from media_node.probe.phone import Conversation
from media_node.probe.phone import Phone as Handset
from media_node.sip.dialog import Dialog
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.message import reply
from media_node.sip.sdp import Direction, Session, attach
from media_node.sip.transaction_layer import ServerTransaction
from tests.support.node import DOMAIN
from tests.support.office import CUSTOMER, PASSWORD, Office, talking, until


class Patient(Handset):
    """A phone that keeps its calls when it loses its connection."""

    def lost(self, connection: object) -> None:
        pass


async def calls_from(office: Office, *, register: bool = True) -> tuple[Patient, Conversation, Conversation]:
    callee = await office.handset("102")
    caller = Patient(f"{CUSTOMER}-101", PASSWORD, DOMAIN)
    office.handsets.append(caller)
    await caller.connect("127.0.0.1", office.port, office.certificates.client_context())
    if register:
        await caller.register()
    ours = await caller.call("102")
    return caller, ours, await callee.answered()


async def comes_back(office: Office, phone: Patient, *, register: bool) -> None:
    phone.connection.close()
    await until(
        lambda: any(
            party.connection.closed for call in office.exchange.calls.values() for party in call.parties.values()
        )
    )
    await phone.connect("127.0.0.1", office.port, office.certificates.client_context())
    if register:
        await phone.register()
    for conversation in phone.conversations:
        conversation.connection = phone.connection


@pytest.mark.parametrize("register", [True, False], ids=["registers again", "is challenged"])
async def test_a_phone_that_lost_its_connection_goes_on_over_a_new_one(office: Office, register: bool) -> None:
    caller, ours, theirs = await calls_from(office)
    await comes_back(office, caller, register=register)
    assert not theirs.ended.is_set()
    await ours.change(Direction.SENDONLY)
    assert theirs.directions[-1] is Direction.SENDONLY
    await ours.change(Direction.SENDRECV)
    await theirs.hang_up()
    await asyncio.wait_for(ours.ended.wait(), 5)
    assert (await office.record()).reason == "completed"


async def test_what_the_other_side_asks_reaches_the_phone_over_its_new_registration(office: Office) -> None:
    caller, ours, theirs = await calls_from(office)
    await comes_back(office, caller, register=True)
    await theirs.change(Direction.SENDONLY)
    assert ours.directions[-1] is Direction.SENDONLY


async def test_a_called_phone_that_comes_back_hangs_up_over_its_new_connection(office: Office) -> None:
    callee = Patient(f"{CUSTOMER}-102", PASSWORD, DOMAIN)
    office.handsets.append(callee)
    await callee.connect("127.0.0.1", office.port, office.certificates.client_context())
    await callee.register()
    caller = await office.handset("101")
    ours = await caller.call("102")
    theirs = await callee.answered()
    await comes_back(office, callee, register=True)
    await theirs.hang_up()
    await asyncio.wait_for(ours.ended.wait(), 5)


async def test_a_colleague_does_not_take_a_call_over_by_naming_its_dialog(office: Office) -> None:
    _, ours, theirs = await calls_from(office)
    other = await office.handset("103")
    assert ours.dialog is not None
    response = await other.transactions.ask(other.connection, ours.dialog.request("BYE", other.contact))
    assert response.code in (407, 481)
    assert not theirs.ended.is_set()


async def test_a_phone_that_stays_away_has_lost_its_call(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "FLOW_TIMEOUT", 0.4)
    caller, _, theirs = await calls_from(office)
    caller.connection.close()
    await asyncio.wait_for(theirs.ended.wait(), 5)
    assert (await office.record()).reason == "connection lost"


def keeps_its_invite(phone: Patient, conversation: Conversation) -> list[Response]:
    """A phone whose INVITE outlives its connection; what it hears."""
    heard: list[Response] = []
    assert conversation.client is not None
    conversation.client._on_response = heard.append
    phone.transactions.lost = lambda connection: None  # type: ignore[method-assign]
    return heard


async def calls_and_loses_its_connection(office: Office) -> tuple[Patient, Conversation, list[Response]]:
    caller = Patient(f"{CUSTOMER}-101", PASSWORD, DOMAIN)
    office.handsets.append(caller)
    await caller.connect("127.0.0.1", office.port, office.certificates.client_context())
    await caller.register()
    ours = await caller.call("102", wait=False)
    heard = keeps_its_invite(caller, ours)
    await until(lambda: any(response.code == 180 for response in heard))
    caller.connection.close()
    await until(
        lambda: any(
            party.connection.closed for call in office.exchange.calls.values() for party in call.parties.values()
        )
    )
    return caller, ours, heard


async def test_a_call_that_rings_outlives_its_callers_connection(office: Office) -> None:
    callee = await office.handset("102", answers=lambda transaction: 180)
    caller, ours, heard = await calls_and_loses_its_connection(office)
    await caller.connect("127.0.0.1", office.port, office.certificates.client_context())
    assert ours.client is not None and ours.client._run is not None
    ours.client.connection = ours.client._run.connection = caller.connection
    before = len(heard)
    await caller.register()
    await until(lambda: len(heard) > before)
    assert heard[-1].code == 180, "it hears again how far the call has come"
    (transaction,) = callee.rang
    assert not transaction.cancelled
    await callee._accept(transaction)
    await until(lambda: heard[-1].code == 200)
    ours.connection = caller.connection
    ours.dialog = Dialog.as_client(ours.client.request, heard[-1])
    caller.transactions.acknowledge(caller.connection, ours.dialog.request("ACK", caller.contact, 1))
    ours.agree(Session.parse(heard[-1].body))
    await ours.change(Direction.SENDONLY)
    assert callee.conversations[0].directions[-1] is Direction.SENDONLY


async def test_a_caller_that_came_back_cancels(office: Office) -> None:
    callee = await office.handset("102", answers=lambda transaction: 180)
    caller, ours, heard = await calls_and_loses_its_connection(office)
    await caller.connect("127.0.0.1", office.port, office.certificates.client_context())
    assert ours.client is not None and ours.client._run is not None
    ours.client.connection = ours.client._run.connection = caller.connection
    await caller.register()
    ours.client.cancel()
    await until(lambda: heard[-1].code == 487)
    assert callee.rang[0].cancelled


async def test_others_do_not_ring_long_for_a_caller_that_stays_away(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "EARLY_FLOW_TIMEOUT", 0.4)
    callee = await office.handset("102", answers=lambda transaction: 180)
    await calls_and_loses_its_connection(office)
    await until(lambda: callee.rang[0].cancelled)
    assert "connection was lost" in (await office.record()).reason


async def test_a_silent_phone_that_answers_when_asked_keeps_its_call(office: Office) -> None:
    ours, theirs = await talking(office)
    asked: list[str] = []
    requested = theirs.phone.requested

    def listens(transaction: ServerTransaction) -> None:
        asked.append(transaction.request.method)
        requested(transaction)

    theirs.phone.requested = listens  # type: ignore[method-assign]
    (call,) = office.media.secure
    for _ in range(3):
        office.exchange.media_event({"event": "timeout", "call": call, "leg": "b"})
    await until(lambda: "OPTIONS" in asked)
    await ours.change(Direction.SENDONLY)
    assert not ours.ended.is_set() and not theirs.ended.is_set()
    assert asked.count("OPTIONS") == 1, "a question at a time"


async def test_a_silent_phone_that_knows_nothing_of_the_call_ends_it(office: Office) -> None:
    ours, theirs = await talking(office)
    theirs.phone.requested = lambda transaction: transaction.respond(481)  # type: ignore[method-assign,assignment]
    (call,) = office.media.secure
    office.exchange.media_event({"event": "timeout", "call": call, "leg": "b"})
    await asyncio.wait_for(ours.ended.wait(), 5)
    assert (await office.record()).reason == "connection lost"


async def test_an_invite_without_an_offer_is_offered_what_the_called_phone_takes(office: Office) -> None:
    callee, caller = await office.handset("102"), await office.handset("101")
    conversation = await caller._conversation(voice=0)
    request = _offerless(caller)
    response = await caller.invite(caller.connection, request)
    theirs = await callee.answered()
    offer = Session.parse(response.body)
    assert offer.media[0].protocol == "RTP/SAVP" and offer.media[0].formats == ("8",)
    await _acknowledge(caller, conversation, request, response)
    (call,) = office.media.secure
    await until(lambda: (call, "a") in office.media.legs)
    await conversation.change(Direction.SENDONLY)
    assert theirs.directions[-1] is Direction.SENDONLY


async def test_an_ack_without_the_answer_that_is_due_ends_the_call(office: Office) -> None:
    callee, caller = await office.handset("102"), await office.handset("101")
    conversation = await caller._conversation(voice=0)
    request = _offerless(caller)
    response = await caller.invite(caller.connection, request)
    theirs = await callee.answered()
    await _acknowledge(caller, conversation, request, response, answer=False)
    await asyncio.wait_for(theirs.ended.wait(), 5)


async def test_hold_is_resumed_by_a_re_invite_without_an_offer(office: Office) -> None:
    ours, theirs = await talking(office)
    await ours.change(Direction.SENDONLY)
    assert theirs.directions[-1] is Direction.SENDONLY
    assert ours.dialog is not None and ours.suite is not None
    request = ours.dialog.request("INVITE", ours.phone.contact)
    response = await ours.phone.invite(ours.connection, request)
    offer = Session.parse(response.body)
    assert offer.direction(offer.media[0]) is Direction.SENDRECV
    ours._direction = Direction.SENDRECV
    ack = ours.dialog.request("ACK", ours.phone.contact, request.cseq.sequence)
    attach(ack, ours.answer(offer))  # type: ignore[arg-type]
    ours.phone.transactions.acknowledge(ours.connection, ack)
    await until(lambda: theirs.directions[-1] is Direction.SENDRECV)


def _offerless(caller: Handset) -> Request:
    request = Request("INVITE", URI("sip", DOMAIN, user="102"))
    request.headers.set("Max-Forwards", "70")
    request.from_address = Address(URI("sip", DOMAIN, user=caller.username), parameters=Parameters(tag="1"))
    request.to_address = Address(request.uri)
    request.headers.set("Call-ID", "offerless")
    request.cseq = CSeq(1, "INVITE")
    request.contact = [caller.contact]
    return request


async def _acknowledge(
    caller: Handset, conversation: Conversation, request: Request, response: Response, *, answer: bool = True
) -> None:
    conversation.dialog = dialog = Dialog.as_client(request, response)
    ack = dialog.request("ACK", caller.contact, request.cseq.sequence)
    if answer:
        answered = conversation.answer(Session.parse(response.body))
        assert answered is not None
        attach(ack, answered)
    caller.transactions.acknowledge(caller.connection, ack)


async def test_a_phone_that_described_itself_while_it_rang_need_not_do_so_again(office: Office) -> None:
    callee, caller = await office.handset("102", answers=lambda transaction: 180), await office.handset("101")
    calling = asyncio.create_task(caller.call("102"))
    await until(lambda: bool(callee.rang))
    (transaction,) = callee.rang
    early = await callee._conversation(voice=1)
    description = early.answer(Session.parse(transaction.request.body))
    assert description is not None
    for status in (183, 200):
        response = reply(transaction.request, status, to_tag=transaction.tag)
        response.contact = [callee.contact]
        if status == 183:
            attach(response, description)
        transaction.send(response)
    ours = await calling
    assert ours.suite == early.suite
    early.close("done")


async def test_who_comes_and_goes_beside_a_call_does_not_concern_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = await talking(office)
    (call,) = office.exchange.calls.values()
    lost: list[object] = []
    post = call.post

    def posted(event: Event) -> None:
        lost.extend([event.connection] if isinstance(event, Lost) else [])
        post(event)

    monkeypatch.setattr(call, "post", posted)
    gone = [await office.handset("103"), await office.handset("104", register=False)]
    for handset in gone:
        handset.connection.close()
    await until(lambda: len(office.exchange.registrar) == 2)
    assert not lost
    ours.connection.close()
    await until(lambda: len(lost) == 1)
