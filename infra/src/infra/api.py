"""The HTTP API: which route goes to which function, and which of them need a signed-in colleague."""

from __future__ import annotations

import json
from typing import cast

from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk.aws_apigatewayv2_authorizers import HttpJwtAuthorizer
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from aws_cdk.aws_lambda import IFunction
from constructs import Construct

from infra.checks import acknowledge
from infra.logs import log_group

# No address, path or query: an order's own page carries its token there.
ACCESS_LOG = {
    "requestId": "$context.requestId",
    "route": "$context.routeKey",
    "status": "$context.status",
    "milliseconds": "$context.responseLatency",
    "error": "$context.error.messageString",
}


class Api(Construct):
    """An HTTP API with one throttled stage at its root."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.http_api = apigateway.HttpApi(self, "HttpApi", create_default_stage=False)
        access_log = log_group(self, "AccessLog")
        stage = apigateway.HttpStage(
            self,
            "Stage",
            http_api=self.http_api,
            stage_name="$default",
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(rate_limit=50, burst_limit=100),
        )
        cast(
            apigateway.CfnStage, stage.node.default_child
        ).access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=access_log.log_group_arn, format=json.dumps(ACCESS_LOG)
        )

    @property
    def domain_name(self) -> str:
        """Host name of the API, as origin for CloudFront."""
        return f"{self.http_api.api_id}.execute-api.{self.http_api.env.region}.amazonaws.com"

    def serve(self, name: str, function: IFunction, *routes: str) -> None:
        """Send public `routes` (as `GET /api/prices`, or `$default`) to `function`."""
        for route in self._routes(name, function, routes, authorizer=None):
            acknowledge(
                route, "Visitors and customers have no account; an order is protected by its own token.", "APIG4"
            )

    def serve_colleagues(self, name: str, function: IFunction, *routes: str, issuer: str, audience: str) -> None:
        """Send `routes` to `function` for requests with an access token of `issuer` for the client `audience`."""
        self._routes(
            name, function, routes, authorizer=HttpJwtAuthorizer(f"{name}Authorizer", issuer, jwt_audience=[audience])
        )

    def _routes(
        self, name: str, function: IFunction, routes: tuple[str, ...], *, authorizer: HttpJwtAuthorizer | None
    ) -> list[apigateway.HttpRoute]:
        integration = HttpLambdaIntegration(name, function)
        made = []
        for route in routes:
            method, _, path = route.partition(" ")
            key = (
                apigateway.HttpRouteKey.DEFAULT
                if route == "$default"
                else apigateway.HttpRouteKey.with_(path, apigateway.HttpMethod[method])
            )
            made.append(
                apigateway.HttpRoute(
                    self, route, http_api=self.http_api, route_key=key, integration=integration, authorizer=authorizer
                )
            )
        return made
