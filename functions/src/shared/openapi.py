"""The HTTP API as an OpenAPI 3.1 document, made of what the handlers declare; `python -m shared.openapi FILE` writes it.

A context's `schemas.py`, where there is one, gives `schemas()` and `parameters()`, to which its routes refer by name.
"""

import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shared.routes import JSON, Caller, Route, handlers

Schema = dict[str, Any]

HTML, PROBLEM = "text/html", "application/problem+json"

_TAGS = {
    "public": "Open to all",
    "orderToken": "For who ordered, by the order's token",
    "customer": "For customers who are signed in at Mijn omgeving",
    "colleague": "For colleagues who sell",
}
_SECURITY: dict[Caller, list[Schema]] = {
    Caller.PUBLIC: [],
    Caller.ORDER_TOKEN: [{"orderToken": []}, {}],  # or the token in the query or the form
    Caller.CUSTOMER: [{"customer": []}],
    Caller.SALES: [{"colleague": []}],
}
_STRING: Schema = {"type": "string"}


def document() -> Schema:
    """The whole document."""
    found = [route for declared in handlers().values() for route in declared]
    contexts = [importlib.import_module(name) for name in _modules_with_schemas()]
    paths: dict[str, Schema] = {}
    parameters = _parameters() | {name: value for context in contexts for name, value in context.parameters().items()}
    for route in found:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, parameters)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "callvoip",
            "version": "1",
            "description": "Prices, orders, their review, and what customers have. Names and states are those of TM Forum (TMF622, "
            "TMF629, TMF637). Amounts are integer cents, excluding VAT unless the name says otherwise; times are ISO 8601 in UTC.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _schemas() | {name: value for context in contexts for name, value in context.schemas().items()},
            "parameters": parameters,
            "responses": {f"refusal{status}": _problem(meaning) for status, meaning in _REFUSALS.items()},
            "headers": {
                "ETag": {
                    "schema": _STRING,
                    "description": "For If-None-Match; begins with the version, if any, for If-Match",
                }
            },
            "securitySchemes": {
                "orderToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token told when the order was placed",
                },
                "customer": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-session",
                    "description": "From a sign-in by mail link",
                },
                "colleague": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A member of the group sales",
                },
            },
        },
    }


def _modules_with_schemas() -> Iterable[str]:
    contexts = sorted({handler.partition(".")[0] for handler in handlers()})
    return [f"{context}.schemas" for context in contexts if importlib.util.find_spec(f"{context}.schemas")]


def _operation(route: Route, known: Schema) -> Schema:
    operation: Schema = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.caller.value],
        "security": _SECURITY[route.caller],
    }
    in_path = [
        parameter(name) if name in known else {"name": name, "in": "path", "required": True, "schema": _STRING}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    if in_path or route.parameters:
        operation["parameters"] = [*in_path, *map(parameter, route.parameters)]
    if route.body:
        schema = ref(route.body.schema) if isinstance(route.body.schema, str) else _body_schema(route)
        operation["requestBody"] = {
            "required": route.body.required,
            "content": {kind: {"schema": schema} for kind in route.body.media},
        }
    operation["responses"] = {str(status): answer for status, answer in sorted(_responses(route).items())}
    return operation


def _body_schema(route: Route) -> Schema:
    assert route.body and not isinstance(route.body.schema, str)  # noqa: S101
    fields = dict(route.body.schema)
    return an_object(**fields) if route.body.required else {"type": "object", "properties": fields}


def _responses(route: Route) -> dict[int, Schema]:
    """Good answers and refusals."""
    responses: dict[int, Schema] = {
        status: {"$ref": f"#/components/responses/refusal{status}"} for status in _refusals(route)
    }
    for status, meaning in {route.status: route.summary, **route.also}.items():
        if status in (204, 304):
            responses[status] = {"description": meaning}
        elif 300 <= status < 400:
            responses[status] = {"description": meaning, "headers": {"Location": {"schema": _STRING}}}
        elif status >= 400:
            responses[status] = _problem(meaning)
        else:
            media = (
                {media: {"schema": _STRING} for media in route.answer.split(", ")}
                if "/" in route.answer
                else {JSON: {"schema": ref(route.answer)}}
            )
            responses[status] = {
                "description": meaning,
                "content": media if status == route.status else {HTML: {"schema": _STRING}},
            }
    if "ifNoneMatch" in route.parameters:
        responses[304] = {"description": "As the caller has it"}
        responses[route.status]["headers"] = {"ETag": {"$ref": "#/components/headers/ETag"}}
    if route.status == 201:
        responses[201]["headers"] = {"Location": {"schema": _STRING}}
    return responses


_REFUSALS = {
    400: "The body or If-Match cannot be read",
    401: "Not signed in",
    404: "No such thing, or not for this caller, or not through the distribution",
    409: "Not from this state",
    412: "Not the version seen",
    413: "The body is too large",
    415: "Not a media type that is read",
    422: "Something is missing or wrong",
    500: "A fault of ours",
    503: "Busy, or nothing answers: try again later",
}


def _refusals(route: Route) -> set[int]:
    """What follows from the rest of the route."""
    found = {404, 500, 503}
    if route.caller in (Caller.SALES, Caller.CUSTOMER):
        found.add(401)
    if "ifMatch" in route.parameters:
        found |= {400, 409, 412}
    if route.body:
        found |= {400, 413, 422} | ({415} if JSON in route.body.media else set())
    if route.parameters:
        found.add(422)
    return found


def _problem(meaning: str) -> Schema:
    """A problem comes as JSON, or as a page to a browser that navigates."""
    # API Gateway answers a 401 of its own as plain JSON.
    return {
        "description": meaning,
        "content": {
            PROBLEM: {"schema": ref("Problem")},
            HTML: {"schema": _STRING},
            JSON: {"schema": ref("GatewayMessage")},
        },
    }


def _parameters() -> Schema:
    return {
        "ifMatch": header("If-Match", "The version that the decision is on", example='"1"'),
        "ifNoneMatch": header("If-None-Match", "The ETag of the answer that the caller has"),
    }


def _schemas() -> Schema:
    error = an_object(field=_STRING, code=_STRING, message=_STRING)
    members = dict.fromkeys(("type", "title", "detail", "instance", "correlationId"), _STRING)
    problem = an_object(status={"type": "integer"}, **members)
    return {
        "Problem": {
            **optional(problem, errors={**a_list(error), "minItems": 1}),
            "additionalProperties": True,
            "description": "RFC 9457",
        },
        "GatewayMessage": an_object(message=_STRING),
    }


def ref(name: str) -> Schema:
    """A reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def parameter(name: str) -> Schema:
    """A reference to a parameter."""
    return {"$ref": f"#/components/parameters/{name}"}


def query(name: str, schema: Schema, description: str = "", **members: Any) -> Schema:
    """An optional parameter in the query."""
    return {"name": name, "in": "query", "required": False, "schema": schema, **_described(description), **members}


def header(name: str, description: str = "", schema: Schema = _STRING, **members: Any) -> Schema:
    """An optional header of the request."""
    return {"name": name, "in": "header", "required": False, "schema": schema, **_described(description), **members}


def _described(description: str) -> Schema:
    return {"description": description} if description else {}


def an_object(**properties: Schema) -> Schema:
    """An object of which all these members are there, and no others."""
    return {"type": "object", "properties": properties, "required": sorted(properties), "additionalProperties": False}


def a_list(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}


def more(schema: Schema, **properties: Schema) -> Schema:
    """The object with more members that are always there."""
    return {
        **schema,
        "properties": {**schema["properties"], **properties},
        "required": sorted([*schema["required"], *properties]),
    }


def optional(schema: Schema, **properties: Schema) -> Schema:
    """The object with more members that may be there."""
    return {**schema, "properties": {**schema["properties"], **properties}}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")
