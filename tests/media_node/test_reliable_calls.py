"""Calls of phones and trunks that send and acknowledge provisional responses reliably (RFC 3262)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from media_node.probe.phone import Conversation
from media_node.sip import reliable
from media_node.sip.dialog import Dialog
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.message import reply
from media_node.sip.reliable import rseq
from media_node.sip.sdp import Direction, Session, attach
from media_node.sip.transaction_layer import ServerTransaction
from tests.support.node import DOMAIN
from tests.support.office import CUSTOMER, PASSWORD, DeskPhone, Office, desk_phone, trunk, until

# The node answers a caller reliably.


class Careful(DeskPhone):
    """A caller that acknowledges reliable provisional responses, as `pracks` says: with a body, late, or not at all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.provisional: list[Response] = []
        self.final: list[Response] = []
        self.pracked: list[Response] = []

    async def begin(
        self, dialled: str, *, offer: bool = True, **headers: str
    ) -> tuple[Conversation, Request, Callable[[], Dialog]]:
        conversation = await self._conversation(voice=0)
        request = Request("INVITE", URI("sip", DOMAIN, user=dialled))
        request.headers.set("Max-Forwards", "70")
        request.from_address = Address(URI("sip", DOMAIN, user=self.username), parameters=Parameters(tag="77"))
        request.to_address = Address(request.uri)
        request.headers.set("Call-ID", f"careful-{id(conversation)}")
        request.cseq = CSeq(1, "INVITE")
        request.contact = [self.contact]
        for name, value in headers.items():
            request.headers.set(name, value)
        if offer:
            attach(request, conversation.description(self.suites))

        def heard(response: Response) -> None:
            if response.code > 100:
                (self.provisional if response.code < 200 else self.final).append(response)

        conversation.client = self.transactions.send(self.connection, request, heard)

        def dialog() -> Dialog:
            if conversation.dialog is None:
                conversation.dialog = Dialog.as_client(request, [*self.provisional, *self.final][0])
            return conversation.dialog

        return conversation, request, dialog

    async def prack(
        self, dialog: Dialog, response: Response, session: Session | None = None, rack: str = ""
    ) -> Response:
        request = dialog.request("PRACK", self.contact)
        request.headers.set("RAck", rack or f"{response.headers['RSeq']} 1 INVITE")
        if session is not None:
            attach(request, session)
        return await self.transactions.ask(self.connection, request)

    def ack(self, dialog: Dialog) -> None:
        self.transactions.acknowledge(self.connection, dialog.request("ACK", self.contact, 1))


async def careful(office: Office, extension: str = "101") -> Careful:
    phone = Careful(f"{CUSTOMER}-{extension}", PASSWORD, DOMAIN)
    office.handsets.append(phone)
    await phone.connect("127.0.0.1", office.port, office.certificates.client_context())
    await phone.register()
    return phone


async def ringing(office: Office, **options: Any) -> tuple[DeskPhone, ServerTransaction]:
    """A called phone that rings and says no more; what it is asked."""
    phone = office.handsets[0]
    assert isinstance(phone, DeskPhone)
    await until(lambda: bool(phone.rang))
    return phone, phone.rang[0]


async def describes(phone: DeskPhone, transaction: ServerTransaction, status: int, *headers: tuple[str, str]) -> Any:
    """The called phone answers with a description."""
    if not phone.conversations:
        conversation = await phone._conversation(voice=1)
        conversation.dialog = Dialog.as_server(transaction.request, transaction.tag)
        phone.early = conversation.answer(Session.parse(transaction.request.body))  # type: ignore[attr-defined]
    response = reply(transaction.request, status, to_tag=transaction.tag)
    response.contact = [phone.contact]
    for name, value in headers:
        response.headers.set(name, value)
    attach(response, phone.early)  # type: ignore[attr-defined]
    transaction.send(response)
    return phone.conversations[0]


async def test_a_phone_that_requires_it_hears_of_the_ringing_reliably_and_the_answer_after_it(office: Office) -> None:
    await desk_phone(office, "102", answers=lambda transaction: 180)
    caller = await careful(office)
    ours, _, dialog = await caller.begin("102", Require="100rel")
    await until(lambda: bool(caller.provisional))
    ringing_ = caller.provisional[0]
    assert (ringing_.code, ringing_.require) == (180, ["100rel"])
    callee, transaction = await ringing(office)
    assert (await caller.prack(dialog(), ringing_, rack="1 1 INVITE")).code == 481
    assert (await caller.prack(dialog(), ringing_)).code == 200
    assert (await caller.prack(dialog(), ringing_)).code == 481, "it has been acknowledged"
    await describes(callee, transaction, 200)
    await until(lambda: bool(caller.final))
    assert caller.final[0].code == 200
    caller.ack(dialog())
    ours.agree(Session.parse(caller.final[0].body))
    await ours.hang_up()
    assert (await office.record()).reason == "completed"


async def test_it_is_repeated_until_it_is_acknowledged(office: Office) -> None:
    await desk_phone(office, "102", answers=lambda transaction: 180)
    caller = await careful(office)
    _, _, dialog = await caller.begin("102", Require="100rel")
    await until(lambda: len(caller.provisional) >= 2)
    assert {each.headers["RSeq"] for each in caller.provisional} == {caller.provisional[0].headers["RSeq"]}
    assert (await caller.prack(dialog(), caller.provisional[0])).code == 200
    heard = len(caller.provisional)
    await asyncio.sleep(2)
    assert len(caller.provisional) == heard


async def test_the_answer_waits_for_the_acknowledgement_of_early_media(office: Office) -> None:
    await desk_phone(office, "102", answers=lambda transaction: 180)
    caller = await careful(office)
    ours, _, dialog = await caller.begin("102", Supported="100rel")
    callee, transaction = await ringing(office)
    await until(lambda: bool(caller.provisional))
    assert rseq(caller.provisional[0]) is None, "ringing alone need not be heard for sure by who does not require it"
    await describes(callee, transaction, 183)
    await until(lambda: len(caller.provisional) >= 2)
    early = caller.provisional[1]
    assert early.code == 183 and rseq(early) is not None and early.body
    await describes(callee, transaction, 200)
    await asyncio.sleep(0.3)
    assert not caller.final
    assert (await caller.prack(dialog(), early)).code == 200
    await until(lambda: bool(caller.final))
    assert Session.parse(caller.final[0].body) == Session.parse(early.body), "the answer stands"
    caller.ack(dialog())
    ours.agree(Session.parse(early.body))
    await ours.change(Direction.SENDONLY)
    assert callee.conversations[0].directions[-1] is Direction.SENDONLY


@pytest.mark.parametrize("required", [True, False])
async def test_a_phone_that_never_acknowledges(office: Office, monkeypatch: pytest.MonkeyPatch, required: bool) -> None:
    monkeypatch.setattr(reliable, "T1", 0.02)
    await desk_phone(office, "102", answers=lambda transaction: 100)
    caller = await careful(office)
    ours, _, dialog = await caller.begin("102", **{"Require" if required else "Supported": "100rel"})  # type: ignore[arg-type]
    callee, transaction = await ringing(office)
    await describes(callee, transaction, 183)
    await until(lambda: any(each.body for each in caller.provisional))
    await describes(callee, transaction, 200)
    await until(lambda: bool(caller.final), 10)
    if required:
        assert caller.final[0].code == 504
        await until(lambda: callee.conversations[0].ended.is_set())
    else:
        assert caller.final[0].code == 200
        caller.ack(dialog())
        ours.agree(Session.parse(caller.final[0].body))
        await ours.hang_up()


async def test_a_call_given_up_while_its_answer_is_held_ends_for_both(office: Office) -> None:
    await desk_phone(office, "102", answers=lambda transaction: 100)
    caller = await careful(office)
    ours, _, _ = await caller.begin("102", Require="100rel")
    callee, transaction = await ringing(office)
    await describes(callee, transaction, 183)
    await describes(callee, transaction, 200)
    await until(lambda: any(call.answered_at for call in office.exchange.calls.values()) or bool(caller.final))
    assert ours.client is not None
    ours.client.cancel()
    await until(lambda: bool(caller.final))
    assert caller.final[0].code == 487
    await until(lambda: callee.conversations[0].ended.is_set())


async def test_an_invite_without_an_offer_that_requires_it_gets_the_offer_while_it_rings(office: Office) -> None:
    await desk_phone(office, "102", answers=lambda transaction: 180)
    caller = await careful(office)
    ours, _, dialog = await caller.begin("102", offer=False, Require="100rel")
    await until(lambda: bool(caller.provisional))
    first = caller.provisional[0]
    assert (await caller.prack(dialog(), first)).code == 488, "the answer is due in the PRACK"
    answer = ours.answer(Session.parse(first.body))
    assert (await caller.prack(dialog(), first, answer)).code == 200
    callee, transaction = await ringing(office)
    theirs = await describes(callee, transaction, 200)
    await until(lambda: bool(caller.final))
    assert not caller.final[0].body, "offer and answer are done"
    caller.ack(dialog())
    await until(lambda: not any(call.renegotiation.pending for call in office.exchange.calls.values()))
    await ours.change(Direction.SENDONLY)
    assert theirs.directions[-1] is Direction.SENDONLY


async def test_a_prack_may_bring_a_new_offer(office: Office) -> None:
    await desk_phone(office, "102", answers=lambda transaction: 180)
    caller = await careful(office)
    ours, _, dialog = await caller.begin("102", Require="100rel")
    callee, transaction = await ringing(office)
    await until(lambda: bool(caller.provisional))
    assert (await caller.prack(dialog(), caller.provisional[0])).code == 200
    await describes(callee, transaction, 183)
    await until(lambda: any(each.body for each in caller.provisional))
    early = next(each for each in caller.provisional if each.body)
    ours.agree(Session.parse(early.body))
    response = await caller.prack(dialog(), early, ours.description(caller.suites))
    assert response.code == 200
    answer = Session.parse(response.body)
    assert answer.media[0].protocol == "RTP/SAVP" and answer.media[0].cryptos
    theirs = await describes(callee, transaction, 200)
    await until(lambda: bool(caller.final))
    caller.ack(dialog())
    await ours.change(Direction.SENDONLY)
    assert theirs.directions[-1] is Direction.SENDONLY


# The node is answered reliably.


RELIABLY = ("Require", "100rel")


async def pracks(phone: DeskPhone, count: int) -> list[str]:
    def seen() -> list[str]:
        return [request.headers["RAck"] for request in phone.seen if request.method == "PRACK"]

    await until(lambda: len(seen()) >= count)
    return seen()


async def cautious(office: Office) -> DeskPhone:
    return await desk_phone(office, "102", answers=lambda transaction: 100)


async def test_reliable_responses_are_acknowledged_once_each_and_in_order(office: Office) -> None:
    callee = await cautious(office)
    caller = await office.handset("101")
    calling = asyncio.create_task(caller.call("102"))
    _, transaction = await ringing(office)
    assert "100rel" in transaction.request.supported
    for number in (7, 9, 7, 8, 8, 7):
        await describes(callee, transaction, 183, RELIABLY, ("RSeq", str(number)))
    await pracks(callee, 2)
    theirs = await describes(callee, transaction, 200)
    ours = await calling
    assert await pracks(callee, 2) == ["7 1 INVITE", "8 1 INVITE"]
    sequences = [request.cseq.sequence for request in callee.seen if request.method == "PRACK"]
    await ours.hang_up()
    await until(lambda: theirs.ended.is_set())
    bye = next(request for request in callee.seen if request.method == "BYE")
    assert bye.cseq.sequence > max(sequences), "the dialog counts on"
    assert bye.headers["Call-ID"] == transaction.request.call_id


async def test_a_called_side_changes_its_media_before_it_answers(office: Office) -> None:
    callee = await cautious(office)
    caller = await office.handset("101")
    calling = asyncio.create_task(caller.call("102"))
    _, transaction = await ringing(office)
    theirs = await describes(callee, transaction, 183, RELIABLY, ("RSeq", "1"))
    await pracks(callee, 1)
    assert theirs.dialog is not None and theirs.suite is not None
    update = theirs.dialog.request("UPDATE", callee.contact)
    attach(update, theirs.description((theirs.suite.value,)))
    response = await callee.transactions.ask(callee.connection, update)
    assert response.code == 200 and Session.parse(response.body).media[0].cryptos
    theirs.agree(Session.parse(response.body))
    strange = theirs.dialog.request("INFO", callee.contact)
    assert (await callee.transactions.ask(callee.connection, strange)).code == 481
    await describes(callee, transaction, 200)
    ours = await calling
    await ours.change(Direction.SENDONLY)
    assert theirs.directions[-1] is Direction.SENDONLY


async def test_a_trunk_that_sends_early_media_reliably(office: Office) -> None:
    async with trunk(office) as provider:
        provider.answers = lambda transaction: 100
        caller = await careful(office)
        ours, _, dialog = await caller.begin("+31301112233", Require="100rel")
        await until(lambda: bool(provider.rang))
        await describes(provider, provider.rang[0], 183, RELIABLY, ("RSeq", "4711"))
        assert await pracks(provider, 1) == ["4711 1 INVITE"]
        await until(lambda: bool(caller.provisional))
        early = caller.provisional[0]
        assert early.body and rseq(early) not in (None, 4711), "each side has numbers of its own"
        await describes(provider, provider.rang[0], 200)
        await asyncio.sleep(0.2)
        assert not caller.final
        assert (await caller.prack(dialog(), early)).code == 200
        await until(lambda: bool(caller.final))
        caller.ack(dialog())
        ours.agree(Session.parse(early.body))
        await ours.hang_up()
        await until(lambda: provider.conversations[0].ended.is_set())


async def test_a_reliable_response_without_a_contact_is_not_acknowledged_and_harms_nobody(office: Office) -> None:
    callee = await cautious(office)
    caller = await office.handset("101")
    calling = asyncio.create_task(caller.call("102"))
    _, transaction = await ringing(office)
    response = reply(transaction.request, 183, to_tag=transaction.tag)
    response.headers.set("Require", "100rel")
    response.headers.set("RSeq", "1")
    transaction.send(response)
    await describes(callee, transaction, 200)
    await calling
    assert not [request for request in callee.seen if request.method == "PRACK"]
