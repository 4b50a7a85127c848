"""Who lives on this node: the customers' environments, as one immutable snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What a node is to an environment. A standby has everything loaded and proves itself, but sends phones back to the
    primary until it is made that itself; calls that run go on, and 112 is never refused.
    """

    PRIMARY = "primary"
    STANDBY = "standby"


@dataclass(frozen=True, kw_only=True)
class Phone:
    """One SIP account. `ha1` maps an algorithm's name to H(A1) in hexadecimal; a phone without it cannot register yet.

    After new passwords were handed out, `previous_ha1` holds too until `previous_until`, or until the phone has used
    the new one. `number` is
    what it shows outside, in E.164; `site` the id of where it stands.
    """

    username: str
    extension: str
    customer_id: str
    encrypted: bool
    ha1: Mapping[str, str] = field(default_factory=dict)
    previous_ha1: Mapping[str, str] = field(default_factory=dict)
    previous_until: datetime | None = None
    label: str = ""
    site: str = ""
    number: str = ""


@dataclass(frozen=True, kw_only=True)
class Site:
    """An address of the customer, as emergency services need it."""

    id: str
    street: str = ""
    house_number: str = ""
    postcode: str = ""
    city: str = ""
    country: str = "NL"


@dataclass(frozen=True, kw_only=True)
class Number:
    """One of the customer's numbers (E.164): whose phones ring for it, all at once or in turn, and where it forwards to.

    Times are in seconds; the forwards are in E.164 and empty where there is none.
    """

    number: str
    rings: tuple[str, ...] = ()
    together: bool = True
    ring_seconds: float = 20.0
    no_answer_seconds: float = 60.0
    forward_always: str = ""
    forward_busy: str = ""
    forward_no_answer: str = ""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the customer may use at most; 0 is no bound. `destinations` are classes of numbers; empty allows all that
    the plan covers.
    """

    concurrent_calls: int = 0
    forwarded_calls: int = 0
    calls_per_minute: int = 0
    minutes_per_day: int = 0
    destinations: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What is served for one customer: its phones and numbers, and whether its calls are protected.

    `suspended` blocks outgoing calls but 112; `call_history_days` 0 means that no call record is written; `calls` is
    what was allocated on this node, `epoch` counts the times it was.
    """

    environment_id: str
    customer_id: str
    encrypted: bool
    calls: int
    version: int
    phones: tuple[Phone, ...]
    sites: tuple[Site, ...] = ()
    numbers: tuple[Number, ...] = ()
    limits: Limits = field(default_factory=Limits)
    role: Role = Role.PRIMARY
    epoch: int = 0
    served: bool = True
    suspended: bool = False
    country: str = "NL"
    call_history_days: int | None = None
    """None where the assignment says nothing: then the node's own setting counts."""


@dataclass(frozen=True)
class Directory:
    """All environments of the node. `guests` are phones that exist only in memory, as the probe's do; `former` are environments with
    phones that are here no more, and are known for 112 alone.
    """

    environments: tuple[Environment, ...] = ()
    guests: tuple[Phone, ...] = ()
    former: tuple[Environment, ...] = ()
    _phones: Mapping[str, Phone] = field(init=False, repr=False, compare=False)
    _numbers: Mapping[str, tuple[Environment, Number]] = field(init=False, repr=False, compare=False)
    _environments: Mapping[str, Environment] = field(init=False, repr=False, compare=False)
    _former: Mapping[str, Phone] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        phones = {phone.username: phone for environment in self.environments for phone in environment.phones}
        numbers = {
            number.number: (environment, number) for environment in self.environments for number in environment.numbers
        }
        object.__setattr__(self, "_phones", phones | {guest.username: guest for guest in self.guests})
        object.__setattr__(self, "_numbers", numbers)
        object.__setattr__(self, "_environments", {each.customer_id: each for each in self.environments})
        former = {phone.username: phone for environment in self.former for phone in environment.phones}
        object.__setattr__(self, "_former", former)

    def phone(self, username: str) -> Phone | None:
        """The phone with this username, or None."""
        return self._phones.get(username)

    def known(self, username: str) -> Phone | None:
        """The phone with this username, also one that is here no more: it calls 112."""
        return self._phones.get(username) or self._former.get(username)

    def colleague(self, caller: Phone, dialled: str) -> Phone | None:
        """The phone of the caller's own customer that `dialled` means, an extension or a whole username; None for any
        other.
        """
        phone = self._phones.get(dialled) or self._phones.get(f"{caller.customer_id}-{dialled}")
        return phone if phone is not None and phone.customer_id == caller.customer_id else None

    def number(self, number: str) -> tuple[Environment, Number] | None:
        """The environment that a number (E.164) belongs to, and what rings for it."""
        return self._numbers.get(number)

    def serves(self, phone: Phone) -> bool:
        """Whether this node is the primary of the phone's environment; the probe's own phones are served by a standby too."""
        environment = self._environments.get(phone.customer_id)
        return environment is None or environment.role is Role.PRIMARY or phone in self.guests

    def has_ended(self, phone: Phone) -> bool:
        """Whether the contract of the phone's environment has ended."""
        environment = self._environments.get(phone.customer_id)
        return environment is not None and not environment.served

    def stands_by(self, phone: Phone) -> bool:
        """Whether this node is a standby of the phone's environment."""
        environment = self._environments.get(phone.customer_id)
        return environment is not None and environment.role is Role.STANDBY

    def environment(self, customer_id: str) -> Environment | None:
        """The customer's environment on this node, or as it was when it was here."""
        found = self._environments.get(customer_id)
        return found or next((each for each in self.former if each.customer_id == customer_id), None)

    def calls(self, customer_id: str) -> int:
        """How many calls the customer may have at a time, over all environments; 0 when none of them says."""
        return sum(environment.calls for environment in self.environments if environment.customer_id == customer_id)

    def usernames(self) -> frozenset[str]:
        """Every username on the node."""
        return frozenset(self._phones)
