"""What to do about the fleet: a pure function of what is wanted, what is written down and what is seen.

Level-triggered: it looks at how things are and not at what happened, so doing it twice, late or after a crash does no harm.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fleet import lifecycle, names
from fleet.actions import (
    Action,
    Alarm,
    ConfirmNames,
    Forget,
    Names,
    PublishNames,
    TellHeld,
    TellNotices,
    TellProven,
    Wanted,
)
from fleet.capacity import Capacity
from fleet.limits import Limits
from fleet.node import IN_SERVICE, Node
from fleet.observed import Observed
from fleet.placement import HoldReason, Placement, Told
from fleet.rooms import Rooms
from fleet.succession import Succession

PROOF_DEADLINE = timedelta(minutes=3)

TOLD_AGAIN_AFTER = timedelta(hours=20)
"""A proof as much newer than the one that was told of is told of again: each day's is, whenever in the day it is made."""

MOST_NAMES = 200
"""So many environments a PublishNames may hold; fleet/route53.py makes requests of them that the API allows."""


@dataclass(frozen=True)
class Ledger:
    """What is written down: all nodes, and where each environment is."""

    nodes: tuple[Node, ...]
    placements: Mapping[str, Placement]


def plan(
    wanted: Mapping[str, Wanted], ended: Set[str], ledger: Ledger, observed: Observed, limits: Limits, now: datetime
) -> list[Action]:
    """What to do next; an empty list when everything is as it should be. What follows from an action comes in the next plan.

    `ended` names placements whose environment is certainly not to be served; one that is neither there nor `wanted` is left alone.
    """
    rooms = Rooms({node.id: node for node in ledger.nodes}, limits, now)
    capacity = Capacity(rooms, observed, limits, now)
    actions: list[Action] = [
        *lifecycle.nodes(ledger.nodes, observed, limits, now),
        *lifecycle.instances(ledger.nodes, observed),
    ]
    aliases = frozenset(alias for placement in ledger.placements.values() for alias in placement.aliases)
    # First what gives room, then who takes it.
    for environment_id in sorted(ended & ledger.placements.keys()):
        actions += _ended(ledger.placements[environment_id], rooms, observed, now, aliases=aliases)
    in_service = [node for node in ledger.nodes if node.state in IN_SERVICE]
    # When nobody is heard, it is hardly all nodes that are at fault, and many more of them would be no better.
    silence = bool(in_service) and not any(lifecycle.serves_now(node) for node in in_service)
    homeless: list[Succession] = []
    proven: list[TellProven] = []
    # Who is served is looked after before who waits.
    for one in sorted(
        wanted.values(), key=lambda one: (one.environment_id not in ledger.placements, one.environment_id)
    ):
        placement = ledger.placements.get(one.environment_id) or Placement(one.environment_id)
        if one.calls > limits.capacity_calls:
            # Between two primaries, as while it is handed over, it has none and is served all the same.
            if not placement.assignments:
                actions += _held(placement, HoldReason.TOO_LARGE)
                continue
            # It was not that large when it was sold. What can be served goes on.
            actions.append(Alarm("EnvironmentTooLarge", one.environment_id))
            one = replace(one, calls=limits.capacity_calls)
        succession = Succession(one, placement, rooms, observed, now)
        step = succession.next()
        if step:
            actions.append(step)
        elif not placement.assignments or (succession.lacks_standby and not silence):
            homeless.append(succession)
        actions += _notices(placement, observed)
        for told in _proof(one, placement, observed, now):
            if isinstance(told, TellProven):
                proven.append(told)
            else:
                actions.append(told)
    actions += _room_for(homeless, capacity, limits)
    if silence and all(observed.lease_is_out(node, now) for node in in_service) and not capacity.is_coming:
        capacity.request("nobody is heard")  # one that boots shows that it was the nodes after all
    actions += capacity.roll()
    actions += capacity.requested
    if not homeless:
        actions += capacity.surplus()
    actions += _names(ledger, aliases)
    actions += _told_of(proven, rooms.nodes)
    return actions


def _ended(
    placement: Placement, rooms: Rooms, observed: Observed, now: datetime, *, aliases: Set[str]
) -> Iterator[Action]:
    nobody = Wanted(placement.environment_id, version=0, phones=0, calls=0)
    if step := Succession(nobody, placement, rooms, observed, now).end():
        yield step
    elif not placement.assignments and (placement.names is None or placement.environment_id in aliases):
        yield Forget(placement)


def _room_for(homeless: list[Succession], capacity: Capacity, limits: Limits) -> Iterator[Action]:
    for succession in homeless:
        reason = capacity.ask(succession.wanted, succession.placement, standby=limits.standby)
        if not succession.placement.assignments:
            if reason:
                yield from _held(succession.placement, reason)
        elif reason:
            yield Alarm("WithoutStandby", succession.placement.environment_id)


def _held(placement: Placement, reason: HoldReason) -> Iterator[Action]:
    if placement.held is not reason:
        yield TellHeld(placement, reason)


def _proof(wanted: Wanted, placement: Placement, observed: Observed, now: datetime) -> Iterator[Action]:
    """What the probe's call through the primary says."""
    primary = placement.primary
    if primary is None:
        return
    proof = observed.report(primary.instance_arn, placement.environment_id)
    loaded = (
        proof is not None
        and proof.version >= wanted.version
        and proof.epoch >= primary.epoch
        and proof.phones >= wanted.phones
    )
    if proof and loaded and proof.probe_ok and proof.probe_at:
        told = placement.proven
        again = told is None or (told.version, told.node_id) != (wanted.version, primary.node_id)
        if again or placement.held or (told and proof.probe_at - told.at > TOLD_AGAIN_AFTER):
            yield TellProven(placement, Told(wanted.version, primary.node_id, proof.probe_at))
    elif now - primary.assigned_at > PROOF_DEADLINE:
        if placement.proven is None:
            yield from _held(placement, HoldReason.NOT_PROVEN)
        elif loaded:
            yield Alarm("ProofFailed", placement.environment_id)


def _notices(placement: Placement, observed: Observed) -> Iterator[Action]:
    """What the primary has to tell the customer; once for each kind and day, however often it says it."""
    primary = placement.primary
    report = observed.report(primary.instance_arn, placement.environment_id) if primary else None
    new = {kind: day for kind, day in report.notices.items() if placement.noticed.get(kind, "") < day} if report else {}
    if new:
        yield TellNotices(placement, new)
        if any(kind.startswith("emergency") for kind in new):
            yield Alarm("EmergencyCheckFailed", placement.environment_id)


def _told_of(proven: list[TellProven], nodes: Mapping[str, Node]) -> Iterator[Action]:
    """Those whose name stands are told of: phones are handed the name, and who asks for one too early is told for a quarter of an hour
    that there is none (the zone's SOA record says how long).
    """
    named = [
        told
        for told in proven
        if names.addresses(told.placement, nodes) == told.placement.names
        and told.placement.aliases == told.placement.named
    ]
    spreading = [told.placement for told in named if told.placement.spreading]
    if spreading:
        yield ConfirmNames(tuple(spreading[:MOST_NAMES]))
    yield from (told for told in named if not told.placement.spreading)


def _names(ledger: Ledger, aliases: Set[str]) -> Iterator[Action]:
    nodes = {node.id: node for node in ledger.nodes}
    changes = []
    for placement in ledger.placements.values():
        if placement.environment_id in aliases:
            continue  # it became part of another environment, to which its name leads now, though nodes may still have it
        addresses = names.addresses(placement, nodes)
        if addresses != placement.names or placement.aliases != placement.named:
            changes.append(Names(placement, addresses))
    for begin in range(0, len(changes), MOST_NAMES):
        yield PublishNames(tuple(changes[begin : begin + MOST_NAMES]))
