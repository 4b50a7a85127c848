"""An environment is proven, and its order complete, only once every phone finds its name."""

from datetime import timedelta

import pytest

from tests.functions.fleet.simulated_cloud import Cloud
from tests.functions.fleet.stories import later, want


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


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
