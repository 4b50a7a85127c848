"""Mail to customers: the address it comes from, and the function that sends it for each change on a
stream.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ses as ses
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_lambda_event_sources import DynamoEventSource, SqsDlq
from constructs import Construct

from infra.checks import acknowledge

MAILED = ["ORDER", "REMINDER"]
"""The sort keys of what a customer may have to hear of, in the table of orders."""
CUSTOMERS_MAILED = ["SIGN-IN", "PROOF", {"prefix": "EVENT#"}]
"""The same in the table of customers: links that were asked for, and what happened."""


class MailSender(Construct):
    """The provider's domain as an identity of SES; its DKIM records stand in DNS before mail is accepted
    (docs/runbook.md).
    """

    def __init__(self, scope: Construct, construct_id: str, *, domain: str) -> None:
        super().__init__(scope, construct_id)
        self.address = f"bestellingen@{domain}"
        self.identity = ses.EmailIdentity(self, "Identity", identity=ses.Identity.domain(domain))


class MailTrigger(Construct):
    """Brings what a table's stream tells of items with these sort keys to a mailer until it is handled; what stays a
    failure ends in a queue.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        function: lambda_.Function,
        table: dynamodb.Table,
        mailed: Sequence[object],
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
        function.add_event_source(
            DynamoEventSource(
                table,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=10,
                # Three tries: one that SES refuses becomes a dead letter, and sales can have it sent again.
                max_record_age=Duration.hours(1),
                retry_attempts=3,
                bisect_batch_on_error=True,
                report_batch_item_failures=True,
                on_failure=SqsDlq(self.dead_letters),
                filters=[lambda_.FilterCriteria.filter({"dynamodb": {"Keys": {"sk": {"S": list(mailed)}}}})],
            )
        )
