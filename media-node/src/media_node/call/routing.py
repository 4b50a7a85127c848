"""From a routing decision to a plan: which destinations are rung, in which order, and what the called side sees."""

from __future__ import annotations

from dataclasses import replace

from media_node.call.directory import Directory, Environment, Number, Phone
from media_node.call.plan import MAX_DIVERSIONS, NO_ANSWER, Destination, Diversion
from media_node.call.policy import Decision, Occupancy, Protection, Refusal, ToHome, ToNumber, ToPhone, ToTrunk, route
from media_node.call.refusals import CallRefused
from media_node.sip.grammar import URI, Address
from media_node.sip.gruu import Device, Gruus
from media_node.sip.message import warning


class Hunting:
    """Destinations of calls under one SIP domain."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self.gruus = Gruus(domain)

    def uri(self, user: str) -> URI:
        """Somebody in our domain."""
        return URI("sip", self._domain, user=user)

    def phone(
        self, phone: Phone, diversions: tuple[Diversion, ...] = (), *, device: Device | None = None
    ) -> Destination:
        """One phone of a customer, on all devices that share its account or on this one."""
        return Destination(
            to_address=Address(self.uri(phone.extension)),
            phones=(phone.username,),
            protection=ToPhone(phone).protection,
            diversions=diversions,
            device=device,
        )

    def outside(
        self,
        number: str,
        diversions: tuple[Diversion, ...] = (),
        seconds: float = NO_ANSWER,
        *,
        account: str,
        emergency: bool = False,
    ) -> Destination:
        """A number beyond the exchange, at the account of this customer."""
        return Destination(number=number, diversions=diversions, seconds=seconds, account=account, emergency=emergency)

    def home(
        self, to: ToHome, account: str, otherwise: Destination | None, diversions: tuple[Diversion, ...] = ()
    ) -> Destination:
        """What the provider's own exchange is asked for; `otherwise` is rung when it cannot be had."""
        return Destination(
            number=to.dialled,
            account=account,
            home=True,
            internal=not to.outside,
            otherwise=otherwise,
            diversions=diversions,
        )

    def device(self, phone: Phone, flow: int) -> Destination:
        """One device of a phone, by its connection."""
        return replace(self.phone(phone), flow=flow)

    def number(
        self, environment: Environment, number: Number, diversions: tuple[Diversion, ...] = ()
    ) -> tuple[tuple[Destination, ...], Destination | None, Destination | None]:
        """Who is rung for a customer's number, and where it goes when busy, and when nobody answers."""
        own = self.uri(number.number)

        def forwarded(to: str, reason: str) -> Destination | None:
            if not to:
                return None
            return self.outside(to, (*diversions, Diversion(own, reason)), account=environment.customer_id)

        if always := forwarded(number.forward_always, "unconditional"):
            return (always,), None, None
        protection = Protection.REQUIRED if environment.encrypted else Protection.NONE
        known = {phone.username for phone in environment.phones}
        rings = tuple(username for username in number.rings if username in known)
        groups = (rings,) if number.together else tuple((username,) for username in rings)
        seconds = number.no_answer_seconds if number.together else number.ring_seconds
        hunt = tuple(
            Destination(
                to_address=Address(own), phones=group, seconds=seconds, protection=protection, diversions=diversions
            )
            for group in groups
            if group
        )
        busy = forwarded(number.forward_busy, "user-busy")
        no_answer = forwarded(number.forward_no_answer, "no-answer")
        if not hunt and no_answer is not None:
            return (no_answer,), None, None
        return hunt, busy, no_answer

    def redirected(
        self,
        directory: Directory,
        by: Phone,
        to: URI,
        reason: str,
        before: tuple[Diversion, ...],
        *,
        trunk: bool,
        home: bool = False,
    ) -> Destination:
        """Where a phone sends a call on: what it could have called itself. Raises CallRefused.

        An empty `reason` is a transfer, which is no diversion.
        """
        diversions = (*before, Diversion(self.uri(by.number or by.extension), reason)) if reason else before
        if len(diversions) > MAX_DIVERSIONS:
            raise CallRefused(482, "Forwarded too often", Warning=warning("This call has been forwarded too often"))
        device = self.gruus.device(to)
        if device is not None:
            if (phone := directory.colleague(by, device.username)) is None:
                raise CallRefused(404, "No such device")
            return self.phone(phone, diversions, device=device)
        decision = route(directory, by, to.user or "", trunk=trunk, occupancy=Occupancy(), home=home)
        return self._destination(directory, decision, diversions, by.customer_id)

    def _destination(
        self, directory: Directory, decision: Decision, diversions: tuple[Diversion, ...], account: str
    ) -> Destination:
        match decision:
            case Refusal(status, reason):
                raise CallRefused(status, reason, Warning=warning(reason))
            case ToPhone(phone):
                return self.phone(phone, diversions)
            case ToNumber(environment, number):
                hunt, _, _ = self.number(environment, number, diversions)
                if not hunt:
                    raise CallRefused(480, "Nobody rings for this number")
                return hunt[0]
            case ToTrunk(number, emergency):
                return self.outside(number, diversions, account=account, emergency=emergency)
            case ToHome():
                return self.home(decision, account, None, diversions)
