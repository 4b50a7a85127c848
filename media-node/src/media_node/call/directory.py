"""Who lives on this node: the customers' environments and their phones, as one immutable snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Phone:
    """One SIP account.

    `ha1` maps an algorithm's name to H(A1) in hexadecimal; a phone without it cannot register yet. After new passwords
    were handed out, `previous_ha1` holds too until `previous_until`, or until the phone has used the new one.
    """

    username: str
    extension: str
    customer_id: str
    encrypted: bool
    ha1: Mapping[str, str] = field(default_factory=dict)
    previous_ha1: Mapping[str, str] = field(default_factory=dict)
    previous_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What one order put on this node: a customer's phones, whether their calls are protected, and how many at a
    time.
    """

    order_id: str
    customer_id: str
    encrypted: bool
    calls: int
    version: int
    phones: tuple[Phone, ...]


@dataclass(frozen=True)
class Directory:
    """All environments of the node. `guests` are phones that exist only in memory, as the probe's do."""

    environments: tuple[Environment, ...] = ()
    guests: tuple[Phone, ...] = ()
    _phones: Mapping[str, Phone] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        phones = {phone.username: phone for environment in self.environments for phone in environment.phones}
        object.__setattr__(self, "_phones", phones | {guest.username: guest for guest in self.guests})

    def phone(self, username: str) -> Phone | None:
        """The phone with this username, or None."""
        return self._phones.get(username)

    def colleague(self, caller: Phone, dialled: str) -> Phone | None:
        """The phone of the caller's own customer that `dialled` means, an extension or a whole username; None for any
        other.
        """
        found = self._phones.get(dialled) or self._phones.get(f"{caller.customer_id}-{dialled}")
        return found if found is not None and found.customer_id == caller.customer_id else None

    def calls(self, customer_id: str) -> int:
        """How many calls the customer may have at a time, over all environments; 0 when none of them says."""
        return sum(environment.calls for environment in self.environments if environment.customer_id == customer_id)

    def with_guests(self, guests: Iterable[Phone]) -> Directory:
        """The same environments with these guests."""
        return Directory(self.environments, tuple(guests))

    def usernames(self) -> frozenset[str]:
        """Every username on the node."""
        return frozenset(self._phones)
