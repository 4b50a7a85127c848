"""The function that has the nodes' certificate renewed: when it runs, and the one name in the zone that it may write."""

from __future__ import annotations

from aws_cdk import Aws, Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk.aws_lambda_destinations import SqsDestination
from aws_cdk.aws_route53 import IHostedZone
from aws_cdk.aws_sqs import Queue
from constructs import Construct

from infra.checks import acknowledge
from infra.functions import Functions, allow, dead_letters
from infra.nodes import CERTIFICATE_PARAMETER
from infra.stage import read_stage

ACCOUNT_PARAMETER = "/callvoip/sip/acme-account"
"""The key of our account at the authority; the function makes it."""


class Certificate(Construct):
    """`dead_letters` holds the runs that never took place."""

    def __init__(
        self, scope: Construct, construct_id: str, *, functions: Functions, zone: IHostedZone, sip_domain: str
    ) -> None:
        super().__init__(scope, construct_id)
        stage = read_stage("certificate", directory=str, terms_agreed=bool)
        parameters = f"arn:{Aws.PARTITION}:ssm:{Aws.REGION}:{Aws.ACCOUNT_ID}:parameter"
        function = functions.add(
            "CertificateRun",
            "fleet.certificate_run.handler",
            may=[
                allow(
                    ["ssm:GetParameter", "ssm:PutParameter"],
                    f"{parameters}{CERTIFICATE_PARAMETER}",
                    f"{parameters}{ACCOUNT_PARAMETER}",
                ),
                allow(
                    ["route53:ChangeResourceRecordSets"],
                    zone.hosted_zone_arn,
                    conditions={
                        "ForAllValues:StringEquals": {
                            "route53:ChangeResourceRecordSetsRecordTypes": ["TXT"],
                            "route53:ChangeResourceRecordSetsNormalizedRecordNames": [f"_acme-challenge.{sip_domain}"],
                        }
                    },
                ),
                allow(["route53:GetChange"], f"arn:{Aws.PARTITION}:route53:::change/*"),
            ],
            environment={
                "SIP_DOMAIN": sip_domain,
                "ZONE_ID": zone.hosted_zone_id,
                "CERTIFICATE_PARAMETER": CERTIFICATE_PARAMETER,
                "ACME_ACCOUNT_PARAMETER": ACCOUNT_PARAMETER,
                "ACME_DIRECTORY": stage["directory"],
                "ACME_TERMS_AGREED": "yes" if stage["terms_agreed"] else "no",
            },
            timeout=Duration.minutes(10),
        )
        role = function.role
        assert role is not None  # noqa: S101
        acknowledge(
            role, "A change gets its name when it is made.", "IAM5[Resource::arn:<AWS::Partition>:route53:::change/*]"
        )
        self.dead_letters: Queue = dead_letters(self, "DeadLetters")
        target = targets.LambdaFunction(function, dead_letter_queue=self.dead_letters, retry_attempts=2)
        # Not on the hour, when everybody's clients ask: https://letsencrypt.org/docs/integration-guide/
        schedule = events.Schedule.cron(minute="37", hour="4,16")
        events.Rule(self, "Schedule", schedule=schedule, targets=[target])
        function.configure_async_invoke(on_failure=SqsDestination(self.dead_letters), retry_attempts=2)
