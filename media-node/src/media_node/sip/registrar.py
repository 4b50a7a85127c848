"""The registrar (RFC 3261 section 10.3). Pure: bindings are values, the clock is passed in.

A binding belongs to the live connection it was made over (RFC 5626): requests for the phone go back over that
connection, whatever address its Contact claims, and the binding ends with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from media_node.sip.grammar import URI, Address
from media_node.sip.headers import Request

MIN_EXPIRES: Final = 60
DEFAULT_EXPIRES: Final = 600
MAX_EXPIRES: Final = 3600
MAX_BINDINGS: Final = 4
"""Phones on one username. A fifth takes the place of the one that registered longest ago."""


class Rejected(ValueError):
    """A REGISTER that is refused with `status`; `min_expires` accompanies a 423."""

    def __init__(self, status: int, reason: str, min_expires: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.min_expires = min_expires


@dataclass(frozen=True, kw_only=True)
class Binding:
    """Where one phone of a user is reached until `expires_at` (seconds on the registrar's clock)."""

    username: str
    contact: URI
    connection: int
    expires_at: float
    call_id: str
    sequence: int
    instance: str = ""

    def same_phone(self, other: Binding) -> bool:
        """Whether `other` replaces this binding: the same instance (RFC 5626 section 6) or the same Contact."""
        if self.instance and other.instance:
            return self.instance == other.instance
        return str(self.contact) == str(other.contact)


@dataclass
class Registrar:
    """All bindings of the node, by username."""

    _bindings: dict[str, tuple[Binding, ...]] = field(default_factory=dict)

    def register(self, request: Request, *, username: str, connection: int, now: float) -> tuple[Binding, ...]:
        """Applies an authenticated REGISTER and returns the user's bindings afterwards.

        Raises Rejected and changes nothing.
        """
        present = self.lookup(username, now)
        wanted = self._wanted(request, username, connection, now)
        for binding in present:
            if binding.call_id == request.call_id and binding.sequence >= request.cseq.sequence and wanted != []:
                raise Rejected(500, "REGISTER out of order")
        if wanted is None:
            present = ()
        for new in wanted or []:
            present = tuple(old for old in present if not old.same_phone(new))
            if new.expires_at > now:
                present = (*present, new)[-MAX_BINDINGS:]
        self._bindings[username] = present
        if not present:
            del self._bindings[username]
        return present

    def lookup(self, username: str, now: float) -> tuple[Binding, ...]:
        """The bindings of a user that have not expired, the oldest first."""
        return tuple(binding for binding in self._bindings.get(username, ()) if binding.expires_at > now)

    def users(self, connection: int, now: float) -> list[str]:
        """Who is registered over a connection: one phone, or the lines of one device."""
        return [
            binding.username for binding in self._all() if binding.connection == connection and binding.expires_at > now
        ]

    def drop_connection(self, connection: int) -> None:
        """Forgets what was bound to a connection that is gone."""
        self._keep(lambda binding: binding.connection != connection)

    def drop_user(self, username: str) -> None:
        """Forgets a user, as when the customer's environment leaves this node."""
        self._bindings.pop(username, None)

    def expire(self, now: float) -> None:
        """Forgets what has expired; lookups never see it anyway."""
        self._keep(lambda binding: binding.expires_at > now)

    def __len__(self) -> int:
        return sum(len(bindings) for bindings in self._bindings.values())

    def _all(self) -> Iterator[Binding]:
        return (binding for bindings in self._bindings.values() for binding in bindings)

    def _keep(self, wanted: Callable[[Binding], bool]) -> None:
        kept = {user: tuple(filter(wanted, bindings)) for user, bindings in self._bindings.items()}
        self._bindings = {user: bindings for user, bindings in kept.items() if bindings}

    def _wanted(self, request: Request, username: str, connection: int, now: float) -> list[Binding] | None:
        """The bindings a request asks for: none for a query, None for the `Contact: *` that removes all."""
        values = request.headers.getlist("Contact")
        if values == ["*"]:
            if request.expires != 0:
                raise Rejected(400, "Contact: * needs Expires: 0")
            return None
        try:
            contacts = [contact for value in values for contact in Address.parse_many(value)]
        except ValueError as error:
            raise Rejected(400, "Contact is not valid") from error
        if len(contacts) > MAX_BINDINGS:
            raise Rejected(400, "too many contacts")
        return [
            Binding(
                username=username,
                contact=contact.uri,
                connection=connection,
                expires_at=now + _lifetime(contact, request),
                call_id=request.call_id,
                sequence=request.cseq.sequence,
                instance=contact.parameters.get("+sip.instance") or "",
            )
            for contact in contacts
        ]


def _lifetime(contact: Address, request: Request) -> int:
    """Seconds a binding lives: the contact's own parameter, else the Expires header, within our bounds (section 10.3
    step 7).
    """
    value = contact.parameters.get("expires")
    if value is None:
        seconds = request.expires if request.expires is not None else DEFAULT_EXPIRES
    else:
        seconds = int(value) if re.fullmatch(r"[0-9]{1,10}", value) else DEFAULT_EXPIRES
    if 0 < seconds < MIN_EXPIRES:
        raise Rejected(423, "registration is too short", MIN_EXPIRES)
    return min(seconds, MAX_EXPIRES)
