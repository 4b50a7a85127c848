"""What runs behind customers: orders that were approved become products, what was agreed for a date is carried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_lambda_destinations import SqsDestination
from aws_cdk.aws_lambda_event_sources import DynamoEventSource, SqsDlq
from constructs import Construct

from infra.checks import acknowledge
from infra.functions import Functions, allow, dead_letters
from infra.tables import CUSTOMERS_BY_LIST, Tables


def may_read_customers(customers: dynamodb.Table) -> list[iam.PolicyStatement]:
    """What a function needs that asks the context of customers."""
    return [
        allow(["dynamodb:GetItem", "dynamodb:Query", "dynamodb:BatchGetItem"], customers.table_arn),
        allow(["dynamodb:Query"], f"{customers.table_arn}/index/{CUSTOMERS_BY_LIST}"),
    ]


def may_change_customers(customers: dynamodb.Table) -> list[iam.PolicyStatement]:
    """What a function needs that changes customers by the functions of their context."""
    actions = ["dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"]
    return [*may_read_customers(customers), allow(actions, customers.table_arn)]


class Customers(Construct):
    """The functions on the streams of orders and customers, and on the clock; what they give up ends in `dead_letters`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        functions: Functions,
        tables: Tables,
        may_change_orders: Sequence[iam.PolicyStatement],
    ) -> None:
        super().__init__(scope, construct_id)
        self._functions = functions
        self._tables = tables
        environment = {"CUSTOMERS_TABLE": tables.customers.table_name}
        self.dead_letters = {
            "Fulfilment": self._fulfilment(environment, may_change_orders),
            "Due": self._on_the_clock(
                "Due",
                "customers.due.handler",
                environment,
                events.Schedule.rate(Duration.minutes(5)),
                Duration.minutes(5),
            ),
            # Hours of the first day: a run that its time ends goes on with the next, and one that is done changes nothing.
            "Billing": self._on_the_clock(
                "Billing",
                "customers.billing_run.handler",
                environment,
                events.Schedule.cron(minute="30", hour="2-12", day="1"),
                Duration.minutes(15),
            ),
        }

    def _fulfilment(
        self, environment: Mapping[str, str], may_change_orders: Sequence[iam.PolicyStatement]
    ) -> sqs.Queue:
        function = self._functions.add(
            "Fulfilment",
            "customers.fulfilment.handler",
            may=[*may_change_customers(self._tables.customers), *may_change_orders],
            environment={**environment, "ORDERS_TABLE": self._tables.orders.table_name},
            timeout=Duration.minutes(1),
        )
        role = function.role
        assert role is not None  # noqa: S101
        acknowledge(role, "ListStreams knows no resources.", "IAM5[Resource::*]")
        letters = dead_letters(self, "FulfilmentDeadLetters")
        for table, keys in ((self._tables.orders, ["ORDER"]), (self._tables.customers, ["CUSTOMER"])):
            function.add_event_source(
                DynamoEventSource(
                    table,
                    starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                    batch_size=10,
                    retry_attempts=3,
                    bisect_batch_on_error=True,
                    report_batch_item_failures=True,
                    on_failure=SqsDlq(letters),
                    filters=[lambda_.FilterCriteria.filter({"dynamodb": {"Keys": {"sk": {"S": keys}}}})],
                )
            )
        return letters

    def _on_the_clock(
        self, name: str, handler: str, environment: Mapping[str, str], schedule: events.Schedule, timeout: Duration
    ) -> sqs.Queue:
        function = self._functions.add(
            name, handler, may=may_change_customers(self._tables.customers), environment=environment, timeout=timeout
        )
        letters = dead_letters(self, f"{name}DeadLetters")
        target = targets.LambdaFunction(function, dead_letter_queue=letters, retry_attempts=2)
        events.Rule(self, f"{name}Schedule", schedule=schedule, targets=[target])
        function.configure_async_invoke(on_failure=SqsDestination(letters), retry_attempts=2)
        return letters
