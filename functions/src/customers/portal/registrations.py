"""Which phones are registered, as the node that serves them tells: asked of the fleet, and empty when it does not know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet import whereabouts
from shared.telemetry import count, logger


@dataclass(frozen=True)
class Registration:
    """A phone's place on the net, as far as anybody needs it: its make, its network in masked form, whether it is encrypted."""

    since: str
    last_seen_at: str
    user_agent: str = ""
    network: str = ""
    encrypted: bool | None = None
    is_there: bool = True


def read(told: Mapping[str, Any]) -> dict[str, Registration]:
    """The registrations that a node wrote down, by user name; what cannot be read is left out."""
    found = {}
    for username, one in told.items():
        if not isinstance(one, Mapping):
            continue
        found[str(username)] = Registration(
            since=str(one.get("since", "")),
            last_seen_at=str(one.get("lastSeenAt", "")),
            user_agent=str(one.get("userAgent", ""))[:80],
            network=str(one.get("network", "")),
            encrypted=one.get("encrypted") if isinstance(one.get("encrypted"), bool) else None,
            is_there=bool(one.get("since")),
        )
    return found


def of(customer_id: str) -> dict[str, Registration]:
    """The registrations of a customer's phones; none when nobody can tell, so that a page never waits for them in vain."""
    try:
        return read(whereabouts.registrations(customer_id))
    except Exception:
        logger.exception("registrations not read")
        count("RegistrationsNotRead")
        return {}
