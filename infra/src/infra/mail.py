"""Mail to customers: the address it comes from, and the function that sends it for each change on a
stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ses as ses
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_lambda_event_sources import DynamoEventSource, SqsDlq
from constructs import Construct

from infra.checks import acknowledge
from infra.functions import Functions, allow

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


class Mailer(Construct):
    """A function that mails what a table's stream tells of items with the sort keys `mailed`, and marks in the table
    what was sent; what stays a failure ends in a queue.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        functions: Functions,
        handler: str,
        *,
        table: dynamodb.Table,
        mailed: Sequence[object],
        sender: MailSender,
        may: Sequence[iam.PolicyStatement],
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(scope, f"{name}Trigger")
        own_marks = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["MAIL#*"]}}
        function = functions.add(
            name,
            handler,
            may=[
                *may,
                allow(["dynamodb:PutItem"], table.table_arn, conditions=own_marks),
                allow(["ses:SendEmail"], sender.identity.email_identity_arn),
            ],
            environment={**environment, "MAIL_FROM": sender.address},
            timeout=Duration.minutes(1),
        )
        role = function.role
        assert role is not None  # noqa: S101
        acknowledge(role, "ListStreams knows no resources.", "IAM5[Resource::*]")
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
