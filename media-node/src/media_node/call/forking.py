"""Ringing: one INVITE to each target of a destination at once, as a forking proxy does (RFC 3261 section 16), with an
offer and keys of its own for each.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from media_node.call.description import Description
from media_node.call.emergency import multipart
from media_node.call.events import Branch, EarlyDialog, Heard
from media_node.call.identity import Identity
from media_node.call.negotiation import LegMedia
from media_node.call.party import ALLOW, SUPPORTED, Party
from media_node.call.plan import Destination, Diversion, Target
from media_node.call.refusals import UNACCEPTABLE, CallRefused, best, described
from media_node.call.relayed import Places
from media_node.call.session_timer import MIN_SE, SESSION_EXPIRES
from media_node.call.trunk import answer_challenge
from media_node.sip.dialog import MAX_FORWARDS, Dialog
from media_node.sip.grammar import URI, Address, CSeq, Parameters
from media_node.sip.headers import Request, Response
from media_node.sip.message import reason as because
from media_node.sip.message import tag
from media_node.sip.reliable import rseq
from media_node.sip.sdp import Direction, MediaType, attach, is_secure
from media_node.sip.transaction import cancel
from media_node.sip.transaction_layer import TransactionLayer
from media_node.suites import Suite

MAX_EARLY: Final = 16
"""Early dialogs of one INVITE, where somebody beyond forks it; reliable responses of further ones are not acknowledged."""
ELSEWHERE: Final = because(200, "Call completed elsewhere")
"""Why the others stop ringing: their phones then list no missed call (RFC 3326)."""


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """What all INVITEs of one call have in common."""

    from_address: Address
    suites: tuple[Suite, ...]
    emergency: bool = False
    outside: Identity | None = None
    """What a trunk is told of the caller; None where it is told what a phone is."""
    home: Identity | None = None
    """What the provider's own exchange is told."""
    location: bytes = b""
    """The caller's address as PIDF-LO, for an emergency call (RFC 6442)."""
    max_forwards: int = MAX_FORWARDS


@dataclass(eq=False)
class Fork:
    """The branches of one destination. `post` gets each response as a Heard."""

    invitation: Invitation
    destination: Destination
    offer: Description
    """What whoever is on the other side wants to hear and say."""
    directions: Mapping[MediaType, Direction] | None
    """Of the streams offered, where others than the offer's."""
    places: Places
    """Our end of the called leg."""
    transactions: TransactionLayer
    post: Callable[[Heard], None]
    branches: list[Branch] = field(default_factory=list)

    def ring(self, targets: tuple[Target, ...]) -> None:
        """Invites these targets."""
        for target in targets:
            self._invite(target)

    def refused(self, branch: Branch, response: Response) -> Response | None:
        """A branch failed; the response that stands for all when it was the last, or when a 6xx ends all (section 16.7
        step 5).
        """
        branch.failed = response
        if response.code >= 600:
            self.cancel(because(response.code, response.phrase))
            return response
        failures = [each.failed for each in self.branches if each.failed is not None]
        return best(failures) if len(failures) == len(self.branches) else None

    def again(self, branch: Branch, response: Response) -> bool:
        """Invites once more, in another way, whoever this response says could not take the first: by DTLS, without text,
        or with credentials. Each way is tried once.
        """
        return (
            self._again_with_dtls(branch, response)
            or self._again_without_text(branch, response)
            or self._again_with_credentials(branch, response)
        )

    def _again_without_text(self, branch: Branch, response: Response) -> bool:
        """Some refuse the whole offer for a line that they do not know, instead of that line."""
        if response.code not in UNACCEPTABLE or not _offers_text(branch):
            return False
        self.branches.remove(branch)
        self._invite(branch.target, text=False)
        return True

    def _again_with_dtls(self, branch: Branch, response: Response) -> bool:
        """Perhaps a phone that knows no SDES knows DTLS (docs/decisions/0023)."""
        if not _knows_no_sdes(branch, response):
            return False
        if response.code < 300:
            self.decline(branch, response, because(488, "Another way of keying is offered"))
        self.branches.remove(branch)
        self._invite(branch.target, dtls=True, text=_offers_text(branch))
        return True

    def has_lost(self, branch: Branch, response: Response) -> bool:
        """Whether what rang was a phone, and its connection is gone."""
        if response.code == 503 and branch.target.username and branch.target.connection.closed:
            branch.lost = True
        return branch.lost

    def lost(self, username: str) -> list[Branch]:
        """The branches of this account whose phones may come back."""
        return [
            each for each in self.branches if each.lost and each.failed is None and each.target.username == username
        ]

    def ring_again(self, branch: Branch, target: Target) -> None:
        """A phone has come back over another connection: it stops ringing for the INVITE that it had, and rings for a new one."""
        assert branch.client is not None  # noqa: S101 - it rang
        stop = cancel(branch.client.request)
        stop.headers.set("Reason", ELSEWHERE)
        self.transactions.send_cancel(target.connection, stop)
        self.branches.remove(branch)
        self._invite(target)

    def answered(self, branch: Branch, response: Response) -> Party:
        """The party that a 2xx makes of a branch; acknowledged, and the others cancelled. Raises CallRefused."""
        assert branch.client is not None  # noqa: S101 - or it could not have answered
        try:
            early = branch.early.get(tag(response.to_address))
            if early is not None:
                party = early.party
                party.dialog.confirm(response)
            else:
                party = self._party(branch, response)
        except ValueError as error:
            raise CallRefused(502, "The called side's answer is not valid") from error
        branch.failed = response  # nothing left to cancel
        party.heard_of(response)
        party.acknowledge(branch.client.request)
        self.cancel(ELSEWHERE)
        return party

    def cancel(self, reason: str = "") -> None:
        """Stops all that still ring, and says why."""
        for branch in self.branches:
            if branch.failed is None and not branch.abandoned and branch.client is not None:
                branch.abandoned = True
                branch.client.cancel(reason)

    def decline(self, branch: Branch, response: Response, reason: str = ELSEWHERE) -> None:
        """A 2xx that nobody wants any more is acknowledged and ended with a BYE (section 13.2.2.4)."""
        if branch.client is None:
            return
        with contextlib.suppress(ValueError):
            early = branch.early.get(tag(response.to_address))
            party = early.party if early is not None else self._party(branch, response)
            party.acknowledge(branch.client.request)
            party.bye(reason)

    def _again_with_credentials(self, branch: Branch, response: Response) -> bool:
        """Answers a trunk's challenge, once (section 22.3); False when there is nothing to answer it with."""
        trunk, client = branch.target.trunk, branch.client
        if trunk is None or client is None or (again := answer_challenge(trunk, client.request, response)) is None:
            return False
        self.branches.remove(branch)
        self._send(Branch(branch.target, branch.media, branch.offered), again)
        return True

    def _invite(self, target: Target, *, dtls: bool = False, text: bool = True) -> None:
        media = LegMedia(dict(self.places), self.invitation.suites)
        offer = self.offer if text else Description(self.offer.audio)
        offered = media.offer(offer, secure=self.destination.secure, dtls=dtls, directions=self.directions)
        request = Request("INVITE", target.uri)
        request.headers.set("Max-Forwards", str(self.invitation.max_forwards))
        outside = (
            None if target.trunk is None else self.invitation.home if target.trunk.home else self.invitation.outside
        )
        caller = self.invitation.from_address if outside is None else outside.from_address
        request.from_address = Address(caller.uri, caller.name, Parameters(tag=secrets.token_hex(8)))
        request.to_address = self.destination.to_address or Address(target.uri)
        request.headers.set("Call-ID", secrets.token_hex(16))
        request.cseq = CSeq(1, "INVITE")
        request.contact = [self.transactions.contact(target.connection)]
        request.headers.set("Allow", ALLOW)
        request.headers.set("Supported", SUPPORTED)
        request.headers.set("Session-Expires", f"{SESSION_EXPIRES};refresher=uac")
        request.headers.set("Min-SE", str(MIN_SE))
        if self.invitation.emergency:
            request.headers.set("Priority", "emergency")
        _write_diversions(request, self.destination.diversions)
        for name, value in outside.headers.items() if outside is not None else ():
            request.headers.set(name, value)
        attach(request, offered)
        if self.invitation.location and target.trunk is not None:
            _locate(request, self.invitation.location, caller.uri.host)
        self._send(Branch(target, media, offered), request)

    def _send(self, branch: Branch, request: Request) -> None:
        self.branches.append(branch)
        branch.client = self.transactions.send(
            branch.target.connection, request, lambda response: self._heard(branch, response)
        )

    def _heard(self, branch: Branch, response: Response) -> None:
        if not branch.abandoned:
            if self._in_order(branch, response):
                self.post(Heard(branch, response))
        elif 200 <= response.code < 300:
            # It answered while its CANCEL was under way, or somebody else was first.
            self.decline(branch, response)

    def _in_order(self, branch: Branch, response: Response) -> bool:
        """Whether a response is to be looked at; a reliable one is acknowledged, in the order they were sent (RFC 3262
        section 4).
        """
        if response.code == 100 or branch.client is None:
            return True
        with contextlib.suppress(ValueError):
            peer = tag(response.to_address)
            if peer not in branch.early:
                if rseq(response) is None or len(branch.early) >= MAX_EARLY:
                    return True
                branch.early[peer] = EarlyDialog(self._party(branch, response))
            early = branch.early[peer]
            wanted, rack = early.receiver.heard(response)
            if rack is not None:
                early.party.heard_of(response)
                early.party.request("PRACK", RAck=str(rack))
            return wanted
        return False  # a reliable response without a Contact or To: there is no dialog to acknowledge it in

    def _party(self, branch: Branch, response: Response) -> Party:
        """Who speaks in a response. Raises ValueError without a usable Contact."""
        assert branch.client is not None  # noqa: S101 - it has spoken
        target = branch.target
        dialog = Dialog.as_client(branch.client.request, response)
        return Party(dialog, target.connection, self.transactions, branch.media, target.username, target.instance)


def _locate(request: Request, location: bytes, host: str) -> None:
    """Adds the caller's location by value (RFC 6442 section 4.1): the body gets two parts."""
    content_id, boundary = f"{secrets.token_hex(8)}@{host}", f"boundary-{secrets.token_hex(12)}"
    request.headers.set("Geolocation", f"<cid:{content_id}>")
    request.headers.set("Geolocation-Routing", "yes")
    request.headers.set("Content-Type", f'multipart/mixed;boundary="{boundary}"')
    request.body = multipart(request.body, location, boundary=boundary, content_id=content_id)


def _write_diversions(request: Request, diversions: tuple[Diversion, ...]) -> None:
    """Who forwarded the call, as Diversion (RFC 5806: the last first) and History-Info (RFC 7044: the first first)."""
    if not diversions:
        return
    request.headers.set(
        "Diversion",
        ", ".join(f"<{each.party}>;reason={each.reason};counter=1" for each in reversed(diversions)),
    )
    entries = [
        f"<{_with_reason(each.party, each.reason)}>;index={'.'.join(['1'] * (place + 1))}"
        for place, each in enumerate(diversions)
    ]
    last = ".".join(["1"] * (len(diversions) + 1))
    entries.append(f"<{request.uri}>;index={last};mp={'.'.join(['1'] * len(diversions))}")
    request.headers.set("History-Info", ", ".join(entries))


_CAUSES: Final = {"user-busy": 486, "no-answer": 408, "unavailable": 480, "unconditional": 302, "deflection": 302}


def _with_reason(party: URI, reason: str) -> str:
    return f"{party}?Reason=SIP%3Bcause%3D{_CAUSES.get(reason, 302)}"


def _offers_text(branch: Branch) -> bool:
    return any(line.kind == MediaType.TEXT for line in branch.offered.media)


def _knows_no_sdes(branch: Branch, response: Response) -> bool:
    """Whether a phone that was offered SDES says it cannot do it: by refusing it, or by agreeing to SRTP without giving
    any keys.
    """
    if not branch.offered.media[0].cryptos:
        return False
    if response.code >= 300:
        return response.code in UNACCEPTABLE
    with contextlib.suppress(CallRefused):
        session = described(response)
        return (
            session is not None
            and 0 < len(session.media) <= len(branch.offered.media)
            and is_secure(session.media[0].protocol)
            and not session.media[0].cryptos
        )
    return False
