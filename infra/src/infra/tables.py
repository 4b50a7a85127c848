"""The DynamoDB tables, one per bounded context."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

ORDERS_BY_STATE = "by-state"
ORDERS_BY_CHANGE = "by-change"
CUSTOMERS_BY_LIST = "by-list"


class Tables(Construct):
    """orders, catalogue, customers, fleet and cdr. Who must act on changes of orders, customers and fleet reads their streams."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.orders = self._table("Orders", stream=True)
        self.orders.add_global_secondary_index(
            index_name=ORDERS_BY_STATE,
            partition_key=dynamodb.Attribute(name="state", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="orderDate", type=dynamodb.AttributeType.STRING),
            # What a search, a sort and a sum need; the table says the rest.
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=["category", "search", "phones", "monthlyTotalCents"],
        )
        self.orders.add_global_secondary_index(
            index_name=ORDERS_BY_CHANGE,
            partition_key=dynamodb.Attribute(name="feed", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="changedAt", type=dynamodb.AttributeType.STRING),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )
        self.catalogue = self._table("Catalogue")
        self.customers = self._table("Customers", stream=True)
        self.customers.add_global_secondary_index(
            index_name=CUSTOMERS_BY_LIST,
            partition_key=dynamodb.Attribute(name="list", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="listKey", type=dynamodb.AttributeType.STRING),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=[
                "company",
                "dedicated",
                "endsOn",
                "environmentId",
                "monthlyCents",
                "number",
                "offeringId",
                "phoneCount",
                "quantity",
                "search",
                "startedOn",
                "unitCents",
                "version",
            ],
        )
        self.fleet = self._table("Fleet", stream=True)
        self.cdr = self._table("Cdr")

    def _table(self, name: str, *, stream: bool = False) -> dynamodb.Table:
        # Table rather than TableV2: a GlobalTable resource is not what the emulated CloudFormation of local/ knows.
        return dynamodb.Table(
            self,
            name,
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES if stream else None,
            time_to_live_attribute="expiresAt",
            deletion_protection=True,
            removal_policy=RemovalPolicy.RETAIN,
        )
