"""One side of a call: its dialog, the connection it is reached over, and our end of its media."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from media_node.call.negotiation import LegMedia
from media_node.call.session_timer import SessionTimer
from media_node.sip.dialog import Dialog
from media_node.sip.headers import Request, Response
from media_node.sip.message import reply
from media_node.sip.sdp import Direction, MediaType, Session, attach
from media_node.sip.transaction_layer import ClientTransaction, ServerTransaction, TransactionLayer
from media_node.sip.transport import Connection

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY, MESSAGE, SUBSCRIBE"
SUPPORTED: Final = "timer, replaces, 100rel"
_SUPPORTED_WITHIN: Final = "timer, replaces"
"""In a re-INVITE, which nobody rings for."""


@dataclass(eq=False)
class Party:
    """Whom a call connects. `username` is the phone's account, empty for a trunk; `instance` its +sip.instance."""

    dialog: Dialog
    connection: Connection
    transactions: TransactionLayer
    media: LegMedia
    username: str = ""
    instance: str = ""
    wish: dict[MediaType, Direction] = field(default_factory=lambda: {MediaType.AUDIO: Direction.SENDRECV})
    """Which way each stream goes if it is up to this party alone: what it last asked for, not what the other side
    allows.
    """
    timer: SessionTimer | None = None
    unconfirmed: ServerTransaction | None = None
    """Its INVITE that we accepted and that its ACK has not confirmed yet."""
    allows: frozenset[str] = frozenset()
    """Methods it said it takes, in capitals."""
    _handles: list[asyncio.TimerHandle] = field(default_factory=list)

    def request(
        self,
        method: str,
        heard: Callable[[Response], None] = lambda response: None,
        session: Session | None = None,
        **headers: str,
    ) -> ClientTransaction:
        """Sends a request within the dialog. `headers` are named with _ for -; `heard` gets each response."""
        request = self.dialog.request(method, self.transactions.contact(self.connection))
        if method in ("INVITE", "UPDATE"):
            request.headers.set("Allow", ALLOW)
            request.headers.set("Supported", _SUPPORTED_WITHIN)
            if self.timer is not None:
                self.timer.write(request)
        for name, value in headers.items():
            request.headers.set(name.replace("_", "-"), value)
        if session is not None:
            attach(request, session)
        return self.transactions.send(self.connection, request, heard)

    def notify_refer(self, status_line: str, *, ended: bool, heard: Callable[[Response], None]) -> None:
        """Tells whoever sent a REFER how far it has come (RFC 3515 section 2.4.4)."""
        request = self.dialog.request("NOTIFY", self.transactions.contact(self.connection))
        request.headers.set("Event", "refer")
        state = "terminated;reason=noresource" if ended else "active;expires=180"
        request.headers.set("Subscription-State", state)
        request.headers.set("Content-Type", "message/sipfrag;version=2.0")
        request.body = f"SIP/2.0 {status_line}\r\n".encode()
        self.transactions.send(self.connection, request, heard)

    def send_info(self, body: bytes, content_type: str | None, heard: Callable[[Response], None]) -> None:
        """Passes an INFO on, as DTMF by signalling."""
        request = self.dialog.request("INFO", self.transactions.contact(self.connection))
        request.body = body
        if content_type is not None:
            request.headers.set("Content-Type", content_type)
        self.transactions.send(self.connection, request, heard)

    def acknowledge(self, invite: Request) -> None:
        """The ACK to a 2xx of the peer to `invite`."""
        ack = self.dialog.request("ACK", self.transactions.contact(self.connection), invite.cseq.sequence)
        self.transactions.acknowledge(self.connection, ack)

    def bye(self, reason: str = "", heard: Callable[[Response], None] = lambda response: None) -> None:
        """Ends the dialog, with a Reason (RFC 3326) where there is one."""
        if reason:
            self.request("BYE", heard, Reason=reason)
        else:
            self.request("BYE", heard)

    def respond(self, transaction: ServerTransaction, status: int, session: Session | None = None) -> Response:
        """Answers a request of the peer that may carry a description."""
        response = self.compose(transaction, status, session)
        transaction.send(response)
        return response

    def compose(self, transaction: ServerTransaction, status: int, session: Session | None = None) -> Response:
        """What a request of the peer that may carry a description is answered with."""
        response = reply(transaction.request, status, to_tag=transaction.tag)
        response.contact = [self.transactions.contact(transaction.connection)]
        response.headers.set("Allow", ALLOW)
        if 200 <= status < 300:
            response.headers.set("Supported", SUPPORTED)
            if self.timer is not None and transaction.request.method in ("INVITE", "UPDATE"):
                self.timer.write(response)
        if session is not None:
            attach(response, session)
        return response

    def accept(self, transaction: ServerTransaction, session: Session | None, no_ack: Callable[[], None]) -> None:
        """A 200 to an INVITE, repeated until its ACK comes or `no_ack` is told that it did not."""
        self.accept_with(transaction, self.compose(transaction, 200, session), no_ack)

    def accept_with(self, transaction: ServerTransaction, response: Response, no_ack: Callable[[], None]) -> None:
        """The same with a 2xx that is there already."""
        transaction.send(response)
        self.unconfirmed = transaction
        transaction.retransmit(response, no_ack)

    def confirm(self) -> None:
        """The ACK has come, or is no longer waited for."""
        if self.unconfirmed is not None:
            self.unconfirmed.confirm()
            self.unconfirmed = None

    def heard_of(self, message: Request | Response) -> None:
        """Learns what the peer can do from a message of its."""
        methods = ",".join(message.headers.getlist("Allow"))
        if methods:
            self.allows = frozenset(method.strip().upper() for method in methods.split(","))

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Does something in some seconds, unless the call is over by then."""
        self._handles = [handle for handle in self._handles if not handle.cancelled()][-16:]
        self._handles.append(asyncio.get_running_loop().call_later(seconds, work))

    def close(self) -> None:
        """The call is over for this party."""
        self.confirm()
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
