"""A SIP phone without a person: registers over TLS, calls or answers, and says a voice that the other end can
recognise.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from media_node.probe.audio import PAYLOAD_TYPE
from media_node.probe.stream import Stream
from media_node.sip import transport
from media_node.sip.dialog import Dialog
from media_node.sip.digest import answer
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.message import reply
from media_node.sip.sdp import Attribute, CryptoAttribute, Direction, Media, Session, attach, is_secure
from media_node.sip.transaction_layer import ClientTransaction, ServerTransaction, TransactionLayer, to_tag
from media_node.sip.transport import Connection, Transport
from media_node.suites import Suite

TIMEOUT: Final = 10.0
"""Seconds a phone waits for anything."""
SUITES: Final = (Suite.AES_CM_128_HMAC_SHA1_80.value, Suite.AES_CM_128_HMAC_SHA1_32.value)
_CHALLENGE: Final = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}


class RequestRefused(Exception):
    """The node said no: status and phrase of its final response, and the text of its Warning."""

    def __init__(self, response: Response) -> None:
        self.code = response.code
        self.phrase = response.phrase
        self.warning = (response.headers.get("Warning") or "").partition('"')[2].rstrip('"')
        super().__init__(f"{response.code} {response.phrase}" + (f": {self.warning}" if self.warning else ""))


@dataclass(eq=False)
class Conversation:
    """A call as one phone has it."""

    phone: Phone
    connection: Connection
    stream: Stream
    port: int
    keys: dict[str, str] = field(default_factory=dict)
    dialog: Dialog | None = None
    suite: Suite | None = None
    client: ClientTransaction | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    end_reason: str = ""
    directions: list[Direction] = field(default_factory=list)
    """What the other side offered or answered, in turn."""
    _version: int = 0
    _direction: Direction = Direction.SENDRECV
    _secured_with: tuple[str, str] | None = None

    async def hang_up(self) -> None:
        """Sends BYE and falls silent."""
        if self.dialog is not None and not self.ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIMEOUT):
                    await self.phone.transactions.ask(self.connection, self.dialog.request("BYE", self.phone.contact))
        self.close("hung up here")

    async def change(self, direction: Direction, suites: tuple[str, ...] | None = None) -> None:
        """A re-INVITE: hold with sendonly, resume with sendrecv; `suites` overrides what is offered. Raises RequestRefused."""
        if self.dialog is None:
            raise RuntimeError("no call yet")
        before, self._direction = self._direction, direction
        offered = suites if suites is not None else ((self.suite.value,) if self.suite else ())
        request = self.dialog.request("INVITE", self.phone.contact)
        attach(request, self.description(offered))
        try:
            response = await self.phone.invite(self.connection, request)
        except RequestRefused:
            self._direction = before
            raise
        self.phone.transactions.acknowledge(
            self.connection, self.dialog.request("ACK", self.phone.contact, request.cseq.sequence)
        )
        self.agree(Session.parse(response.body))

    def description(
        self, suites: tuple[str, ...], answered: tuple[Media, CryptoAttribute | None] | None = None
    ) -> Session:
        """This phone's SDP: an offer of `suites`, or the answer to an offered stream with the crypto line taken."""
        host = self.connection.local.host
        if answered is None:
            protocol = "RTP/SAVP" if suites else "RTP/AVP"
            crypto = tuple(CryptoAttribute(tag, suite, self._key(suite)) for tag, suite in enumerate(suites, start=1))
        else:
            media, taken = answered
            protocol = media.protocol
            crypto = (CryptoAttribute(taken.tag, taken.suite, self._key(taken.suite)),) if taken else ()
        attributes = (
            Attribute("rtpmap", f"{PAYLOAD_TYPE} PCMA/8000"),
            *(Attribute("crypto", str(line)) for line in crypto),
            Attribute(self._direction.value),
        )
        self._version += 1
        return Session(
            f"- {id(self)} {self._version} IN IP4 {host}",
            f"IN IP4 {host}",
            (),
            (Media("audio", self.port, protocol, (str(PAYLOAD_TYPE),), None, attributes),),
        )

    def agree(self, remote: Session, taken: CryptoAttribute | None = None) -> None:
        """Takes the other side's answer (or offer, with the line taken) in force.

        Raises ValueError for one that does not fit.
        """
        media = remote.media[0]
        if not media.port:
            raise ValueError("the stream was refused")
        crypto = taken or (media.cryptos[0] if media.cryptos else None)
        destination = (self.phone.media_host or remote.address(media), media.port)
        self.directions.append(remote.direction(media))
        if crypto is None:
            if is_secure(media.protocol):
                raise ValueError("RTP/SAVP without a key")
            self.stream.agree(destination)
            return
        self.suite = Suite(crypto.suite)
        keys = (self._key(crypto.suite), crypto.key)
        if keys == self._secured_with:
            self.stream.redirect(destination)
        else:
            self.stream.agree(destination, suite=self.suite, send_key=keys[0], receive_key=keys[1])
        self._secured_with = keys

    def answer(self, offer: Session) -> Session | None:
        """The answer to an offer, or None when it cannot be taken."""
        media = offer.media[0]
        suites = self.phone.suites
        taken = next(
            (line for suite in suites for line in media.cryptos if line.suite == suite and line.refusal is None), None
        )
        if suites and taken is None:
            return None
        self.agree(offer, taken)
        offered = offer.direction(media)
        self._direction = Direction.SENDRECV.limited_to(offered.reversed)
        return self.description((), (media, taken))

    def close(self, reason: str) -> None:
        """Falls silent and says why."""
        if not self.ended.is_set():
            self.end_reason = reason
            self.stream.close()
            self.ended.set()

    def _key(self, suite: str) -> str:
        length = Suite(suite).key_length if suite in tuple(Suite) else 30
        return self.keys.setdefault(suite, b64encode(secrets.token_bytes(length)).decode())


@dataclass(eq=False)
class Phone:
    """One account.

    `suites` are offered and preferred in this order; none means plain RTP. `media_host` overrides the SDP's
    address.
    """

    username: str
    password: str
    domain: str
    suites: tuple[str, ...] = SUITES
    media_host: str | None = None
    answers: Callable[[ServerTransaction], int] = lambda transaction: 200
    """What it does when it rings: the status it answers with, 180 to go on ringing."""
    conversations: list[Conversation] = field(default_factory=list)
    rang: list[ServerTransaction] = field(default_factory=list)
    algorithm: str = ""
    """The algorithm it last authenticated with."""
    _connection: Connection | None = None
    _call_id: str = field(default_factory=lambda: secrets.token_hex(8))
    _sequence: int = 0
    _registered: bool = False
    _accepting: asyncio.Task[None] | None = None
    _answered: asyncio.Queue[Conversation] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.transactions = TransactionLayer(self, "media-node-probe")

    @property
    def connection(self) -> Connection:
        """The connection to the node. Raises RuntimeError before `connect`."""
        if self._connection is None:
            raise RuntimeError("not connected")
        return self._connection

    @property
    def contact(self) -> Address:
        """Where the node reaches this phone."""
        return self.transactions.contact(self.connection, self.username)

    async def connect(self, host: str, port: int, context: ssl.SSLContext, *, server_name: str | None = None) -> None:
        """Opens the TLS connection. Raises OSError."""
        self._connection = await transport.connect(
            self.transactions,
            Transport.TLS,
            host=host,
            port=port,
            context=context,
            server_name=server_name or self.domain,
        )

    async def register(self, expires: int = 300) -> None:
        """Registers, or with 0 unregisters. Raises RequestRefused, or TimeoutError."""

        def request() -> Request:
            self._sequence += 1
            register = Request("REGISTER", URI("sip", self.domain))
            register.headers.set("Max-Forwards", "70")
            register.from_address = Address(self._identity, parameters=Parameters(tag=secrets.token_hex(8)))
            register.to_address = Address(self._identity)
            register.headers.set("Call-ID", self._call_id)
            register.cseq = CSeq(self._sequence, "REGISTER")
            register.contact = [self.contact]
            register.headers.set("Expires", str(expires))
            return register

        async with asyncio.timeout(TIMEOUT):
            response = await self.transactions.ask(self.connection, request())
            if response.code == 401:
                response = await self.transactions.ask(self.connection, self._authorised(request(), response))
        if response.code >= 300:
            raise RequestRefused(response)
        self._registered = expires > 0

    async def call(self, dialled: str, *, suites: tuple[str, ...] | None = None, wait: bool = True) -> Conversation:
        """Calls and waits for the answer (`wait` False: only sends the INVITE). Raises RequestRefused, or TimeoutError."""
        conversation = await self._conversation(voice=0)
        offered = self.suites if suites is None else suites
        request = Request("INVITE", URI("sip", self.domain, user=dialled))
        request.headers.set("Max-Forwards", "70")
        request.from_address = Address(self._identity, parameters=Parameters(tag=secrets.token_hex(8)))
        request.to_address = Address(URI("sip", self.domain, user=dialled))
        request.headers.set("Call-ID", secrets.token_hex(8))
        request.cseq = CSeq(1, "INVITE")
        request.contact = [self.contact]
        attach(request, conversation.description(offered))
        if not wait:
            conversation.client = self.transactions.send(self.connection, request, lambda response: None)
            return conversation
        try:
            response = await self.invite(self.connection, request, conversation)
            conversation.dialog = Dialog.as_client(request, response)
            self.transactions.acknowledge(
                self.connection, conversation.dialog.request("ACK", self.contact, conversation.dialog.local_sequence)
            )
            conversation.agree(Session.parse(response.body))
        except BaseException:
            conversation.close("refused")
            raise
        return conversation

    async def invite(
        self, connection: Connection, request: Request, conversation: Conversation | None = None
    ) -> Response:
        """Sends an INVITE, with credentials when they are asked for, and waits for its 2xx.

        Raises RequestRefused, or TimeoutError.
        """
        async with asyncio.timeout(TIMEOUT):
            response = await self._final(connection, request, conversation)
            if response.code in _CHALLENGE:
                request.cseq = CSeq(request.cseq.sequence + 1, "INVITE")
                response = await self._final(connection, self._authorised(request, response), conversation)
        if response.code >= 300:
            raise RequestRefused(response)
        return response

    async def answered(self) -> Conversation:
        """The next call this phone has answered. Raises TimeoutError."""
        async with asyncio.timeout(TIMEOUT):
            return await self._answered.get()

    async def close(self) -> None:
        """Hangs up, unregisters and disconnects."""
        for conversation in self.conversations:
            conversation.close("phone closed")
        if self._connection is not None and not self._connection.closed:
            if self._registered:
                with contextlib.suppress(RequestRefused, TimeoutError):
                    await self.register(0)
            self._connection.close()

    # What the endpoint tells it (transaction_layer.TransactionUser).

    def requested(self, transaction: ServerTransaction) -> None:
        """A request of the node."""
        request = transaction.request
        conversation = self._of(request.call_id, to_tag(request))
        match request.method:
            case "INVITE" if conversation is not None:
                self._reinvited(conversation, transaction)
            case "INVITE" if not to_tag(request):
                self.rang.append(transaction)
                status = self.answers(transaction)
                if status == 200:
                    self._accepting = asyncio.get_running_loop().create_task(self._accept(transaction))
                else:
                    transaction.on_cancel = lambda cancel: self._cancelled(transaction)
                    transaction.respond(status)
            case "BYE" if conversation is not None:
                transaction.respond(200)
                conversation.close(request.headers.get("Reason") or "the other side hung up")
            case "OPTIONS" | "INFO":
                transaction.respond(200)
            case _:
                transaction.respond(481)

    def acknowledged(self, connection: Connection, ack: Request) -> None:
        """An ACK needs nothing more."""

    def lost(self, connection: Connection) -> None:
        """The node is gone, and the calls with it."""
        for conversation in self.conversations:
            conversation.close("connection lost")

    @property
    def _identity(self) -> URI:
        return URI("sip", self.domain, user=self.username)

    def _of(self, call_id: str, tag: str) -> Conversation | None:
        return next(
            (
                c
                for c in self.conversations
                if c.dialog and (c.dialog.id.call_id, c.dialog.id.local_tag) == (call_id, tag)
            ),
            None,
        )

    async def _conversation(self, voice: int) -> Conversation:
        stream = Stream(voice)
        conversation = Conversation(self, self.connection, stream, await stream.open(self.connection.local.host))
        self.conversations.append(conversation)
        return conversation

    def _cancelled(self, transaction: ServerTransaction) -> None:
        transaction.respond(487)

    async def _accept(self, transaction: ServerTransaction) -> None:
        conversation = await self._conversation(voice=1)
        conversation.dialog = Dialog.as_server(transaction.request, transaction.tag)
        description = conversation.answer(Session.parse(transaction.request.body))
        if description is None:
            conversation.close("nothing acceptable was offered")
            transaction.respond(488)
            return
        transaction.respond(180)
        self._say_yes(transaction, description)
        self._answered.put_nowait(conversation)

    def _reinvited(self, conversation: Conversation, transaction: ServerTransaction) -> None:
        if conversation.dialog is not None:
            conversation.dialog.receive(transaction.request)
        description = conversation.answer(Session.parse(transaction.request.body))
        if description is None:
            transaction.respond(488)
        else:
            self._say_yes(transaction, description)

    def _say_yes(self, transaction: ServerTransaction, description: Session) -> None:
        response = reply(transaction.request, 200, to_tag=transaction.tag)
        response.contact = [self.contact]
        attach(response, description)
        transaction.send(response)

    async def _final(self, connection: Connection, request: Request, conversation: Conversation | None) -> Response:
        final: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def heard(response: Response) -> None:
            if response.code >= 200 and not final.done():
                final.set_result(response)

        client = self.transactions.send(connection, request, heard)
        if conversation is not None:
            conversation.client = client
        return await final

    def _authorised(self, request: Request, challenged: Response) -> Request:
        """The request with credentials for the first challenge whose algorithm is known here."""
        asked, given = _CHALLENGE[challenged.code]
        for challenge in challenged.headers.getlist(asked):
            with contextlib.suppress(ValueError):
                credentials = answer(
                    challenge,
                    username=self.username,
                    password=self.password,
                    method=request.method,
                    uri=str(request.uri),
                )
                request.headers.set(given, str(credentials))
                self.algorithm = credentials.algorithm.value
                return request
        raise RequestRefused(challenged)
