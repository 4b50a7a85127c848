"""The one stack: every part of callvoip on AWS and who may speak with whom."""

from __future__ import annotations

from aws_cdk import CfnOutput, Duration, Stack, triggers
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.api import Api
from infra.checks import acknowledge
from infra.functions import Functions, allow
from infra.nodes import CAPACITY_CALLS, Nodes
from infra.places import Brand
from infra.reconciler import ReconcilerTriggers
from infra.sign_in import SALES_GROUP, SignIn
from infra.tables import ORDERS_BY_STATE, Tables
from infra.website import Website

MAX_NODES = 4
"""A ceiling on cost: the reconciler never has more nodes than this."""

READ = ("dynamodb:GetItem", "dynamodb:Query")
CHANGE = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:ConditionCheckItem")


class CallvoipStack(Stack):
    """Tables, functions, API, sign-in, website and nodes. One stack, so that no name has to travel between stacks."""

    def __init__(self, scope: Construct, construct_id: str, *, brand: Brand, certificate_arn: str | None, region: str) -> None:
        super().__init__(scope, construct_id, env={"region": region}, termination_protection=True)
        self._tables = Tables(self, "Tables")
        self._nodes = Nodes(self, "Nodes", sip_domain=brand.sip_domain, fleet=self._tables.fleet, cdr=self._tables.cdr)
        sign_in = SignIn(self, "SignIn")
        api = Api(self, "Api")
        website = Website(
            self,
            "Website",
            domain=brand.domain,
            certificate_arn=certificate_arn,
            api_domain=api.domain_name,
            connect=(sign_in.domain.base_url(),),
        )
        console = sign_in.add_console(f"{website.url}/console/")
        self._functions = Functions(
            self,
            "Functions",
            environment={
                "ORDERS_TABLE": self._tables.orders.table_name,
                "CATALOGUE_TABLE": self._tables.catalogue.table_name,
                "FLEET_TABLE": self._tables.fleet.table_name,
                "CDR_TABLE": self._tables.cdr.table_name,
                "FLEET_NAME": self.stack_name,
                "NODE_CAPACITY_CALLS": str(CAPACITY_CALLS),
                "MAX_NODES": str(MAX_NODES),
                "SALES_GROUP": SALES_GROUP,
                "POWERTOOLS_METRICS_NAMESPACE": "callvoip",
                "LOG_LEVEL": "INFO",
            },
        )
        self._serve(api, issuer=sign_in.pool.user_pool_provider_url, audience=console.user_pool_client_id)
        self._load_catalogue()
        self._reconcile()
        website.upload({"console/config.json": sign_in.console_config(console)})
        CfnOutput(self, "Site", value=website.url)

    def _serve(self, api: Api, *, issuer: str, audience: str) -> None:
        """The functions behind the API. They are called synchronously: who calls sees the failure."""
        orders, catalogue, fleet = self._tables.orders.table_arn, self._tables.catalogue.table_arn, self._tables.fleet.table_arn
        prices = self._functions.add("Prices", "ordering.prices_api.handler", may=[allow(READ, catalogue)])
        api.serve("Prices", prices, "GET /api/prices")
        ordering = self._functions.add(
            "Orders",
            "ordering.orders_api.handler",
            may=[allow((*READ, *CHANGE), orders), allow(READ, catalogue), allow((*READ, *CHANGE), fleet)],
        )
        api.serve(
            "Orders",
            ordering,
            "POST /api/orders",
            "GET /api/orders/{id}",
            "POST /api/orders/{id}/credentials",
            "GET /bestelling/{id}",
            "POST /bestelling/{id}/credentials",
            # What no route knows gets its 404 in the same form and language as everything else.
            "$default",
        )
        sales = self._functions.add(
            "Sales",
            "ordering.sales_api.handler",
            may=[allow((*READ, *CHANGE), orders), allow(["dynamodb:Query"], f"{orders}/index/{ORDERS_BY_STATE}"), allow(READ, fleet)],
        )
        api.serve_colleagues(
            "Sales",
            sales,
            "GET /api/sales/orders",
            "GET /api/sales/orders/{id}",
            "POST /api/sales/orders/{id}/approve",
            "POST /api/sales/orders/{id}/reject",
            issuer=issuer,
            audience=audience,
        )

    def _load_catalogue(self) -> None:
        """site/data/catalogue.toml goes into its table at every deploy that changes the bundle."""
        loader = self._functions.add(
            "CatalogueLoader",
            "ordering.catalogue_loader.handler",
            may=[allow((*READ, "dynamodb:PutItem", "dynamodb:BatchWriteItem"), self._tables.catalogue.table_arn)],
            timeout=Duration.minutes(1),
        )
        triggers.Trigger(self, "LoadCatalogue", handler=loader, execute_after=[self._tables])

    def _reconcile(self) -> None:
        orders, fleet = self._tables.orders.table_arn, self._tables.fleet.table_arn
        reconciler = self._functions.add(
            "Reconciler",
            "fleet.reconciler.handler",
            may=[
                allow((*READ, *CHANGE), orders),
                allow(["dynamodb:Query"], f"{orders}/index/{ORDERS_BY_STATE}"),
                allow((*READ, *CHANGE, "dynamodb:DeleteItem"), fleet),
                *self._may_run_nodes(),
            ],
            environment={
                "LAUNCH_TEMPLATE_ID": self._nodes.launch_template.launch_template_id or "",
                "SUBNET_IDS": ",".join(self._nodes.subnet_ids),
            },
            timeout=Duration.minutes(1),
        )
        role = reconciler.role
        assert role is not None  # noqa: S101
        ec2 = f"arn:<AWS::Partition>:ec2:{self.region}"
        acknowledge(role, "DescribeInstances and ListStreams know no resources.", "IAM5[Resource::*]")
        acknowledge(
            role,
            "What is yet to be made has no name; the conditions bind it to our launch template and our tag.",
            *(f"IAM5[Resource::{ec2}:<AWS::AccountId>:{kind}/*]" for kind in ("instance", "volume", "network-interface")),
            f"IAM5[Resource::{ec2}::image/*]",
        )
        ReconcilerTriggers(self, "ReconcilerTriggers", reconciler, orders=self._tables.orders, fleet=self._tables.fleet)

    def _may_run_nodes(self) -> list[iam.PolicyStatement]:
        """Start what the launch template describes, in our subnets only; end only what carries this fleet's tag."""
        ec2 = f"arn:{self.partition}:ec2:{self.region}:{self.account}"
        template = f"{ec2}:launch-template/{self._nodes.launch_template.launch_template_id}"
        return [
            allow(["ec2:DescribeInstances"], "*"),
            allow(
                ["ec2:RunInstances"],
                f"{ec2}:instance/*",
                f"{ec2}:volume/*",
                f"{ec2}:network-interface/*",
                conditions={"ArnEquals": {"ec2:LaunchTemplate": template}},
            ),
            allow(
                ["ec2:RunInstances"],
                template,
                f"{ec2}:security-group/{self._nodes.security_group.security_group_id}",
                *(f"{ec2}:subnet/{subnet}" for subnet in self._nodes.subnet_ids),
                f"arn:{self.partition}:ec2:{self.region}::image/*",
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
                conditions={"StringEquals": {"aws:ResourceTag/callvoip:fleet": self.stack_name}},
            ),
            allow(["iam:PassRole"], self._nodes.role.role_arn, conditions={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}),
        ]
