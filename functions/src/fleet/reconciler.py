"""Brings the fleet to where it should be: look, plan, act, until nothing is left to do.

Started by the tables' streams, by EC2's events and each minute; whatever starts it, it does the same.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from fleet import actions, plan, waking
from fleet import node as nodes
from fleet.actions import Action, Alarm, Wanted
from fleet.call_records import CallRecords
from fleet.demand import Demand
from fleet.ec2 import Cloud, LaunchRefusedError
from fleet.limits import Limits
from fleet.naming import Dns, Naming, NotYetError
from fleet.node import GONE, Node, NodeState, NodeTransitionRefusedError, Offer
from fleet.observed import Heartbeat, Instance, Observed, Proof
from fleet.part import WHOLE, Part, Seen
from fleet.placement import Placement
from fleet.plan import Ledger
from fleet.route53 import Zone
from fleet.store import ChangedMeanwhileError, FleetStore
from shared import clock, settings
from shared.clock import Clock
from shared.dynamodb import BusyError
from shared.telemetry import count, flush, logger, measure

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

MOST_ROUNDS = 20
_ENOUGH_TIME_MS = 15_000


class FleetLedger(Protocol):
    """What the reconciler needs of FleetStore."""

    def nodes(self) -> tuple[Node, ...]: ...
    def node(self, node_id: str) -> Node | None: ...
    def add(self, node: Node) -> None: ...
    def replace(self, before: Node, after: Node) -> None: ...
    def keep_receipt_key(self, jwk: Mapping[str, str], node_id: str, since: datetime) -> None: ...
    def placements(self, shards: Collection[int]) -> dict[str, Placement]: ...
    def placement(self, environment_id: str) -> Placement | None: ...
    def rearrange(
        self, before: Placement, after: Placement, document: Mapping[str, Any] | None, now: datetime
    ) -> Placement: ...
    def note(self, before: Placement, after: Placement) -> Placement: ...
    def forget(self, placement: Placement) -> None: ...
    def heartbeats(self, arns: Iterable[str]) -> Mapping[str, Heartbeat]: ...
    def reports(self, arns: Iterable[str]) -> Mapping[str, Mapping[str, Proof]]: ...


class Customers(Protocol):
    """What the reconciler asks of `customers` and tells it: fleet/demand.py."""

    def wanted(self, shards: Collection[int]) -> dict[str, Wanted]: ...
    def document(self, environment_id: str) -> Mapping[str, Any] | None: ...
    def ended(self, environment_ids: Iterable[str]) -> Set[str]: ...
    def proven(self, environment_id: str, version: int, node: Node, at: datetime) -> None: ...
    def held(self, environment_id: str, reason: str) -> None: ...
    def noticed(self, environment_id: str, notices: Mapping[str, str]) -> None: ...


class Instances(Protocol):
    """What the reconciler needs of Cloud."""

    def instances(self) -> tuple[Instance, ...]: ...
    def launch(self, node_id: str, offer: Offer, client_token: str) -> Instance: ...
    def terminate(self, instance_id: str) -> None: ...


class Records(Protocol):
    """What the reconciler needs of CallRecords."""

    def end(self, arn: str, last_heard: datetime) -> int: ...


class Reconciler:
    """One fleet. Its writes are conditioned on what was read, so one that is killed, or a second at once, does no harm."""

    def __init__(
        self,
        ledger: FleetLedger,
        customers: Customers,
        cloud: Instances,
        dns: Dns,
        records: Records,
        limits: Limits,
        now: Clock,
    ) -> None:
        self._ledger = ledger
        self._customers = customers
        self._cloud = cloud
        self._naming = Naming(ledger, dns)
        self._records = records
        self._limits = limits
        self._now = now

    def run(self, goes_on: Callable[[], bool] = lambda: True, part: Part = WHOLE) -> int:
        """Plan and act until there is nothing to do, `goes_on` says no, or it has been enough; answers what was done.

        The environments of `part` are read once, then those that something was done about: whoever changes one wakes the next look.
        """
        done, seen, planned = 0, Seen({}, {}, {}), list[Action]()
        for round_number in range(MOST_ROUNDS):
            if goes_on():
                seen = self._seen_again(seen, planned) if round_number else self._seen(part)
            planned = self._plan(seen) if goes_on() else []
            for alarm in planned:
                if isinstance(alarm, Alarm) and not round_number:
                    logger.warning("fleet: alarm", extra={"metric": alarm.metric, "about": alarm.about})
                    count(alarm.metric)
            todo = [action for action in planned if not isinstance(action, Alarm)]
            succeeded = sum(self._try(action) for action in todo if goes_on())
            done += succeeded
            if not succeeded:
                break
        return done

    def plan(self) -> list[Action]:
        """What there is to do now."""
        return self._plan(self._seen(WHOLE))

    def _seen(self, part: Part) -> Seen:
        # The ledger first: what is wanted is never older than where it is.
        placements, wanted = self._ledger.placements(part.shards), self._customers.wanted(part.shards)
        return Seen(placements, wanted, {})

    def _seen_again(self, seen: Seen, done: Iterable[Action]) -> Seen:
        """The same with what was done, or was tried, as it is now."""
        placements = dict(seen.placements)
        for environment_id in {name for action in done for name in actions.environments(action)}:
            found = self._ledger.placement(environment_id)
            if found:
                placements[environment_id] = found
            else:
                placements.pop(environment_id, None)
        return Seen(placements, seen.wanted, seen.reports)

    def _plan(self, seen: Seen) -> list[Action]:
        # EC2 first, the nodes second: a node's row is written before its launch, so an instance that is seen has its row.
        instances = self._cloud.instances()
        ledger, wanted = Ledger(self._ledger.nodes(), seen.placements), seen.wanted
        ended = self._customers.ended(ledger.placements.keys() - wanted.keys())
        arns = {instance.arn for instance in instances if instance.alive}
        arns |= {
            node.instance_arn for node in ledger.nodes if node.instance_arn and node.state is not NodeState.TERMINATED
        }
        seen.reports.update(self._ledger.reports(arns - seen.reports.keys()))
        observed = Observed(instances, self._ledger.heartbeats(arns), seen.reports)
        self._measure(ledger)
        return plan.plan(wanted, ended, ledger, observed, self._limits, self._now())

    def _measure(self, ledger: Ledger) -> None:
        occupying = sum(node.state in nodes.OCCUPYING for node in ledger.nodes)
        measure("NodesOfCeiling", 100 * occupying / self._limits.max_nodes)
        unserved = sum(placement.primary is None for placement in ledger.placements.values())
        measure("EnvironmentsUnserved", unserved)
        lost = sum(node.state in GONE - {NodeState.TERMINATED} for node in ledger.nodes)
        measure("NodesLost", lost)

    def _try(self, action: Action) -> bool:
        """Do one action; whether anything has changed by it. One that fails does not keep the others from being done."""
        described = {"action": type(action).__name__, **actions.ids(action)}
        try:
            self.apply(action)
        except (ChangedMeanwhileError, BusyError, NodeTransitionRefusedError):
            # Somebody was quicker; the next plan starts from what they did.
            logger.info("fleet: overtaken", extra=described)
            return False
        except NotYetError:
            return False
        except Exception:
            # Not raised: the stream would bring the same records again and again. The next minute tries anew; the alarm counts.
            logger.exception("fleet: action failed", extra=described)
            count("FleetActionFailed")
            return False
        logger.info("fleet: done", extra=described)
        count(f"Fleet{described['action']}")
        return True

    def apply(self, action: Action) -> None:
        """Do one action; doing it twice does no harm. Raises ChangedMeanwhileError and what AWS and `customers` raise."""
        now = self._now()
        match action:
            case actions.RequestNode(node_id, home, _):
                self._ledger.add(nodes.request(node_id, self._limits.capacity_calls, now, home))
            case actions.Launch(node, offer, token):
                self._launch(node, offer, token)
            case actions.Adopt(node, instance):
                self._booting(node, instance, Offer(instance.subnet_id, instance.instance_type), "")
            case actions.MarkReady(node, heartbeat):
                after = nodes.ready(node, address=heartbeat.address, sip_port=heartbeat.sip_port, now=now)
                if heartbeat.receipt_key is not None:
                    self._ledger.keep_receipt_key(heartbeat.receipt_key, node.id, now)
                self._ledger.replace(node, after)
            case actions.MarkSilent(node, beat):
                self._ledger.replace(node, nodes.silent(node, beat, now))
            case actions.Mark(node, state, reason):
                self._ledger.replace(node, nodes.move(node, state, now, reason))
            case actions.EndCalls(node, last_heard):
                measure("CallsBroken", self._records.end(node.instance_arn, last_heard))
                self._ledger.replace(node, replace(node, version=node.version + 1, calls_ended=True))
            case actions.Terminate(instance_id, _):
                self._cloud.terminate(instance_id)
            case actions.Rearrange(before, after, _, wanted):
                document = self._customers.document(wanted.environment_id) if wanted else None
                if wanted and document is None:
                    raise ChangedMeanwhileError
                aliases = tuple(document.get("aliases", ())) if document else after.aliases
                self._ledger.rearrange(before, replace(after, aliases=aliases), document, now)
            case actions.Forget(placement):
                self._ledger.forget(placement)
            case actions.PublishNames(changes):
                self._naming.publish(changes)
            case actions.ConfirmNames(placements):
                self._naming.confirm(placements)
            case actions.TellProven(placement, told):
                server = self._ledger.node(told.node_id)
                if server is None:
                    raise ChangedMeanwhileError
                self._customers.proven(placement.environment_id, told.version, server, told.at)
                self._ledger.note(placement, replace(placement, proven=told, held=None))
            case actions.TellHeld(placement, reason):
                self._customers.held(placement.environment_id, reason)
                self._ledger.note(placement, replace(placement, held=reason))
            case actions.TellNotices(placement, told_notices):
                self._customers.noticed(placement.environment_id, told_notices)
                self._ledger.note(placement, replace(placement, noticed={**placement.noticed, **told_notices}))
            case Alarm():
                pass

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
            node,
            instance_id=instance.id,
            instance_arn=instance.arn,
            offer=offer,
            client_token=token,
            release=self._limits.release,
            now=self._now(),
        )
        self._ledger.replace(node, after)


@cache
def reconciler() -> Reconciler:
    """The fleet of this deployment."""
    fleet = settings.fleet()
    limits = Limits(
        fleet.name,
        fleet.subnet_ids,
        fleet.instance_types,
        fleet.node_capacity_calls,
        fleet.max_nodes,
        release=fleet.release,
        standby=fleet.standby,
        spare_nodes=fleet.spare_nodes,
        rolled_at_once=fleet.rolled_at_once,
    )
    cloud = Cloud(fleet.name, fleet.region, fleet.launch_template_id)
    zone = Zone(fleet.zone_id, fleet.sip_domain)
    records = CallRecords(settings.cdr_table())
    return Reconciler(FleetStore(settings.fleet_table()), Demand(), cloud, zone, records, limits, clock.now)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Run the reconciler; of the event is read only which environments to look at: something may have changed, whatever it was.

    A look that fails has a stream's whole batch come again; it is not raised, as Lambda would halve the batch down to its records, and
    each of them would look at the whole fleet. Who wakes it each minute hears of the failure.
    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    records, began = event.get("Records"), time.monotonic()
    try:
        done = sum(
            reconciler().run(lambda: context.get_remaining_time_in_millis() > _ENOUGH_TIME_MS, part)
            for part in waking.parts(event, settings.look_parts())
        )
    except Exception:
        if not records:
            raise
        logger.exception("fleet: look failed")
        return {"batchItemFailures": [{"itemIdentifier": records[0]["dynamodb"]["SequenceNumber"]}]}
    else:
        return {"actions": done, "batchItemFailures": []}
    finally:
        measure("LookSeconds", time.monotonic() - began)
        flush()
