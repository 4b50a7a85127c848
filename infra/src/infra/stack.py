"""The one stack: every part of callvoip on AWS and who may speak with whom."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import CfnOutput, Duration, Stack, triggers
from aws_cdk import aws_iam as iam
from aws_cdk.aws_secretsmanager import ISecret
from constructs import Construct

from infra.api import Api
from infra.checks import acknowledge
from infra.functions import Functions, allow
from infra.nodes import CAPACITY_CALLS, INSTANCE_TYPES, Nodes
from infra.places import Brand
from infra.reconciler import ReconcilerTriggers
from infra.sign_in import SALES_GROUP, SignIn
from infra.tables import ORDERS_BY_STATE, Tables
from infra.website import Website

MAX_NODES = 4
"""A ceiling on cost: the reconciler never has more nodes than this."""

READ = ("dynamodb:GetItem", "dynamodb:Query")


class CallvoipStack(Stack):
    """Tables, functions, API, sign-in, website and nodes. One stack, so that no name has to travel between stacks."""

    def __init__(
        self, scope: Construct, construct_id: str, *, brand: Brand, bundles: Path, certificate_arn: str | None, region: str
    ) -> None:
        super().__init__(scope, construct_id, env={"region": region}, termination_protection=True)
        self._tables = Tables(self, "Tables")
        self._nodes = Nodes(
            self, "Nodes", bundle=bundles / "media-node", sip_domain=brand.sip_domain, fleet=self._tables.fleet, cdr=self._tables.cdr
        )
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
            self, "Functions", layer=bundles / "layer", environment={"POWERTOOLS_METRICS_NAMESPACE": "callvoip", "LOG_LEVEL": "INFO"}
        )
        self._serve(api, issuer=sign_in.pool.user_pool_provider_url, audience=console.user_pool_client_id, origin=website.origin_secret)
        self._load_catalogue()
        self._reconcile()
        website.upload({"console/config.json": sign_in.console_config(console)})
        CfnOutput(self, "Site", value=website.url)

    def _serve(self, api: Api, *, issuer: str, audience: str, origin: ISecret) -> None:
        """The functions behind the API. They are called synchronously: who calls sees the failure."""
        orders, catalogue, fleet = self._tables.orders, self._tables.catalogue, self._tables.fleet
        # The value is filled in at the deploy; whoever may read a function's configuration may read it.
        through = {"ORIGIN_SECRET": origin.secret_value.unsafe_unwrap()}
        prices = self._functions.add(
            "Prices",
            "ordering.prices_api.handler",
            may=[allow(["dynamodb:Query"], catalogue.table_arn)],
            environment={**through, "CATALOGUE_TABLE": catalogue.table_name},
        )
        api.serve("Prices", prices, "GET /api/prices")
        ordering = self._functions.add(
            "Orders",
            "ordering.orders_api.handler",
            may=[
                allow([*READ, "dynamodb:PutItem"], orders.table_arn),
                allow(["dynamodb:Query"], catalogue.table_arn),
                # Where the order is served, and the hashes of its phones' passwords.
                allow(["dynamodb:GetItem", "dynamodb:PutItem"], fleet.table_arn),
            ],
            environment={
                **through,
                "ORDERS_TABLE": orders.table_name,
                "CATALOGUE_TABLE": catalogue.table_name,
                "FLEET_TABLE": fleet.table_name,
            },
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
            may=[
                allow([*READ, "dynamodb:BatchGetItem", "dynamodb:PutItem"], orders.table_arn),
                self._may_list_orders(),
                allow(["dynamodb:GetItem"], fleet.table_arn),
            ],
            environment={
                **through,
                "ORDERS_TABLE": orders.table_name,
                "FLEET_TABLE": fleet.table_name,
                "SALES_GROUP": SALES_GROUP,
            },
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

    def _may_list_orders(self) -> iam.PolicyStatement:
        return allow(["dynamodb:Query"], f"{self._tables.orders.table_arn}/index/{ORDERS_BY_STATE}")

    def _load_catalogue(self) -> None:
        """site/data/catalogue.toml goes into its table at every deploy that changes the bundle."""
        loader = self._functions.add(
            "CatalogueLoader",
            "ordering.catalogue_loader.handler",
            may=[allow(["dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"], self._tables.catalogue.table_arn)],
            environment={"CATALOGUE_TABLE": self._tables.catalogue.table_name},
            timeout=Duration.minutes(1),
        )
        triggers.Trigger(self, "LoadCatalogue", handler=loader, execute_after=[self._tables])

    def _reconcile(self) -> None:
        orders, fleet = self._tables.orders, self._tables.fleet
        writes = ["dynamodb:PutItem", "dynamodb:ConditionCheckItem"]
        reconciler = self._functions.add(
            "Reconciler",
            "fleet.reconciler.handler",
            may=[
                allow([*READ, "dynamodb:BatchGetItem", *writes], orders.table_arn),
                self._may_list_orders(),
                allow([*READ, "dynamodb:BatchGetItem", *writes, "dynamodb:DeleteItem"], fleet.table_arn),
                *self._may_run_nodes(),
            ],
            environment={
                "ORDERS_TABLE": orders.table_name,
                "FLEET_TABLE": fleet.table_name,
                "FLEET_NAME": self.stack_name,
                "LAUNCH_TEMPLATE_ID": self._nodes.launch_template.launch_template_id or "",
                "SUBNET_IDS": ",".join(self._nodes.subnet_ids),
                "INSTANCE_TYPES": ",".join(INSTANCE_TYPES),
                "NODE_CAPACITY_CALLS": str(CAPACITY_CALLS),
                "MAX_NODES": str(MAX_NODES),
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
        ReconcilerTriggers(self, "ReconcilerTriggers", reconciler, orders=orders, fleet=fleet)

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
