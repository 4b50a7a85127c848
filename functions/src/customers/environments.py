"""What the fleet asks of customers: which environments to serve, and what it tells of them. Never the table itself."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from customers import account as accounts
from customers import notices, orders_behind
from customers.account import Account, EventKind
from customers.environment import Environment
from customers.product import State
from customers.states import FLEET
from customers.store import UnknownCustomerError, Wanted, store
from shared.clock import to_iso
from shared.shards import ALL

__all__ = ["UnknownCustomerError", "Wanted", "get", "held", "noticed", "proven", "summaries", "wanted"]


def wanted() -> Iterator[Environment]:
    """All environments that are to be served, whole; one that cannot be read is logged, counted and left out."""
    yield from store().environments([each.environment_id for each in summaries()])


def summaries(shards: Collection[int] = ALL) -> Iterator[Wanted]:
    """Of all environments of these shards that are to be served: id, version, number of phones; some hundred bytes each, from the index."""
    yield from store().wanted(shards)


def get(environment_id: str) -> Environment | None:
    """One environment as it is, served or not; None when there is none."""
    return store().environment(environment_id)


def proven(environment_id: str, version: int, node: str, at: datetime) -> Environment:
    """Tell that a proof call passed on this version of an environment: products that waited for it become active, their orders complete.

    Again is not twice, and `awaits_proof` tells whether it is needed at all. Raises UnknownCustomerError.
    """
    after = store().change(environment_id, lambda found: prove(found, version, node, at))
    orders_behind.tell(after, at)
    if after.held_because:
        orders_behind.tell_held(after, after.held_because, at)
    return after.environment


def held(environment_id: str, reason: str, at: datetime) -> None:
    """Tell why an environment has to wait, in words for its customer; empty when it need not any more. Raises UnknownCustomerError."""
    after = store().change(environment_id, lambda found: hold(found, reason, at))
    orders_behind.tell_held(after, reason, at)


def noticed(environment_id: str, told: Mapping[str, str], at: datetime) -> None:
    """Tell what a node noticed, by kind and day; again is not twice. Raises UnknownCustomerError."""
    store().change(environment_id, lambda found: notices.note(found, told, at))


def prove(account: Account, version: int, node: str, at: datetime) -> Account:
    """The account after a proof call. Pure."""
    if (
        version > account.environment.version
        or not account.environment.awaits_proof
        or version <= account.proven_version
    ):
        return account
    waiting = [found for found in account.products if found.state is State.CREATED and found.since_version <= version]
    if not waiting:
        return account
    account = replace(account, proven_version=version, proven_by=node, held_because="")
    account = accounts.add_event(
        account, EventKind.PROVEN, FLEET, at, environmentVersion=version, node=node, provenAt=to_iso(at)
    )
    return accounts.activate_ready(account, FLEET, at)


def hold(account: Account, reason: str, at: datetime) -> Account:
    """The account with the reason why it has to wait. Pure."""
    if account.held_because == reason:
        return account
    return accounts.add_event(replace(account, held_because=reason), EventKind.HELD, FLEET, at, reason)
