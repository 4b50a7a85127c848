"""Calls beyond the exchange: which trunk takes them, who they say they are from, and what a customer may call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Final, Protocol

from media_node.call import emergency_check, limits
from media_node.call.directory import Directory, Environment, Phone
from media_node.call.emergency import pidf_lo
from media_node.call.emergency_check import EmergencyCheck
from media_node.call.identity import Identity, screened, towards_trunk
from media_node.call.limits import Usage
from media_node.call.notices import Notice, Notices
from media_node.call.numbering import e164
from media_node.call.plan import Destination, Plan, Target
from media_node.call.policy import SUSPENDED, Refusal
from media_node.call.refusals import CallRefused, Unreachable
from media_node.call.trunk import Trunks
from media_node.log import Event, Log
from media_node.sip.grammar import URI, Address
from media_node.sip.message import warning
from media_node.sip.transport import Connection

CALL_BACK: Final = 3600.0
"""Seconds in which a call to the number that an emergency call showed rings the phone that made it, before all others."""


class GoesOut(Protocol):
    """A running call, as the limits see it."""

    def ways_out(self, customer: str) -> Sequence[Destination]:
        """Where it goes, or is about to, outside and at this customer's account; calls to emergency numbers are none."""

    def talked(self) -> float:
        """Seconds since it was answered; 0 before."""


@dataclass(eq=False)
class Outside:
    """What the exchange knows of the way out. `running` are the calls that run."""

    domain: str
    directory: Callable[[], Directory]
    running: Callable[[], Iterable[GoesOut]]
    log: Log
    trunks: Trunks = field(init=False)
    notices: Notices = field(default_factory=Notices)
    on_notice: Callable[[], None] = lambda: None
    """Called when there is a new one."""
    checked: dict[str, EmergencyCheck] = field(default_factory=dict)
    """The last check of 112, by environment."""
    _usage: dict[str, Usage] = field(default_factory=dict)
    _emergency_callers: dict[str, tuple[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trunks = Trunks((), self.domain, self.log)

    @property
    def home_is_up(self) -> bool:
        """Whether there is an exchange of the provider's that answers."""
        return self.trunks.home is not None and self.trunks.home.up

    # Which trunk.

    async def targets(self, destination: Destination) -> tuple[tuple[Target, ...], Connection]:
        """Where a number can be reached now, over the first trunk that lets us in. Raises CallRefused, also for what the
        customer may not call.
        """
        if not destination.emergency and not destination.tried and destination.outside:
            refused = self._refusal(destination)
            if refused is not None:
                headers = {"Retry_After": str(refused.retry_after)} if refused.retry_after else {}
                raise CallRefused(refused.status, refused.reason, Warning=warning(refused.reason), **headers)
        tried = set(destination.tried)
        while (
            trunk := self.trunks.choose(emergency=destination.emergency, home=destination.home, tried=tried)
        ) is not None:
            try:
                connection = await trunk.connection()
            except (OSError, TimeoutError):
                self.trunks.mark(trunk, False)
                tried.add(trunk.settings.name)
                continue
            return (Target(trunk.uri(destination.number), connection, trunk=trunk.settings),), connection
        if destination.otherwise is not None:
            raise Unreachable(503, "The exchange cannot be reached")
        reason = "The trunk cannot be reached"
        raise CallRefused(503, reason, Warning=warning(reason), Retry_After="10")

    def other_way(self, destination: Destination, failed: str) -> Destination | None:
        """The same destination by another trunk than `failed`; None when none is left."""
        tried = destination.tried | {failed}
        if self.trunks.choose(emergency=destination.emergency, home=destination.home, tried=tried) is None:
            return destination.otherwise
        return replace(destination, tried=tried)

    # Who calls.

    def identity(self, plan: Plan, name: str | None, *, wanted: str, private: bool) -> Identity | None:
        """What a trunk is told of the caller. A call that came in and is forwarded shows its caller, at the account of
        the customer who forwards it.
        """
        environment = self.directory().environment(plan.customer_id)
        own = tuple(number.number for number in environment.numbers) if environment is not None else ()
        phone = self.directory().known(plan.username)
        if phone is None:
            asserted = towards_trunk(screened("", own, ""), "", self.domain, private=private)
            return Identity(plan.from_address, asserted.headers)
        country = environment.country if environment is not None else "NL"
        shown = screened(e164(wanted, country), own, phone.number)
        if not shown:
            return None
        return towards_trunk(shown, name or "", self.domain, private=private and not plan.emergency)

    def for_home(self, phone: Phone, name: str, asserted: Identity | None) -> Identity:
        """What the provider's own exchange is told of a caller: which account it is, and the number it shows."""
        trunk = self.trunks.home
        domain = (trunk.settings.domain if trunk is not None else "") or self.domain
        address = Address(URI("sip", domain, user=phone.username), name)
        return Identity(address, asserted.headers if asserted is not None else {})

    def location(self, phone: Phone) -> bytes:
        """The address of the phone's site, else of its customer's only one, as PIDF-LO; empty where none is known."""
        environment = self.directory().environment(phone.customer_id)
        sites = environment.sites if environment is not None else ()
        site = next((site for site in sites if site.id == phone.site), sites[0] if len(sites) == 1 else None)
        if site is None:
            return b""
        return pidf_lo(site, f"pres:{phone.username}@{self.domain}", datetime.now(UTC))

    # 112.

    def emergency_call(self, phone: Phone, shown: str) -> None:
        """Remembers who called 112 and showed this number, for the call back."""
        now = _now()
        self._emergency_callers = {
            number: caller for number, caller in self._emergency_callers.items() if caller[1] > now
        }
        if shown:
            self._emergency_callers[shown] = (phone.username, now + CALL_BACK)

    def called_back(self, number: str) -> Phone | None:
        """The phone that called 112 within the hour and showed this number."""
        username, until = self._emergency_callers.get(number, ("", 0.0))
        return self.directory().phone(username) if until > _now() else None

    async def check_emergency(self) -> None:
        """Each environment's daily check, and that of one that changed or failed: nobody is called."""
        today, environments = _today(), self.directory().environments
        self.checked = {each.environment_id: found for each in environments if (found := self._checked(each))}
        due = [each for each in environments if self._is_due(each, today)]
        if not due:
            return
        await self.trunks.check()
        way = self.trunks.choose(emergency=True)
        for environment in due:
            found = emergency_check.check(environment, self.location, route=way is not None and way.up, today=today)
            self.checked[environment.environment_id] = found
            if found.failed:
                self.log(Event.EMERGENCY_CHECK_FAILED, customer=environment.customer_id, failed=sorted(found.failed))
                self.notices.note(environment.customer_id, found.failed, today)
        self.on_notice()

    def _checked(self, environment: Environment) -> EmergencyCheck | None:
        return self.checked.get(environment.environment_id)

    def _is_due(self, environment: Environment, today: date) -> bool:
        found = self._checked(environment)
        return found is None or found.day != today or found.version != environment.version or bool(found.failed)

    # What a customer may call.

    def _refusal(self, destination: Destination) -> Refusal | None:
        """Why the customer may not call this number now; None, and the call counts, when it may."""
        customer, environment = destination.account, self.directory().environment(destination.account)
        if environment is None:
            return None
        if environment.suspended:  # a call that came in and is forwarded
            return SUSPENDED
        usage = self._usage.setdefault(customer, Usage())
        calls = [(call, ways) for call in self.running() if (ways := call.ways_out(customer))]
        others = [way for _, ways in calls for way in ways if way is not destination]
        refused = limits.refusal(
            environment.limits,
            usage,
            e164(destination.number, environment.country) or destination.number,
            environment.country,
            concurrent=len(others),
            forwarded=sum(map(_forwards, others)),
            talking=sum(call.talked() for call, _ in calls),
            is_forward=_forwards(destination),
            now=_now(),
            today=_today(),
        )
        if refused is None:
            usage.begin(_now())
        else:
            self.log(Event.LIMIT_REACHED, customer=customer, reason=refused.reason)
            if refused.limit and self.notices.note(customer, (Notice(refused.limit),), _today()):
                self.on_notice()
        return refused

    def ended(self, call: GoesOut, customer: str) -> None:
        """Counts the minutes of a customer's call that has ended."""
        if call.ways_out(customer):
            self._usage.setdefault(customer, Usage()).end(call.talked(), _today())


def _forwards(destination: Destination) -> bool:
    return bool(destination.diversions)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _today() -> date:
    return datetime.now(UTC).date()
