"""When the reconciler runs: changes of environments and nodes, EC2 state changes, and every minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_lambda_destinations import SqsDestination
from aws_cdk.aws_lambda_event_sources import DynamoEventSource, SqsDlq
from constructs import Construct

from infra.checks import acknowledge


class ReconcilerTriggers(Construct):
    """Every asynchronous way ends in one dead-letter queue; what is lost there the next minute repairs."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        function: lambda_.Function,
        *,
        customers: dynamodb.Table,
        fleet: dynamodb.Table,
        parts: int = 1,
    ) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            retention_period=Duration.days(14),
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
        )
        acknowledge(self.dead_letters, "It is the dead-letter queue.", "SQS3")
        self._on_change(function, customers, news=[{"dynamodb": {"Keys": {"sk": {"S": ["ENVIRONMENT"]}}}}])
        # Neither a heartbeat every five seconds nor what the reconciler itself wrote is news.
        self._on_change(
            function,
            fleet,
            news=[
                {"dynamodb": {"Keys": {"sk": {"S": ["REPORT"]}}}},
                {
                    "dynamodb": {
                        "Keys": {"pk": {"S": ["NODES"]}},
                        "NewImage": {"reason": {"S": [{"prefix": "operator"}]}},
                    }
                },
                {
                    "dynamodb": {
                        "Keys": {"pk": {"S": [{"prefix": "PLACEMENTS#"}]}},
                        "NewImage": {"leaves": {"S": [{"exists": True}]}},
                    }
                },
            ],
        )
        self._parts = parts
        self._on_event(
            "InstanceStateChange",
            function,
            pattern=events.EventPattern(source=["aws.ec2"], detail_type=["EC2 Instance State-change Notification"]),
        )
        self._on_event("EveryMinute", function, schedule=events.Schedule.rate(Duration.minutes(1)))
        # EventBridge hands over asynchronously: the two retries are Lambda's own, after which the event goes to the
        # queue.
        function.configure_async_invoke(
            on_failure=SqsDestination(self.dead_letters), max_event_age=Duration.minutes(5), retry_attempts=2
        )

    def _on_change(
        self, function: lambda_.Function, table: dynamodb.Table, *, news: Sequence[Mapping[str, Any]]
    ) -> None:
        function.add_event_source(
            DynamoEventSource(
                table,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=100,
                retry_attempts=3,
                bisect_batch_on_error=True,
                report_batch_item_failures=True,
                on_failure=SqsDlq(self.dead_letters),
                filters=[lambda_.FilterCriteria.filter(pattern) for pattern in news],
            )
        )

    def _on_event(
        self,
        name: str,
        function: lambda_.Function,
        *,
        pattern: events.EventPattern | None = None,
        schedule: events.Schedule | None = None,
    ) -> None:
        for number in range(self._parts):
            target = targets.LambdaFunction(
                function,
                dead_letter_queue=self.dead_letters,
                retry_attempts=2,
                max_event_age=Duration.minutes(5),
                # Each part is looked at by a run of its own; a rule has five targets at most, so each has a rule, too.
                event=events.RuleTargetInput.from_object({"part": number, "of": self._parts})
                if self._parts > 1
                else None,
            )
            own_name = f"{name}{number}" if self._parts > 1 else name
            events.Rule(self, own_name, event_pattern=pattern, schedule=schedule, targets=[target])
