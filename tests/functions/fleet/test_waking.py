"""Which environments are looked at when something changed, and that all parts together are the whole."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.actions import Wanted
from fleet.part import Part
from fleet.waking import parts
from shared.shards import ALL, shard
from tests.functions.fleet.simulated_cloud import Cloud

IDS = st.from_regex(r"[a-z2-9]{6}", fullmatch=True)


def record(pk: str, sk: str, **images: Any) -> dict[str, Any]:
    return {"dynamodb": {"Keys": {"pk": {"S": pk}, "sk": {"S": sk}}, **images}}


def report(*versions: tuple[str, int]) -> dict[str, Any]:
    return {"assignments": {"M": {name: {"M": {"version": {"N": str(version)}}} for name, version in versions}}}


@pytest.mark.parametrize("of", [1, 2, 4, 8, 16])
def test_parts_are_disjoint_and_together_all(of: int) -> None:
    shards = [number for part in parts({}, of) for number in part.shards]
    assert sorted(shards) == list(ALL)


@pytest.mark.parametrize(("number", "of"), [(0, 3), (2, 2), (-1, 4), (0, 32), (0, 0)])
def test_parts_that_are_none_are_refused(number: int, of: int) -> None:
    with pytest.raises((ValueError, ZeroDivisionError)):
        Part(number, of)


@given(IDS, st.sampled_from([1, 2, 4, 8, 16]))
def test_what_changed_is_in_the_part_that_is_looked_at(name: str, of: int) -> None:
    for changed in (record(f"CUSTOMER#{name}", "ENVIRONMENT"), record(f"PLACEMENTS#{shard(name):02}", name)):
        [part] = parts({"Records": [changed]}, of)
        assert shard(name) in part.shards


@given(IDS, IDS, st.sampled_from([2, 8, 16]))
def test_of_a_report_only_what_it_says_anew_is_looked_at(new: str, same: str, of: int) -> None:
    told = record(
        "arn",
        "REPORT",
        OldImage=report((same, 1)),
        NewImage=report((same, 1), (new, 2)) if new != same else report((new, 2)),
    )
    found = parts({"Records": [told]}, of)
    assert [part.number for part in found] == [shard(new) % of]


def test_a_node_or_the_clock_is_about_everybody_and_a_part_that_is_named_about_itself() -> None:
    node = record("NODES", "n0001")
    assert len(parts({"Records": [node, record("CUSTOMER#abc234", "ENVIRONMENT")]}, 8)) == 8
    assert len(parts({"detail-type": "EC2 Instance State-change Notification"}, 8)) == 8
    assert parts({"part": 3, "of": 8}, 8) == [Part(3, 8)]


def test_a_fleet_that_is_looked_at_in_parts_ends_as_one_that_is_looked_at_as_a_whole() -> None:
    clouds = {1: Cloud(), 8: Cloud()}
    for of, cloud in clouds.items():
        for number in range(12):
            name = f"abc{number:03d}"
            cloud.customers.served[name] = Wanted(name, 1, 10, 3)
        cloud.parts = [Part(number, of) for number in range(of)]
        cloud.pass_time(timedelta(minutes=10))
        cloud.check()
        assert all(placement.primary for placement in cloud.store.placed.values())
    placed = [set(cloud.store.placed) for cloud in clouds.values()]
    assert placed[0] == placed[1] and len(placed[0]) == 12


def test_a_run_reads_all_environments_once_however_many_rounds_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud()
    for number in range(5):
        cloud.customers.served[f"abc{number:03d}"] = Wanted(f"abc{number:03d}", 1, 10, 3)
    read: list[str] = []

    def counted(of: Any, name: str) -> None:
        method = getattr(of, name)

        def asked(shards: Any) -> Any:
            read.append(name)
            return method(shards)

        monkeypatch.setattr(of, name, asked)

    counted(cloud.store, "placements")
    counted(cloud.customers, "wanted")
    while not cloud.store.placed:
        read.clear()
        cloud.pass_time(timedelta(minutes=1))
    read.clear()
    done = cloud.reconciler.run()
    assert sorted(read) == ["placements", "wanted"], done
