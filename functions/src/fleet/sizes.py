"""How large an environment may be sold: what other contexts ask the fleet before they promise anything."""

from fleet.erlang import most_phones
from shared import settings


def largest_environment() -> int:
    """So many phones the largest environment has that one node carries."""
    return most_phones(settings.node_capacity_calls())
