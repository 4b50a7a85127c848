"""How many calls a customer needs at once: the Erlang B formula. Pure."""

from functools import lru_cache

ERLANG_PER_PHONE = 0.1
"""Busy-hour traffic of one phone: it is in a call for a tenth of the time."""

BLOCKING = 0.001
"""At most one call in a thousand finds all circuits of its customer busy."""


@lru_cache(maxsize=4096)
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


@lru_cache(maxsize=64)
def most_phones(calls: int) -> int:
    """The largest environment that so many concurrent calls serve: what is larger must be refused before it is sold."""
    low, high = 0, max(1, calls)
    while calls_needed(high) <= calls:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if calls_needed(middle) <= calls else (low, middle)
    return low
