"""What the OpenAPI document says of ordering's answers, requests and parameters; fields come from the forms, states from the order.

`shared/openapi.py` makes the document of it.
"""

import tomllib

from ordering import form
from ordering.form import Field
from ordering.lists import MOST_SEARCHED
from ordering.order import CORRECTABLE, SRTP, Action, EventKind, State
from ordering.queue import Sort
from ordering.request import LONGEST_TEXT
from shared import settings
from shared.openapi import Schema, a_list, an_object, header, more, optional, query, ref

_TYPES: dict[str, str | list[str]] = {
    "checkbox": ["boolean", "string"],
    "integer": ["integer", "string"],
    "email": "string",
    "tel": "string",
    "area-code": "string",
    "enterprise-number": "string",
    "text": "string",
    "textarea": "string",
    "choice": "string",
}


def parameters() -> Schema:
    """The parameters of ordering's routes, by name."""
    key = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    short = {"type": "string", "maxLength": 100}
    order_id = {"type": "string", "pattern": "^[0-9A-HJKMNP-TV-Z]{10}$"}
    node_id = {"type": "string", "pattern": "^n[0-9]{4,}$"}
    return {
        "order_id": {"name": "order_id", "in": "path", "required": True, "schema": order_id, "example": "9AWHNQ3569"},
        "node_id": {"name": "node_id", "in": "path", "required": True, "schema": node_id, "example": "n0001"},
        "token": query("token", {"type": "string"}),
        "idempotencyKey": header(
            "Idempotency-Key", "The same request with the same key gets the same order, however late", key
        ),
        "state": query("state", a_list(ref("State")), style="form", explode=False),
        "category": query("category", short),
        "q": query("q", short, "Words of the company, a KvK or telephone number, or an order's id"),
        "sort": query("sort", {"enum": [each.value for each in Sort]}),
        "order": query("order", {"enum": ["asc", "desc"], "default": "desc"}),
        "since": query("since", {"type": "string", "format": "date-time"}, "`until` of the answer before"),
        "proof": query("proof", {"type": "string"}, "From the mail: what proves that it was read"),
        "language": query("language", {"type": "string"}, "Of the page: en, or else Dutch"),
        "month": query("month", {"type": "string", "pattern": "^20[0-9]{2}-(?:0[1-9]|1[0-2])$"}, example="2026-11"),
        "limit": query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}),
        "cursor": query("cursor", {"type": "string"}),
    }


def schemas() -> Schema:
    """The schemas of ordering's requests and answers, by name."""
    promotion = ref("Promotion")
    text, cents, count = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "integer", "minimum": 1}
    moment, day = {"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}
    state = ref("State")
    offering = an_object(
        id=text, version=count, name=text, unit={"enum": ["phone", "number"]}, period={"enum": ["month", "once"]}
    )
    event = an_object(at=moment, to=state, **{"from": {"anyOf": [state, {"type": "null"}]}})
    order = an_object(
        id=text,
        state=state,
        version=count,
        orderDate=moment,
        category=text,
        productOrderItem={"type": "array", "items": ref("OrderItem")},
        monthlyTotalCents=cents,
        vatRatePercent=cents,
        monthlyTotalInclVatCents=cents,
        oneTimeTotalCents=cents,
        oneTimeTotalInclVatCents=cents,
        credentials={"enum": ["later", "available", "issued"]},
    )
    order = optional(order, completionDate=moment, credentialsIssuedAt=moment, sip=ref("Sip"))
    kind = {"enum": [each.value for each in EventKind if each is not EventKind.CHANGE]}
    events = {"type": "array", "minItems": 1, "items": optional(event, why=text, kind=kind)}
    spam = an_object(
        score={"type": "integer", "minimum": 0, "maximum": 100},
        reasons=a_list(an_object(code=text, text=text, points=count)),
    )
    amount = {"type": ["integer", "null"], "minimum": 0}
    party = an_object(company=text, kvk=text, name=text, email=text, telephone=text, country={"enum": ["NL", "BE"]})
    maybe_moment = {"type": ["string", "null"], "format": "date-time"}
    summary = more(
        order,
        action={"enum": [str(each) for each in Action]},
        customerId=text,
        knownCustomer={"type": "boolean"},
        signedIn={"type": "boolean"},
        relatedParty=party,
        addressProvenAt=maybe_moment,
        attention={"enum": ["answered", "cancellationAsked", None]},
        language=text,
        spam=spam,
    )
    unreadable = an_object(
        id=text,
        unreadable={"const": True},
        state={"type": ["string", "null"]},
        orderDate={"type": ["string", "null"]},
    )
    summaries = a_list({"anyOf": [ref("OrderSummary"), ref("UnreadableOrder")]})
    counts = an_object(**{str(each): cents for each in State}, answered=cents)
    change = an_object(field=text, before=text, after=text)
    sales_event = optional(more(event, who=text), why=text, kind=kind, note=text, changes=a_list(change))
    sums = an_object(orders=cents, phones=cents, monthlyRevenueCents=cents)
    lines = {"type": "string", "maxLength": LONGEST_TEXT}
    reason, only_sales = {**lines, "minLength": 1}, {**lines, "description": "What only sales reads"}
    sales_events = {"type": "array", "minItems": 1, "items": sales_event}
    complete = {"type": "boolean", "description": f"Whether no state has more than {MOST_SEARCHED} orders to look at"}
    details = a_list(an_object(name=text, value=text, label=text, text=text))
    node = optional(an_object(id=text, state=text, address=text, standby=text), probe={"type": "object"})
    return {
        "State": {"enum": [str(each) for each in State]},
        "Sip": an_object(domain=text, host=text, port=count, transport={"const": "tls"}),
        "Promotion": an_object(id=text, discountPercent=cents, validUntil=day, unitPriceCents=cents),
        "OrderItem": optional(
            an_object(quantity=count, productOffering=offering, unitPriceCents=cents, totalCents=cents),
            promotion=promotion,
        ),
        "Prices": an_object(
            currency=text,
            vatRatePercent=cents,
            offerings={"type": "array", "items": optional(more(offering, unitPriceCents=cents), promotion=promotion)},
        ),
        "OrderRequest": _order_request(),
        "Order": more(order, details=details, events=events),
        "PlacedOrder": more(order, details=details, events=events, token=text, href=text),
        "Challenge": an_object(algorithm=text, challenge=text, maxnumber=count, salt=text, signature=text),
        "Credentials": an_object(
            files=a_list(an_object(name=text, mediaType=text, content=text)),
            sip=ref("Sip"),
            phones={"type": "array", "minItems": 1, "items": an_object(extension=count, username=text, password=text)},
        ),
        "OrderSummary": summary,
        "UnreadableOrder": unreadable,
        "OrderPage": an_object(items=summaries, counts=counts, next={"type": ["string", "null"]}, complete=complete),
        "OrderChanges": an_object(items=summaries, counts=counts, until=moment, more={"type": "boolean"}),
        "RelatedOrders": an_object(items=summaries, complete=complete),
        "ToldReason": optional(an_object(reason=reason), note=only_sales),
        "ToldQuestion": optional(an_object(question=reason), note=only_sales),
        "Correction": {"type": "object", "properties": dict.fromkeys(CORRECTABLE, text), "minProperties": 1},
        "Decision": optional(
            an_object(decision={"enum": ["approve", "reject", "ask", "hold", "resume", "cancel", "complete"]}),
            reason=lines,
        ),
        "MailPreview": an_object(to=text, subject={"type": ["string", "null"]}, text={"type": ["string", "null"]}),
        "SalesOrder": optional(more(summary, note=text, details=details, events=sales_events), node=node),
        "Selection": an_object(
            orders={
                "type": "array",
                "minItems": 1,
                "maxItems": 50,
                "items": an_object(id=text, version={"type": "integer"}),
            },
        ),
        "Approvals": an_object(
            results=a_list(
                optional(an_object(id=text, status=count), state=state, version=count, problem=ref("Problem"))
            ),
        ),
        "Overview": an_object(
            month=text,
            orders=cents,
            active=sums,
            expected=sums,
            lost=sums,
            byState=an_object(**{str(each): cents for each in State}),
            byDay=a_list(an_object(day=day, orders=count)),
            complete=complete,
        ),
        "Fleet": an_object(
            nodes=a_list(
                an_object(
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
        "NodeMetrics": an_object(
            samples=a_list(an_object(at=moment, values={"type": "object", "additionalProperties": {"type": "number"}})),
        ),
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
        **{
            name: {
                "type": ["integer", "string", "null"],
                "description": "What the client showed; another price is a 409",
            }
            for name in ("monthlyTotalCents", "oneTimeTotalCents")
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
