"""The registrar (RFC 3261 section 10.3). Pure: bindings are values, the clock is passed in.

A binding belongs to the live connection it was made over (RFC 5626): requests for the phone go back over that
connection, whatever address its Contact claims, and the binding ends with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from media_node.sip.grammar import URI, Address
from media_node.sip.headers import Request

MIN_EXPIRES: Final = 60
DEFAULT_EXPIRES: Final = 300
MAX_EXPIRES: Final = 300
"""Seconds. After a restart of the node a phone that noticed nothing cannot be called for as long as this."""
MAX_BINDINGS: Final = 10
"""Phones on one username."""
MANY_ALIKE: Final = 4
"""From so many phones that cannot be told apart on, some are likely one phone that lost its connection."""


class Rejected(ValueError):
    """A REGISTER that is refused with `status`; `min_expires` accompanies a 423."""

    def __init__(self, status: int, reason: str, min_expires: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.min_expires = min_expires


@dataclass(frozen=True, kw_only=True)
class Binding:
    """Where one phone of a user is reached until `expires_at` (seconds on the registrar's clock).

    `source` is the address it registered from.
    """

    username: str
    contact: URI
    connection: int
    expires_at: float
    call_id: str
    sequence: int
    instance: str = ""
    """+sip.instance, and the reg-id that tells several flows of one phone apart (RFC 5626 section 4.2)."""
    agent: str = ""
    source: str = ""

    def same_phone(self, other: Binding) -> bool:
        """Whether `other` replaces this binding: the same instance (RFC 5626 section 6), and between phones without
        one the same Contact, or the same Call-ID, which a phone keeps until it restarts (RFC 3261 section 10.2).
        """
        if self.instance or other.instance:
            return self.instance == other.instance
        return self.call_id == other.call_id or self.contact == other.contact

    @property
    def likeness(self) -> tuple[str, ...]:
        """What two registrations of a phone have in common if it has no instance, keeps no Call-ID and changes ports.

        Two phones may have it in common too.
        """
        return (self.instance,) if self.instance else (self.contact.host.lower(), self.agent, self.source)


@dataclass(frozen=True)
class Registration:
    """What a REGISTER led to: the user's bindings, and what became of connections that carry nobody's any more:
    `replaced` by a newer one of the same phone, or `released`. `doubtful` bindings may be earlier ones of the same
    phone, to be asked whether they still live.
    """

    bindings: tuple[Binding, ...]
    replaced: tuple[int, ...] = ()
    released: tuple[int, ...] = ()
    doubtful: tuple[Binding, ...] = ()


@dataclass
class Registrar:
    """All bindings of the node, by username and by connection."""

    _bindings: dict[str, tuple[Binding, ...]] = field(default_factory=dict)
    _users: dict[int, dict[str, int]] = field(default_factory=dict)
    """How many bindings each user has over a connection."""

    def register(
        self, request: Request, *, username: str, connection: int, now: float, source: str = ""
    ) -> Registration:
        """Applies an authenticated REGISTER. Raises Rejected and changes nothing."""
        before = self.lookup(username, now)
        wanted = self._wanted(request, username, connection, now, source)
        for binding in before:
            # A phone that comes back over a newer connection may count from the beginning.
            late = binding.sequence >= request.cseq.sequence and connection <= binding.connection
            if binding.call_id == request.call_id and late and wanted != []:
                raise Rejected(500, "REGISTER out of order")
        after = before if wanted is not None else ()
        for new in wanted or []:
            after = tuple(old for old in after if not old.same_phone(new))
            if new.expires_at > now:
                after = _with_room((*after, new))
        self._set(username, after)
        unused = {each.connection for each in before if each.connection not in self._users} - {connection}
        if not unused:
            return Registration(after, doubtful=self._doubtful(after, wanted or []))
        replaced = unused & {old.connection for old in before for new in wanted or [] if old.same_phone(new)}
        return Registration(
            after, tuple(sorted(replaced)), tuple(sorted(unused - replaced)), self._doubtful(after, wanted or [])
        )

    def lookup(self, username: str, now: float) -> tuple[Binding, ...]:
        """The bindings of a user that have not expired, the oldest first."""
        return tuple(binding for binding in self._bindings.get(username, ()) if binding.expires_at > now)

    def users(self, connection: int, now: float) -> list[str]:
        """Who is registered over a connection: one phone, or the lines of one device."""
        return [
            username
            for username in self._users.get(connection, ())
            if any(binding.connection == connection for binding in self.lookup(username, now))
        ]

    def drop_connection(self, connection: int) -> None:
        """Forgets what was bound to a connection that is gone."""
        for username in list(self._users.get(connection, ())):
            self._set(username, tuple(each for each in self._bindings[username] if each.connection != connection))

    def drop_user(self, username: str) -> None:
        """Forgets a user, as when the customer's environment leaves this node."""
        self._set(username, ())

    def expire(self, now: float) -> None:
        """Forgets what has expired; lookups never see it anyway."""
        for username, bindings in list(self._bindings.items()):
            if any(binding.expires_at <= now for binding in bindings):
                self._set(username, self.lookup(username, now))

    def __len__(self) -> int:
        return sum(len(bindings) for bindings in self._bindings.values())

    def __iter__(self) -> Iterator[Binding]:
        return (binding for bindings in self._bindings.values() for binding in bindings)

    def _set(self, username: str, bindings: tuple[Binding, ...]) -> None:
        before = self._bindings.get(username, ())
        if bindings and [each.connection for each in before] == [each.connection for each in bindings]:
            self._bindings[username] = bindings
            return
        self._bindings.pop(username, None)
        for binding in before:
            users = self._users[binding.connection]
            users[username] -= 1
            if not users[username]:
                del users[username]
            if not users:
                del self._users[binding.connection]
        if bindings:
            self._bindings[username] = bindings
        for binding in bindings:
            users = self._users.setdefault(binding.connection, {})
            users[username] = users.get(username, 0) + 1

    def _doubtful(self, after: tuple[Binding, ...], wanted: list[Binding]) -> tuple[Binding, ...]:
        for new in wanted:
            if len(after) < MANY_ALIKE:
                break
            alike = [old for old in after if old.connection != new.connection and old.likeness == new.likeness]
            if len(alike) >= MANY_ALIKE:
                return tuple(alike)
        return ()

    def _wanted(
        self, request: Request, username: str, connection: int, now: float, source: str
    ) -> list[Binding] | None:
        """The bindings a request asks for: none for a query, None for the `Contact: *` that removes all."""
        values = request.headers.getlist("Contact")
        if values == ["*"]:
            if request.expires != 0:
                raise Rejected(400, "Contact: * needs Expires: 0")
            return None
        try:
            contacts = request.contact
        except ValueError as error:
            raise Rejected(400, "Contact is not valid") from error
        if len(contacts) > MAX_BINDINGS:
            raise Rejected(400, "too many contacts")
        if any(contact.uri.scheme not in ("sip", "sips") for contact in contacts):
            raise Rejected(400, "a Contact that no call can be sent to")
        return [
            Binding(
                username=username,
                contact=contact.uri,
                connection=connection,
                expires_at=now + _lifetime(contact, request),
                # Contacts in one request are different phones whatever they share.
                call_id=request.call_id if len(contacts) == 1 else f"{request.call_id} {contact.uri}",
                sequence=request.cseq.sequence,
                instance=_instance(contact),
                agent=request.user_agent or "",
                source=source,
            )
            for contact in contacts
        ]


def _instance(contact: Address) -> str:
    instance = contact.parameters.get("+sip.instance")
    return f"{instance} {contact.parameters.get('reg-id') or ''}" if instance else ""


def _with_room(bindings: tuple[Binding, ...]) -> tuple[Binding, ...]:
    """No more than MAX_BINDINGS: the oldest of those most alike makes room, never the newest, nor the only one of its
    kind while others have several.
    """
    if len(bindings) <= MAX_BINDINGS:
        return bindings
    kinds = Counter(binding.likeness for binding in bindings)
    leaving = max(bindings[:-1], key=lambda binding: kinds[binding.likeness])  # the first of the greatest: the oldest
    return tuple(binding for binding in bindings if binding is not leaving)


def _lifetime(contact: Address, request: Request) -> int:
    """Seconds a binding lives.

    The contact's own parameter, else the Expires header, within our bounds (section 10.3 step 7).
    """
    value = contact.parameters.get("expires")
    if value is None:
        seconds = request.expires if request.expires is not None else DEFAULT_EXPIRES
    else:
        seconds = int(value) if value.isascii() and value.isdigit() and len(value) <= 10 else DEFAULT_EXPIRES
    if 0 < seconds < MIN_EXPIRES:
        raise Rejected(423, "registration is too short", MIN_EXPIRES)
    return min(seconds, MAX_EXPIRES)
