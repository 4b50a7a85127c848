"""What DNS is told of environments, and whether all of its servers have it: written down before and after, so that a kill leaves no lie."""

import random
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from fleet.actions import Names
from fleet.placement import Placement
from fleet.store import ChangedMeanwhileError
from shared.dynamodb import BusyError

_MOST_CHANGES_ASKED = 10
"""Route 53 takes five requests a second of an account."""


class NotYetError(Exception):
    """It is as it was: it takes time."""


class Dns(Protocol):
    """What the reconciler needs of Zone."""

    def publish(self, changes: Iterable[tuple[str, tuple[str, ...] | None]]) -> Mapping[str, tuple[str, ...]]: ...
    def spread(self, change: str) -> bool: ...


class Notes(Protocol):
    """What of the ledger is written here."""

    def note(self, before: Placement, after: Placement) -> Placement: ...


class Naming:
    """One zone, and the ledger's word on it."""

    def __init__(self, ledger: Notes, dns: Dns) -> None:
        self._ledger = ledger
        self._dns = dns

    def publish(self, changes: tuple[Names, ...]) -> None:
        """Say first that the names are being changed: whoever is killed in between leaves no row that says what DNS does not."""
        begun = []
        for change in changes:
            if change.placement.names == ():
                begun.append((change.placement, change.addresses))
                continue
            try:
                begun.append(
                    (self._ledger.note(change.placement, replace(change.placement, names=())), change.addresses)
                )
            except (ChangedMeanwhileError, BusyError):
                continue
        made = self._dns.publish(
            [
                (name, addresses)
                for placement, addresses in begun
                for name in (placement.environment_id, *placement.aliases)
            ]
        )
        overtaken = 0
        for placement, addresses in begun:
            try:
                told = {
                    change for name in (placement.environment_id, *placement.aliases) for change in made.get(name, ())
                }
                said = replace(placement, names=addresses, named=placement.aliases, spreading=tuple(sorted(told)))
                self._ledger.note(placement, said)
            except (ChangedMeanwhileError, BusyError):
                overtaken += 1
        if overtaken == len(changes):
            raise ChangedMeanwhileError

    def confirm(self, placements: tuple[Placement, ...]) -> None:
        """Raises NotYetError when nothing has spread: there is nothing new to plan with. The next look asks again."""
        asked = list(dict.fromkeys(change for placement in placements for change in placement.spreading))
        # Any of them: one that does not spread keeps no other from being asked for.
        some = random.sample(asked, min(len(asked), _MOST_CHANGES_ASKED))
        spread = {change for change in some if self._dns.spread(change)}
        confirmed = [placement for placement in placements if spread.issuperset(placement.spreading)]
        if not confirmed:
            raise NotYetError
        for placement in confirmed:
            with suppress(ChangedMeanwhileError, BusyError):
                self._ledger.note(placement, replace(placement, spreading=()))
