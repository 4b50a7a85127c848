"""The fleet's control plane: the reconciler, what wakes it, what it may do, and the SIP domain's zone."""

from __future__ import annotations

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_route53 as route53
from aws_cdk.aws_sqs import Queue
from constructs import Construct

from infra.checks import acknowledge
from infra.functions import Functions, allow
from infra.nodes import INSTANCE_TYPES, Nodes
from infra.reconciler import ReconcilerTriggers
from infra.stage import read_stage
from infra.tables import CUSTOMERS_BY_LIST, Tables

NODES, PLACEMENTS, PARTITIONS, RECEIPT_KEYS = "NODES", "PLACEMENTS#*", "arn:aws*:ec2:*", "RECEIPT_KEYS"
"""Partition keys of the fleet table: the ledger's two, and the nodes' own."""


class Fleet(Construct):
    """`dead_letters` holds what the reconciler could not be told."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        functions: Functions,
        tables: Tables,
        nodes: Nodes,
        sip_domain: str,
        fleet_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.zone = route53.PublicHostedZone(
            self, "Zone", zone_name=sip_domain, comment="Names of environments and nodes, written by the reconciler"
        )
        stage = read_stage("fleet", max_nodes=int, standby=bool, spare_nodes=int, rolled_at_once=int, look_parts=int)
        self.function = functions.add(
            "Reconciler",
            "fleet.reconciler.handler",
            may=[
                *_ledger(tables),
                *_records(tables),
                *_customers(tables),
                *_orders(tables),
                *self._names(),
                *self._instances(nodes, fleet_name),
            ],
            environment={
                "ORDERS_TABLE": tables.orders.table_name,
                "CUSTOMERS_TABLE": tables.customers.table_name,
                "FLEET_TABLE": tables.fleet.table_name,
                "CDR_TABLE": tables.cdr.table_name,
                "FLEET_NAME": fleet_name,
                "LAUNCH_TEMPLATE_ID": nodes.launch_template.launch_template_id or "",
                "SUBNET_IDS": ",".join(nodes.subnet_ids),
                "INSTANCE_TYPES": ",".join(INSTANCE_TYPES),
                "NODE_RELEASE": nodes.release,
                "ZONE_ID": self.zone.hosted_zone_id,
                "SIP_DOMAIN": sip_domain,
                "MAX_NODES": str(stage["max_nodes"]),
                "STANDBY": "yes" if stage["standby"] else "no",
                "SPARE_NODES": str(stage["spare_nodes"]),
                "ROLLED_AT_ONCE": str(stage["rolled_at_once"]),
                "LOOK_PARTS": str(stage["look_parts"]),
            },
            timeout=Duration.minutes(1),
        )
        role = self.function.role
        assert role is not None  # noqa: S101
        acknowledge(role, "Describing instances and listing streams know no resources.", "IAM5[Resource::*]")
        acknowledge(
            role,
            "What is yet to be made has no name; the conditions bind it to our launch template and our tag.",
            *(
                f"IAM5[Resource::arn:<AWS::Partition>:ec2:{nodes.region}:<AWS::AccountId>:{kind}/*]"
                for kind in ("instance", "volume", "network-interface")
            ),
            f"IAM5[Resource::arn:<AWS::Partition>:ec2:{nodes.region}::image/*]",
        )
        acknowledge(
            role, "A change gets its name when it is made.", "IAM5[Resource::arn:<AWS::Partition>:route53:::change/*]"
        )
        triggers = ReconcilerTriggers(
            self,
            "Triggers",
            self.function,
            customers=tables.customers,
            fleet=tables.fleet,
            parts=stage["look_parts"],
        )
        self.dead_letters: Queue = triggers.dead_letters

    def _names(self) -> list[iam.PolicyStatement]:
        """Addresses and services in our zone, nothing else of it."""
        zone = self.zone.hosted_zone_arn
        kinds = {"ForAllValues:StringEquals": {"route53:ChangeResourceRecordSetsRecordTypes": ["A", "SRV"]}}
        return [
            allow(["route53:ChangeResourceRecordSets"], zone, conditions=kinds),
            allow(["route53:ListResourceRecordSets"], zone),
            allow(["route53:GetChange"], f"arn:{Aws.PARTITION}:route53:::change/*"),
        ]

    @staticmethod
    def _instances(nodes: Nodes, fleet_name: str) -> list[iam.PolicyStatement]:
        """Start what the launch template describes, in our subnets only; end only what carries this fleet's tag."""
        ec2 = f"arn:{Aws.PARTITION}:ec2:{nodes.region}:{Aws.ACCOUNT_ID}"
        template = f"{ec2}:launch-template/{nodes.launch_template.launch_template_id}"
        from_template = {"ArnEquals": {"ec2:LaunchTemplate": template}}
        return [
            allow(["ec2:DescribeInstances", "ec2:DescribeInstanceStatus"], "*"),
            allow(
                ["ec2:RunInstances"],
                *(f"{ec2}:{kind}/*" for kind in ("instance", "volume", "network-interface")),
                conditions=from_template,
            ),
            allow(
                ["ec2:RunInstances"],
                template,
                *(f"{ec2}:subnet/{subnet}" for subnet in nodes.subnet_ids),
                conditions=from_template,
            ),
            # The image and the network rules are the template's own: no other can be named in the request.
            allow(
                ["ec2:RunInstances"],
                f"{ec2}:security-group/{nodes.security_group.security_group_id}",
                f"arn:{Aws.PARTITION}:ec2:{nodes.region}::image/*",
                conditions={**from_template, "Bool": {"ec2:IsLaunchTemplateResource": "true"}},
            ),
            allow(
                ["ec2:CreateTags"],
                f"{ec2}:instance/*",
                f"{ec2}:volume/*",
                conditions={"StringEquals": {"ec2:CreateAction": "RunInstances"}},
            ),
            allow(
                ["ec2:TerminateInstances"],
                f"{ec2}:instance/*",
                conditions={"StringEquals": {"aws:ResourceTag/callvoip:fleet": fleet_name}},
            ),
            allow(
                ["iam:PassRole"],
                nodes.role.role_arn,
                conditions={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
            ),
        ]


def _ledger(tables: Tables) -> list[iam.PolicyStatement]:
    fleet = tables.fleet.table_arn
    return [
        allow(["dynamodb:Query"], fleet, conditions=_keys(NODES, PLACEMENTS)),
        allow(["dynamodb:GetItem", "dynamodb:PutItem"], fleet, conditions=_keys(NODES, PLACEMENTS, RECEIPT_KEYS)),
        allow(["dynamodb:DeleteItem"], fleet, conditions=_keys(PLACEMENTS, PARTITIONS)),
        allow(
            ["dynamodb:BatchGetItem", "dynamodb:UpdateItem", "dynamodb:PutItem"], fleet, conditions=_keys(PARTITIONS)
        ),
    ]


def _records(tables: Tables) -> list[iam.PolicyStatement]:
    """Of the calls that ran on a lost node: what it told of them, and the record that each leaves."""
    cdr = tables.cdr.table_arn
    return [
        allow(["dynamodb:Query", "dynamodb:DeleteItem"], cdr, conditions=_keys(PARTITIONS)),
        allow(["dynamodb:PutItem"], cdr, conditions=_keys("CUSTOMER#*")),
    ]


def _customers(tables: Tables) -> list[iam.PolicyStatement]:
    """What customers.environments does for us: which to serve, one whole, and what we tell of it."""
    table = tables.customers.table_arn
    account = _keys("CUSTOMER#*", "HISTORY#*")
    return [
        allow(["dynamodb:Query"], f"{table}/index/{CUSTOMERS_BY_LIST}"),
        allow(
            ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"], table, conditions=account
        ),
    ]


def _orders(tables: Tables) -> list[iam.PolicyStatement]:
    """What ordering.fulfilment does for us: the order behind a product is complete, or has to wait."""
    table = tables.orders.table_arn
    return [
        allow(["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"], table, conditions=_keys("ORDER#*")),
        allow(["dynamodb:DeleteItem"], table, conditions=_keys("OPEN#*")),
        allow(["dynamodb:UpdateItem"], table, conditions=_keys("COUNTS")),
    ]


def _keys(*patterns: str) -> dict[str, object]:
    """The condition that all items a request touches have partition keys like these."""
    return {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(patterns)}}
