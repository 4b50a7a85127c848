"""What the fleet asks of `customers`, and what it tells: always through `customers.environments`, never its table."""

import tomllib
from collections.abc import Collection, Iterable, Mapping, Set
from datetime import datetime
from functools import cache
from typing import Any

from customers import environment, environments
from fleet.actions import Wanted
from fleet.erlang import calls_needed
from fleet.items import UNREADABLE
from fleet.node import Node
from shared import clock, settings
from shared.shards import ALL
from shared.telemetry import count, logger


class Demand:
    """The environments that should be served."""

    def wanted(self, shards: Collection[int] = ALL) -> dict[str, Wanted]:
        """By id: version and size, from the index; the document is read for those that change."""
        return {
            one.environment_id: Wanted(
                one.environment_id, one.version, one.phones, calls_needed(max(1, one.phones)), one.dedicated
            )
            for one in environments.summaries(shards)
        }

    def document(self, environment_id: str) -> Mapping[str, Any] | None:
        """What the nodes are told; None for an environment that is not to be served after all."""
        found = environments.get(environment_id)
        return environment.to_item(found) if found and found.served else None

    def ended(self, environment_ids: Iterable[str]) -> Set[str]:
        """Those that are certainly not to be served. One that cannot be read is left as it is, and a person hears of it."""
        return {one for one in environment_ids if self._has_ended(one)}

    def proven(self, environment_id: str, version: int, node: Node, at: datetime) -> None:
        """A probe's call has passed through this version of it on this node."""
        environments.proven(environment_id, version, node.id, at)

    def held(self, environment_id: str, reason: str) -> None:
        """It has to wait; `reason` is a code of HoldReason."""
        environments.held(environment_id, _words()[reason], clock.now())

    def noticed(self, environment_id: str, notices: Mapping[str, str]) -> None:
        """What its node noticed, by kind and day."""
        environments.noticed(environment_id, notices, clock.now())

    @staticmethod
    def _has_ended(environment_id: str) -> bool:
        try:
            found = environments.get(environment_id)
        except UNREADABLE as error:
            logger.error("fleet: odd environment", extra={"environment_id": environment_id, "error": repr(error)})
            count("FleetOddItem")
            return False
        return found is None or not found.served


@cache
def _words() -> Mapping[str, str]:
    """What a customer reads, by code: site/data/hold_reasons.toml."""
    data = tomllib.loads((settings.data_directory() / "hold_reasons.toml").read_text(encoding="utf-8"))
    return {code: entry["text"] for code, entry in data.items()}
