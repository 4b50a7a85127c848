"""An environment is proven, and its order complete, only once every phone finds its name."""

from datetime import timedelta

import pytest

from tests.functions.fleet.dynamo_store import DynamoStore
from tests.functions.fleet.simulated_cloud import Cloud
from tests.functions.fleet.stories import instance_of, later, place, served, want


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture(params=["memory", pytest.param("dynamodb", marks=pytest.mark.needs("java"))])
def either(request: pytest.FixtureRequest) -> Cloud:
    """On the ledger in memory, and on the real one."""
    if request.param == "memory":
        return Cloud()
    request.getfixturevalue("environment")
    return Cloud(store=DynamoStore())


def test_nobody_is_told_of_an_environment_whose_name_some_servers_do_not_know_yet(cloud: Cloud) -> None:
    cloud.dns.spreads_in = timedelta(minutes=3)
    want(cloud, "enva23", 20)
    later(cloud, minutes=2)
    assert cloud.store.told and cloud.dns.says["enva23"]
    assert not cloud.customers.told_proven
    later(cloud, minutes=3)
    assert cloud.customers.told_proven == {"enva23": (1, "n0001")}
    assert cloud.reconciler.plan() == []


def test_nobody_is_told_of_an_environment_whose_name_route_53_refuses(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(cloud.dns, "publish", refuse)
        want(cloud, "enva23", 20)
        later(cloud, minutes=4)
        assert not cloud.customers.told_proven
    later(cloud, minutes=1)
    assert cloud.customers.told_proven == {"enva23": (1, "n0001")}


def join(cloud: Cloud, into: str, other: str) -> None:
    cloud.customers.join(into, other)
    cloud.look()


def test_the_name_of_an_environment_that_became_part_of_another_leads_to_that_one(either: Cloud) -> None:
    cloud = either
    served(cloud, 20, 5)
    join(cloud, "enva23", "envb23")
    later(cloud, minutes=3)
    assert set(cloud.store.placed) == {"enva23"}
    assert cloud.dns.says["envb23"] == cloud.dns.says["enva23"] == place(cloud, "enva23").names
    assert cloud.reconciler.plan() == []
    cloud.ec2.end(instance_of(cloud, "n0001"))
    cloud.look()
    assert cloud.dns.says["envb23"][0] == cloud.dns.says["enva23"][0] == "n0002 192.0.2.2 5061"


def test_names_go_on_through_a_second_join_and_end_with_the_last_environment(cloud: Cloud) -> None:
    served(cloud, 20, 5, 5)
    join(cloud, "envb23", "envc23")
    later(cloud, minutes=3)
    join(cloud, "enva23", "envb23")
    later(cloud, minutes=3)
    assert set(cloud.dns.says) == {"enva23", "envb23", "envc23"}
    assert len(set(cloud.dns.says.values())) == 1
    del cloud.customers.served["enva23"]
    cloud.customers.gone.add("enva23")
    later(cloud, minutes=3)
    assert cloud.dns.says == {}
    assert cloud.store.placed == {}


def test_the_name_does_not_turn_back_while_the_environment_that_ended_is_still_on_nodes(cloud: Cloud) -> None:
    want(cloud, "enva23", 5)
    later(cloud, seconds=20)
    want(cloud, "envb23", 1)
    join(cloud, "enva23", "envb23")
    assert cloud.store.placed["envb23"].assignments
    later(cloud, minutes=2)
    assert cloud.dns.says["envb23"] == cloud.dns.says["enva23"]
