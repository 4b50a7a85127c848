"""The HTTP API as an OpenAPI 3.1 document; `python -m ordering.openapi` prints what stands in docs/openapi.json.

Fields come from the form's definition and states from the order's machine. The tests hold every answer that they get
against it.
"""

import json
import tomllib
from typing import Any

from ordering import form
from ordering.form import Field
from ordering.order import SRTP, EventKind, State
from ordering.queue import Sort
from ordering.store import MOST_SEARCHED
from shared import settings

Schema = dict[str, Any]

_FORM = "application/x-www-form-urlencoded"

_TYPES: dict[str, str | list[str]] = {
    "checkbox": ["boolean", "string"],
    "integer": ["integer", "string"],
    "email": "string",
    "tel": "string",
    "kvk": "string",
    "text": "string",
    "textarea": "string",
    "choice": "string",
}


_LINES: Schema = {"type": "string", "maxLength": 1000}


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
        "tags": [
            {"name": "customer", "description": "Open to all"},
            {"name": "sales", "description": "For colleagues who sell"},
        ],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "parameters": _parameters(),
            "headers": {
                "ETag": {"schema": {"type": "string"}, "description": "Begins with the order's version, for If-Match"}
            },
            "securitySchemes": {
                "orderToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token told when the order was placed",
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


def _paths() -> Schema:
    order_id, token = _ref("parameters", "orderId"), _ref("parameters", "token")
    by_token: Schema = {"tags": ["customer"], "security": [{"orderToken": []}, {}], "parameters": [order_id, token]}
    by_colleague: Schema = {"tags": ["sales"], "security": [{"colleague": []}]}
    decision: Schema = {**by_colleague, "parameters": [order_id, _ref("parameters", "ifMatch")]}
    refusals = {
        400: "If-Match or the body cannot be read",
        404: "No such order",
        409: "Not from this state",
        412: "Not the version seen",
    }
    cannot = {
        400: "If-Match or the body cannot be read",
        404: "No such order, or another token",
        409: "Not from this state",
    }
    cannot |= {
        412: "Not the version seen",
        413: "The body is too large",
        415: "Neither JSON nor a form",
        422: "A text is missing or too long",
    }
    page_refusals = {name: cannot[name] for name in (400, 404, 413)}
    filters = ("state", "category", "q", "sort", "order")
    token_form = {"required": False, "content": {_FORM: {"schema": _object(token={"type": "string"})}}}

    def changed_by_customer(operation: str, summary: str, field: str) -> Schema:
        post = {
            **by_token,
            "parameters": [order_id, token, _ref("parameters", "ifMatch")],
            "operationId": operation,
            "summary": summary,
            "requestBody": _optional_text_body(**{"token": {"type": "string"}, field: _LINES}),
            "responses": _answers({200: _json("The order", "Order")}, cannot),
        }
        return {"post": post}

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
                        201: {
                            **_json("The order, or the one placed before with this key", "PlacedOrder"),
                            "headers": _header("Location"),
                        },
                        200: _html("step=check: what was filled in, to be read over; step=change: the form again"),
                        303: {
                            "description": "A form was accepted: to the order's own page",
                            "headers": _header("Location"),
                        },
                    },
                    {
                        400: "The body cannot be read",
                        409: "The client showed another price, or this customer has an open order",
                        429: "Too many orders from one source; Retry-After says when to try again",
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
        "/api/orders/{id}/cancel": changed_by_customer(
            "cancelOrder", "Withdraw an order, or ask to cancel it when it was approved", "reason"
        ),
        "/api/orders/{id}/answer": changed_by_customer("answerQuestion", "Answer the question of sales", "text"),
        "/api/challenge": {
            "get": {
                "operationId": "getChallenge",
                "summary": "A proof of work, by ALTCHA's protocol; its solution goes into the field altcha of an order",
                "tags": ["customer"],
                "security": [],
                "responses": _answers({200: _json("The challenge", "Challenge")}),
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
                    {
                        200: _html("The page with the credentials"),
                        409: _html("The page with the reason why there are none"),
                    },
                    {
                        400: "The body cannot be read",
                        404: "No such order, or another token",
                        413: "The body is too large",
                    },
                ),
            }
        },
        **{
            f"/bestelling/{{id}}/{name}": {
                "post": {
                    **by_token,
                    "operationId": f"{name}OnPage",
                    "summary": f"The twin of /api/orders/{{id}}/{name} for browsers without JavaScript",
                    "requestBody": {
                        "required": False,
                        "content": {_FORM: {"schema": _some(token={"type": "string"}, **{field: _LINES})}},
                    },
                    "responses": _answers(
                        {
                            303: {"description": "Done: to the order's own page", "headers": _header("Location")},
                            **_wrong_pages(),
                        },
                        page_refusals,
                    ),
                }
            }
            for name, field in (("cancel", "reason"), ("answer", "text"))
        },
        "/api/sales/orders": {
            "get": {
                **by_colleague,
                "operationId": "listOrders",
                "summary": "A page of orders, and how many there are in each state",
                "description": "By orderDate, newest first and without q and category, all orders can be paged through; any other way "
                f"looks at the newest {MOST_SEARCHED} of each state, and says so when there are more.",
                "parameters": [_ref("parameters", name) for name in (*filters, "limit", "cursor", "ifNoneMatch")],
                "responses": _answers(
                    _unless_seen(_json("The page", "OrderPage")), {422: "A parameter is wrong"}, colleague=True
                ),
            }
        },
        "/api/sales/orders/{id}": {
            "get": {
                **by_colleague,
                "operationId": "getSalesOrder",
                "summary": "All that is known of an order",
                "parameters": [order_id, _ref("parameters", "ifNoneMatch")],
                "responses": _answers(_unless_seen(_sales_order()), {404: "No such order"}, colleague=True),
            }
        },
        "/api/sales/export": {
            "get": {
                **by_colleague,
                "operationId": "exportOrders",
                "summary": "The orders that the filter shows, as a table for Excel",
                "parameters": [_ref("parameters", name) for name in filters],
                "responses": _answers(
                    {200: {"description": "The table", "content": {"text/csv": {"schema": {"type": "string"}}}}},
                    {422: "A parameter is wrong"},
                    colleague=True,
                ),
            }
        },
        "/api/sales/overview": {
            "get": {
                **by_colleague,
                "operationId": "getOverview",
                "summary": "What the orders of one month come to",
                "parameters": [_ref("parameters", "month"), _ref("parameters", "ifNoneMatch")],
                "responses": _answers(
                    _unless_seen(_json("The month", "Overview")), {422: "A parameter is wrong"}, colleague=True
                ),
            }
        },
        "/api/sales/fleet": {
            "get": {
                **by_colleague,
                "operationId": "getFleet",
                "summary": "The media nodes and how full they are",
                "parameters": [_ref("parameters", "ifNoneMatch")],
                "responses": _answers(_unless_seen(_json("The nodes", "Fleet")), colleague=True),
            }
        },
        "/api/sales/approvals": {
            "post": {
                **by_colleague,
                "operationId": "approveSelected",
                "summary": "Approve the orders that were selected, each on the version that was seen",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _ref("schemas", "Selection")}},
                },
                "responses": _answers(
                    {200: _json("What became of each", "Approvals")},
                    {
                        400: "The body cannot be read",
                        413: "The body is too large",
                        415: "Not JSON",
                        422: "None, too many, or not orders",
                    },
                    colleague=True,
                ),
            }
        },
        **{
            f"/api/sales/orders/{{id}}/{name}": {
                "post": {
                    **decision,
                    "operationId": operation,
                    "summary": summary,
                    "responses": _answers({200: _sales_order()}, refusals, colleague=True),
                }
            }
            for name, operation, summary in (
                ("approve", "approveOrder", "Approve an order"),
                ("resume", "resumeOrder", "Go on with an order that was on hold, or whose cancellation is refused"),
                ("complete", "completeOrder", "Say that an order that needs no node has been carried out"),
            )
        },
        **{
            f"/api/sales/orders/{{id}}/{name}": {
                "post": {
                    **decision,
                    "operationId": operation,
                    "summary": summary,
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": _object(**{field: {**_LINES, "minLength": 1}})}},
                    },
                    "responses": _answers(
                        {200: _sales_order()},
                        {**refusals, 413: "The body is too large", 415: "Not JSON", 422: "No text, or too long a one"},
                        colleague=True,
                    ),
                }
            }
            for name, operation, field, summary in (
                ("ask", "askCustomer", "question", "Ask the customer something; the order waits for the answer"),
                ("hold", "holdOrder", "reason", "Put an approved order on hold; the customer reads why"),
                (
                    "cancel",
                    "cancelSalesOrder",
                    "reason",
                    "Cancel an order; the customer reads why, and the fleet frees its place",
                ),
                ("notes", "addNote", "text", "Write something down for colleagues; the customer never sees it"),
            )
        },
        "/api/sales/orders/{id}/reject": {
            "post": {
                **decision,
                "operationId": "rejectOrder",
                "summary": "Reject an order with a reason, which the customer reads",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _ref("schemas", "Rejection")}},
                },
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
        "orderId": {
            "name": "id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": "^[0-9A-HJKMNP-TV-Z]{10}$"},
            "example": "9AWHNQ3569",
        },
        "token": {"name": "token", "in": "query", "required": False, "schema": {"type": "string"}},
        "idempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            "description": "The same request with the same key gets the same order, however late it comes again",
        },
        "ifMatch": {
            "name": "If-Match",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "The version that the decision is on",
            "example": '"1"',
        },
        "ifNoneMatch": {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "The ETag of the answer that the caller has",
        },
        "state": {
            "name": "state",
            "in": "query",
            "required": False,
            "schema": {"type": "array", "items": _ref("schemas", "State")},
            "style": "form",
            "explode": False,
        },
        "category": {
            "name": "category",
            "in": "query",
            "required": False,
            "schema": {"type": "string", "maxLength": 100},
        },
        "q": {
            "name": "q",
            "in": "query",
            "required": False,
            "schema": {"type": "string", "maxLength": 100},
            "description": "Words of the company, a KvK or telephone number, or an order's id",
        },
        "sort": {"name": "sort", "in": "query", "required": False, "schema": {"enum": [each.value for each in Sort]}},
        "order": {
            "name": "order",
            "in": "query",
            "required": False,
            "schema": {"enum": ["asc", "desc"], "default": "desc"},
        },
        "month": {
            "name": "month",
            "in": "query",
            "required": False,
            "schema": {"type": "string", "pattern": "^20[0-9]{2}-(?:0[1-9]|1[0-2])$"},
            "example": "2026-11",
        },
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
    offering = _object(
        id=text, version=count, name=text, unit={"enum": ["phone", "number"]}, period={"enum": ["month", "once"]}
    )
    event = _object(at=moment, to=state, **{"from": {"anyOf": [state, {"type": "null"}]}})
    order = _object(
        id=text,
        state=state,
        version=count,
        orderDate=moment,
        category=text,
        productOrderItem={"type": "array", "items": _ref("schemas", "OrderItem")},
        monthlyTotalCents=cents,
        vatRatePercent=cents,
        monthlyTotalInclVatCents=cents,
        oneTimeTotalCents=cents,
        oneTimeTotalInclVatCents=cents,
        credentials={"enum": ["later", "available", "issued"]},
    )
    order = _optional(order, completionDate=moment, credentialsIssuedAt=moment, sip=_ref("schemas", "Sip"))
    kind = {"enum": [each.value for each in EventKind if each is not EventKind.CHANGE]}
    events = {"type": "array", "minItems": 1, "items": _optional(event, why=text, kind=kind)}
    spam = _object(
        score={"type": "integer", "minimum": 0, "maximum": 100},
        reasons=_list(_object(code=text, text=text, points=count)),
    )
    amount = {"type": ["integer", "null"], "minimum": 0}
    party = _object(company=text, kvk=text, name=text, email=text, telephone=text)
    summary = _more(order, customerId=text, relatedParty=party, spam=spam)
    sales_event = _optional(_more(event, who=text), why=text, kind=kind)
    sales_events = {"type": "array", "minItems": 1, "items": sales_event}
    complete = {"type": "boolean", "description": f"Whether no state has more than {MOST_SEARCHED} orders to look at"}
    details = _list(_object(name=text, value=text, label=text, text=text))
    node = _optional(_object(id=text, state=text, address=text), probe={"type": "object"})
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
        "Order": _more(order, details=details, events=events),
        "PlacedOrder": _more(order, details=details, events=events, token=text, href=text),
        "Challenge": _object(algorithm=text, challenge=text, maxnumber=count, salt=text, signature=text),
        "Credentials": _object(
            files=_list(_object(name=text, mediaType=text, content=text)),
            sip=_ref("schemas", "Sip"),
            phones={"type": "array", "minItems": 1, "items": _object(extension=count, username=text, password=text)},
        ),
        "OrderSummary": summary,
        "OrderPage": _object(
            items={"type": "array", "items": _ref("schemas", "OrderSummary")},
            counts=_object(**{str(each): cents for each in State}),
            next={"type": ["string", "null"]},
            complete=complete,
        ),
        "SalesOrder": _optional(_more(summary, note=text, details=details, events=sales_events), node=node),
        "Selection": _object(
            orders={
                "type": "array",
                "minItems": 1,
                "maxItems": 50,
                "items": _object(id=text, version={"type": "integer"}),
            },
        ),
        "Approvals": _object(
            results=_list(
                _optional(
                    _object(id=text, status=count), state=state, version=count, problem=_ref("schemas", "Problem")
                )
            ),
        ),
        "Overview": _object(
            month=text,
            orders=cents,
            phones=cents,
            monthlyRevenueCents=cents,
            byState=_object(**{str(each): cents for each in State}),
            byDay=_list(_object(day=day, orders=count)),
            complete=complete,
        ),
        "Fleet": _object(
            nodes=_list(
                _object(
                    id=text,
                    state=text,
                    address=text,
                    capacity=cents,
                    allocated=cents,
                    calls=amount,
                    registrations=amount,
                    heartbeatAt={"type": ["string", "null"], "format": "date-time"},
                )
            ),
        ),
        "Rejection": _object(reason={"type": "string", "minLength": 1, "maxLength": 1000}),
        "Problem": {
            **_optional(
                problem,
                errors={"type": "array", "minItems": 1, "items": error},
                state=state,
                version=count,
                changes=_list(_optional(event, why=text, kind=kind, who=text)),
            ),
            "description": "RFC 9457",
            "additionalProperties": {"type": "integer"},
        },
    }


def _order_request() -> Schema:
    paths = sorted((settings.data_directory() / "forms").glob("*.toml"))
    return {"oneOf": [_order_request_of(form.parse(tomllib.loads(path.read_text()))) for path in paths]}


def _order_request_of(definition: form.Form) -> Schema:
    is_default = definition.id == SRTP
    schema: Schema = {
        "title": definition.id,
        "type": "object",
        "properties": {field.name: _field(field) for field in definition.fields},
        "required": [
            *([] if is_default else ["category"]),
            *(field.name for field in definition.fields if field.required),
        ],
    }
    schema["properties"] |= {
        "category": {"const": definition.id, **({"default": definition.id} if is_default else {})},
        "altcha": {"type": "string", "description": "The solution of a challenge; absent is no refusal"},
        "website": {"type": "string", "description": "Shown to no person: leave it empty"},
        "step": {
            "enum": ["check", "change", "order"],
            "description": "Of forms: check answers a page to read over, change the form again",
        },
        "monthlyTotalCents": {
            "type": ["integer", "string", "null"],
            "description": "What the client showed; another price is a 409",
        },
        "idempotencyKey": {"type": "string", "description": "As the header, for forms"},
        "language": {
            "type": "string",
            "description": "Of the page, the form's errors and the order's own page: en, or else Dutch",
        },
    }
    return schema


def _field(field: Field) -> Schema:
    schema: Schema = {"title": field.label, "type": _TYPES[field.type], "maxLength": field.max_length}
    if field.minimum is not None:
        schema["minimum"] = field.minimum
    if field.maximum is not None:
        schema["maximum"] = field.maximum
    if field.options:
        schema["enum"] = [option.value for option in field.options]
    return schema


def _unless_seen(answer: Schema) -> dict[int, Schema]:
    """An answer with an entity tag, and what stands in its place for who has it already."""
    tag = {"schema": {"type": "string"}, "description": "For If-None-Match"}
    return {200: {"headers": {"ETag": tag}, **answer}, 304: {"description": "As the caller has it"}}


def _answers(good: dict[int, Schema], bad: dict[int, str] | None = None, *, colleague: bool = False) -> Schema:
    """All answers of an operation; problems come as JSON, or as a page to a browser that navigates."""
    problems = {**(bad or {}), **({401: "Not signed in"} if colleague else {})}
    # A 404 stands for 403 as well: not through the distribution, or not in the group of sales.
    problems = {404: "Not through the distribution" + (", or not in the group" if colleague else ""), **problems}
    problems |= {500: "A fault of ours", 503: "Others kept changing the same order"}
    answers = dict(good)
    for status, meaning in problems.items():
        pages = {
            "application/problem+json": {"schema": _ref("schemas", "Problem")},
            "text/html": {"schema": {"type": "string"}},
        }
        if status == 401:
            # API Gateway's own answer, when it refuses the token itself.
            pages["application/json"] = {"schema": _object(message={"type": "string"})}
        answers[status] = {"description": good[status]["description"] if status in good else meaning, "content": pages}
    for status, answer in good.items():
        if status in answers and "content" in answer:
            answers[status] = {**answer, "content": {**answers[status].get("content", {}), **answer["content"]}}
    return {str(status): answers[status] for status in sorted(answers)}


def _json(description: str, schema: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": _ref("schemas", schema)}}}


def _wrong_pages() -> dict[int, Schema]:
    meanings = {
        409: "The page with the reason why not",
        412: "The page: not the version seen",
        422: "The page: the text is wrong",
    }
    return {status: _html(meaning) for status, meaning in meanings.items()}


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


def _some(**properties: Schema) -> Schema:
    """An object of which these members may be there."""
    return {"type": "object", "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _optional_text_body(**properties: Schema) -> Schema:
    return {
        "required": False,
        "content": {kind: {"schema": _some(**properties)} for kind in ("application/json", _FORM)},
    }


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
