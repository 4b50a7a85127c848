"""INVITEs outside a dialog: who calls, whom, whether that may be, and the plan of the call that begins."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from media_node.call.authentication import PROXY, RequestAuthenticator
from media_node.call.directory import Directory, Phone
from media_node.call.emergency import emergency_number
from media_node.call.events import Joins
from media_node.call.home import Home
from media_node.call.identity import ANONYMOUS, hides, wants_privacy
from media_node.call.numbering import e164
from media_node.call.outside import Outside
from media_node.call.plan import Destination, Plan, Side
from media_node.call.policy import (
    Decision,
    Occupancy,
    Protection,
    Refusal,
    ToHome,
    ToNumber,
    ToPhone,
    ToTrunk,
    caller_protection,
    route,
)
from media_node.call.record import mask
from media_node.call.registration import RETRY_SECONDS
from media_node.call.routing import Hunting
from media_node.call.running import RunningCalls
from media_node.call.transfer import Replaces
from media_node.call.trunk import Trunk, trunk_caller
from media_node.log import Event, Log
from media_node.sip.grammar import Address
from media_node.sip.message import tag, warning
from media_node.sip.registrar import Binding, Registrar
from media_node.sip.transaction_layer import ServerTransaction
from media_node.sip.transport import Connection

MAX_UNPROVEN: Final = 20
"""Calls to 112 that may run at a time before one that shows no password is asked for it."""
_PICK_UP: Final = re.compile(r"\*8([0-9]{1,8})?")


@dataclass(eq=False)
class Invites:
    """Takes INVITEs. `directory` and `draining` are asked for what they are at each."""

    hunting: Hunting
    registrar: Registrar
    authenticator: RequestAuthenticator
    outside: Outside
    running: RunningCalls
    home: Home
    directory: Callable[[], Directory]
    draining: Callable[[], bool]
    log: Log
    serves: Callable[[Phone], bool] = lambda _: True
    """Whether this node is who serves the phone now."""

    def invite(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        trunk = self.outside.trunks.of(transaction.connection)
        caller = None if trunk is not None else self.caller(transaction)
        trunk = trunk or self.outside.trunks.of(transaction.connection)  # it may have logged in just now
        if caller is None and trunk is None:
            return
        if trunk is not None:
            transaction.connection.trust(trunk.settings.name)  # no stranger's place is its
        if request.max_forwards == 0:
            transaction.respond(483)
        elif self._is_merged(transaction):
            transaction.respond(482)
        elif trunk is not None:
            self._from_trunk(transaction, trunk)
        elif caller is None:
            return
        elif not self.serves(caller) and not self.draining() and not emergency_number(request.uri):
            if self.directory().has_ended(caller):
                self._refuse(transaction, Refusal(403, "The contract has ended; 112 is reached"), caller.customer_id)
            else:
                transaction.respond(503, Retry_After=RETRY_SECONDS)
        elif request.headers.get("Replaces") is not None:
            self._replace(transaction, caller)
        elif pick_up := _PICK_UP.fullmatch(request.uri.user or ""):
            self._pick_up(transaction, caller, pick_up[1] or "")
        else:
            self._from_phone(transaction, caller)

    def _from_phone(self, transaction: ServerTransaction, caller: Phone) -> None:
        request = transaction.request
        dialled, hidden = hides(request.uri.user or "")
        dialled = emergency_number(request.uri) or dialled
        device = self.hunting.gruus.device(request.uri)
        if device is not None:
            dialled = device.username or "-"
        occupancy = self._occupancy(caller.customer_id)

        def routed(*, home: bool) -> Decision:
            ways_out = bool(self.outside.trunks)
            return route(self.directory(), caller, dialled, trunk=ways_out, occupancy=occupancy, home=home)

        decision = routed(home=self.outside.home_is_up and device is None)
        by_exchange = decision if isinstance(decision, ToHome) else None
        if by_exchange is not None:
            decision = routed(home=False)
        busy = no_answer = None
        emergency = colleague = False
        match decision:
            case Refusal() if by_exchange is not None:
                hunt: tuple[Destination, ...] = ()
                colleague = not by_exchange.outside
                called = by_exchange.outside or by_exchange.dialled
            case Refusal():
                self._refuse(transaction, decision, caller.customer_id)
                return
            case ToPhone(phone):
                hunt = (self.hunting.phone(phone, device=device),)
                called, colleague = phone.extension, True
            case ToNumber(environment, number):
                hunt, busy, no_answer = self.hunting.number(environment, number)
                called = number.number
            case ToTrunk(called, emergency):
                hunt = (self.hunting.outside(called, account=caller.customer_id, emergency=emergency),)
        if by_exchange is not None:
            hunt = (self.hunting.home(by_exchange, caller.customer_id, next(iter(hunt), None)),)
            busy = no_answer = None
        address = Address(self.hunting.uri(caller.extension), request.from_address.name)
        plan = Plan(
            customer_id=caller.customer_id,
            caller=caller.extension,
            called=called if colleague else mask(called),
            from_address=address,
            hunt=hunt,
            busy=busy,
            no_answer=no_answer,
            caller_protection=caller_protection(caller, emergency=emergency),
            caller_secure=caller.encrypted,
            username=caller.username,
            instance=self._instance(caller.username, transaction.connection),
            emergency=emergency,
        )
        private = hidden or wants_privacy(request.from_address, request.headers.get("Privacy") or "")
        identity = self.outside.identity(
            plan, request.from_address.name, wanted=request.from_address.uri.user or "", private=private
        )
        location = b""
        if emergency:
            location = self.outside.location(caller)
            self.outside.emergency_call(caller, identity.number if identity is not None else "")
        home = self.outside.for_home(caller, request.from_address.name, identity) if by_exchange is not None else None
        self.running.start(plan, transaction, identity, location, home)

    def _from_trunk(self, transaction: ServerTransaction, trunk: Trunk) -> None:
        """A call from outside to a number of a customer."""
        request = transaction.request
        device = self.home.reached(transaction.connection, request)
        if device is not None:
            self._from_home(transaction, device)
            return
        if self.home.is_for_a_device(request):
            transaction.respond(430, "Flow Failed")
            return
        bound = self.directory().number(e164(request.uri.user or "", trunk.settings.country))
        if bound is None:
            transaction.respond(404)
            return
        environment, number = bound
        occupancy = self._occupancy(environment.customer_id)
        if occupancy.draining:
            self._refuse(transaction, Refusal(503, "This node takes no new calls", 5), environment.customer_id)
            return
        if occupancy.allowed and occupancy.calls >= occupancy.allowed:
            self._refuse(transaction, Refusal(486, "All lines of this customer are in use"), environment.customer_id)
            return
        hunt, busy, no_answer = self.hunting.number(environment, number)
        if (called_back := self.outside.called_back(number.number)) is not None:
            hunt = (self.hunting.phone(called_back), *hunt)
        shown = trunk_caller(request)
        plan = Plan(
            customer_id=environment.customer_id,
            caller=mask(shown.uri.user or ""),
            called=mask(number.number),
            from_address=self._caller_id(shown),
            hunt=hunt,
            busy=busy,
            no_answer=no_answer,
            caller_protection=Protection.PREFERRED,
        )
        identity = self.outside.identity(plan, None, wanted="", private=shown is ANONYMOUS)
        self.running.start(plan, transaction, identity)

    def _from_home(self, transaction: ServerTransaction, device: Binding) -> None:
        """A call of the provider's own exchange to one device of a phone."""
        phone = self.directory().phone(device.username)
        if phone is None or self.draining():
            transaction.respond(430 if phone is None else 503)
            return
        shown = self.home.shown(trunk_caller(transaction.request), phone)
        user = shown.uri.user or ""
        colleague = self.directory().phone(f"{phone.customer_id}-{user}") is not None
        plan = Plan(
            customer_id=phone.customer_id,
            caller=user if colleague else mask(user),
            called=phone.extension,
            from_address=self._caller_id(shown),
            hunt=(self.hunting.device(phone, device.connection),),
            caller_protection=Protection.PREFERRED,
        )
        identity = self.outside.identity(plan, None, wanted="", private=shown is ANONYMOUS)
        self.running.start(plan, transaction, identity)

    def _caller_id(self, shown: Address) -> Address:
        """What a phone shows of who calls from beyond this node; in our domain, so that it can be called back."""
        return shown if shown is ANONYMOUS else Address(self.hunting.uri(shown.uri.user or "anonymous"), shown.name)

    def _pick_up(self, transaction: ServerTransaction, phone: Phone, extension: str) -> None:
        """*8 takes the colleague's call that has rung longest, *8 and an extension the call that rings there."""
        for call in self.running.calls.values():
            ringing = call.ringing()
            if call.plan.customer_id == phone.customer_id and any(
                not extension or username == f"{phone.customer_id}-{extension}" for username in ringing
            ):
                call.post(Joins(Side.B, transaction, phone))
                return
        transaction.respond(404, Warning=warning("No call rings there"))

    def _replace(self, transaction: ServerTransaction, phone: Phone) -> None:
        """An INVITE that takes a dialog's place (RFC 3891): only of the same customer."""
        try:
            replaces = Replaces.parse(transaction.request.headers["Replaces"])
        except ValueError:
            transaction.respond(400)
            return
        bound = self.running.call_of(replaces.call_id, replaces.to_tag, replaces.from_tag)
        if bound is None or bound[0].plan.customer_id != phone.customer_id:
            transaction.respond(481)
        elif replaces.early_only and bound[0].answered_at is not None:
            transaction.respond(486)
        else:
            bound[0].post(Joins(bound[1], transaction, phone))

    def _refuse(self, transaction: ServerTransaction, refusal: Refusal, customer: str) -> None:
        self.log(Event.CALL_REFUSED, status=refusal.status, reason=refusal.reason, customer=customer)
        headers = {"Retry_After": str(refusal.retry_after)} if refusal.retry_after else {}
        transaction.respond(refusal.status, Warning=warning(refusal.reason), **headers)

    def _occupancy(self, customer_id: str) -> Occupancy:
        return Occupancy(
            draining=self.draining(),
            calls=sum(call.plan.customer_id == customer_id for call in self.running.calls.values()),
            allowed=self.directory().calls(customer_id),
        )

    def caller(self, transaction: ServerTransaction) -> Phone | None:
        """Who calls: the phone registered over this very connection, else whoever the credentials name. None when the request
        has been answered, and when it is a trunk's INVITE.
        """
        users = self.registrar.users(transaction.connection.number, _now())
        if users:
            claimed = transaction.request.from_address.uri.user or ""
            if (phone := self.directory().phone(claimed if claimed in users else users[0])) is not None:
                return phone
        emergency = bool(emergency_number(transaction.request.uri))
        if emergency and (unproven := self._unproven(transaction.request.from_address.uri.user or "")) is not None:
            return unproven
        account = self.authenticator.authenticate(transaction, PROXY, emergency=emergency)
        if account is None or isinstance(account, Phone):
            return account
        if transaction.request.method != "INVITE":
            transaction.respond(403)
        return None

    def _unproven(self, username: str) -> Phone | None:
        """A phone of ours that calls 112 without having registered: nobody asks it for a password then (RFC 6881). One
        such call a phone, and so many in all, as anybody may say that it is that phone.
        """
        running = [call.plan.username for call in self.running.calls.values() if call.plan.emergency]
        if username in running or len(running) >= MAX_UNPROVEN:
            return None
        return self.directory().known(username)

    def _instance(self, username: str, connection: Connection) -> str:
        bindings = self.registrar.lookup(username, _now())
        return next((each.instance for each in bindings if each.connection == connection.number), "")

    def _is_merged(self, transaction: ServerTransaction) -> bool:
        """The same INVITE by two ways (section 8.2.2.2)."""
        request = transaction.request
        identity, call_id = (tag(request.from_address), request.cseq.sequence), request.call_id
        return any(
            first.call_id == call_id and (tag(first.from_address), first.cseq.sequence) == identity
            for first in (call.transaction.request for call in self.running.calls.values())
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
