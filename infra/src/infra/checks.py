"""cdk-nag's AwsSolutions rules, and how a construct says that one of them does not hold for it and why."""

from __future__ import annotations

from aws_cdk import Acknowledgment, App, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct


def check(app: App) -> None:
    """Let synthesis fail on every finding that is not acknowledged."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app, verbose=True))


def acknowledge(construct: IConstruct, reason: str, *rules: str) -> None:
    """Accept `rules` (as `IAM5` or `IAM5[Resource::*]`) at this construct and below it, for `reason`."""
    Validations.of(construct).acknowledge(
        *(Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason) for rule in rules)
    )
