"""Where an environment is: which node serves it, which stands by, and what that takes of each node. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from fleet.node import Node, NodeState


class Role(StrEnum):
    """What a node does for an environment."""

    PRIMARY = "primary"
    """It accepts registrations and calls."""
    STANDBY = "standby"
    """It has the phones loaded and proves itself, but refuses registrations until it is made primary. Running calls go on."""


class HoldReason(StrEnum):
    """Why an environment has to wait; site/data/hold_reasons.toml has the words that a customer reads."""

    CEILING = "ceiling"
    NO_CAPACITY = "noCapacity"
    QUOTA = "quota"
    BOOT = "boot"
    TOO_LARGE = "tooLarge"
    NOT_PROVEN = "notProven"


@dataclass(frozen=True)
class Assignment:
    """One environment on one node. `epoch` is the placement's when this role was given; `version` that of the environment's document."""

    node_id: str
    instance_arn: str
    role: Role
    epoch: int
    calls: int
    version: int
    assigned_at: datetime
    demoted: bool = False
    """It was primary once: it is out only when its node says that it knows."""


@dataclass(frozen=True)
class Told:
    """What `customers` was last told of the environment: the call that proved this version on this node, and when it was made."""

    version: int
    node_id: str
    at: datetime


@dataclass(frozen=True)
class Placement:
    """One environment's row of the ledger. At most one assignment is primary; none is while it is handed over or waits."""

    environment_id: str
    version: int = 0
    epoch: int = 0
    assignments: tuple[Assignment, ...] = ()
    names: tuple[str, ...] | None = None
    """What DNS was told: addresses of the primary and then the standby, None for nothing; empty while it is being told."""
    aliases: tuple[str, ...] = ()
    """Environments that became part of this one, as its document has it: their names, which phones know, lead here too."""
    named: tuple[str, ...] = ()
    """Those of the aliases that DNS was told of."""
    spreading: tuple[str, ...] = ()
    """Route 53's changes that may not have reached all of its servers: until they have, a phone may be told that there is no such name."""
    proven: Told | None = None
    held: HoldReason | None = None
    noticed: Mapping[str, str] = field(default_factory=dict)
    """What `customers` was told of its nodes' notices: by kind, the last day."""
    dedicated: bool = False
    """Its nodes serve nobody else."""
    leaves: str = ""
    """The node that an operator wants it to be served by no longer."""

    @property
    def primary(self) -> Assignment | None:
        """Who accepts registrations."""
        return next((one for one in self.assignments if one.role is Role.PRIMARY), None)

    @property
    def standbys(self) -> tuple[Assignment, ...]:
        """Who stands by, or waits to be handed the environment."""
        return tuple(one for one in self.assignments if one.role is Role.STANDBY)

    def on(self, node_id: str) -> Assignment | None:
        """The assignment on this node."""
        return next((one for one in self.assignments if one.node_id == node_id), None)


def assign(placement: Placement, node: Node, role: Role, calls: int, version: int, now: datetime) -> Placement:
    """The placement with the environment on one more node."""
    epoch = _next_epoch(placement, now)
    new = Assignment(node.id, node.instance_arn, role, epoch, calls, version, now)
    return replace(placement, epoch=epoch, assignments=(*placement.assignments, new))


def give(placement: Placement, node_id: str, role: Role, now: datetime) -> Placement:
    """The placement with another role for one node: a higher epoch, so that the older word is known as such."""
    epoch = _next_epoch(placement, now)
    demoted = role is Role.STANDBY
    changed = tuple(
        replace(one, role=role, epoch=epoch, assigned_at=now, demoted=demoted) if one.node_id == node_id else one
        for one in placement.assignments
    )
    leaves = "" if role is Role.PRIMARY else placement.leaves
    return replace(placement, epoch=epoch, assignments=changed, leaves=leaves)


def _next_epoch(placement: Placement, now: datetime) -> int:
    """Higher than any before, also of an earlier life of the environment that the ledger has forgotten and a node may not."""
    return placement.epoch + 1 if placement.epoch else int(now.timestamp())


def without(placement: Placement, node_ids: Iterable[str]) -> Placement:
    """The placement with these nodes released."""
    left = frozenset(node_ids)
    return replace(placement, assignments=tuple(one for one in placement.assignments if one.node_id not in left))


def load(placement: Placement | None) -> dict[tuple[str, str], int]:
    """Calls that the placement takes: keys are (node, "") for firm ones and (node, of) for a reserve against the loss of node `of`.

    A standby of an environment that nobody serves is (node, "!"): it is about to be served there.
    """
    if placement is None:
        return {}
    primary = placement.primary
    return {
        (one.node_id, "" if one.role is Role.PRIMARY else (primary.node_id if primary else "!")): one.calls
        for one in placement.assignments
    }


def account(
    nodes: Mapping[str, Node], before: Placement | None, after: Placement | None, now: datetime
) -> dict[str, Node]:
    """The rows of the nodes whose load changes by the change of one placement; a node that is not among `nodes` is left out."""
    was, will = load(before), load(after)
    changed = {}
    for node_id in dict.fromkeys(name for name, _ in (*was, *will)):
        node = nodes.get(node_id)
        if node is None:
            continue
        primary, reserve = node.primary, dict(node.reserve)
        for sign, loads in ((-1, was), (1, will)):
            for (name, of), calls in loads.items():
                if name != node_id:
                    continue
                if of == "":
                    primary += sign * calls
                else:
                    key = "" if of == "!" else of
                    reserve[key] = reserve.get(key, 0) + sign * calls
        reserve = {name: calls for name, calls in reserve.items() if calls}
        row = replace(node, primary=primary, reserve=reserve, dedicated_to=_dedicated_to(node, before, after))
        if row != node:
            row = replace(row, version=node.version + 1, emptied_at=now if row.empty else None)
            changed[node_id] = row
    return changed


def _dedicated_to(node: Node, before: Placement | None, after: Placement | None) -> str:
    if after and after.dedicated and after.on(node.id):
        return after.environment_id
    ended = before and before.environment_id == node.dedicated_to
    return "" if ended else node.dedicated_to


class NoRoomError(Exception):
    """A node has no room for the placement, or takes no more environments."""


def settle(nodes: Mapping[str, Node], before: Placement, after: Placement, now: datetime) -> dict[str, Node]:
    """The nodes' rows for a change of one placement, from the rows as they are now. Raises NoRoomError."""
    new = [one for one in after.assignments if before.on(one.node_id) is None]
    for one in new:
        node = nodes.get(one.node_id)
        if node is None or node.state is not NodeState.READY or node.instance_arn != one.instance_arn:
            raise NoRoomError
        if node.dedicated_to not in ("", after.environment_id) or (
            after.dedicated and not node.empty and not node.dedicated_to
        ):
            raise NoRoomError
    rows = account(nodes, before, after, now)
    if any(overbooks(nodes[name], row, more=bool(new)) for name, row in rows.items()):
        raise NoRoomError
    return rows


def overbooks(before: Node, after: Node, *, more: bool) -> bool:
    """Whether a node is asked for more than it has: calls that it must carry now, and with `more` also its reserve."""
    if more and after.used > after.capacity and after.used > before.used:
        return True
    return after.firm > after.capacity and after.firm > before.firm
