"""Real-time text (RFC 4103): relayed where both sides take it, refused in its place where not, never in clear to a phone."""

from __future__ import annotations

import asyncio

import pytest

from media_node.call.directory import Directory
from media_node.probe.phone import SUITES
from media_node.sip.sdp import Direction, Session, attach
from media_node.sip.transaction_layer import ServerTransaction
from tests.support.node import DOMAIN
from tests.support.office import Office, environment, invite, refused, trunks, until
from tests.support.ruleful_media import RulefulMedia
from tests.support.text_phone import TextConversation, TextProvider, connected, text_phone


def at(office: Office, call: str) -> bool:
    """Whether the worker relays text of a call."""
    return f"{call}/text" in office.media.secure


def kinds(session: Session | None) -> list[tuple[str, bool]]:
    assert session is not None
    return [(media.kind, bool(media.port)) for media in session.media]


# Who takes it.


@pytest.mark.parametrize("caller", [True, False])
@pytest.mark.parametrize("called", [True, False])
async def test_text_is_relayed_where_both_take_it_and_else_refused_in_its_place(
    office: Office, caller: bool, called: bool
) -> None:
    _, _, ours, theirs = await connected(office, caller=caller, called=called)
    both = caller and called
    assert kinds(ours.heard) == [("audio", True), *([("text", both)] if caller else [])]
    assert kinds(theirs.heard) == [("audio", True), *([("text", True)] if caller else [])]
    assert (ours.text_line is not None) is both
    (call,) = office.exchange.calls
    await until(lambda: at(office, call) is both)
    if both:
        assert ours.text_line is not None and ours.text_line.port == 20002, "a peer tells streams by their ports"
        assert ours.text_line.values("fmtp") == ["98 cps=30", "100 98/98/98"]
        assert ours.text_line.formats == ("100", "98")
        keys = {
            crypto.key for each in (ours, theirs) if each.heard for line in each.heard.media for crypto in line.cryptos
        }
        # The called phone was offered each stream under the suites of desk phones; every key is another one.
        assert len(keys) == 1 * 2 + 2 * 2
    await ours.hang_up()
    record = await office.record()
    assert [leg.media for leg in record.legs] == ["audio", "audio", *(["text", "text"] if both else [])]


async def test_a_worker_without_room_for_text_carries_the_call_all_the_same(office: Office) -> None:
    office.media.full = True
    _, _, ours, theirs = await connected(office)
    assert kinds(ours.heard) == [("audio", True), ("text", False)]
    assert kinds(theirs.heard) == [("audio", True)]
    await ours.hang_up()
    assert (await office.record()).reason == "completed"


@pytest.mark.parametrize("side", ["caller", "called"])
async def test_text_in_clear_is_refused_beside_encrypted_speech(office: Office, side: str) -> None:
    second, first = await text_phone(office, "102"), await text_phone(office, "101")
    {"caller": first, "called": second}[side].types_in_clear = True
    ours = await first.call("102")
    theirs = await second.answered()
    assert isinstance(ours, TextConversation) and isinstance(theirs, TextConversation)
    assert kinds(ours.heard) == [("audio", True), ("text", False)]
    assert kinds(theirs.heard) == [("audio", True), *([("text", True)] if side == "called" else [])]
    (call,) = office.exchange.calls
    await until(lambda: not at(office, call))
    await ours.hang_up()
    assert [leg.media for leg in (await office.record()).legs] == ["audio", "audio"]


@pytest.mark.parametrize("knows", ["SDES", "DTLS", "nothing"])
async def test_a_phone_that_refuses_an_offer_for_its_text_is_asked_again_without(office: Office, knows: str) -> None:
    offers: list[Session] = []

    def answers(transaction: ServerTransaction) -> int:
        offers.append(Session.parse(transaction.request.body))
        keyed = {"SDES": bool(offers[-1].media[0].cryptos), "DTLS": not offers[-1].media[0].cryptos}.get(knows, False)
        return 200 if keyed and len(offers[-1].media) == 1 else 488

    suites = () if knows == "DTLS" else SUITES
    called = await text_phone(office, "102", types=False, suites=suites, answers=answers)
    caller = await text_phone(office, "101")
    call = asyncio.ensure_future(caller.call("102"))
    if knows == "SDES":
        conversation = await call
        assert kinds(conversation.heard) == [("audio", True), ("text", False)]  # type: ignore[attr-defined]
        await conversation.hang_up()
    elif knows == "nothing":
        assert (await refused(call)).code == 488
    else:
        await until(lambda: len(offers) == 4)
        call.cancel()
        await called.close()
    tried = [(bool(offer.media[0].cryptos), len(offer.media)) for offer in offers]
    assert tried == [(True, 2), (False, 2), (True, 1), (False, 1)][: 3 if knows == "SDES" else 4]


# What changes while they talk.


async def test_hold_and_resume_carry_each_streams_own_direction(office: Office) -> None:
    _, _, ours, theirs = await connected(office)
    for audio, text in ((Direction.SENDONLY, Direction.SENDRECV), (Direction.INACTIVE, Direction.SENDONLY)):
        ours.text_direction = text
        await ours.change(audio)
        assert theirs.heard is not None and theirs.text_line is not None
        assert theirs.heard.direction(theirs.heard.media[0]) is audio
        assert theirs.heard.direction(theirs.text_line) is text
    ours.text_direction = Direction.SENDRECV
    await ours.change(Direction.SENDRECV)
    assert theirs.text_line is not None and theirs.text_line.has("sendrecv")
    (call,) = office.exchange.calls
    assert len({leg.crypto.send_key for leg in office.media.legs[f"{call}/text", "a"] if leg.crypto}) == 1


async def test_text_comes_and_goes_in_mid_call_in_the_line_it_had(office: Office) -> None:
    first, second, ours, theirs = await connected(office, caller=False)
    (call,) = office.exchange.calls
    for _ in range(2):
        first.types = True
        await ours.change(Direction.SENDRECV)
        assert kinds(ours.heard) == kinds(theirs.heard) == [("audio", True), ("text", True)]
        assert at(office, call)
        first.types = False
        await ours.change(Direction.SENDRECV)
        assert kinds(ours.heard) == kinds(theirs.heard) == [("audio", True), ("text", False)]
        await until(lambda: not at(office, call))
    second.types = False
    first.types = True
    await ours.change(Direction.SENDRECV)
    assert kinds(ours.heard) == [("audio", True), ("text", False)]
    await until(lambda: not at(office, call))
    second.types = True
    await theirs.change(Direction.SENDRECV)
    assert kinds(ours.heard) == kinds(theirs.heard) == [("audio", True), ("text", True)]
    await ours.hang_up()
    await office.record()


async def test_a_re_invite_without_an_offer_is_offered_text(office: Office) -> None:
    first, _, ours, theirs = await connected(office)
    assert ours.dialog is not None
    request = ours.dialog.request("INVITE", first.contact)
    response = await first.invite(ours.connection, request)
    offer = Session.parse(response.body)
    assert kinds(offer) == [("audio", True), ("text", True)]
    answer = ours.answer(offer)
    assert answer is not None
    ack = ours.dialog.request("ACK", first.contact, request.cseq.sequence)
    attach(ack, answer)
    first.transactions.acknowledge(ours.connection, ack)
    await ours.change(Direction.SENDONLY)
    assert kinds(theirs.heard) == [("audio", True), ("text", True)]


async def test_text_goes_on_with_a_phone_that_lost_its_connection(office: Office) -> None:
    first, _, ours, theirs = await connected(office)
    first.patient = True
    first.connection.close()
    (call,) = office.exchange.calls.values()
    await until(lambda: any(party.connection.closed for party in call.parties.values()))
    await first.connect("127.0.0.1", office.port, office.certificates.client_context())
    await first.register()
    ours.connection = first.connection
    assert at(office, call.id)
    before = theirs.text_line
    await theirs.change(Direction.SENDONLY)
    assert kinds(ours.heard) == kinds(theirs.heard) == [("audio", True), ("text", True)]
    assert before is not None and theirs.text_line is not None and before.port == theirs.text_line.port
    await theirs.hang_up()
    assert (await office.record()).reason == "completed"


# Several phones.


def replaces(conversation: TextConversation) -> str:
    assert conversation.dialog is not None
    ids = conversation.dialog.id
    return f"{ids.call_id}%3Bto-tag%3D{ids.remote_tag}%3Bfrom-tag%3D{ids.local_tag}"


async def refer(conversation: TextConversation, target: str) -> None:
    assert conversation.dialog is not None
    request = conversation.dialog.request("REFER", conversation.phone.contact)
    request.headers.set("Refer-To", target)
    assert (await conversation.phone.transactions.ask(conversation.connection, request)).code == 202


@pytest.mark.parametrize("target", [True, False])
@pytest.mark.parametrize("referrer", [True, False])
async def test_a_blind_transfer_to_a_phone_with_or_without_text(office: Office, referrer: bool, target: bool) -> None:
    _, _, ours, theirs = await connected(office, called=referrer)
    third = await text_phone(office, "103", types=target)
    await refer(theirs, f"<sip:103@{DOMAIN}>")
    new = await third.answered()
    assert isinstance(new, TextConversation)
    await asyncio.wait_for(theirs.ended.wait(), 5)
    await until(lambda: kinds(ours.heard) == [("audio", True), ("text", target)])
    assert kinds(new.heard) == [("audio", True), ("text", True)], "who stays takes text"
    (call,) = office.exchange.calls
    await until(lambda: at(office, call) is target)
    await new.change(Direction.SENDONLY)
    assert (ours.text_line is not None) is (new.text_line is not None) is target
    await new.hang_up()
    await office.record()


@pytest.mark.parametrize("target", [True, False])
@pytest.mark.parametrize("referrer", [True, False])
@pytest.mark.parametrize("workers", [1, 2])
async def test_an_attended_transfer_joins_text_where_both_that_remain_take_it(
    office: Office, referrer: bool, target: bool, workers: int
) -> None:
    _, second, ours, theirs = await connected(office, called=referrer)
    third = await text_phone(office, "103", types=target)
    elsewhere = RulefulMedia()
    if workers == 2:
        office.exchange.media = lambda: elsewhere
    other = await second.call("103")
    new = await third.answered()
    assert isinstance(new, TextConversation) and isinstance(other, TextConversation)
    await refer(theirs, f"<sip:103@{DOMAIN}?Replaces={replaces(other)}>")
    await asyncio.wait_for(theirs.ended.wait(), 5)
    await asyncio.wait_for(other.ended.wait(), 5)
    # What a phone was never offered by anybody is not known of it: who stays offers it again when it wants to.
    both = referrer and target
    await until(lambda: len(office.exchange.calls) == 1)
    (call,) = office.exchange.calls
    await until(lambda: (ours.text_line is not None) is both and at(office, call) is both)
    await ours.change(Direction.SENDRECV)
    assert (ours.text_line is not None) is at(office, call) is target
    await ours.hang_up()
    await until(lambda: len(office.records) == 2)
    assert not office.media.secure and not elsewhere.secure


async def test_of_several_devices_the_one_that_answers_decides(office: Office) -> None:
    devices = [await text_phone(office, "102", types=types, answers=lambda _: 180) for types in (True, False)]
    for answers, with_text in ((0, True), (1, False)):
        caller = await text_phone(office, "101")
        call = asyncio.ensure_future(caller.call("102"))
        await until(lambda: all(device.rang for device in devices))
        await devices[answers]._accept(devices[answers].rang[0])
        conversation = await call
        assert isinstance(conversation, TextConversation)
        assert kinds(conversation.heard) == [("audio", True), ("text", with_text)]
        await conversation.hang_up()
        await until(lambda: not office.exchange.calls)
        for device in devices:
            device.rang.clear()
    assert not office.media.secure


@pytest.mark.parametrize("types", [True, False])
async def test_a_colleague_that_takes_a_call_brings_its_text_or_not(office: Office, types: bool) -> None:
    _, _, ours, theirs = await connected(office)
    third = await text_phone(office, "103", types=types)
    assert theirs.dialog is not None
    ids = theirs.dialog.id
    await invite(third, "102", Replaces=f"{ids.call_id};to-tag={ids.remote_tag};from-tag={ids.local_tag}")
    await asyncio.wait_for(theirs.ended.wait(), 5)
    await until(lambda: (ours.text_line is not None) is types)
    (call,) = office.exchange.calls
    assert at(office, call) is types
    await ours.hang_up()
    await office.record()


# Trunks.


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("takes", [True, False])
async def test_a_trunk_gets_text_only_if_its_answer_takes_it(office: Office, secure: bool, takes: bool) -> None:
    provider = TextProvider("provider", "", DOMAIN, SUITES if secure else ())
    provider.types = takes
    async with trunks(office, provider, trunk_1={"srtp": secure}):
        caller = await text_phone(office, "101")
        ours = await caller.call("+31201234567")
        assert isinstance(ours, TextConversation)
        assert (ours.text_line is not None) is takes
        (call,) = office.exchange.calls
        await until(lambda: at(office, call) is takes)
        if takes:
            assert office.media.secure[f"{call}/text"] == {"a": True, "b": secure}
        await ours.hang_up()
        record = await office.record()
        assert [bool(leg.suite) for leg in record.legs] == [True, secure] * (1 + takes)


async def test_phones_of_a_customer_without_srtp_type_in_clear_on_ports_of_their_own(office: Office) -> None:
    office.exchange.assign(Directory((environment(encrypted=False),)))
    second, first = [await text_phone(office, extension, suites=()) for extension in ("102", "101")]
    ours = await first.call("102")
    theirs = await second.answered()
    assert isinstance(ours, TextConversation) and isinstance(theirs, TextConversation)
    assert ours.heard is not None and theirs.heard is not None
    lines = [line for each in (ours.heard, theirs.heard) for line in each.media]
    assert [line.protocol for line in lines] == ["RTP/AVP"] * 4
    assert len({line.port for line in lines}) == 4, "a pair for each leg of each stream"
    await ours.hang_up()
    assert [(leg.media, leg.suite) for leg in (await office.record()).legs] == [
        ("audio", None),
        ("audio", None),
        ("text", None),
        ("text", None),
    ]
