"""What starts functions without anyone asking: DynamoDB streams, EventBridge rules and schedules, and the deploy
itself.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from callvoip.aws.deployment import Deployed, Deployment
from callvoip.aws.endpoint import ACCOUNT, Emulated, send
from callvoip.lambdas import schedules, streams
from callvoip.lambdas.patterns import matches
from callvoip.lambdas.runtime import FunctionError, Runtime
from callvoip.lambdas.schedules import Cron, Rate

_log = logging.getLogger(__name__)

# Lambda waits one minute and then two; nobody who waits at a desk should.
RETRY_SECONDS = 1.0
LONGEST_SLEEP_SECONDS = 60.0
"""The clock is looked at again after so long: a laptop sleeps."""


@dataclass(frozen=True)
class Target:
    """A rule's target: a function, its event if that is fixed, and where events go that could not be handed over."""

    function: str
    input: Any
    dead_letters: str | None


@dataclass(frozen=True)
class Rule:
    """An EventBridge rule: a pattern, or a schedule."""

    arn: str
    pattern: Mapping[str, Any] | None
    schedule: Rate | Cron | None
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Asynchronous:
    """How often Lambda tries an asynchronous event again, and the queue it goes to afterwards."""

    retries: int = 2
    dead_letters: str | None = None


def rules(deployment: Deployment) -> list[Rule]:
    """The template's enabled rules. Raises NotImplementedError for a schedule that is not known here."""
    return [
        _rule(resource)
        for resource in deployment.all("AWS::Events::Rule")
        if resource.properties.get("State") != "DISABLED"
    ]


def _rule(resource: Deployed) -> Rule:
    properties = resource.properties
    return Rule(
        arn=resource.arn,
        pattern=properties.get("EventPattern"),
        schedule=schedules.parse(properties["ScheduleExpression"]) if "ScheduleExpression" in properties else None,
        targets=tuple(
            Target(
                function=target["Arn"],
                input=json.loads(target["Input"]) if "Input" in target else None,
                dead_letters=target.get("DeadLetterConfig", {}).get("Arn"),
            )
            for target in properties.get("Targets", [])
        ),
    )


def event(
    source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str], *, region: str, now: datetime
) -> dict[str, Any]:
    """An event as EventBridge delivers it."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": list(resources),
        "detail": dict(detail),
    }


class Triggers:
    """Async context manager: reads streams and runs schedules until it is left."""

    def __init__(
        self, deployment: Deployment, emulated: Emulated, runtime: Runtime, positions: Path | None = None
    ) -> None:
        """`positions` is the file that keeps how far the streams were read."""
        self._positions = streams.Positions(positions)
        self._sources = streams.sources(deployment)
        self._rules = rules(deployment)
        self._asynchronous = {
            resource.properties["FunctionName"]: Asynchronous(
                retries=int(resource.properties.get("MaximumRetryAttempts", 2)),
                dead_letters=resource.properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"),
            )
            for resource in deployment.all("AWS::Lambda::EventInvokeConfig")
        }
        self._at_deploy = [resource.properties["HandlerArn"] for resource in deployment.all("Custom::Trigger")]
        self._emulated = emulated
        self._runtime = runtime
        self._region = deployment.region
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Triggers:
        for function in self._at_deploy:
            await self._runtime.invoke(function, {})
        for source in self._sources:
            self._start(streams.follow(source, self._emulated, self._runtime, self._positions))
        for rule in self._rules:
            if rule.schedule is not None:
                self._start(self._on_schedule(rule, rule.schedule))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def run_schedules(self) -> None:
        """Run everything that is scheduled once more, now: the clock was moved."""
        for rule in self._rules:
            if rule.schedule is not None:
                self._deliver(rule, self._scheduled(rule))

    def publish(self, happened: Mapping[str, Any]) -> None:
        """Put an event on the default bus: every rule whose pattern matches it gets it."""
        for rule in self._rules:
            if rule.pattern is not None and matches(rule.pattern, happened):
                self._deliver(rule, happened)

    async def _on_schedule(self, rule: Rule, schedule: Rate | Cron) -> None:
        """Run it whenever its time comes; a rate for the first time at once."""
        now = datetime.now(UTC)
        due: datetime | None = now if isinstance(schedule, Rate) else schedule.after(now)
        while due is not None:
            while (left := (due - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110 (a clock sets no event)
                await asyncio.sleep(min(left, LONGEST_SLEEP_SECONDS))
            self._deliver(rule, self._scheduled(rule))
            due = schedule.after(datetime.now(UTC))

    def _scheduled(self, rule: Rule) -> dict[str, Any]:
        now = datetime.now(UTC)
        return event("aws.events", "Scheduled Event", {}, [rule.arn], region=self._region, now=now)

    def _deliver(self, rule: Rule, happened: Mapping[str, Any]) -> None:
        for target in rule.targets:
            self._start(self._invoke_asynchronously(target, happened if target.input is None else target.input))

    async def _invoke_asynchronously(self, target: Target, payload: Any) -> None:
        function = self._runtime.find(target.function)
        config = self._asynchronous.get(function.name, Asynchronous(dead_letters=target.dead_letters))
        for attempt in range(config.retries + 1):
            try:
                await self._runtime.invoke(function.name, payload)
                return
            except FunctionError as error:
                reason = str(error)
                _log.warning(
                    "%s failed on an event, attempt %d: %s", function.label, attempt + 1, reason.partition(":")[0]
                )
                await asyncio.sleep(RETRY_SECONDS * 2**attempt)
        if config.dead_letters:
            context = {
                "functionArn": function.arn,
                "condition": "RetriesExhausted",
                "approximateInvokeCount": config.retries + 1,
            }
            message = {
                "version": "1.0",
                "requestContext": context,
                "requestPayload": payload,
                "responsePayload": reason,
            }
            await send(self._emulated, config.dead_letters, message)

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            _log.error("a trigger has ended", exc_info=task.exception())
