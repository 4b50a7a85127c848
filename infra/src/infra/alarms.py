"""What a person must hear of: counts of the functions' own metrics, and letters that nobody could deliver."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sqs as sqs
from constructs import Construct

NAMESPACE = "callvoip"
METRICS = {
    "FleetActionFailed": ("reconciler", "An action on the fleet failed; the next minute tries it anew. The log says which."),
    "LaunchRefusedQuota": ("reconciler", "EC2 refuses more nodes: raise the account's quota of vCPUs."),
    "MailFailed": ("mailer", "A mail could not be sent; Lambda tries again for an hour."),
}
"""Name of the metric: the service that counts it, and what to do."""


class Alarms(Construct):
    """One alarm for each metric and each dead-letter queue. Who is told is the operator's choice: they add a topic."""

    def __init__(self, scope: Construct, construct_id: str, *, dead_letters: Mapping[str, sqs.Queue]) -> None:
        super().__init__(scope, construct_id)
        for name, (service, meaning) in METRICS.items():
            metric = cloudwatch.Metric(
                namespace=NAMESPACE,
                metric_name=name,
                dimensions_map={"service": service},
                statistic="Sum",
                period=Duration.minutes(5),
            )
            self._alarm(name, metric, meaning)
        for name, queue in dead_letters.items():
            metric = queue.metric_approximate_number_of_messages_visible(period=Duration.minutes(5), statistic="Maximum")
            self._alarm(f"{name}DeadLetters", metric, f"The function {name} gave up on an event; the letter tells where to look.")

    def _alarm(self, name: str, metric: cloudwatch.IMetric, meaning: str) -> None:
        cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=meaning,
        )
