"""Random histories of the simulated cloud; `./dev bench histories` tries thousands."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from fleet import operator
from fleet.actions import Wanted
from fleet.erlang import calls_needed
from shared.telemetry import logger
from tests.functions.fleet.simulated_cloud import ZONES, Cloud

NAMES = [f"env{letter}23" for letter in "abcdefgh"]

Event = tuple[Any, ...]

events = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([5, 10, 20, 60, 180, 420, 1200])),
    st.tuples(st.just("want"), st.sampled_from(NAMES), st.sampled_from([1, 5, 20, 60, 80, 300])),
    st.tuples(st.just("end"), st.sampled_from(NAMES)),
    st.tuples(st.just("kill node"), st.integers(0, 5)),
    st.tuples(st.just("kill zone"), st.sampled_from(ZONES)),
    st.tuples(st.just("full zones"), st.sets(st.sampled_from(ZONES))),
    st.tuples(st.just("quota"), st.integers(0, 6)),
    st.tuples(st.just("boots"), st.booleans()),
    st.tuples(st.just("partition"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("hang"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("probe"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("clock"), st.integers(0, 5), st.sampled_from([-3600, -40, 40, 3600])),
    st.tuples(st.just("calls"), st.integers(0, 5), st.integers(0, 5)),
    st.tuples(st.just("stale"), st.sampled_from([0, 20, 60])),
    st.tuples(st.just("throttled"), st.booleans()),
    st.tuples(st.just("names spread in"), st.sampled_from([0, 20, 90])),
    st.tuples(st.just("control plane"), st.booleans()),
    st.tuples(
        st.sampled_from(["kill_before", "kill_after", "lose_answer", "refuse"]),
        st.integers(0, 8),
    ),
    st.tuples(st.just("operator"), st.integers(0, 5), st.sampled_from(["cordon", "drain", "uncordon"])),
    st.tuples(st.just("join"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("move"), st.sampled_from(NAMES)),
    st.tuples(st.just("release"), st.sampled_from(["", "r1", "r2"])),
)

waits = st.sampled_from([0, 5, 5, 10, 20, 60, 60, 180, 420])
wants = st.tuples(st.just("want"), st.sampled_from(NAMES), st.sampled_from([1, 5, 20, 60, 80]))
steps = st.lists(st.tuples(events | wants | wants.map(tuple) | wants.map(tuple), waits), min_size=1, max_size=25)
histories = steps.map(lambda history: [one for event, seconds in history for one in (event, ("wait", seconds))])


def happen(cloud: Cloud, event: Event) -> None:
    """One event."""
    match event:
        case "wait", seconds:
            cloud.pass_time(timedelta(seconds=seconds))
        case "want", name, _ if cloud.customers.owner(name):
            pass  # what became part of another is never wanted again
        case "want", name, phones:
            before = cloud.customers.served.get(name)
            version = before.version + 1 if before else int(cloud.now.timestamp())
            cloud.customers.gone.discard(name)
            cloud.customers.served[name] = Wanted(name, version, phones, calls_needed(phones))
            cloud.look()
        case "end", name:
            if cloud.customers.served.pop(name, None):
                cloud.customers.gone.add(name)
            cloud.look()
        case "join", into, other:
            cloud.customers.join(into, other)
            cloud.look()
        case "kill node", number:
            alive = [one for one in cloud.ec2.all.values() if one.alive]
            if number < len(alive):
                cloud.ec2.end(alive[number].id)
                cloud.look()
        case "kill zone", zone:
            for one in [one for one in cloud.ec2.all.values() if one.alive and one.subnet_id == zone]:
                cloud.ec2.end(one.id)
            cloud.ec2.full.add(zone)
            cloud.look()
        case "full zones", zones:
            cloud.ec2.full = set(zones)
        case "quota", most:
            cloud.ec2.quota = most
        case "boots", boots:
            cloud.next_boots = boots
        case "stale", seconds:
            cloud.ec2.stale = timedelta(seconds=seconds)
        case "throttled", throttled:
            cloud.ec2.throttled = throttled
        case "names spread in", seconds:
            cloud.dns.spreads_in = timedelta(seconds=seconds)
        case "control plane", runs:
            cloud.control_plane_runs = runs
        case ("kill_before" | "kill_after" | "lose_answer" | "refuse") as what, number:
            setattr(cloud.writes, what, number)
        case "operator", number, wish:
            nodes = cloud.store.nodes()
            if number < len(nodes) and (after := operator.wish(nodes[number], wish, cloud.now)):
                cloud.store.rows[after.id] = after
        case "move", name:
            placed = cloud.store.placed.get(name)
            if placed and placed.primary:
                wished = replace(placed, version=placed.version + 1, leaves=placed.primary.node_id)
                cloud.store.placed[name] = wished
            cloud.look()
        case "release", release:
            cloud.limits = replace(cloud.limits, release=release)
        case what, number, value:
            machines = list(cloud.machines.values())
            if number < len(machines):
                node = machines[number]
                match what:
                    case "partition":
                        node.reaches_dynamodb = not value
                    case "hang":
                        node.hangs = value
                        one = cloud.ec2.all[node.instance_id]
                        cloud.ec2.all[one.id] = replace(one, impaired=value)
                    case "probe":
                        node.probe_passes = value
                    case "clock":
                        node.clock = timedelta(seconds=value)
                    case "calls":
                        node.calls = value


def live(history: list[Event]) -> Cloud:
    """A history from its begin to a cloud that is well."""
    cloud = Cloud()
    with quiet():
        for event in history:
            happen(cloud, event)
            cloud.check()
        cloud.heal()
    cloud.check_healed()
    return cloud


@contextmanager
def quiet() -> Iterator[None]:
    """The control plane's log would tell of each of thousands of actions."""
    level = logger.log_level
    logger.setLevel("CRITICAL")
    try:
        yield
    finally:
        logger.setLevel(level)
