"""What happens to an order, as its history keeps it: who did it, what the customer reads of it, what only sales. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ordering.states import Actor, State


class EventKind(StrEnum):
    """What an event tells."""

    CHANGE = "change"
    """Another state; the first has no state before it."""
    CREDENTIALS = "credentials"
    """New credentials for the phones were handed out."""
    CREDENTIALS_OFFERED = "credentialsOffered"
    """Sales had the customer mailed where new credentials can be made; only the customer sees them."""
    NOTE = "note"
    """Something sales wrote down for itself; the customer never sees it."""
    CORRECTION = "correction"
    """Sales corrected a typing error in what the customer said of itself."""
    MAIL = "mail"
    """Sales had the mail about the order's state sent again, with the link to its page."""
    ADDRESS_PROVEN = "addressProven"
    """The customer followed the link in our mail: the address is theirs."""


INTERNAL = frozenset({EventKind.NOTE, EventKind.MAIL})
"""What the customer does not see among the events."""


@dataclass(frozen=True)
class FieldChange:
    """A correction of one field of the related party."""

    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Event:
    """One thing that happened to an order, append-only; `version` is the order's after it, `source` is None when it was
    placed.
    """

    version: int
    at: datetime
    source: State | None
    target: State
    who: Actor
    why: str = ""
    """What the customer reads."""
    kind: EventKind = EventKind.CHANGE
    note: str = ""
    """What only sales reads."""
    changes: tuple[FieldChange, ...] = ()
