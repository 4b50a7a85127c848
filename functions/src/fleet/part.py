"""Which environments one look of the reconciler is about, and what it has read of them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.actions import Wanted
from fleet.observed import Proof
from fleet.placement import Placement
from shared.shards import SHARDS


@dataclass(frozen=True)
class Part:
    """Every `of`-th of the shards, beginning with `number`: the environments that one look is about."""

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.number < self.of and SHARDS % self.of == 0):
            raise ValueError(f"part {self.number} of {self.of}: the parts of {SHARDS} shards are equal")

    @property
    def shards(self) -> range:
        """Those of shared/shards.py."""
        return range(self.number, SHARDS, self.of)


WHOLE = Part()


@dataclass(frozen=True)
class Seen:
    """Environments as a look has read them: where each is, which should be served, and what nodes report of them."""

    placements: Mapping[str, Placement]
    wanted: Mapping[str, Wanted]
    reports: dict[str, Mapping[str, Proof]]
    """By instance ARN, as far as they were asked for."""
