"""Lambda functions: one bundle and one layer for all, a role of its own for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.checks import acknowledge
from infra.logs import log_group
from infra.places import BUILD

# From 1769 MB a function has one whole virtual CPU; start-up is bound by the CPU.
MEMORY_MB = 1769


class Functions(Construct):
    """Makes functions that share build/functions, a layer and an environment."""

    def __init__(self, scope: Construct, construct_id: str, *, layer: Path, environment: Mapping[str, str]) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self.made: dict[str, lambda_.Function] = {}
        self.by_handler: dict[str, lambda_.Function] = {}
        self._code = lambda_.Code.from_asset(str(BUILD / "functions"))
        self._layer = lambda_.LayerVersion(
            self,
            "Layer",
            description="Third-party packages of the functions",
            code=lambda_.Code.from_asset(str(layer)),
            compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
            compatible_architectures=[lambda_.Architecture.ARM_64],
        )

    def add(
        self,
        name: str,
        handler: str,
        *,
        may: Sequence[iam.PolicyStatement],
        environment: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
    ) -> lambda_.Function:
        """A function whose role allows `may` and the writing of its own log, nothing else."""
        own_log = log_group(self, f"{name}Log")
        role = iam.Role(self, f"{name}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        own_log.grant_write(role)
        for statement in may:
            role.add_to_policy(statement)
        function = lambda_.Function(
            self,
            name,
            code=self._code,
            handler=handler,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            layers=[self._layer],
            memory_size=MEMORY_MB,
            timeout=timeout or Duration.seconds(10),
            role=role,
            log_group=own_log,
            environment={**self._environment, **(environment or {}), "POWERTOOLS_SERVICE_NAME": handler.split(".")[1]},
        )
        acknowledge(
            function, "The layer is built and tested for this runtime; a newer one comes by changing this file.", "L1"
        )
        self.made[name] = self.by_handler[handler] = function
        return function


def allow(
    actions: Sequence[str], *resources: str, conditions: Mapping[str, object] | None = None
) -> iam.PolicyStatement:
    """A statement that allows `actions` on `resources`."""
    return iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions)


def dead_letters(scope: Construct, name: str) -> sqs.Queue:
    """Where an event goes that a function gave up; an alarm tells of it."""
    queue = sqs.Queue(
        scope, name, retention_period=Duration.days(14), enforce_ssl=True, encryption=sqs.QueueEncryption.SQS_MANAGED
    )
    acknowledge(queue, "It is the dead-letter queue.", "SQS3")
    return queue
