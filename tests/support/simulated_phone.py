"""Phones of a simulated world: they keep RFC 3261 and do what a test wants."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field

from media_node.sip.dialog import Dialog
from media_node.sip.digest import answer
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.message import reply
from media_node.sip.sdp import Session
from media_node.sip.transaction_layer import ClientTransaction, ServerTransaction, TransactionLayer, to_tag
from media_node.sip.transport import Connection
from tests.support.node import DOMAIN
from tests.support.simulation import End

_SDP = "v=0\r\no=- 1 {version} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
_LINE = (
    "m={kind} {port} RTP/SAVP {number}\r\na=rtpmap:{number} {codec}\r\n"
    "a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{key}\r\na={direction}\r\n"
)
_STREAMS = {"audio": (40000, 8, "PCMA/8000"), "text": (40002, 98, "t140/1000")}
_CREDENTIALS = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}


@dataclass(eq=False)
class Talk:
    """A call as one phone has it."""

    phone: SimulatedPhone
    call_id: str
    client: ClientTransaction | None = None
    server: ServerTransaction | None = None
    dialog: Dialog | None = None
    code: int = 0
    """The final response it got or gave."""
    ended: bool = False
    cancelled_because: str | None = None
    """The Reason of the CANCEL that came."""
    referred: list[int] = field(default_factory=list)
    """How its REFERs were answered."""
    told: list[tuple[str, str]] = field(default_factory=list)
    """What NOTIFYs said of them: Subscription-State, and the status line."""
    confirmed: bool = False
    """Whether the ACK to what it answered has come, or is no longer waited for."""
    _leaves: bool = False

    @property
    def stands(self) -> bool:
        """Whether it talks, as far as it knows."""
        return self.dialog is not None and 200 <= self.code < 300 and not self.ended

    def hang_up(self) -> None:
        """BYE: of who was called not before the ACK (RFC 3261 section 15)."""
        self._leaves = True
        if self.client is None and not self.confirmed:
            return
        if self.stands and self.dialog is not None:
            self.ended = True
            request = self.dialog.request("BYE", self.phone.contact)
            self.phone.layer.send(self.phone.end, request, lambda response: None)

    def confirm(self) -> None:
        """The ACK has come, or never will."""
        self.confirmed = True
        if self.server is not None:
            self.server.confirm()
        if self._leaves:
            self.hang_up()

    def give_up(self) -> None:
        """No ACK ever came."""
        self._leaves = True
        self.confirm()

    def refer(self, to: str) -> None:
        """REFER."""
        if not self.stands or self.dialog is None:
            return
        request = self.dialog.request("REFER", self.phone.contact)
        request.headers.set("Refer-To", to)

        def heard(response: Response) -> None:
            if response.code >= 200:
                self.referred.append(response.code)

        self.phone.layer.send(self.phone.end, request, heard)

    def change(self, direction: str) -> None:
        """A re-INVITE, as for hold."""
        if not self.stands or self.dialog is None:
            return
        request = self.dialog.request("INVITE", self.phone.contact)
        self.phone.describe(request, direction=direction)
        sequence = request.cseq.sequence

        def heard(response: Response) -> None:
            if 200 <= response.code < 300 and self.dialog is not None:
                self.phone.acknowledge(self.dialog, sequence)
                self.phone.compare(request, response)

        self.phone.layer.send(self.phone.end, request, heard)


@dataclass(eq=False)
class SimulatedPhone:
    """One device. `mood` is what it does when it rings."""

    username: str
    password: str
    source: str
    end: End = field(init=False)
    mood: str = "answers"
    supported: str = ""
    """The option tags of its REGISTER."""
    types: bool = True
    """Whether it takes real-time text."""
    faults: list[str] = field(default_factory=list)
    """What was wrong with the answers to its offers."""
    talks: list[Talk] = field(default_factory=list)
    _sequence: int = 0
    _calls: int = 0

    def __post_init__(self) -> None:
        self.layer = TransactionLayer(self, "simulated")

    @property
    def contact(self) -> Address:
        return self.layer.contact(self.end, self.username)

    @property
    def device(self) -> str:
        """What tells it from others of the same account."""
        return f"{self.username}@{self.source}:{id(self)}"

    async def register(self, expires: int = 300) -> Response:
        """The last response to a REGISTER, with its credentials when they are asked for."""

        def request() -> Request:
            self._sequence += 1
            made = self._request("REGISTER", URI("sip", DOMAIN), self._identity, f"reg-{self.device}", self._sequence)
            made.headers.set("Contact", f'<{self.contact.uri}>;+sip.instance="<urn:x:{id(self)}>"')
            made.headers.set("Expires", str(expires))
            if self.supported:
                made.headers.set("Supported", self.supported)
            return made

        response = await self.layer.ask(self.end, request())
        if response.code in _CREDENTIALS:
            response = await self.layer.ask(self.end, self._with_credentials(request(), response))
        return response

    def call(self, dialled: str | URI, replaces: str = "") -> Talk:
        """Sends an INVITE."""
        self._calls += 1
        uri = dialled if isinstance(dialled, URI) else URI("sip", DOMAIN, user=dialled)
        request = self._request("INVITE", uri, uri, f"call-{self._calls}-{self.device}", 1)
        request.contact = [self.contact]
        if replaces:
            request.headers.set("Replaces", replaces)
        self.describe(request)
        talk = Talk(self, request.call_id)
        self.talks.append(talk)
        self._invite(talk, request)
        return talk

    def cancel(self, talk: Talk) -> None:
        """Takes an INVITE back."""
        if talk.client is not None and not talk.code:
            talk.client.cancel()

    def describe(
        self, message: Request | Response, offer: Request | None = None, direction: str = "sendrecv"
    ) -> Request | Response:
        """Puts this phone's SDP into a message: the answer to an offer, where there is one."""
        lines = [("audio", True, 1), ("text", self.types, 1)]
        if offer is not None and offer.body:
            lines = [
                (
                    each.kind,
                    bool(each.port and (each.kind == "audio" or self.types)),
                    each.cryptos[0].tag if each.cryptos else 1,
                )
                for each in Session.parse(offer.body).media
            ]
        body = _SDP.format(version=self._sequence, host=self.source)
        for kind, taken, tag in lines:
            port, number, codec = _STREAMS[kind]
            key = b64encode(f"{kind}{id(self):030d}".encode()[-30:]).decode()
            body += _LINE.format(
                kind=kind,
                port=port if taken else 0,
                number=number,
                codec=codec,
                tag=tag,
                key=key,
                direction=direction,
            )
        message.headers.set("Content-Type", "application/sdp")
        message.body = body.encode()
        return message

    def compare(self, request: Request, response: Response) -> None:
        """Holds an answer against its offer (RFC 3264 section 6): the same lines, none taken that was not offered, and none
        without a key.
        """
        offer, answer = Session.parse(request.body), Session.parse(response.body)
        if [each.kind for each in offer.media] != [each.kind for each in answer.media]:
            self.faults.append(f"{answer} answers {offer}")
        for ours, theirs in zip(offer.media, answer.media, strict=False):
            if theirs.port and (not ours.port or not theirs.cryptos):
                self.faults.append(f"{theirs} answers {ours}")

    def acknowledge(self, dialog: Dialog, sequence: int) -> None:
        """ACK."""
        self.layer.acknowledge(self.end, dialog.request("ACK", self.contact, sequence))

    def answer(self, talk: Talk) -> None:
        """Takes a call that rings."""
        transaction = talk.server
        if transaction is None or transaction.answered:
            return
        response = reply(transaction.request, 200, to_tag=transaction.tag)
        response.contact = [self.contact]
        self.describe(response, transaction.request)
        if not to_tag(transaction.request):
            talk.dialog = Dialog.as_server(transaction.request, transaction.tag)
            talk.code = 200
        transaction.send(response)
        transaction.retransmit(response, talk.give_up)

    # What the endpoint tells it (transaction_layer.TransactionUser).

    def requested(self, request: ServerTransaction) -> None:
        message = request.request
        known = next((each for each in self.talks if each.call_id == message.call_id and each.dialog), None)
        ours = known is not None and known.dialog is not None and to_tag(message) == known.dialog.id.local_tag
        match message.method:
            case "INVITE" if not to_tag(message):
                self._rings(request)
            case "OPTIONS":
                request.respond(200)
            case _ if known is None or not ours:
                request.respond(481)
            case "NOTIFY":
                state, line = message.headers.get("Subscription-State") or "", message.body.decode().strip()
                known.told.append((state, line))
                request.respond(200)
            case _ if known.ended:
                request.respond(200 if message.method == "BYE" else 481)
            case "INVITE":
                known.server = request
                self.answer(known)
            case "BYE":
                known.ended = True
                request.respond(200)
            case _:
                request.respond(200)

    def acknowledged(self, connection: Connection, ack: Request) -> None:
        for talk in self.talks:
            if talk.call_id == ack.call_id and talk.server is not None:
                talk.confirm()

    def lost(self, connection: Connection) -> None:
        """Its calls go on when it is back."""

    @property
    def _identity(self) -> URI:
        return URI("sip", DOMAIN, user=self.username)

    def _request(self, method: str, uri: URI, to: URI, call_id: str, sequence: int) -> Request:
        request = Request(method, uri)
        request.headers.set("Max-Forwards", "70")
        request.from_address = Address(self._identity, parameters=Parameters(tag=f"t{id(self)}"))
        request.to_address = Address(to)
        request.headers.set("Call-ID", call_id)
        request.cseq = CSeq(sequence, method)
        return request

    def _with_credentials(self, request: Request, challenged: Response) -> Request:
        asked, given = _CREDENTIALS[challenged.code]
        credentials = answer(
            challenged.headers.getlist(asked)[-1],
            username=self.username,
            password=self.password,
            method=request.method,
            uri=str(request.uri),
        )
        request.headers.set(given, str(credentials))
        return request

    def _invite(self, talk: Talk, request: Request) -> None:
        def heard(response: Response) -> None:
            if response.code in _CREDENTIALS and not request.headers.get(_CREDENTIALS[response.code][1]):
                again = self._request("INVITE", request.uri, request.uri, request.call_id, request.cseq.sequence + 1)
                again.contact = [self.contact]
                self.describe(again)
                self._invite(talk, self._with_credentials(again, response))
            elif 200 <= response.code < 300:
                talk.code = response.code
                dialog = talk.dialog or Dialog.as_client(request, response)
                talk.dialog = dialog
                self.acknowledge(dialog, request.cseq.sequence)
                self.compare(request, response)
                if talk.client is not None and talk.client._cancel:
                    talk.hang_up()
            elif response.code >= 300:
                talk.code = response.code

        talk.client = self.layer.send(self.end, request, heard)

    def _rings(self, transaction: ServerTransaction) -> None:
        talk = Talk(self, transaction.request.call_id, server=transaction)
        self.talks.append(talk)

        def cancelled(cancel: Request) -> None:
            talk.cancelled_because = cancel.headers.get("Reason") or ""
            if not transaction.answered:
                talk.code = 487
                transaction.respond(487)

        transaction.on_cancel = cancelled
        match self.mood:
            case "answers":
                self.answer(talk)
            case "rings":
                transaction.respond(180)
            case "busy" | "declines":
                talk.code = 486 if self.mood == "busy" else 603
                transaction.respond(talk.code)
            case "redirects":
                talk.code = 302
                transaction.respond(302, Contact=f"<sip:104@{DOMAIN}>")
            case "silent":
                pass
