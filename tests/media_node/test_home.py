"""The provider's own exchange behind the node: registrations with a Path, calls both ways, and what happens without it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.call.directory import Directory, Limits, Site
from media_node.call.home import EXPIRES, Upstream, granted
from media_node.call.trunk_settings import parse_trunks
from media_node.probe.phone import Conversation
from media_node.sip.dialog import Dialog
from media_node.sip.digest import Authenticator, Credentials, Verdict
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.message import reply
from media_node.sip.sdp import Session, attach
from media_node.sip.transaction_layer import ServerTransaction
from tests.support.node import DOMAIN
from tests.support.office import CUSTOMER, Office, Provider, desk_phone, environment, refused, trunks, until

OUTSIDE = "+31301112233"


@dataclass
class Held:
    """What the exchange remembers of one Contact."""

    account: str
    path: str
    contact: str


class ProvidersExchange(Provider):
    """A home registrar (RFC 3327) that answers every number itself, and calls its phones by their Path."""

    account: tuple[str, str] = ("", "")
    refuses: int = 0
    down: bool = False
    says_what_it_has: bool = True
    """Whether it says what it has to who asks (RFC 3261 section 10.2.3)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.held: dict[str, Held] = {}
        self.registers: list[Request] = []
        self.asked: list[str] = []
        self._judge = Authenticator(DOMAIN)

    def requested(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if self.down:
            if request.method != "ACK":
                transaction.respond(503)
            return
        if request.method != "REGISTER":
            super().requested(transaction)
            return
        if request.headers.get("Contact") is not None:
            self.registers.append(request)
        if self.account[0] and not self._admits(request):
            response = reply(request, 401, to_tag="x")
            now = asyncio.get_running_loop().time()
            response.headers.setlist("WWW-Authenticate", self._judge.challenges(now, stale=False, agent=""))
            transaction.send(response)
            return
        if self.refuses:
            transaction.respond(self.refuses)
            return
        if request.headers.get("Contact") is None:
            self.asked.append(request.to_address.uri.user or "")
            response = reply(request, 200, to_tag="x")
            there = [held.contact for held in self.held.values() if held.account == self.asked[-1]]
            if self.says_what_it_has:
                response.headers.setlist("Contact", [f"<{each}>;expires=60" for each in there])
            transaction.send(response)
            return
        (contact,) = request.contact
        token = contact.uri.user or ""
        if request.expires:
            path = request.headers["Path"]
            self.held[token] = Held(request.to_address.uri.user or "", path, str(contact.uri))
            transaction.respond(200, Contact=f"<{contact.uri}>;expires=120")
        else:
            self.held.pop(token, None)
            transaction.respond(200)

    def _admits(self, request: Request) -> bool:
        value = request.headers.get("Authorization")
        if value is None:
            return False
        credentials = Credentials.parse(value)
        user, password = self.account
        ha1 = {each.value: each.ha1(user, DOMAIN, password) for each in type(credentials.algorithm)}
        now = asyncio.get_running_loop().time()
        return credentials.username == user and (
            self._judge.judge(credentials, method="REGISTER", uri=credentials.uri, ha1=ha1, now=now) is Verdict.VALID
        )

    async def calls_device(self, token: str, caller: str = "+31207654321", *, by_route: bool = True) -> Conversation:
        """Calls one Contact; by its Path as a Route, or, as who knows no Path, by the Contact alone."""
        held = self.held[token]
        conversation = await self._conversation(voice=0)
        request = Request("INVITE", URI.parse(held.contact))
        request.headers.set("Max-Forwards", "70")
        request.from_address = Address(URI("sip", DOMAIN, user=caller), "Klant", Parameters(tag="77"))
        request.to_address = Address(URI("sip", DOMAIN, user=held.account))
        request.headers.set("Call-ID", f"x-{id(conversation)}")
        request.cseq = CSeq(1, "INVITE")
        request.contact = [self.contact]
        if by_route:
            request.headers.set("Route", held.path)
        attach(request, conversation.description(()))
        response = await self.invite(self.connection, request, conversation)
        conversation.dialog = Dialog.as_client(request, response)
        self.transactions.acknowledge(self.connection, conversation.dialog.request("ACK", self.contact, 1))
        conversation.agree(Session.parse(response.body))
        return conversation


@contextlib.asynccontextmanager
async def exchange(office: Office, *others: Provider, **settings: Any) -> AsyncIterator[ProvidersExchange]:
    own = ProvidersExchange("exchange", "", DOMAIN, ())
    async with trunks(office, own, *others, trunk_1={"home": True, **settings}):
        yield own


def of(own: ProvidersExchange, extension: str) -> list[str]:
    return [token for token, held in own.held.items() if held.account == f"{CUSTOMER}-{extension}"]


# Registrations.


async def test_a_phone_that_registers_is_registered_there_with_a_path_and_unregistered_when_it_goes(
    office: Office,
) -> None:
    async with exchange(office) as own:
        phone = await desk_phone(office, "101")
        await until(lambda: bool(of(own, "101")))
        (request,) = own.registers
        assert "path" in request.supported
        assert request.headers["Path"].startswith("<sip:") and ";lr>" in request.headers["Path"]
        assert request.to_address.uri == request.from_address.uri == URI("sip", DOMAIN, user=f"{CUSTOMER}-101")
        phone.connection.close()
        await until(lambda: not own.held)


async def test_two_devices_of_a_phone_are_two_contacts(office: Office) -> None:
    async with exchange(office) as own:
        first, second = await desk_phone(office, "102"), await desk_phone(office, "102")
        await until(lambda: len(of(own, "102")) == 2)
        one, _ = of(own, "102")
        await own.calls_device(one)
        assert len(first.rang) + len(second.rang) == 1, "one Contact is one device"


async def test_the_exchange_is_shown_the_nodes_account(office: Office) -> None:
    async with exchange(office, username="edge", password="between-us") as own:
        own.account = ("edge", "between-us")
        await desk_phone(office, "101")
        await until(lambda: bool(of(own, "101")))
        assert len(own.registers) == 2


async def test_a_registration_that_fails_is_tried_again_and_the_phone_works_meanwhile(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_node.call.home.RETRIES", (0.1,))
    async with exchange(office) as own:
        own.refuses = 503
        await desk_phone(office, "101")
        await until(lambda: bool(own.registers))
        assert not own.held
        own.refuses = 0
        await asyncio.sleep(0.2)
        await office.exchange.home.sync()
        assert of(own, "101")


async def test_over_a_new_connection_the_exchange_gets_a_new_path(office: Office) -> None:
    async with exchange(office) as own:
        await desk_phone(office, "101")
        await until(lambda: bool(of(own, "101")))
        (token,) = of(own, "101")
        before = own.held[token].path
        own.connections[-1].close()
        home = office.exchange.home.trunk
        assert home is not None
        await until(lambda: home._connection is not None and home._connection.closed)
        await office.exchange.home.sync()
        assert own.held[token].path != before
        await own.calls_device(token)


async def test_a_node_that_stops_takes_its_phones_away(office: Office) -> None:
    async with exchange(office) as own:
        await desk_phone(office, "101")
        await until(lambda: bool(of(own, "101")))
        await office.exchange.drain(0, 0)
        assert not own.held


@given(st.text(max_size=40), st.text(max_size=10))
def test_whatever_the_exchange_grants_is_a_time_that_makes_sense(contact: str, expires: str) -> None:
    response = Response(200, "OK")
    response.headers.set("Contact", contact)
    response.headers.set("Expires", expires)
    assert 0 <= granted(response, "token") <= EXPIRES


@given(st.lists(st.sampled_from([200, 403, 408, 503]), max_size=20))
def test_whatever_it_answers_a_registration_is_asked_for_again_in_time_and_never_at_once(codes: list[int]) -> None:
    upstream, now = Upstream("abc234-201", 1), 0.0
    connection: Any = object()
    for code in codes:
        response = Response(code, "")
        upstream.answered(response, connection, now)
        assert now + 2 <= upstream.due_at <= now + EXPIRES
        assert not upstream.due(connection, now)
        now = upstream.due_at
        assert upstream.due(connection, now)


# Calls.


@pytest.mark.parametrize("by_route", [True, False], ids=["by its Path", "by its Contact"])
async def test_a_call_of_the_exchange_rings_the_phone_encrypted(office: Office, by_route: bool) -> None:
    async with exchange(office) as own:
        phone = await desk_phone(office, "101")
        await until(lambda: bool(of(own, "101")))
        ours = await own.calls_device(of(own, "101")[0], by_route=by_route)
        theirs = await phone.answered()
        assert phone.rang[0].request.from_address.uri.user == "+31207654321"
        assert theirs.suite is not None and ours.suite is None
        await ours.hang_up()
        assert (await office.record()).reason == "completed"


async def test_a_path_of_nobody_is_a_flow_that_failed(office: Office) -> None:
    async with exchange(office) as own:
        await desk_phone(office, "101")
        await until(lambda: bool(of(own, "101")))
        stranger = Held(f"{CUSTOMER}-101", f"<sip:{'0' * 24}@127.0.0.1;lr>", f"sip:{'0' * 24}@127.0.0.1")
        own.held["stranger"] = stranger
        assert (await refused(own.calls_device("stranger"))).code == 430


async def test_another_trunk_does_not_ring_a_phone_by_its_path(office: Office) -> None:
    other = ProvidersExchange("provider", "", DOMAIN, ())
    async with exchange(office, other) as own:
        await desk_phone(office, "101")
        await until(lambda: bool(of(own, "101")))
        other.held = dict(own.held)
        assert (await refused(other.calls_device(of(own, "101")[0]))).code in (404, 430)


@pytest.mark.parametrize(
    ("dialled", "asked"), [("102", f"{CUSTOMER}-102"), ("*97", "*97"), ("8000", "8000"), (OUTSIDE, OUTSIDE)]
)
async def test_what_a_phone_dials_goes_to_the_exchange(office: Office, dialled: str, asked: str) -> None:
    async with exchange(office) as own:
        caller = await desk_phone(office, "101")
        ours = await caller.call(dialled)
        request = own.rang[0].request
        assert request.uri.user == asked
        assert request.from_address.uri.user == f"{CUSTOMER}-101"
        assert ours.suite is not None, "the phone's leg is encrypted"


async def test_a_colleague_is_shown_by_extension(office: Office) -> None:
    async with exchange(office) as own:
        phone = await desk_phone(office, "101")
        await until(lambda: bool(of(own, "101")))
        await own.calls_device(of(own, "101")[0], f"{CUSTOMER}-102")
        assert phone.rang[0].request.from_address.uri.user == "102"


@pytest.mark.parametrize("known", [True, False], ids=["known to be down", "found down"])
async def test_without_the_exchange_colleagues_and_the_other_trunks_are_reached_all_the_same(
    office: Office, known: bool
) -> None:
    other = Provider("provider", "", DOMAIN, ())
    async with exchange(office, other) as own:
        own.down = True
        if known:
            await office.exchange.outside.trunks.check()
        caller, callee = await desk_phone(office, "101"), await desk_phone(office, "102")
        await caller.call("102")
        assert len(callee.rang) == 1
        await caller.call(OUTSIDE)
        assert other.rang[0].request.uri.user == OUTSIDE
        assert f"{CUSTOMER}-101" not in other.rang[0].request.headers["From"], "an account is nobody's number"


async def test_emergency_calls_take_their_own_trunks_and_the_exchange_last(office: Office) -> None:
    other = Provider("provider", "", DOMAIN, ())
    site = Site(id="s1", street="Dorpsstraat", house_number="1", postcode="1234 AB", city="Utrecht")
    office.exchange.assign(Directory((replace(environment(), sites=(site,)),)))
    async with exchange(office, other) as own:
        caller = await desk_phone(office, "101")
        await caller.call("112")
        assert len(other.rang) == 1 and not own.rang
        other.answers = lambda transaction: 503
        await caller.call("112")
        assert own.rang[0].request.uri.user == "112" and len(own.locations) == 1


async def test_limits_and_suspension_hold_for_what_the_exchange_is_asked_for(office: Office) -> None:
    limits = Limits(destinations=frozenset({"national"}))
    async with exchange(office) as own:
        caller = await desk_phone(office, "101")
        office.exchange.assign(Directory((replace(environment(), limits=limits),)))
        assert (await refused(caller.call("+12025550123"))).code == 403
        office.exchange.assign(Directory((replace(environment(), suspended=True),)))
        assert (await refused(caller.call(OUTSIDE))).code == 403
        await caller.call("*97")
        assert [each.request.uri.user for each in own.rang] == ["*97"]


def test_there_is_one_exchange() -> None:
    one = {"host": "exchange.example.nl", "port": 5060, "home": True}
    (found,) = parse_trunks({**one, "domain": "pbx.example.nl"})
    assert found.home and found.domain == "pbx.example.nl"
    with pytest.raises(ValueError, match="more than one trunk is the home exchange"):
        parse_trunks([{**one, "name": "a"}, {**one, "name": "b"}])
