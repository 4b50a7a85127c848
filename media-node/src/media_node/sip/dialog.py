"""A dialog (RFC 3261 section 12): what two user agents remember of each other between the requests of one call leg."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media_node.sip.grammar import URI, Address, CSeq
from media_node.sip.headers import Request, Response
from media_node.sip.message import tag

MAX_FORWARDS: Final = 70


class OutOfOrder(ValueError):
    """A request whose CSeq is lower than one seen before: to be answered 500 (section 12.2.2)."""


@dataclass(frozen=True)
class DialogId:
    """Call-ID, our tag and the peer's tag (section 12)."""

    call_id: str
    local_tag: str
    remote_tag: str


@dataclass
class Dialog:
    """One leg's dialog. `local` and `remote` are whole From/To values, tags included, copied as they were received."""

    id: DialogId
    local: str
    remote: str
    target: URI
    routes: tuple[str, ...]
    local_sequence: int
    remote_sequence: int | None

    @classmethod
    def as_server(cls, request: Request, local_tag: str) -> Dialog:
        """The dialog that our 1xx or 2xx to `request` makes (section 12.1.1).

        Raises ValueError without a usable Contact.
        """
        to = request.headers["To"]
        return cls(
            id=DialogId(request.call_id, local_tag, tag(request.from_address)),
            local=to if tag(request.to_address) else f"{to};tag={local_tag}",
            remote=request.headers["From"],
            target=_target(request),
            routes=tuple(str(route) for route in request.record_route),
            local_sequence=0,
            remote_sequence=request.cseq.sequence,
        )

    @classmethod
    def as_client(cls, request: Request, response: Response) -> Dialog:
        """The dialog that the peer's 1xx or 2xx to our `request` makes (section 12.1.2).

        Raises ValueError without a usable Contact.
        """
        return cls(
            id=DialogId(request.call_id, tag(request.from_address), tag(response.to_address)),
            local=request.headers["From"],
            remote=response.headers["To"],
            target=_target(response),
            routes=tuple(str(route) for route in reversed(response.record_route)),
            local_sequence=request.cseq.sequence,
            remote_sequence=None,
        )

    def request(self, method: str, contact: Address, sequence: int | None = None) -> Request:
        """A request within the dialog (section 12.2.1.1); an ACK takes the `sequence` of its INVITE."""
        if sequence is None:
            self.local_sequence += 1
            sequence = self.local_sequence
        request = Request(method, self.target)
        request.headers.set("Max-Forwards", str(MAX_FORWARDS))
        request.headers.set("From", self.local)
        request.headers.set("To", self.remote)
        request.headers.set("Call-ID", self.id.call_id)
        request.cseq = CSeq(sequence, method)
        request.contact = [contact]
        if self.routes:
            request.headers.setlist("Route", list(self.routes))
        return request

    def receive(self, request: Request) -> None:
        """Takes note of a request of the peer. Raises OutOfOrder for an old one."""
        sequence = request.cseq.sequence
        if self.remote_sequence is not None and sequence < self.remote_sequence:
            raise OutOfOrder
        self.remote_sequence = sequence
        if request.method in ("INVITE", "UPDATE"):
            self.refresh(request)

    def confirm(self, response: Response) -> None:
        """The 2xx to the INVITE that made this early dialog: its Contact and route set stand from now on (section
        13.2.2.4). Raises ValueError without a usable Contact.
        """
        self.target = _target(response)
        self.routes = tuple(str(route) for route in reversed(response.record_route))

    def refresh(self, message: Request | Response) -> None:
        """Follows the peer to a new Contact (target refresh, section 12.2)."""
        if message.headers.get("Contact"):
            self.target = _target(message)


def _target(message: Request | Response) -> URI:
    contacts = message.contact
    if len(contacts) != 1:
        raise ValueError("exactly one Contact is needed")
    uri = contacts[0].uri
    if uri.scheme not in ("sip", "sips", "tel"):
        raise ValueError("a Contact that no request can be sent to")
    return uri
