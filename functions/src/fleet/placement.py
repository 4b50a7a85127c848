"""How many calls a customer needs at once, and on which node they find room. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

ERLANG_PER_PHONE = 0.1
"""Busy-hour traffic of one phone: it is in a call for a tenth of the time."""

BLOCKING = 0.001
"""At most one call in a thousand finds all circuits of its customer busy."""


@dataclass(frozen=True)
class Room:
    """A place where calls can go: free concurrent protected calls of one node."""

    node_id: str
    free: int


@lru_cache(maxsize=1024)
def calls_needed(phones: int) -> int:
    """Concurrent calls that serve this many phones by the Erlang B formula: 10 phones 6, 50 phones 14, 100 phones 21.

    Raises ValueError for less than one phone.
    """
    if phones < 1:
        raise ValueError(f"{phones} phones need no calls")
    erlang = phones * ERLANG_PER_PHONE
    circuits, blocking = 0, 1.0
    while blocking > BLOCKING:
        circuits += 1
        # The recursion of Erlang B: ITU-T Teletraffic Engineering Handbook, section 7.3.
        blocking = erlang * blocking / (circuits + erlang * blocking)
    # Phones of one customer call each other as well: never fewer than one call, never more than every phone talking.
    return min(circuits, phones)


def choose(rooms: Iterable[Room], calls: int) -> Room | None:
    """The fullest node that still has room: packed allocation keeps whole nodes free for large customers and for
    draining.
    """
    fitting = [room for room in rooms if room.free >= calls]
    return min(fitting, key=lambda room: (room.free, room.node_id), default=None)
