"""An exchange with one customer's phones, over real TLS, and a media worker that only keeps the rules of the protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from media_node.call.directory import Directory, Environment, Number, Phone
from media_node.call.exchange import Exchange
from media_node.call.record import CallRecord
from media_node.call.trunk_settings import TrunkSettings
from media_node.probe.phone import Conversation, RequestRefused
from media_node.probe.phone import Phone as Handset
from media_node.sip import transport
from media_node.sip.dialog import Dialog
from media_node.sip.digest import Algorithm
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.sdp import Session, attach
from media_node.sip.transaction_layer import ServerTransaction
from media_node.sip.transport import Connection, Transport
from tests.support.node import DOMAIN, Certificates
from tests.support.ruleful_media import RulefulMedia

CUSTOMER = "abc234"
PASSWORD = "geheim"


@dataclass
class Office:
    """An exchange with one customer's phones 101 to 104 and the means to make handsets."""

    exchange: Exchange
    media: RulefulMedia
    records: list[CallRecord]
    port: int
    certificates: Certificates
    handsets: list[Handset] = field(default_factory=list)

    async def handset(
        self,
        extension: str,
        *,
        register: bool = True,
        password: str = PASSWORD,
        customer: str = CUSTOMER,
        **options: Any,
    ) -> Handset:
        handset = Handset(f"{customer}-{extension}", password, DOMAIN, **options)
        self.handsets.append(handset)
        await handset.connect("127.0.0.1", self.port, self.certificates.client_context())
        if register:
            await handset.register()
        return handset

    async def record(self) -> CallRecord:
        await until(lambda: bool(self.records))
        assert not self.media.secure, "every call that was opened is closed"
        assert not self.exchange.calls
        return self.records[0]


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the condition is another program's
            await asyncio.sleep(0.01)


def environment(*, encrypted: bool = True, calls: int = 10) -> Environment:
    phones = tuple(
        Phone(
            username=f"{CUSTOMER}-{extension}",
            extension=extension,
            customer_id=CUSTOMER,
            encrypted=encrypted,
            ha1={name.value: name.ha1(f"{CUSTOMER}-{extension}", DOMAIN, PASSWORD) for name in Algorithm},
        )
        for extension in ("101", "102", "103", "104")
    )
    return Environment(
        environment_id=CUSTOMER, customer_id=CUSTOMER, encrypted=encrypted, calls=calls, version=1, phones=phones
    )


async def talking(office: Office) -> tuple[Conversation, Conversation]:
    """A call from 101 to 102, answered."""
    callee, caller = await office.handset("102"), await office.handset("101")
    ours = await caller.call("102")
    return ours, await callee.answered()


async def refused(call: Awaitable[Any]) -> RequestRefused:
    with pytest.raises(RequestRefused) as error:
        await call
    return error.value


NUMBER = "+31201230000"


class DeskPhone(Handset):
    """A phone that remembers what it was sent, and can hold its answer back."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.seen: list[Request] = []
        self.reasons: list[str] = []

    def requested(self, transaction: ServerTransaction) -> None:
        self.seen.append(transaction.request)
        if transaction.request.method in ("NOTIFY", "UPDATE", "MESSAGE", "PRACK"):
            transaction.respond(200)
        else:
            super().requested(transaction)
            if (before := transaction.on_cancel) is not None:

                def cancelled(cancel: Request) -> None:
                    self.reasons.append(cancel.headers.get("Reason") or "")
                    before(cancel)

                transaction.on_cancel = cancelled

    def progress(self) -> list[str]:
        """What the NOTIFYs of a transfer said."""
        return [request.body.decode().strip() for request in self.seen if request.method == "NOTIFY"]


async def desk_phone(office: Office, extension: str, **options: Any) -> DeskPhone:
    phone = DeskPhone(f"{CUSTOMER}-{extension}", PASSWORD, DOMAIN, **options)
    office.handsets.append(phone)
    await phone.connect("127.0.0.1", office.port, office.certificates.client_context())
    await phone.register()
    return phone


async def invite(phone: Handset, dialled: str, *, uri: URI | None = None, **headers: str) -> Conversation:
    """Calls with header fields of the test's own; `uri` in place of what is dialled in our domain."""
    conversation = await phone._conversation(voice=0)
    request = Request("INVITE", uri or URI("sip", DOMAIN, user=dialled))
    request.headers.set("Max-Forwards", "70")
    request.from_address = Address(URI("sip", DOMAIN, user=phone.username), parameters=Parameters(tag="77"))
    request.to_address = Address(request.uri)
    request.headers.set("Call-ID", f"{dialled}-{id(conversation)}")
    request.cseq = CSeq(1, "INVITE")
    request.contact = [phone.contact]
    for name, value in headers.items():
        request.headers.set(name.replace("_", "-"), value)
    attach(request, conversation.description(phone.suites))
    response = await phone.invite(phone.connection, request, conversation)
    conversation.dialog = Dialog.as_client(request, response)
    phone.transactions.acknowledge(
        phone.connection, conversation.dialog.request("ACK", phone.contact, request.cseq.sequence)
    )
    conversation.agree(Session.parse(response.body))
    conversation.headers = response.headers  # type: ignore[attr-defined]
    return conversation


def refer(conversation: Conversation, target: str) -> Request:
    assert conversation.dialog is not None
    request = conversation.dialog.request("REFER", conversation.phone.contact)
    request.headers.set("Refer-To", target)
    return request


async def ask(conversation: Conversation, request: Request) -> Response:
    return await conversation.phone.transactions.ask(conversation.connection, request)


def with_number(**options: Any) -> Directory:
    return Directory((replace(environment(), numbers=(Number(number=NUMBER, **options),)),))


def users(*extensions: str) -> tuple[str, ...]:
    return tuple(f"{CUSTOMER}-{extension}" for extension in extensions)


class Provider(DeskPhone):
    """The other end of a trunk: answers every number in plain RTP unless it has suites, and calls in over the same
    connection. `silent`: it hears everything and never says a word.
    """

    silent: bool = False
    challenge: str = ""
    """The header field of a 407 that it sends to every INVITE without credentials."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.connections: list[Connection] = []
        self.locations: list[bytes] = []
        """The bodies of two parts that came, as an emergency call has."""

    def requested(self, transaction: ServerTransaction) -> None:
        if self.silent:
            self.seen.append(transaction.request)
            return
        if transaction.request.method == "OPTIONS":
            transaction.respond(200)
            return
        unanswered = transaction.request.headers.get("Proxy-Authorization") is None
        if self.challenge and transaction.request.method == "INVITE" and unanswered:
            self.seen.append(transaction.request)
            transaction.respond(407, Proxy_Authenticate=self.challenge)
            return
        request = transaction.request
        if (request.headers.get("Content-Type") or "").startswith("multipart/mixed"):
            self.locations.append(request.body)
            request.body = next(part for part in request.body.split(b"\r\n\r\n") if part.startswith(b"v=0"))
            request.body = request.body.partition(b"\r\n--")[0] + b"\r\n"
            request.headers.set("Content-Type", "application/sdp")
        super().requested(transaction)

    def accept(self) -> Connection:
        """A connection of the node."""
        receiver = _Deaf() if self.silent else self.transactions
        connection = transport.StreamConnection(receiver, Transport.TCP)
        self.connections.append(connection)
        self._connection = connection
        return connection


OUTSIDE = "+31301112233"
"""A number beyond the trunk."""


def provider(**options: Any) -> Provider:
    """The other end of a trunk that speaks plain RTP."""
    return Provider("provider", "", DOMAIN, (), **options)


class _Deaf:
    """Accepts and hears nothing, as a peer that hangs."""

    def received(self, connection: Connection, message: Any) -> None:
        """Never answered."""

    def lost(self, connection: Connection) -> None:
        """Nothing to do."""


@contextlib.asynccontextmanager
async def trunks(office: Office, *providers: Provider, **settings: dict[str, Any]) -> AsyncIterator[None]:
    """Makes these providers the node's trunks, in this order; `settings` by name (trunk_1, trunk_2 ...)."""
    loop, servers, all_settings = asyncio.get_running_loop(), [], []
    for number, provider in enumerate(providers, 1):
        server = await loop.create_server(provider.accept, "127.0.0.1", 0)  # type: ignore[arg-type]
        servers.append(server)
        all_settings.append(
            TrunkSettings(
                name=f"trunk_{number}",
                host="127.0.0.1",
                port=server.sockets[0].getsockname()[1],
                transport=Transport.TCP,
                **settings.get(f"trunk_{number}", {}),
            )
        )
    office.exchange.use_trunks(tuple(all_settings), local_host="127.0.0.1")
    for trunk, provider in zip(office.exchange.outside.trunks.all, providers, strict=True):
        await trunk.connection()
        await until(lambda provider=provider: bool(provider.connections))  # type: ignore[misc]
    try:
        yield
    finally:
        office.exchange.outside.trunks.close()
        office.exchange.use_trunks((), local_host="127.0.0.1")
        for server in servers:
            server.close()
        for provider in providers:
            for connection in provider.connections:
                connection.close()


@contextlib.asynccontextmanager
async def trunk(office: Office, **options: Any) -> AsyncIterator[Provider]:
    """One trunk that can do all."""
    provider = Provider("provider", "", DOMAIN, (), **options)
    async with trunks(office, provider):
        yield provider
