"""API Gateway's HTTP API: routes, the JWT authorizer, and events of payload format 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import jwt

from callvoip.aws.deployment import Deployment
from callvoip.aws.endpoint import ACCOUNT
from callvoip.edge.exchange import Answer, Request


@dataclass(frozen=True)
class Authorizer:
    """Accepts RS256 tokens of `issuer` whose `aud`, or else `client_id`, is one of `audience`."""

    issuer: str
    audience: frozenset[str]


@dataclass(frozen=True)
class Route:
    """`key` as in the template: `GET /api/orders/{id}`, `ANY /x/{proxy+}` or `$default`. `function` is an ARN or
    name.
    """

    key: str
    function: str
    authorizer: Authorizer | None = None
    scopes: frozenset[str] = frozenset()

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The path parameters if the route takes this request, else None."""
        if self.key == "$default":
            return {}
        wanted, _, template = self.key.partition(" ")
        if wanted not in (method, "ANY"):
            return None
        parameters: dict[str, str] = {}
        segments = path.split("/")
        for position, part in enumerate(template.split("/")):
            if part.endswith("+}"):
                parameters[part[1:-2]] = "/".join(segments[position:])
                return parameters if segments[position:] and parameters[part[1:-2]] else None
            if position >= len(segments) or not (segments[position] == part or part.startswith("{")):
                return None
            if part.startswith("{"):
                if not segments[position]:
                    return None
                parameters[part[1:-1]] = segments[position]
        return parameters if len(segments) == len(template.split("/")) else None

    @property
    def precedence(self) -> tuple[int, ...]:
        """The smaller goes first: full matches, then greedy ones, then $default; a method before ANY; fixed segments
        before variables.
        """
        method, _, path = self.key.partition(" ")
        return (
            2 if self.key == "$default" else int("+}" in path),
            *(1 if part.startswith("{") else 0 for part in path.split("/")),
            int(method == "ANY"),
        )


class Unauthorized(Exception):
    """The token is missing or not good; the text says why."""


class Forbidden(Exception):
    """The token is good but lacks every scope the route asks for."""


def routes(deployment: Deployment) -> list[Route]:
    """The template's routes, in order of precedence."""
    integrations = {
        resource.name: resource.properties["IntegrationUri"]
        for resource in deployment.all("AWS::ApiGatewayV2::Integration")
    }
    authorizers = {
        resource.name: Authorizer(
            issuer=resource.properties["JwtConfiguration"]["Issuer"],
            audience=frozenset(resource.properties["JwtConfiguration"]["Audience"]),
        )
        for resource in deployment.all("AWS::ApiGatewayV2::Authorizer")
    }
    found = [
        Route(
            key=resource.properties["RouteKey"],
            function=integrations[resource.properties["Target"].removeprefix("integrations/")],
            authorizer=authorizers[resource.properties["AuthorizerId"]]
            if resource.properties["AuthorizationType"] == "JWT"
            else None,
            scopes=frozenset(resource.properties.get("AuthorizationScopes", ())),
        )
        for resource in deployment.all("AWS::ApiGatewayV2::Route")
    ]
    return sorted(found, key=lambda route: route.precedence)


def find(routes: list[Route], method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route for a request and its path parameters."""
    for route in routes:
        if (parameters := route.match(method, path)) is not None:
            return route, parameters
    return None


def authorize(route: Route, request: Request, keys: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    """The claims of the request's token, or None when the route needs none.

    `keys` are the issuers' public keys by `kid`. Raises Unauthorized or Forbidden.
    """
    if route.authorizer is None:
        return None
    token = (request.header("authorization") or "").strip()
    if token[:7].lower() == "bearer ":
        token = token[7:].strip()
    if not token:
        raise Unauthorized("no token")
    try:
        header = jwt.get_unverified_header(token)
        key = keys.get(str(header.get("kid")))
        if key is None:
            raise Unauthorized("the token is not signed by the issuer")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            issuer=route.authorizer.issuer,
            options={
                "verify_aud": False,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "require": ["exp", "iss"],
            },
        )
    except jwt.PyJWTError as error:
        raise Unauthorized(str(error)) from error
    _check_times(claims, now.timestamp())
    # An access token of Cognito has no aud: API Gateway then looks at client_id.
    audience = claims.get("aud", claims.get("client_id"))
    if not route.authorizer.audience & set(audience if isinstance(audience, list) else [audience]):
        raise Unauthorized("the token is for another audience")
    if route.scopes and not route.scopes & set(str(claims.get("scope", "")).split()):
        raise Forbidden("the token lacks the scope")
    return claims


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    try:
        if float(claims["exp"]) <= now:
            raise Unauthorized("the token has expired")
        if float(claims.get("nbf", now)) > now or float(claims.get("iat", now)) > now + 1:
            raise Unauthorized("the token is not valid yet")
    except (TypeError, ValueError) as error:
        raise Unauthorized("the token's times are not numbers") from error


def event(
    route: Route,
    parameters: Mapping[str, str],
    request: Request,
    claims: Mapping[str, Any] | None,
    *,
    api_id: str,
    region: str,
    now: datetime,
) -> dict[str, Any]:
    """The event of payload format 2.0 for a request that `route` takes."""
    host = f"{api_id}.execute-api.{region}.amazonaws.com"
    headers: dict[str, str] = {}
    for name, value in request.headers:
        if name not in ("host", "connection", "cookie", "transfer-encoding", "keep-alive", "upgrade"):
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    headers |= {
        "host": host,
        "x-forwarded-for": request.source_ip,
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    context: dict[str, Any] = {
        "accountId": ACCOUNT,
        "apiId": api_id,
        "domainName": host,
        "domainPrefix": api_id,
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": str(uuid.uuid4()),
        "routeKey": route.key,
        "stage": "$default",
        "time": now.astimezone(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }
    if claims is not None:
        scopes = sorted(route.scopes) or None
        context["authorizer"] = {
            "jwt": {"claims": {name: _claim(value) for name, value in claims.items()}, "scopes": scopes}
        }
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    cookies = [
        cookie.strip()
        for name, value in request.headers
        if name == "cookie"
        for cookie in value.split(";")
        if cookie.strip()
    ]
    if cookies:
        made["cookies"] = cookies
    query: dict[str, str] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    if query:
        made["queryStringParameters"] = query
    if parameters:
        made["pathParameters"] = dict(parameters)
    if request.body:
        made["body"], made["isBase64Encoded"] = _body(request)
    return made


def _claim(value: Any) -> str:
    """API Gateway hands every claim on as a string; a list as `[a b]`."""
    if isinstance(value, list):
        return "[" + " ".join(str(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


_TEXT = ("text/", "application/json", "application/javascript", "application/xml")


def _body(request: Request) -> tuple[str, bool]:
    """Text as it is, anything else (a form, too) in base64."""
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind.startswith(_TEXT) or kind.endswith(("+json", "+xml")):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def answer(result: Any) -> Answer:
    """The HTTP answer that a function's result stands for.

    Raises ValueError for a result that API Gateway would answer 500 for.
    """
    if not isinstance(result, dict) or "statusCode" not in result:
        # A result without a status is the body itself.
        text = result if isinstance(result, str) else json.dumps(result)
        return Answer(status=200, headers=(("content-type", "application/json"),), body=text.encode())
    try:
        status = int(result["statusCode"])
        headers = tuple((str(name).lower(), str(value)) for name, value in (result.get("headers") or {}).items())
        cookies = tuple(("set-cookie", str(cookie)) for cookie in result.get("cookies") or ())
        text = result.get("body") or ""
        body = base64.b64decode(text, validate=True) if result.get("isBase64Encoded") else str(text).encode()
    except (TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise ValueError("the function's result is not of payload format 2.0") from error
    if not 100 <= status <= 599:
        raise ValueError(f"{status} is no HTTP status")
    if not any(name == "content-type" for name, _ in headers) and body:
        headers = (*headers, ("content-type", "text/plain;charset=utf-8"))
    return Answer(status=status, headers=(*headers, *cookies), body=body)


def message(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """What API Gateway itself answers when no function is asked."""
    return Answer(
        status=status,
        headers=(("content-type", "application/json"), *headers),
        body=json.dumps({"message": text}).encode(),
    )
