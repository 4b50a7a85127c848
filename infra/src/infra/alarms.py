"""What a person must hear of: counts of the functions' own metrics, and letters that nobody could deliver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

NAMESPACE = "callvoip"
METRICS = {
    "FleetActionFailed": (
        "reconciler",
        "An action on the fleet failed; the next minute tries it anew. The log says which.",
    ),
    "FleetOddItem": ("reconciler", "A row of the fleet cannot be read and is left out. The log says which."),
    "UnreadableItem": (
        "reconciler",
        "What customers tells of an environment cannot be read; it alone is left out. The log says which.",
    ),
    "RollStopped": ("reconciler", "A new release did not boot or failed its probe: the roll has stopped by itself."),
    "EmergencyCheckFailed": (
        "reconciler",
        "The daily check says that 112 would fail from an environment. Its history says why.",
    ),
    "ProofFailed": ("reconciler", "The probe call of an environment in service fails. The log says which."),
    "NodeClockWrong": ("reconciler", "The clock of a node is wrong by more than half a minute."),
    "EnvironmentTooLarge": ("reconciler", "An environment has outgrown a whole node."),
    "WithoutStandby": ("reconciler", "An environment has no node that stands by, and none can be had."),
    "LaunchRefusedQuota": ("reconciler", "EC2 refuses more nodes: raise the account's quota of vCPUs."),
    "FulfilmentFailed": ("fulfilment", "An approved order was not delivered to its customer; the log says which."),
    "DueFailed": ("due", "Something that a customer agreed for a date was not carried out; the next run tries anew."),
    "BillFailed": ("billing_run", "A customer got no bill; the log says who and why, and the next run tries anew."),
    "CertificateFailed": (
        "certificate_run",
        "The nodes' certificate was not renewed; the log says why, and the next run tries anew. The one in use serves on.",
    ),
    "MailFailed": (
        "mailer",
        "A mail could not be sent; three tries and it is a dead letter. Sales can have it sent again.",
    ),
}
"""Name of the metric: the service that counts it, and what to do."""

LEVELS = {
    "NodesOfCeiling": (80, "Four fifths of max_nodes are in use: raise it in infra/src/infra/stage.toml in time."),
    "LookSeconds": (20, "A look at the fleet takes long: raise look_parts in infra/src/infra/stage.toml."),
    "EnvironmentsUnserved": (1, "An environment that should be served has had no primary for five minutes."),
    "NodesLost": (1, "A node's instance was lost; its environments went over to others."),
}
"""Metrics of the reconciler that are measured at each look: from where on a person hears, and what to do."""


FEWEST_CERTIFICATE_DAYS = 14
"""A certificate of Let's Encrypt has 30 left when it is due: renewing has then failed for two weeks."""

UNREADABLE = ("orders_api", "sales_api", "mailer", "fulfilment")
"""The services that meet orders, and count those that they cannot read."""


class Alarms(Construct):
    """One alarm for each metric, each dead-letter queue, each function, the API, and each of the `services` behind it, on
    one topic that mails `told`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        dead_letters: Mapping[str, sqs.Queue],
        functions: Mapping[str, lambda_.Function],
        api: apigateway.HttpApi,
        services: Sequence[str],
        told: str,
    ) -> None:
        super().__init__(scope, construct_id)
        # Alarms cannot write to a topic under Amazon's own key, and they name functions and queues only.
        topic = sns.Topic(self, "Topic", enforce_ssl=True)
        # With enforce_ssl the topic's policy is one Deny, in the place of the one that allowed its owner: say who may.
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
        topic.add_subscription(subscriptions.EmailSubscription(told))
        self._tell = actions.SnsAction(topic)
        for name, (service, meaning) in METRICS.items():
            self._alarm(name, _sum(name, service), meaning)
        for service in services:
            # A 500 that a function answers by itself is no error of Lambda's.
            self._alarm(f"{service}Faults", _sum("Fault", service), f"{service} answered a 500. Its log says why.")
        for service in UNREADABLE:
            meaning = f"{service} met an order that it cannot read; the log says which."
            self._alarm(f"{service}Unreadable", _sum("OrderUnreadable", service), meaning)
        five_hundreds = api.metric_server_error(period=Duration.minutes(5), statistic="Sum")
        self._alarm("ApiServerErrors", five_hundreds, "The API answered 5xx, whoever said so.")
        for name, (threshold, meaning) in LEVELS.items():
            metric = cloudwatch.Metric(
                namespace=NAMESPACE,
                metric_name=name,
                dimensions_map={"service": "reconciler"},
                # Each part of the fleet measures its own; one that stands for five minutes is heard of.
                statistic="Maximum",
                period=Duration.minutes(1),
            )
            self._alarm(name, metric, meaning, threshold, periods=5)
        self._few_days_left()
        for name, queue in dead_letters.items():
            metric = queue.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(5), statistic="Maximum"
            )
            self._alarm(
                f"{name}DeadLetters",
                metric,
                f"The function {name} gave up on an event; the letter tells where to look.",
            )

        for name, function in functions.items():
            metric = function.metric_errors(period=Duration.minutes(5), statistic="Sum")
            self._alarm(
                f"{name}Errors",
                metric,
                f"The function {name} raised, ran out of time or did not start. Its log says which.",
            )

    def _few_days_left(self) -> None:
        """Also where nobody has measured them for a day."""
        metric = cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name="CertificateDaysLeft",
            dimensions_map={"service": "certificate_run"},
            statistic="Minimum",
            period=Duration.days(1),
        )
        alarm = cloudwatch.Alarm(
            self,
            "CertificateDaysLeft",
            metric=metric,
            threshold=FEWEST_CERTIFICATE_DAYS,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
            alarm_description="Phones will soon refuse all nodes: their certificate was not renewed, or is none yet.",
        )
        alarm.add_alarm_action(self._tell)
        alarm.add_ok_action(self._tell)

    def _alarm(
        self, name: str, metric: cloudwatch.IMetric, meaning: str, threshold: float = 1, periods: int = 1
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=meaning,
        )
        alarm.add_alarm_action(self._tell)
        alarm.add_ok_action(self._tell)


def _sum(name: str, service: str) -> cloudwatch.Metric:
    """How often a service counted something."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map={"service": service},
        statistic="Sum",
        period=Duration.minutes(5),
    )
