"""Log groups that keep what is written for as long as the table of retention says."""

from __future__ import annotations

from typing import cast

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.places import read_retention


def log_group(scope: Construct, construct_id: str) -> logs.LogGroup:
    """A log group whose lines are deleted when the page on privacy says so.

    CloudWatch takes 7, 14, 30, 60 or 90 days and a few more.
    """
    group = logs.LogGroup(scope, construct_id, removal_policy=RemovalPolicy.DESTROY)
    # CDK knows the terms by names only; the table has days.
    cast(logs.CfnLogGroup, group.node.default_child).retention_in_days = read_retention().log_days
    return group
