"""The one stack: every part of callvoip on AWS and who may speak with whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import CfnOutput, Duration, Stack, triggers
from aws_cdk import aws_iam as iam
from aws_cdk.aws_apigatewayv2_authorizers import HttpJwtAuthorizer
from aws_cdk.aws_dynamodb import ITable
from aws_cdk.aws_secretsmanager import ISecret, Secret, SecretStringGenerator
from aws_cdk.aws_sqs import Queue
from constructs import Construct

from infra.alarms import Alarms
from infra.api import Api
from infra.certificate import Certificate
from infra.checks import acknowledge
from infra.customers import Customers, may_change_customers, may_read_customers
from infra.fleet import NODES, PARTITIONS, PLACEMENTS, Fleet
from infra.functions import Functions, allow
from infra.mail import CUSTOMERS_MAILED, MAILED, Mailer, MailSender
from infra.nodes import CAPACITY_CALLS, Nodes
from infra.places import BUILD, Brand
from infra.routes import Route, dynamic_paths, read_routes
from infra.sign_in import SALES_GROUP, SignIn
from infra.tables import ORDERS_BY_CHANGE, ORDERS_BY_STATE, Tables
from infra.website import Website

READ = ("dynamodb:GetItem", "dynamodb:Query")

STORE_TIMEOUT_S = "2.5"
"""How long a function that a person waits for waits for DynamoDB, once: whoever waits has an answer within 3 seconds."""


@dataclass(frozen=True)
class OrderKey:
    """What a function needs to make orders' tokens: where the key stands, and that it may read it."""

    environment: Mapping[str, str]
    may: iam.PolicyStatement


class CallvoipStack(Stack):
    """Tables, functions, API, sign-in, website and nodes. One stack, so that no name has to travel between stacks."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        brand: Brand,
        bundles: Path,
        certificate_arn: str | None,
        region: str,
    ) -> None:
        super().__init__(scope, construct_id, env={"region": region}, termination_protection=True)
        self._tables = Tables(self, "Tables")
        self._nodes = Nodes(
            self, "Nodes", bundle=bundles / "media-node", brand=brand, fleet=self._tables.fleet, cdr=self._tables.cdr
        )
        sign_in = SignIn(self, "SignIn")
        api = Api(self, "Api")
        routes = read_routes(BUILD / "functions")
        website = Website(
            self,
            "Website",
            domain=brand.domain,
            certificate_arn=certificate_arn,
            api_domain=api.domain_name,
            dynamic_paths=dynamic_paths(routes),
            connect=(sign_in.domain.base_url(),),
        )
        console = sign_in.add_console(f"{website.url}/console/")
        self._functions = Functions(
            self,
            "Functions",
            layer=bundles / "layer",
            environment={
                "POWERTOOLS_METRICS_NAMESPACE": "callvoip",
                "LOG_LEVEL": "INFO",
                # How large an environment may be sold, whoever sells it.
                "NODE_CAPACITY_CALLS": str(CAPACITY_CALLS),
            },
        )
        order_key = self._order_key()
        self._serve(
            api,
            routes,
            authorizer=HttpJwtAuthorizer(
                "SalesAuthorizer", sign_in.pool.user_pool_provider_url, jwt_audience=[console.user_pool_client_id]
            ),
            origin=website.origin_secret,
            order_key=order_key,
            site_url=website.url,
        )
        self._load_catalogue()
        fleet = Fleet(
            self,
            "Fleet",
            functions=self._functions,
            tables=self._tables,
            nodes=self._nodes,
            sip_domain=brand.sip_domain,
            fleet_name=self.stack_name,
        )
        certificate = Certificate(
            self, "Certificate", functions=self._functions, zone=fleet.zone, sip_domain=brand.sip_domain
        )
        sender = MailSender(self, "MailSender", domain=brand.domain)
        customers = Customers(
            self,
            "CustomerFunctions",
            functions=self._functions,
            tables=self._tables,
            may_change_orders=self._may_change_orders(),
        )
        letters = {
            "Reconciler": fleet.dead_letters,
            "Certificate": certificate.dead_letters,
            **self._mailers(sender, site_url=website.url, order_key=order_key),
            **customers.dead_letters,
        }
        Alarms(
            self,
            "Alarms",
            dead_letters=letters,
            functions=self._functions.made,
            api=api.http_api,
            services=sorted(handler.split(".")[1] for handler in routes),
            told=brand.alarm_email,
        )
        website.upload({"console/config.json": sign_in.console_config(console)})
        CfnOutput(self, "Site", value=website.url)
        CfnOutput(self, "SipZone", value=fleet.zone.hosted_zone_id)

    def _order_key(self) -> OrderKey:
        """What orders' tokens are made from; functions read it when they start, and it is in no configuration."""
        secret = Secret(
            self,
            "OrderKey",
            secret_name=f"{self.stack_name}/order-key",
            description="Links to orders and challenges are made from it: keys, newest first, with commas (docs/runbook.md)",
            generate_secret_string=SecretStringGenerator(exclude_punctuation=True, password_length=64),
        )
        acknowledge(
            secret, "A key is added by hand and the old ones stay: links that were mailed must go on working.", "SMG4"
        )
        return OrderKey(
            {"ORDER_KEY_SECRET": f"{self.stack_name}/order-key"},
            allow(["secretsmanager:GetSecretValue"], secret.secret_arn),
        )

    def _serve(
        self,
        api: Api,
        routes: Mapping[str, Sequence[Route]],
        *,
        authorizer: HttpJwtAuthorizer,
        origin: ISecret,
        order_key: OrderKey,
        site_url: str,
    ) -> None:
        """The functions behind the API. They are called synchronously: who calls sees the failure."""
        orders, catalogue, fleet = self._tables.orders, self._tables.catalogue, self._tables.fleet
        # The value is filled in at the deploy; whoever may read a function's configuration may read it.
        through = {"ORIGIN_SECRET": origin.secret_value.unsafe_unwrap(), "STORE_TIMEOUT_S": STORE_TIMEOUT_S}
        self._functions.add(
            "Prices",
            "ordering.prices_api.handler",
            may=[allow(["dynamodb:Query"], catalogue.table_arn)],
            environment={**through, "CATALOGUE_TABLE": catalogue.table_name},
        )
        orders_function = self._functions.add(
            "Orders",
            "ordering.orders_api.handler",
            may=[
                allow([*READ, "dynamodb:PutItem"], orders.table_arn),
                self._may_end_open_orders(),
                allow(["dynamodb:UpdateItem"], orders.table_arn, conditions=_keys("SOURCE#*", "COUNTS")),
                allow(["dynamodb:Query"], catalogue.table_arn),
                *may_change_customers(self._tables.customers),
                order_key.may,
            ],
            environment={
                **through,
                **order_key.environment,
                "ORDERS_TABLE": orders.table_name,
                "CATALOGUE_TABLE": catalogue.table_name,
                "CUSTOMERS_TABLE": self._tables.customers.table_name,
            },
        )
        self._functions.add(
            "Sales",
            "ordering.sales_api.handler",
            may=[
                *self._may_change_orders(),
                self._may_list_orders(),
                allow(["dynamodb:BatchGetItem"], orders.table_arn),
                allow([*READ], fleet.table_arn, conditions=_keys(NODES, PLACEMENTS, PARTITIONS)),
                allow(["dynamodb:BatchGetItem"], fleet.table_arn, conditions=_keys(PARTITIONS)),
            ],
            environment={
                **through,
                "ORDERS_TABLE": orders.table_name,
                "FLEET_TABLE": fleet.table_name,
                "SALES_GROUP": SALES_GROUP,
                "SITE_URL": site_url,
            },
        )
        self._functions.add(
            "Provisioning",
            "customers.provisioning_api.handler",
            may=may_change_customers(self._tables.customers),
            environment={**through, "CUSTOMERS_TABLE": self._tables.customers.table_name},
        )
        self._functions.add(
            "ReceiptKeys",
            "fleet.receipt_keys_api.handler",
            may=[allow(["dynamodb:Query"], fleet.table_arn, conditions=_keys("RECEIPT_KEYS"))],
            environment={**through, "FLEET_TABLE": fleet.table_name},
        )
        self._add_customer_sales(through)
        self._add_portal({**through, **order_key.environment, "SITE_URL": site_url}, order_key)
        api.serve(self._functions.by_handler, routes, authorizer)
        api.serve_all_else(orders_function)

    def _add_customer_sales(self, environment: Mapping[str, str]) -> None:
        """What sales sees of customers and does for them."""
        customers, fleet = self._tables.customers, self._tables.fleet
        self._functions.add(
            "CustomerSales",
            "customers.customer_sales_api.handler",
            may=[*may_change_customers(customers), _may_see_registrations(fleet)],
            environment={
                **environment,
                "CUSTOMERS_TABLE": customers.table_name,
                "FLEET_TABLE": fleet.table_name,
                "SALES_GROUP": SALES_GROUP,
            },
        )

    def _add_portal(self, environment: Mapping[str, str], order_key: OrderKey) -> None:
        """Mijn omgeving: it shows what a customer has and changes it."""
        customers = self._tables.customers
        self._functions.add(
            "Portal",
            "customers.portal_api.handler",
            may=[
                *may_change_customers(customers),
                order_key.may,
                allow(["dynamodb:UpdateItem"], customers.table_arn, conditions=_keys("LIMIT#*")),
                allow([*READ], self._tables.cdr.table_arn, conditions=_keys("CUSTOMER#*")),
                _may_see_registrations(self._tables.fleet),
                # Who withdraws from what is still being delivered withdraws its order.
                *self._may_change_orders(),
            ],
            environment={
                **environment,
                "ORDERS_TABLE": self._tables.orders.table_name,
                "CUSTOMERS_TABLE": customers.table_name,
                "CDR_TABLE": self._tables.cdr.table_name,
                "FLEET_TABLE": self._tables.fleet.table_name,
            },
        )

    def _may_change_orders(self) -> list[iam.PolicyStatement]:
        """What a function needs that moves an order on by `ordering.fulfilment`."""
        return [
            allow([*READ, "dynamodb:PutItem"], self._tables.orders.table_arn),
            self._may_end_open_orders(),
            self._may_count_orders(),
        ]

    def _may_list_orders(self) -> iam.PolicyStatement:
        indexes = (ORDERS_BY_STATE, ORDERS_BY_CHANGE)
        return allow(["dynamodb:Query"], *(f"{self._tables.orders.table_arn}/index/{name}" for name in indexes))

    def _may_count_orders(self) -> iam.PolicyStatement:
        """How many orders there are in each state is kept in the transactions that change it."""
        return allow(["dynamodb:UpdateItem"], self._tables.orders.table_arn, conditions=_keys("COUNTS"))

    def _may_end_open_orders(self) -> iam.PolicyStatement:
        """When an order ends, so does the mark that its customer has one open; nothing else is ever deleted."""
        return allow(["dynamodb:DeleteItem"], self._tables.orders.table_arn, conditions=_keys("OPEN#*"))

    def _mailers(self, sender: MailSender, *, site_url: str, order_key: OrderKey) -> dict[str, Queue]:
        """The mailers on the streams of orders and customers; answers the queues of what they could not send."""
        orders, customers = self._tables.orders, self._tables.customers
        read_order = allow(["dynamodb:GetItem"], orders.table_arn)
        common = {**order_key.environment, "SITE_URL": site_url}
        selling = Mailer(
            self,
            "Mailer",
            self._functions,
            "ordering.mailer.handler",
            table=orders,
            mailed=MAILED,
            sender=sender,
            may=[read_order, order_key.may],
            environment={"ORDERS_TABLE": orders.table_name, **common},
        )
        serving = Mailer(
            self,
            "CustomerMailer",
            self._functions,
            "customers.mailer.handler",
            table=customers,
            mailed=CUSTOMERS_MAILED,
            sender=sender,
            may=[*may_read_customers(customers), order_key.may],
            environment={"CUSTOMERS_TABLE": customers.table_name, **common},
        )
        return {"Mailer": selling.dead_letters, "CustomerMailer": serving.dead_letters}

    def _load_catalogue(self) -> None:
        """site/data/catalogue.toml goes into its table at every deploy that changes the bundle."""
        loader = self._functions.add(
            "CatalogueLoader",
            "ordering.catalogue_loader.handler",
            may=[
                allow(["dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"], self._tables.catalogue.table_arn)
            ],
            environment={"CATALOGUE_TABLE": self._tables.catalogue.table_name},
            timeout=Duration.minutes(1),
        )
        triggers.Trigger(self, "LoadCatalogue", handler=loader, execute_after=[self._tables])


def _may_see_registrations(fleet: ITable) -> iam.PolicyStatement:
    """Which phones are registered, as the node that serves them says."""
    return allow(["dynamodb:GetItem"], fleet.table_arn, conditions=_keys(PLACEMENTS, PARTITIONS))


def _keys(*patterns: str) -> dict[str, object]:
    """The condition that all items a request touches have partition keys like these."""
    return {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(patterns)}}
