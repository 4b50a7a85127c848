"""Message waiting: what the exchange says of a voicemail reaches the phone; without an exchange it is honestly refused."""

from __future__ import annotations

import pytest

from media_node.call.waiting import CONTENT_TYPE, MOST
from media_node.sip.dialog import Dialog
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.message import reply
from media_node.sip.transaction_layer import ServerTransaction
from tests.media_node.test_home import ProvidersExchange, exchange, of
from tests.support.node import DOMAIN
from tests.support.office import CUSTOMER, DeskPhone, Office, desk_phone, until

SUMMARY = b"Messages-Waiting: yes\r\nVoice-Message: 2/8 (0/2)\r\n"


def a_subscribe(phone: DeskPhone, expires: int = 600) -> Request:
    request = Request("SUBSCRIBE", URI("sip", DOMAIN, user=phone.username))
    request.headers.set("Max-Forwards", "70")
    request.from_address = Address(URI("sip", DOMAIN, user=phone.username), parameters=Parameters(tag="s"))
    request.to_address = Address(request.uri)
    request.headers.set("Call-ID", f"mwi-{id(request)}")
    request.cseq = CSeq(1, "SUBSCRIBE")
    request.contact = [phone.contact]
    request.headers.set("Event", "message-summary")
    request.headers.set("Expires", str(expires))
    return request


async def subscribes(phone: DeskPhone, request: Request) -> Response:
    return await phone.transactions.ask(phone.connection, request)


class Mailbox(ProvidersExchange):
    """An exchange with a voicemail that phones subscribe to; `early`: its NOTIFY comes before its 200."""

    early: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.subscribed: list[tuple[Request, Dialog]] = []
        self.answered_with: list[int] = []

    def requested(self, transaction: ServerTransaction) -> None:
        if transaction.request.method != "SUBSCRIBE":
            super().requested(transaction)
            return
        request = transaction.request
        dialog = self.subscribed[0][1] if self.subscribed else Dialog.as_server(request, transaction.tag)
        self.subscribed.append((request, dialog))
        if self.early:
            self.tells(dialog)
        response = reply(request, 200, to_tag=transaction.tag)
        response.contact = [self.contact]
        response.headers.set("Expires", str(min(request.expires or 0, 120)))
        transaction.send(response)
        if not self.early:
            self.tells(dialog, "terminated;reason=timeout" if request.expires == 0 else "active;expires=120")

    def tells(self, dialog: Dialog, state: str = "active;expires=120") -> None:
        request = dialog.request("NOTIFY", self.contact)
        self.write(request, state)
        self.transactions.send(self.connection, request, lambda response: self.answered_with.append(response.code))

    @staticmethod
    def write(request: Request, state: str) -> None:
        request.headers.set("Event", "message-summary")
        request.headers.set("Subscription-State", state)
        request.headers.set("Content-Type", CONTENT_TYPE)
        request.body = SUMMARY


def heard(phone: DeskPhone) -> list[Request]:
    return [request for request in phone.seen if request.method == "NOTIFY"]


@pytest.mark.parametrize("early", [False, True])
async def test_a_phone_that_subscribes_hears_of_its_messages(
    office: Office, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    monkeypatch.setattr("tests.media_node.test_home.ProvidersExchange", Mailbox)
    async with exchange(office) as own:
        assert isinstance(own, Mailbox)
        own.early = early
        phone = await desk_phone(office, "101")
        request = a_subscribe(phone)
        response = await subscribes(phone, request)
        assert response.code == 200 and response.expires == 120
        await until(lambda: bool(heard(phone)) and own.answered_with == [200])
        (told,) = heard(phone)
        assert told.body == SUMMARY and told.headers["Content-Type"] == CONTENT_TYPE
        assert told.headers["Call-ID"] == request.headers["Call-ID"]
        assert own.subscribed[0][0].to_address.uri.user == f"{CUSTOMER}-101"
        dialog = Dialog.as_client(request, response)
        ends = dialog.request("SUBSCRIBE", phone.contact)
        ends.headers.set("Event", "message-summary")
        ends.headers.set("Expires", "0")
        assert (await subscribes(phone, ends)).code == 200
        assert own.subscribed[-1][0].expires == 0


async def test_a_phone_that_is_gone_is_unsubscribed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.media_node.test_home.ProvidersExchange", Mailbox)
    async with exchange(office) as own:
        assert isinstance(own, Mailbox)
        phone = await desk_phone(office, "101")
        assert (await subscribes(phone, a_subscribe(phone))).code == 200
        phone.connection.close()
        await until(lambda: own.subscribed[-1][0].expires == 0)


async def test_an_exchange_that_tells_each_phone_it_knows_reaches_the_device(office: Office) -> None:
    async with exchange(office) as own:
        phone = await desk_phone(office, "101")
        await until(lambda: bool(of(own, "101")))
        held = own.held[of(own, "101")[0]]
        for path, code in ((held.path, 200), (f"<sip:{'0' * 24}@127.0.0.1;lr>", 481)):
            request = Request("NOTIFY", URI.parse(held.contact))
            request.headers.set("Max-Forwards", "70")
            request.headers.set("Route", path)
            request.from_address = Address(URI("sip", DOMAIN, user="voicemail"), parameters=Parameters(tag="1"))
            request.to_address = Address(URI("sip", DOMAIN, user=held.account))
            request.headers.set("Call-ID", f"n-{code}")
            request.cseq = CSeq(1, "NOTIFY")
            request.contact = [own.contact]
            Mailbox.write(request, "terminated")
            assert (await own.transactions.ask(own.connection, request)).code == code
        (told,) = heard(phone)
        assert told.body == SUMMARY


async def test_a_text_message_of_the_exchange_reaches_the_device_and_names_who_wrote(office: Office) -> None:
    async with exchange(office) as own:
        phone = await desk_phone(office, "101")
        await until(lambda: bool(of(own, "101")))
        held = own.held[of(own, "101")[0]]
        for body, code in ((b"uw pakket is er", 200), (b"x" * 5000, 413)):
            request = Request("MESSAGE", URI.parse(held.contact), body)
            request.headers.set("Max-Forwards", "70")
            request.headers.set("Route", held.path)
            request.from_address = Address(URI("sip", DOMAIN, user="+31301112233"), parameters=Parameters(tag="1"))
            request.to_address = Address(URI("sip", DOMAIN, user=held.account))
            request.headers.set("Call-ID", f"m-{code}")
            request.cseq = CSeq(1, "MESSAGE")
            request.headers.set("Content-Type", "text/plain")
            assert (await own.transactions.ask(own.connection, request)).code == code
        (message,) = [each for each in phone.seen if each.method == "MESSAGE"]
        assert message.body == b"uw pakket is er"
        assert message.from_address.uri.user == "+31301112233"
        assert message.max_forwards == 69


async def test_without_an_exchange_there_is_no_voicemail_and_the_phone_is_told(office: Office) -> None:
    phone = await desk_phone(office, "101")
    response = await subscribes(phone, a_subscribe(phone))
    assert response.code == 489 and response.headers["Allow-Events"] == "dialog"


async def test_an_exchange_without_a_voicemail_says_so_itself_and_nothing_is_kept(office: Office) -> None:
    async with exchange(office):
        phone = await desk_phone(office, "101")
        for _ in range(2 * MOST):
            assert (await subscribes(phone, a_subscribe(phone))).code == 481
        assert not office.exchange._waiting._subscriptions and not office.exchange._waiting._upstream
