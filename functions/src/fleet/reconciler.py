"""Brings the fleet to where it should be: look, plan, act, until nothing is left to do.

Started by the tables' streams, by EC2's events and each minute; whatever starts it, it does the same.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from fleet import node as nodes
from fleet import plan
from fleet.ec2 import Cloud, LaunchRefusedError
from fleet.node import Node, NodeState, NodeTransitionRefusedError, Offer
from fleet.plan import Action, Allocation, Cancellation, Demand, Heartbeat, Instance, Ledger, Limits, Observed, Proof
from fleet.store import ChangedMeanwhileError, FleetStore
from ordering import order
from ordering.order import FLEET, Order, OrderError, Role, SipServer, State
from ordering.store import OrderStore
from shared import clock, settings
from shared.clock import Clock
from shared.dynamodb import BusyError, Write
from shared.telemetry import count, flush, logger

if TYPE_CHECKING:
    from datetime import datetime

    from aws_lambda_powertools.utilities.typing import LambdaContext

MOST_ROUNDS = 20
_ENOUGH_TIME_MS = 15_000


class FleetLedger(Protocol):
    """What the reconciler needs of FleetStore."""

    def nodes(self) -> tuple[Node, ...]: ...
    def add(self, node: Node) -> None: ...
    def replace(self, before: Node, after: Node) -> None: ...
    def allocations(self, order_ids: Iterable[str]) -> dict[str, Allocation]: ...
    def allocate(self, demand: Demand, node: Node, after: Node, calls: int, now: "datetime") -> None: ...
    def release(self, allocation: Allocation, node: Node, after: Node) -> None: ...
    def still_on(self, allocation: Allocation) -> Write: ...
    def heartbeat(self, instance_arn: str) -> Heartbeat | None: ...
    def report(self, instance_arn: str) -> dict[str, Proof]: ...


class Orders(Protocol):
    """What the reconciler needs of OrderStore."""

    def in_states(self, *states: State) -> Iterable[Order]: ...
    def change(self, order_id: str, change: Callable[[Order], Order], *also: Write) -> Order: ...


class Instances(Protocol):
    """What the reconciler needs of Cloud."""

    def instances(self) -> tuple[Instance, ...]: ...
    def launch(self, node_id: str, offer: Offer, client_token: str) -> Instance: ...
    def terminate(self, instance_id: str) -> None: ...


class Reconciler:
    """One fleet.

    Its writes are conditioned on what was read, so two reconcilers at once, or one that is killed, do no harm.
    """

    def __init__(self, ledger: FleetLedger, orders: Orders, cloud: Instances, limits: Limits, now: Clock) -> None:
        self._ledger = ledger
        self._orders = orders
        self._cloud = cloud
        self._limits = limits
        self._now = now

    def run(self, goes_on: Callable[[], bool] = lambda: True) -> int:
        """Plan and act until there is nothing to do, `goes_on` says no, or it has been enough; answers the number of
        actions.
        """
        done = 0
        for _ in range(MOST_ROUNDS):
            actions = self.plan() if goes_on() else []
            if not actions:
                break
            succeeded = sum(self._try(action) for action in actions)
            done += succeeded
            if not succeeded:
                break
        return done

    def plan(self) -> list[Action]:
        """What there is to do now."""
        # EC2 first, the ledger second: a node's row is written before its launch, so every instance that is seen has
        # its row.
        instances = self._cloud.instances()
        ledger_nodes = self._ledger.nodes()
        demands = [_demand(found) for found in self._orders.in_states(State.IN_PROGRESS, State.HELD) if _is_ours(found)]
        arns = {instance.arn for instance in instances if instance.alive}
        arns |= {
            node.instance_arn for node in ledger_nodes if node.instance_arn and node.state is not NodeState.TERMINATED
        }
        heartbeats = {arn: heartbeat for arn in arns if (heartbeat := self._ledger.heartbeat(arn))}
        observed = Observed(instances, heartbeats, {arn: self._ledger.report(arn) for arn in arns})
        ending = self._orders.in_states(State.PENDING_CANCELLATION)
        cancellations = [Cancellation(found.id) for found in ending if found.needs_node]
        placed = [*(demand.order_id for demand in demands), *(cancellation.order_id for cancellation in cancellations)]
        ledger = Ledger(ledger_nodes, self._ledger.allocations(placed))
        return plan.plan(demands, ledger, observed, self._limits, self._now(), cancellations)

    def _try(self, action: Action) -> bool:
        """Do one action; whether anything has changed by it. One that fails does not keep the others from being
        done.
        """
        described = {"action": type(action).__name__, **_ids(action)}
        try:
            self.apply(action)
        except (ChangedMeanwhileError, BusyError, OrderError, NodeTransitionRefusedError):
            # Somebody was quicker; the next plan starts from what they did.
            logger.info("fleet: overtaken", extra=described)
            return False
        except Exception:
            # Not raised: the stream would bring the same records again and again. The next minute tries anew; the alarm
            # counts.
            logger.exception("fleet: action failed", extra=described)
            count("FleetActionFailed")
            return False
        logger.info("fleet: done", extra=described)
        count(f"Fleet{described['action']}")
        return True

    def apply(self, action: Action) -> None:
        """Do one action; doing it twice does no harm. Raises ChangedMeanwhileError, OrderError and what AWS raises."""
        now = self._now()
        match action:
            case plan.RequestNode(node_id):
                self._ledger.add(nodes.request(node_id, self._limits.capacity_calls, now))
            case plan.Launch(node, offer, token):
                self._launch(node, offer, token)
            case plan.Adopt(node, instance):
                self._booting(node, instance, Offer("", ""), "")
            case plan.MarkReady(node, heartbeat):
                after = nodes.ready(node, address=heartbeat.address, sip_port=heartbeat.sip_port, now=now)
                self._ledger.replace(node, after)
            case plan.Mark(node, NodeState.TERMINATED, reason):
                self._ledger.replace(node, nodes.end(node, reason, now))
            case plan.Mark(node, state, reason):
                self._ledger.replace(node, nodes.move(node, state, reason))
            case plan.Terminate(instance_id, _):
                self._cloud.terminate(instance_id)
            case plan.Allocate(demand, node, calls):
                node = self._node(node.id)
                after = replace(node, allocated=node.allocated + calls, version=node.version + 1)
                if node.state is not NodeState.READY or after.allocated > after.capacity:
                    raise ChangedMeanwhileError
                self._ledger.allocate(demand, node, after, calls, now)
            case plan.Release(allocation):
                node = self._node(allocation.node_id)
                after = replace(node, allocated=node.allocated - allocation.calls, version=node.version + 1)
                self._ledger.release(allocation, node, after)
            case plan.Complete(demand, node):
                self._complete(demand, node)
            case plan.Hold(demand, reason):
                self._orders.change(demand.order_id, lambda found: order.move(found, State.HELD, FLEET, now, reason))
            case plan.Resume(demand):
                self._orders.change(demand.order_id, lambda found: order.move(found, State.IN_PROGRESS, FLEET, now))
            case plan.Cancel(cancellation):
                self._orders.change(cancellation.order_id, lambda found: order.move(found, State.CANCELLED, FLEET, now))

    def _launch(self, node: Node, offer: Offer, token: str) -> None:
        try:
            instance = self._cloud.launch(node.id, offer, token)
        except LaunchRefusedError as refused:
            self._ledger.replace(node, nodes.refused(node, refused.refusal, self._limits.offers, self._now()))
            count(f"LaunchRefused{refused.refusal.name.title().replace('_', '')}")
        else:
            self._booting(node, instance, offer, token)

    def _booting(self, node: Node, instance: Instance, offer: Offer, token: str) -> None:
        after = nodes.booting(
            node, instance_id=instance.id, instance_arn=instance.arn, offer=offer, client_token=token, now=self._now()
        )
        self._ledger.replace(node, after)

    def _complete(self, demand: Demand, node: Node) -> None:
        allocation = self._ledger.allocations([demand.order_id]).get(demand.order_id)
        if allocation is None or allocation.instance_arn != node.instance_arn:
            raise ChangedMeanwhileError
        sip = SipServer(node.id, node.address, node.sip_port)
        now = self._now()
        self._orders.change(
            demand.order_id, lambda found: order.complete(found, sip, now), self._ledger.still_on(allocation)
        )

    def _node(self, node_id: str) -> Node:
        """The node's row as it is: several orders may get their places by one plan."""
        return next(node for node in self._ledger.nodes() if node.id == node_id)


def _demand(found: Order) -> Demand:
    return Demand(found.id, found.customer_id, found.quantity, found.order_date, found.state is State.HELD)


def _is_ours(found: Order) -> bool:
    """What needs no node is sales' work, and what sales has put on hold stays on hold until sales says otherwise."""
    return found.needs_node and (found.state is State.IN_PROGRESS or found.last_change.who.role is Role.FLEET)


def _ids(action: Action) -> dict[str, str]:
    """What an action is about, for the log."""
    found = {}
    for field in fields(action):
        value = getattr(action, field.name)
        match value:
            case Node():
                found["node_id"] = value.id
            case Demand() | Allocation() | Cancellation():
                found["order_id"] = value.order_id
            case Instance():
                found["instance_id"] = value.id
            case str():
                found[field.name] = str(value)
    return {name: value for name, value in found.items() if name != "client_token"}


@cache
def reconciler() -> Reconciler:
    """The fleet of this deployment."""
    fleet = settings.fleet()
    limits = Limits(fleet.name, fleet.subnet_ids, fleet.instance_types, fleet.node_capacity_calls, fleet.max_nodes)
    ledger = FleetStore(settings.fleet_table(), settings.orders_table())
    orders = OrderStore(settings.orders_table(), settings.fleet_table())
    return Reconciler(ledger, orders, Cloud(fleet.name, fleet.region, fleet.launch_template_id), limits, clock.now)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, int]:
    """Run the reconciler; what the event says does not matter, only that something may have changed."""
    try:
        return {"actions": reconciler().run(lambda: context.get_remaining_time_in_millis() > _ENOUGH_TIME_MS)}
    finally:
        flush()
