"""The HTTP API: which route goes to which function, and which of them need a signed-in colleague."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk.aws_apigatewayv2_authorizers import HttpJwtAuthorizer
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from aws_cdk.aws_lambda import IFunction
from constructs import Construct

from infra.checks import acknowledge
from infra.logs import log_group
from infra.routes import SALES, Route

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

    def serve(
        self, functions: Mapping[str, IFunction], routes: Mapping[str, Sequence[Route]], authorizer: HttpJwtAuthorizer
    ) -> None:
        """Send each handler's `routes` to its function, both by the handler's name; those of sales need a token that `authorizer` accepts.

        Raises ValueError for a handler that has no function.
        """
        for handler, declared in routes.items():
            if handler not in functions:
                raise ValueError(
                    f"{handler} declares routes, but no function of the stack runs it: add one in infra/stack.py"
                )
            integration = HttpLambdaIntegration(handler, functions[handler])
            for route in declared:
                key = apigateway.HttpRouteKey.with_(route.path, apigateway.HttpMethod[route.method])
                self._route(route.key, key, integration, authorizer if route.caller == SALES else None)

    def serve_all_else(self, function: IFunction) -> None:
        """Send what no route knows to `function`, so that its 404 has the form and language of everything else."""
        self._route("$default", apigateway.HttpRouteKey.DEFAULT, HttpLambdaIntegration("AllElse", function), None)

    def _route(
        self,
        name: str,
        key: apigateway.HttpRouteKey,
        integration: HttpLambdaIntegration,
        authorizer: HttpJwtAuthorizer | None,
    ) -> None:
        made = apigateway.HttpRoute(
            self, name, http_api=self.http_api, route_key=key, integration=integration, authorizer=authorizer
        )
        if authorizer is None:
            acknowledge(
                made,
                "The function checks: an order has a token of its own, a customer a session, all else is public.",
                "APIG4",
            )
