"""The life of each node: launched, heard, silent, lost, drained, ended; and the instances that nobody owns. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from fleet.actions import Action, Adopt, Alarm, EndCalls, Launch, Mark, MarkReady, MarkSilent, Terminate
from fleet.limits import Limits
from fleet.node import IN_SERVICE, Node, NodeState
from fleet.observed import LEASE, Instance, Observed

BOOT_DEADLINE = timedelta(minutes=10)
BOOT_FAILED = "boot deadline passed"

ABANDONED_AFTER = timedelta(hours=1)
"""So long a node may be silent while it serves nobody; then its instance costs money for nothing."""

FENCED_AFTER = timedelta(minutes=1)
"""A node that is silent and that EC2 itself finds impaired is ended after so long: then it is certain that it serves nobody."""

DRAIN_DEADLINE = timedelta(hours=1)
"""So long the calls of a node that was emptied are waited for."""


def nodes(ledger: Iterable[Node], observed: Observed, limits: Limits, now: datetime) -> Iterator[Action]:
    """What to do about each node of the ledger."""
    somebody_speaks = any(heartbeat.fresh(now) for heartbeat in observed.heartbeats.values())
    for node in ledger:
        match node.state:
            case NodeState.REQUESTED:
                yield from _requested(node, observed, limits, now)
            case NodeState.BOOTING:
                yield from _booting(node, observed, now)
            case NodeState.LOST:
                yield from _calls(node, observed)
                yield from _lost(node, observed, now)
            case NodeState.TERMINATED:
                yield from _calls(node, observed)
            case _:
                yield from _in_service(node, observed, now, somebody_speaks=somebody_speaks)


def _requested(node: Node, observed: Observed, limits: Limits, now: datetime) -> Iterator[Action]:
    # The look before the leap: a launch whose answer was lost is found by its tag.
    launched = [instance for instance in observed.instances if instance.node_id == node.id and instance.alive]
    if launched:
        yield Adopt(node, min(launched, key=lambda instance: (instance.launched_at, instance.id)))
    elif not node.waits(now):
        yield Launch(node, limits.offer(node), limits.client_token(node))


def _booting(node: Node, observed: Observed, now: datetime) -> Iterator[Action]:
    instance, heartbeat = observed.instance(node), observed.heartbeat(node)
    if instance and instance.ended:
        yield Mark(node, NodeState.TERMINATED, f"the instance is {instance.state}")
    elif heartbeat and heartbeat.fresh(now):
        yield MarkReady(node, heartbeat)
    elif node.launched_at and now - node.launched_at > BOOT_DEADLINE:
        yield Mark(node, NodeState.TERMINATED, BOOT_FAILED)


def _in_service(node: Node, observed: Observed, now: datetime, *, somebody_speaks: bool) -> Iterator[Action]:
    instance, heartbeat = observed.instance(node), observed.heartbeat(node)
    missed = heartbeat is None or heartbeat.missed(now)
    beat = heartbeat.at if heartbeat else None
    silent_for = now - node.silent_since if node.silent_since else timedelta(0)
    if observed.is_gone(node, now):
        yield Mark(node, NodeState.LOST, f"the instance is {instance.state if instance else 'gone'}")
    elif node.state is NodeState.DRAINING and node.empty and _calls_have_ended(node, observed, now):
        yield Mark(node, NodeState.TERMINATED, node.reason or "drained")
    elif node.state is NodeState.QUARANTINED and node.empty and silent_for > ABANDONED_AFTER:
        yield Mark(node, NodeState.TERMINATED, "it is silent and serves nobody")
    elif heartbeat and heartbeat.fresh(now):
        moved = (heartbeat.address, heartbeat.sip_port) != (node.address, node.sip_port)
        if node.silent_since or moved:
            yield MarkReady(node, heartbeat)
    elif missed and node.silent_since is None:
        yield MarkSilent(node, beat)
    elif missed and beat != node.silent_beat:
        # It speaks, and by its clock not now. It is not lost, and cannot be trusted with times.
        yield MarkSilent(node, beat)
        yield Alarm("NodeClockWrong", node.id)
    elif (
        missed
        and instance
        and instance.alive
        and instance.impaired
        and silent_for > (FENCED_AFTER if somebody_speaks else LEASE)
    ):
        yield Terminate(instance.id, f"node {node.id} is silent and impaired")


def _lost(node: Node, observed: Observed, now: datetime) -> Iterator[Action]:
    instance, heartbeat = observed.instance(node), observed.heartbeat(node)
    if instance and instance.alive and heartbeat and heartbeat.fresh(now):
        yield MarkReady(node, heartbeat)
    elif node.empty and node.since and now - node.since > ABANDONED_AFTER:
        yield Mark(node, NodeState.TERMINATED, "it is gone and serves nobody")


def _calls(node: Node, observed: Observed) -> Iterator[Action]:
    """A node that ends in order tells of its calls itself; what it has not told once nothing runs on its instance, it never will."""
    if node.calls_ended or not node.ready_at:
        return
    instance, heartbeat = observed.instance(node), observed.heartbeat(node)
    if instance is None or instance.off:
        heard = (heartbeat.at if heartbeat else None, node.silent_beat, node.silent_since, node.since)
        yield EndCalls(node, next(moment for moment in (*heard, node.requested_at) if moment))


def _calls_have_ended(node: Node, observed: Observed, now: datetime) -> bool:
    heartbeat = observed.heartbeat(node)
    began = max(moment for moment in (node.since, node.emptied_at, node.requested_at) if moment)
    if heartbeat is None or heartbeat.missed(now) or now - began > DRAIN_DEADLINE:
        return True
    # A heartbeat from before it was empty counts calls that are yet to end, or none that came in since.
    return heartbeat.calls == 0 and heartbeat.at > began


def instances(ledger: Sequence[Node], observed: Observed) -> Iterator[Action]:
    """End every instance that nobody owns."""
    known = {node.id: node for node in ledger}
    for instance in observed.instances:
        if instance.alive and (why := _nobody_needs(instance, known.get(instance.node_id), observed)):
            yield Terminate(instance.id, why)


def _nobody_needs(instance: Instance, node: Node | None, observed: Observed) -> str:
    if node is None:
        # The row is written before the launch, so this is a leftover. But what serves calls is kept: then the ledger is at fault.
        return "" if observed.reports.get(instance.arn) else "no node in the ledger"
    if node.state is NodeState.TERMINATED:
        return node.reason or "its node has ended"
    if node.instance_id and node.instance_id != instance.id:
        return f"node {node.id} has another instance"
    return ""


def serves_now(node: Node) -> bool:
    """Whether the node is in service and heard."""
    return node.state in IN_SERVICE and node.silent_since is None
