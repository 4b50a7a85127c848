"""The HTTP API as an OpenAPI 3.1 document; `python -m ordering.openapi` prints what stands in docs/openapi.json.

Fields come from the form's definition and states from the order's machine. The tests hold every answer that they get against it.
"""

import json
import tomllib
from typing import Any

from ordering import form
from ordering.form import Field
from ordering.order import State
from shared import settings

Schema = dict[str, Any]

_FORM = "application/x-www-form-urlencoded"

_TYPES = {"integer": ["integer", "string"], "email": "string", "tel": "string", "kvk": "string", "text": "string", "textarea": "string"}


def document() -> Schema:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "callvoip ordering",
            "version": "1",
            "description": "Prices, orders and their review. Names and states are those of TM Forum TMF622. "
            "Amounts are integer cents, excluding VAT unless the name says otherwise; times are ISO 8601 in UTC.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": "customer", "description": "Open to all"}, {"name": "sales", "description": "For colleagues who sell"}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "parameters": _parameters(),
            "headers": {"ETag": {"schema": {"type": "string"}, "description": "The order's version, for If-Match"}},
            "securitySchemes": {
                "orderToken": {"type": "http", "scheme": "bearer", "description": "The token told when the order was placed"},
                "colleague": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A member of the group sales"},
            },
        },
    }


def _paths() -> Schema:
    order_id, token = _ref("parameters", "orderId"), _ref("parameters", "token")
    by_token: Schema = {"tags": ["customer"], "security": [{"orderToken": []}, {}], "parameters": [order_id, token]}
    by_colleague: Schema = {"tags": ["sales"], "security": [{"colleague": []}]}
    decision: Schema = {**by_colleague, "parameters": [order_id, _ref("parameters", "ifMatch")]}
    refusals = {400: "If-Match is not a version", 404: "No such order", 409: "Decided before", 412: "Not the version that was seen"}
    token_form = {"required": False, "content": {_FORM: {"schema": _object(token={"type": "string"})}}}
    return {
        "/api/prices": {
            "get": {
                "operationId": "getPrices",
                "summary": "What is on sale today",
                "tags": ["customer"],
                "security": [],
                "responses": _answers({200: _json("The prices", "Prices")}),
            }
        },
        "/api/orders": {
            "post": {
                "operationId": "placeOrder",
                "summary": "Place an order",
                "description": "A form that a browser sends is answered with the order's own page, or with the form and what is wrong.",
                "tags": ["customer"],
                "security": [],
                "parameters": [_ref("parameters", "idempotencyKey")],
                "requestBody": {
                    "required": True,
                    "content": {
                        kind: {"schema": _ref("schemas", "OrderRequest")}
                        for kind in ("application/json", "application/x-www-form-urlencoded")
                    },
                },
                "responses": _answers(
                    {
                        201: {**_json("The order, or the one placed before with this key", "PlacedOrder"), "headers": _header("Location")},
                        303: {"description": "A form was accepted: to the order's own page", "headers": _header("Location")},
                    },
                    {
                        400: "The body cannot be read",
                        409: "The client showed another price",
                        413: "The body is too large",
                        415: "Neither JSON nor a form",
                        422: "Fields are wrong, or the key was used for another order",
                    },
                ),
            }
        },
        "/api/orders/{id}": {
            "get": {
                **by_token,
                "operationId": "getOrder",
                "summary": "Follow an order",
                "responses": _answers({200: _json("The order", "Order")}, {404: "No such order, or another token"}),
            }
        },
        "/api/orders/{id}/credentials": {
            "post": {
                **by_token,
                "operationId": "issueCredentials",
                "summary": "Make the phones' credentials and tell them, once",
                "requestBody": token_form,
                "responses": _answers(
                    {200: _json("The credentials; they are not stored", "Credentials")},
                    {
                        400: "The body cannot be read",
                        404: "No such order, or another token",
                        409: "Told before, or not active yet",
                        413: "The body is too large",
                    },
                ),
            }
        },
        "/bestelling/{id}": {
            "get": {
                **by_token,
                "operationId": "getOrderPage",
                "summary": "The order's own page",
                "responses": _answers({200: _html("The page")}, {404: "No such order, or another token"}),
            }
        },
        "/bestelling/{id}/credentials": {
            "post": {
                **by_token,
                "operationId": "issueCredentialsPage",
                "summary": "The order's own page with the phones' credentials, once",
                "requestBody": token_form,
                "responses": _answers(
                    {200: _html("The page with the credentials"), 409: _html("The page with the reason why there are none")},
                    {400: "The body cannot be read", 404: "No such order, or another token", 413: "The body is too large"},
                ),
            }
        },
        "/api/sales/orders": {
            "get": {
                **by_colleague,
                "operationId": "listOrders",
                "summary": "A page of orders, newest first, and how many there are in each state",
                "parameters": [_ref("parameters", name) for name in ("state", "limit", "cursor")],
                "responses": _answers({200: _json("The page", "OrderPage")}, {422: "A parameter is wrong"}, colleague=True),
            }
        },
        "/api/sales/orders/{id}": {
            "get": {
                **by_colleague,
                "operationId": "getSalesOrder",
                "summary": "All that is known of an order",
                "parameters": [order_id],
                "responses": _answers({200: _sales_order()}, {404: "No such order"}, colleague=True),
            }
        },
        "/api/sales/orders/{id}/approve": {
            "post": {
                **decision,
                "operationId": "approveOrder",
                "summary": "Approve an order",
                "responses": _answers({200: _sales_order()}, refusals, colleague=True),
            }
        },
        "/api/sales/orders/{id}/reject": {
            "post": {
                **decision,
                "operationId": "rejectOrder",
                "summary": "Reject an order with a reason, which the customer reads",
                "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("schemas", "Rejection")}}},
                "responses": _answers(
                    {200: _sales_order()},
                    {**refusals, 413: "The body is too large", 415: "Not JSON", 422: "No reason"},
                    colleague=True,
                ),
            }
        },
    }


def _parameters() -> Schema:
    return {
        "orderId": {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}, "example": "9AWHNQ3569"},
        "token": {"name": "token", "in": "query", "required": False, "schema": {"type": "string"}},
        "idempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            "description": "The same request with the same key gets the same order for a day",
        },
        "ifMatch": {
            "name": "If-Match",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "The version that the decision is on",
            "example": '"1"',
        },
        "state": {"name": "state", "in": "query", "required": False, "schema": _ref("schemas", "State")},
        "limit": {
            "name": "limit",
            "in": "query",
            "required": False,
            "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
        },
        "cursor": {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string"}},
    }


def _schemas() -> Schema:
    promotion = _ref("schemas", "Promotion")
    text, cents, count = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "integer", "minimum": 1}
    moment, day = {"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}
    state = _ref("schemas", "State")
    offering = _object(id=text, version=count, name=text, unit={"enum": ["phone", "number"]}, period={"enum": ["month", "once"]})
    event = _object(at=moment, to=state, **{"from": {"anyOf": [state, {"type": "null"}]}})
    order = _object(
        id=text,
        state=state,
        version=count,
        orderDate=moment,
        category=text,
        productOrderItem={"type": "array", "minItems": 1, "items": _ref("schemas", "OrderItem")},
        monthlyTotalCents=cents,
        vatRatePercent=cents,
        monthlyTotalInclVatCents=cents,
        credentials={"enum": ["later", "available", "issued"]},
    )
    order = _optional(order, completionDate=moment, credentialsIssuedAt=moment, sip=_ref("schemas", "Sip"))
    events = {"type": "array", "minItems": 1, "items": _optional(event, why=text)}
    party = _object(company=text, kvk=text, name=text, email=text, telephone=text)
    summary = _more(order, customerId=text, relatedParty=party)
    sales_events = {"type": "array", "minItems": 1, "items": _optional(_more(event, who=text), why=text)}
    error = _object(field=text, code=text, message=text)
    problem = _object(type=text, title=text, status={"type": "integer"}, detail=text, instance=text, correlationId=text)
    return {
        "State": {"enum": [str(each) for each in State]},
        "Sip": _object(domain=text, host=text, port=count, transport={"const": "tls"}),
        "Promotion": _object(id=text, discountPercent=cents, validUntil=day, unitPriceCents=cents),
        "OrderItem": _optional(
            _object(quantity=count, productOffering=offering, unitPriceCents=cents, totalCents=cents),
            promotion=promotion,
        ),
        "Prices": _object(
            currency=text,
            vatRatePercent=cents,
            offerings={"type": "array", "items": _optional(_more(offering, unitPriceCents=cents), promotion=promotion)},
        ),
        "OrderRequest": _order_request(),
        "Order": _more(order, events=events),
        "PlacedOrder": _more(order, events=events, token=text, href=text),
        "Credentials": _object(
            sip=_ref("schemas", "Sip"),
            phones={"type": "array", "minItems": 1, "items": _object(extension=count, username=text, password=text)},
        ),
        "OrderSummary": summary,
        "OrderPage": _object(
            items={"type": "array", "items": _ref("schemas", "OrderSummary")},
            counts=_object(**{str(each): cents for each in State}),
            next={"type": ["string", "null"]},
        ),
        "SalesOrder": _optional(_more(summary, note=text, events=sales_events), node=_object(id=text, state=text, address=text)),
        "Rejection": _object(reason={"type": "string", "minLength": 1, "maxLength": 1000}),
        "Problem": {
            **_optional(problem, errors={"type": "array", "minItems": 1, "items": error}, state=state, version=count),
            "description": "RFC 9457",
            "additionalProperties": {"type": "integer"},
        },
    }


def _order_request() -> Schema:
    definition = form.parse(tomllib.loads((settings.data_directory() / "forms" / "srtp.toml").read_text()))
    schema: Schema = {
        "type": "object",
        "properties": {field.name: _field(field) for field in definition.fields},
        "required": [field.name for field in definition.fields if field.required],
    }
    schema["properties"] |= {
        "category": {"const": definition.id, "default": definition.id},
        "monthlyTotalCents": {"type": ["integer", "string", "null"], "description": "What the client showed; another price is a 409"},
        "idempotencyKey": {"type": "string", "description": "As the header, for forms"},
    }
    return schema


def _field(field: Field) -> Schema:
    schema: Schema = {"title": field.label, "type": _TYPES[field.type], "maxLength": field.max_length}
    if field.minimum is not None:
        schema["minimum"] = field.minimum
    if field.maximum is not None:
        schema["maximum"] = field.maximum
    return schema


def _answers(good: dict[int, Schema], bad: dict[int, str] | None = None, *, colleague: bool = False) -> Schema:
    """All answers of an operation; problems come as JSON, or as a page to a browser that navigates."""
    problems = {**(bad or {}), **({401: "Not signed in"} if colleague else {})}
    problems |= {403: "Not through the distribution" + (", or not in the group" if colleague else "")}
    problems |= {500: "A fault of ours", 503: "Others kept changing the same order"}
    answers = dict(good)
    for status, meaning in problems.items():
        pages = {"application/problem+json": {"schema": _ref("schemas", "Problem")}, "text/html": {"schema": {"type": "string"}}}
        answers[status] = {"description": good[status]["description"] if status in good else meaning, "content": pages}
    for status, answer in good.items():
        if status in answers and "content" in answer:
            answers[status] = {**answer, "content": {**answers[status].get("content", {}), **answer["content"]}}
    return {str(status): answers[status] for status in sorted(answers)}


def _json(description: str, schema: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": _ref("schemas", schema)}}}


def _html(description: str) -> Schema:
    return {"description": description, "content": {"text/html": {"schema": {"type": "string"}}}}


def _sales_order() -> Schema:
    return {**_json("The order", "SalesOrder"), "headers": {"ETag": _ref("headers", "ETag")}}


def _header(name: str) -> Schema:
    return {name: {"schema": {"type": "string"}}}


def _ref(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


def _object(**properties: Schema) -> Schema:
    """An object of which all these members are there, and no others."""
    return {"type": "object", "properties": properties, "required": sorted(properties), "additionalProperties": False}


def _more(schema: Schema, **properties: Schema) -> Schema:
    """The object with more members that are always there."""
    return {
        **schema,
        "properties": {**schema["properties"], **properties},
        "required": sorted([*schema["required"], *properties]),
    }


def _optional(schema: Schema, **properties: Schema) -> Schema:
    """The object with more members that may be there."""
    return {**schema, "properties": {**schema["properties"], **properties}}


if __name__ == "__main__":
    print(json.dumps(document(), indent=2, ensure_ascii=False))
