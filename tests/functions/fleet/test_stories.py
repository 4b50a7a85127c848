"""What becomes of environments and nodes, told to the ledger in memory and to the one on DynamoDB Local."""

from dataclasses import replace

import pytest

from fleet import operator
from fleet.limits import Limits
from fleet.node import NodeState
from fleet.placement import HoldReason
from tests.functions.fleet.dynamo_store import DynamoStore
from tests.functions.fleet.simulated_cloud import LIMITS, ZONES, Cloud
from tests.functions.fleet.stories import instance_of, later, nodes_of, place, served, state_of, want

ALWAYS = ["memory", pytest.param("dynamodb", marks=pytest.mark.needs("java"))]


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture(params=ALWAYS)
def either(request: pytest.FixtureRequest) -> Cloud:
    """On the ledger in memory, and on the real one."""
    if request.param == "memory":
        return Cloud()
    request.getfixturevalue("environment")
    return Cloud(store=DynamoStore())


@pytest.mark.promise("testgesprek")
def test_an_environment_gets_a_primary_a_standby_in_another_zone_a_proof_and_names(either: Cloud) -> None:
    cloud = either
    served(cloud, 20)
    placed = place(cloud, "enva23")
    assert nodes_of(placed) == ("n0001", ["n0002"])
    assert {node.zone for node in cloud.store.nodes()} == {"subnet-a", "subnet-b"}
    assert cloud.dns.says == {"enva23": ("n0001 192.0.2.1 5061", "n0002 192.0.2.2 5061")}
    assert cloud.customers.told_proven == {"enva23": (1, "n0001")}


def test_nothing_is_done_when_everything_is_as_it_should_be(either: Cloud) -> None:
    cloud = either
    served(cloud, 20, 5)
    assert cloud.reconciler.plan() == []
    assert cloud.reconciler.run() == 0


def test_the_standby_takes_over_when_the_node_of_the_primary_is_gone(either: Cloud) -> None:
    cloud = either
    served(cloud, 20)
    before = place(cloud, "enva23")
    cloud.ec2.end(instance_of(cloud, "n0001"))
    cloud.look()
    placed = place(cloud, "enva23")
    assert nodes_of(placed)[0] == "n0002"
    assert placed.epoch > before.epoch
    assert cloud.dns.says["enva23"][0] == "n0002 192.0.2.2 5061"
    later(cloud, seconds=90)
    assert nodes_of(place(cloud, "enva23")) == ("n0002", ["n0003"])
    assert cloud.customers.told_proven["enva23"] == (1, "n0002")


def test_a_node_that_only_is_not_heard_keeps_its_environments_until_its_lease_is_out(cloud: Cloud) -> None:
    served(cloud, 20)
    next(node for node in cloud.machines.values() if node.arn.endswith("i-0001")).reaches_dynamodb = False
    later(cloud, seconds=300)
    assert nodes_of(place(cloud, "enva23"))[0] == "n0001"
    later(cloud, seconds=150)
    assert nodes_of(place(cloud, "enva23"))[0] == "n0002"
    assert cloud.store.rows["n0001"].state is NodeState.QUARANTINED


def test_a_node_that_comes_back_is_not_a_second_primary(cloud: Cloud) -> None:
    served(cloud, 20)
    machine = next(node for node in cloud.machines.values() if node.arn.endswith("i-0001"))
    machine.reaches_dynamodb = False
    later(cloud, seconds=450)
    machine.reaches_dynamodb = True
    later(cloud, seconds=120)  # the cloud itself asserts that there are never two
    assert nodes_of(place(cloud, "enva23"))[0] == "n0002"
    assert not machine.is_primary_of("enva23", cloud.now)


def test_an_impaired_node_that_is_silent_is_ended_and_then_certain_to_serve_nobody(cloud: Cloud) -> None:
    served(cloud, 20)
    next(node for node in cloud.machines.values() if node.arn.endswith("i-0001")).hangs = True
    cloud.ec2.all["i-0001"] = replace(cloud.ec2.all["i-0001"], impaired=True)
    later(cloud, seconds=300)
    assert cloud.ec2.all["i-0001"].ended
    assert nodes_of(place(cloud, "enva23"))[0] == "n0002"


def test_draining_hands_over_waits_for_calls_and_ends_the_node(either: Cloud) -> None:
    cloud = either
    served(cloud, 20)
    machine = next(node for node in cloud.machines.values() if node.arn.endswith("i-0001"))
    machine.calls = 3
    node = cloud.store.rows["n0001"]
    drained = operator.wish(node, "drain", cloud.now)
    assert drained
    cloud.store.replace(node, drained)
    later(cloud, seconds=180)
    assert nodes_of(place(cloud, "enva23")) == ("n0002", ["n0003"])
    assert state_of(cloud, "n0001") is NodeState.DRAINING
    machine.calls = 0
    later(cloud, seconds=90)
    assert state_of(cloud, "n0001") is NodeState.TERMINATED
    assert cloud.ec2.all["i-0001"].ended


def test_an_environment_moves_to_its_standby_when_an_operator_wishes_it(cloud: Cloud) -> None:
    served(cloud, 20)
    cloud.store.placed["enva23"] = replace(place(cloud, "enva23"), version=99, leaves="n0001")
    later(cloud, seconds=60)
    assert nodes_of(place(cloud, "enva23")) == ("n0002", ["n0001"])
    assert place(cloud, "enva23").leaves == ""


def test_a_cordoned_node_gets_nothing_new_and_keeps_what_it_has(cloud: Cloud) -> None:
    served(cloud, 20)
    for name in ("n0001", "n0002"):
        node = cloud.store.rows[name]
        cordoned = operator.wish(node, "cordon", cloud.now)
        assert cordoned
        cloud.store.replace(node, cordoned)
    want(cloud, "envb23", 5)
    later(cloud, seconds=90)
    assert nodes_of(place(cloud, "envb23")) == ("n0003", ["n0004"])
    assert nodes_of(place(cloud, "enva23")) == ("n0001", ["n0002"])


def test_an_environment_that_grows_beyond_its_node_moves(either: Cloud) -> None:
    cloud = either
    served(cloud, 20, 20)  # 8 calls each on nodes of 20
    want(cloud, "enva23", 80)  # 18 calls
    later(cloud, minutes=4)
    placed = place(cloud, "enva23")
    assert {one.calls for one in placed.assignments} == {18}
    assert placed.primary and placed.primary.version == 2
    assert cloud.customers.told_proven["enva23"][0] == 2


def test_an_environment_that_ends_leaves_no_assignment_no_name_and_no_row(either: Cloud) -> None:
    cloud = either
    served(cloud, 20)
    del cloud.customers.served["enva23"]
    cloud.customers.gone.add("enva23")
    later(cloud, seconds=60)
    assert cloud.store.placed == {}
    assert cloud.dns.says == {}
    assert not any(cloud.store.assignments.values())


def test_one_that_is_neither_wanted_nor_known_to_have_ended_is_left_alone(cloud: Cloud) -> None:
    served(cloud, 20)
    del cloud.customers.served["enva23"]
    later(cloud, seconds=60)
    assert place(cloud, "enva23").primary


def test_what_is_larger_than_a_node_is_held_and_says_why(cloud: Cloud) -> None:
    want(cloud, "enva23", 300)
    assert cloud.customers.told_held == {"enva23": HoldReason.TOO_LARGE}
    assert cloud.store.nodes() == ()


def test_no_capacity_anywhere_holds_it_until_there_is(cloud: Cloud) -> None:
    cloud.ec2.full = set(ZONES)
    want(cloud, "enva23", 20)
    assert cloud.customers.told_held == {"enva23": HoldReason.NO_CAPACITY}
    cloud.ec2.full = set()
    later(cloud, minutes=3)
    assert cloud.customers.told_proven and not cloud.customers.told_held


@pytest.mark.promise("testgesprek")
def test_a_failed_probe_holds_a_new_environment(cloud: Cloud) -> None:
    cloud.next_passes = False
    want(cloud, "enva23", 20)
    later(cloud, minutes=5)
    assert cloud.customers.told_held == {"enva23": HoldReason.NOT_PROVEN}
    for node in cloud.machines.values():
        node.probe_passes = True
    later(cloud, seconds=90)
    assert cloud.customers.told_proven and not cloud.customers.told_held


def test_a_probe_that_fails_on_one_node_moves_the_environment_to_one_where_it_passes(cloud: Cloud) -> None:
    served(cloud, 20)
    next(node for node in cloud.machines.values() if node.arn.endswith("i-0001")).probe_passes = False
    later(cloud, minutes=3)
    assert nodes_of(place(cloud, "enva23"))[0] == "n0002"


def roll(cloud: Cloud, release: str) -> None:
    cloud.limits = replace(cloud.limits, release=release)


def test_a_new_release_replaces_every_node_and_nobody_is_unserved_for_long() -> None:
    cloud = Cloud(replace(LIMITS, release="r1"))
    names = served(cloud, 20, 20)
    roll(cloud, "r2")
    unserved = 0
    for _ in range(120):
        later(cloud, seconds=15)
        unserved = max(unserved, sum(cloud.store.placed[name].primary is None for name in names))
    assert {node.release for node in cloud.store.nodes() if node.state is NodeState.READY} == {"r2"}
    assert all(nodes_of(place(cloud, name)) for name in names)


def test_a_release_that_does_not_boot_stops_by_itself() -> None:
    cloud = Cloud(replace(LIMITS, release="r1"))
    names = served(cloud, 20, 20)
    before = {name: nodes_of(place(cloud, name)) for name in names}
    cloud.next_boots = False
    roll(cloud, "r2")
    later(cloud, hours=2)
    assert {name: nodes_of(place(cloud, name)) for name in names} == before
    assert sum(node.release == "r2" for node in cloud.store.nodes()) == 1


def test_a_release_whose_probe_fails_stops_by_itself() -> None:
    cloud = Cloud(replace(LIMITS, release="r1"))
    served(cloud, 20, 20)
    roll(cloud, "r2")
    for _ in range(40):
        later(cloud, seconds=15)
        for instance in cloud.ec2.instances():
            row = cloud.store.rows[instance.node_id]
            if row.release == "r2" and instance.arn in cloud.machines:
                cloud.machines[instance.arn].probe_passes = False
    ready = [node for node in cloud.store.nodes() if node.state is NodeState.READY]
    assert sum(node.release == "r1" for node in ready) >= 1
    assert all(cloud.machines[place(cloud, name).primary.instance_arn].probe_passes for name in cloud.customers.served)  # type: ignore[union-attr]


def test_nodes_that_are_empty_for_an_hour_are_ended() -> None:
    cloud = Cloud()
    served(cloud, 20)
    del cloud.customers.served["enva23"]
    cloud.customers.gone.add("enva23")
    later(cloud, minutes=50)
    assert sum(node.state is NodeState.READY for node in cloud.store.nodes()) == 2
    later(cloud, minutes=20)
    assert not [instance for instance in cloud.ec2.instances() if instance.alive]


def test_a_dedicated_environment_shares_its_nodes_with_nobody(cloud: Cloud) -> None:
    served(cloud, 5)
    want(cloud, "envb23", 5, dedicated=True)
    later(cloud, seconds=90)
    want(cloud, "envc23", 5)
    later(cloud, seconds=90)
    own = {one.node_id for one in place(cloud, "envb23").assignments}
    others = {one.node_id for name in ("enva23", "envc23") for one in place(cloud, name).assignments}
    assert len(own) == 2 and not own & others


def test_any_one_node_can_be_lost_and_what_it_serves_fits_on_the_rest() -> None:
    cloud = Cloud(Limits("test", ZONES, (), capacity_calls=20, max_nodes=12))
    served(cloud, 20, 20, 20, 20, 20)
    for node in cloud.store.nodes():
        assert node.used <= node.capacity
    cloud.ec2.end(instance_of(cloud, "n0001"))
    cloud.look()
    assert all(cloud.store.placed[name].primary for name in cloud.customers.served)


def test_without_standby_there_is_one_node_and_a_lost_one_is_replaced() -> None:
    cloud = Cloud(replace(LIMITS, standby=False))
    served(cloud, 20)
    assert len(cloud.store.nodes()) == 1
    cloud.ec2.end("i-0001")
    later(cloud, seconds=90)
    assert nodes_of(place(cloud, "enva23")) == ("n0002", [])


def test_a_ledger_row_that_cannot_be_read_hides_no_other(environment: None) -> None:
    from shared import dynamodb, settings

    cloud = Cloud(store=DynamoStore())
    for key in (("NODES", "n9999"), ("PLACEMENTS#03", "broken")):
        item = dynamodb.marshal({"pk": key[0], "sk": key[1], "state": "strange"})
        dynamodb.client().put_item(TableName=settings.fleet_table(), Item=item)
    served(cloud, 20)


def test_one_that_grows_beyond_any_node_while_it_is_handed_over_goes_on_being_served(cloud: Cloud) -> None:
    served(cloud, 5, 5)
    want(cloud, "enva23", 300)
    later(cloud, minutes=10)
    assert nodes_of(place(cloud, "enva23"))[1]
    assert cloud.dns.says["enva23"] == place(cloud, "enva23").names


def test_a_roll_without_room_hands_nobody_to_and_fro(cloud: Cloud) -> None:
    for name, phones in (("enva23", 60), ("envc23", 20), ("envb23", 60), ("envd23", 60)):
        want(cloud, name, phones)  # six nodes of 20 calls: with their standbys they are full
        later(cloud, seconds=20)
    roll(cloud, "r1")
    later(cloud, hours=1, minutes=30)
    assert {node.release for node in cloud.store.nodes() if node.state is NodeState.READY} == {"r1"}
    for name in cloud.customers.served:
        placed = place(cloud, name)
        assert placed.primary
        assert placed.version < 60, "each change is one of few"
