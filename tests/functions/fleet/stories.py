"""What stories of the simulated cloud are told with."""

from datetime import timedelta

from fleet.actions import Wanted
from fleet.erlang import calls_needed
from fleet.node import NodeState
from fleet.placement import Placement
from tests.functions.fleet.simulated_cloud import Cloud


def want(cloud: Cloud, name: str, phones: int, *, dedicated: bool = False) -> None:
    before = cloud.customers.served.get(name)
    version = before.version + 1 if before else 1
    cloud.customers.served[name] = Wanted(name, version, phones, calls_needed(phones), dedicated)
    cloud.look()


def later(cloud: Cloud, **span: float) -> None:
    cloud.pass_time(timedelta(**span))


def served(cloud: Cloud, *sizes: int) -> list[str]:
    """Environments of so many phones each, in service."""
    names = [f"env{letter}23" for letter in "abcdefgh"][: len(sizes)]
    for name, phones in zip(names, sizes, strict=True):
        want(cloud, name, phones)
    later(cloud, seconds=90)
    assert set(cloud.customers.told_proven) == set(names)
    return names


def place(cloud: Cloud, name: str) -> Placement:
    placed: Placement = cloud.store.placed[name]
    return placed


def nodes_of(placed: Placement) -> tuple[str, list[str]]:
    primary = placed.primary
    assert primary is not None
    return primary.node_id, [one.node_id for one in placed.standbys]


def instance_of(cloud: Cloud, node_id: str) -> str:
    instance_id: str = cloud.store.rows[node_id].instance_id
    return instance_id


def state_of(cloud: Cloud, node_id: str) -> NodeState:
    state: NodeState = cloud.store.rows[node_id].state
    return state
