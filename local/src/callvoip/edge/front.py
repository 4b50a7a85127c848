"""The HTTP front: the distribution of the template with its two kinds of origin, the site's bucket and the HTTP API."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import mimetypes
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from callvoip.aws.deployment import Deployment
from callvoip.aws.origins import translate
from callvoip.edge import cloudfront, http_api
from callvoip.edge.exchange import Answer, Request
from callvoip.edge.functions import EdgeFunctions
from callvoip.lambdas.runtime import FunctionError, Runtime

_log = logging.getLogger(__name__)

MAX_BODY = 10 * 1024 * 1024
"""Octets of a request; API Gateway's own limit."""
INTEGRATION_SECONDS = 30.0

_FORBIDDEN = Answer(
    status=403, headers=(("content-type", "application/xml"),), body=b"<Error><Code>AccessDenied</Code></Error>"
)


@dataclass(frozen=True)
class Object:
    """A file in the bucket: on disk, or made at the deploy."""

    content: Path | bytes
    kind: str
    cache_control: str

    def read(self) -> bytes:
        """Its octets."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


def bucket(deployment: Deployment, aliases: Mapping[str, str]) -> dict[str, Object]:
    """What the template's BucketDeployment uploads, by key: its assets' files, with markers filled in."""
    upload = deployment.the("Custom::CDKBucketDeployment").properties
    cache_control = upload.get("SystemMetadata", {}).get("cache-control", "")
    found: dict[str, Object] = {}
    for object_key, markers in zip(upload["SourceObjectKeys"], upload["SourceMarkers"], strict=True):
        source = deployment.assembly.asset(object_key)
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            content: Path | bytes = path
            if markers:
                text = path.read_text(encoding="utf-8")
                for marker, value in markers.items():
                    text = text.replace(marker, translate(str(value), aliases))
                content = text.encode()
            kind = mimetypes.guess_type(path.name)[0] or "binary/octet-stream"
            found[path.relative_to(source).as_posix()] = Object(content, kind, cache_control)
    return found


class Front:
    """Answers requests as the deployed system would."""

    def __init__(
        self,
        deployment: Deployment,
        runtime: Runtime,
        edge: EdgeFunctions,
        keys: Mapping[str, Any],
        aliases: Mapping[str, str],
    ) -> None:
        self._distribution = cloudfront.read(deployment)
        self._routes = http_api.routes(deployment)
        self._api = deployment.the("AWS::ApiGatewayV2::Api").name
        self._region = deployment.region
        self._objects = bucket(deployment, aliases)
        self._runtime = runtime
        self._edge = edge
        self._keys = keys
        self._aliases = aliases

    async def handle(self, received: web.Request) -> web.Response:
        """aiohttp handler of every path and method."""
        started = time.monotonic()
        answer = await self.answer(await _request(received))
        _log.debug("%s %s: %d in %.0f ms", received.method, received.path, answer.status, _ms(started))
        response = web.Response(status=answer.status, body=answer.body)
        for name, value in answer.headers:
            if name != "content-length":
                response.headers.add(name, value)
        return response

    async def answer(self, request: Request) -> Answer:
        """What a browser gets for `request`."""
        behaviour = self._distribution.behaviour(request.path)
        answer = await self._ask(behaviour, request)
        page = self._distribution.error_pages.get(answer.status)
        if page is not None:
            found = self._object(replace(request, method="GET", path=page.path, headers=()))
            answer = replace(found, status=page.status) if found.status == 200 else answer
        answer = self._distribution.compress(behaviour, request, self._distribution.finish(behaviour, answer))
        return replace(answer, headers=tuple((name, translate(value, self._aliases)) for name, value in answer.headers))

    async def _ask(self, behaviour: cloudfront.Behaviour, request: Request) -> Answer:
        if request.method not in behaviour.methods:
            return _FORBIDDEN
        if behaviour.function:
            changed = await self._edge.viewer_request(behaviour.function, request)
            if isinstance(changed, Answer):
                return changed
            request = changed
        if ".execute-api." in self._distribution.origins[behaviour.origin]:
            extra = self._distribution.origin_headers[behaviour.origin]
            return await self._api_answer(replace(request, headers=(*request.headers, *extra)))
        return self._object(request)

    def _object(self, request: Request) -> Answer:
        """A file of the bucket; for what is not there S3 says 403 to whoever may not list."""
        found = self._objects.get(request.path.removeprefix("/"))
        if found is None:
            return _FORBIDDEN
        body = found.read()
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        headers = (("content-type", found.kind), ("etag", etag), ("cache-control", found.cache_control))
        if request.header("if-none-match") == etag:
            return Answer(status=304, headers=headers[1:])
        return Answer(status=200, headers=headers, body=body)

    async def _api_answer(self, request: Request) -> Answer:
        if len(request.body) > MAX_BODY:
            return http_api.message(413, "Request Entity Too Large")
        taken = http_api.find(self._routes, request.method, request.path)
        if taken is None:
            return http_api.message(404, "Not Found")
        route, parameters = taken
        now = datetime.now(UTC)
        try:
            claims = http_api.authorize(route, request, self._keys, now)
        except http_api.Unauthorized as error:
            challenge = (
                f'Bearer scope="" error="invalid_token" error_description="{error}"'
                if "no token" not in str(error)
                else "Bearer"
            )
            return http_api.message(401, "Unauthorized", ("www-authenticate", challenge))
        except http_api.Forbidden:
            return http_api.message(403, "Forbidden")
        event = http_api.event(route, parameters, request, claims, api_id=self._api, region=self._region, now=now)
        try:
            result = await asyncio.wait_for(self._runtime.invoke(route.function, event), INTEGRATION_SECONDS)
            return http_api.answer(result)
        except TimeoutError:
            return http_api.message(503, "Service Unavailable")
        except (FunctionError, ValueError) as error:
            _log.error("%s failed: %s", route.key, str(error).partition(":")[0])
            return http_api.message(500, "Internal Server Error")


def _ms(started: float) -> float:
    return (time.monotonic() - started) * 1000


async def _request(received: web.Request) -> Request:
    try:
        body = await received.read()
    except web.HTTPRequestEntityTooLarge:
        body = b"\0" * (MAX_BODY + 1)
    return Request(
        method=received.method,
        path=unquote(received.rel_url.raw_path),
        query=received.rel_url.raw_query_string,
        headers=tuple((name.lower(), value) for name, value in received.headers.items()),
        body=body,
        source_ip=received.remote or "127.0.0.1",
    )


def application(front: Front, own: Iterable[web.RouteDef] = ()) -> web.Application:
    """One handler for everything but the local system's `own` pages: the template decides."""
    made = web.Application(client_max_size=MAX_BODY)
    made.router.add_routes(own)
    made.router.add_route(
        "*", r"/{path:[\s\S]*}", front.handle
    )  # a line feed too: what it means is for the function to say
    made.on_response_prepare.append(_without_server)
    return made


async def _without_server(request: web.Request, response: web.StreamResponse) -> None:
    # aiohttp's own; the headers are the template's.
    response.headers.popall("Server", None)
