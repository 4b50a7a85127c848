"""What an event that wakes the reconciler is about, where a fleet is looked at in parts. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from fleet.part import Part
from shared.shards import shard


def parts(event: Mapping[str, Any], of: int) -> list[Part]:
    """The parts to look at, of so many: the one that the event names, those whose environments its records changed, or all."""
    if "part" in event:
        return [Part(event["part"], event["of"])]
    everything = [Part(number, of) for number in range(of)]
    if of == 1 or "Records" not in event:
        return everything
    changed: set[int] = set()
    for record in event["Records"]:
        found = _environments(record)
        if found is None:
            return everything
        changed |= {shard(environment_id) % of for environment_id in found}
    return [everything[number] for number in sorted(changed)]


def _environments(record: Mapping[str, Any]) -> set[str] | None:
    """Whose environment a record of a table's stream is about; None when it may be anyone's.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html
    """
    change = record["dynamodb"]
    pk, sk = (change["Keys"][name]["S"] for name in ("pk", "sk"))
    if sk == "ENVIRONMENT":
        return {pk.partition("#")[2]}
    if pk.startswith("PLACEMENTS#"):
        return {sk}
    if sk == "REPORT":
        return set(_told_anew(change))
    return None


def _told_anew(change: Mapping[str, Any]) -> Iterator[str]:
    """The environments of which a node's report says something else than before."""
    before, after = (change.get(image, {}).get("assignments", {}).get("M", {}) for image in ("OldImage", "NewImage"))
    yield from (name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
