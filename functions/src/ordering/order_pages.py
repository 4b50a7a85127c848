"""The pages around an order: its form again, the step in which it is read over, and the order's own page."""

import uuid
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from ordering import form, views
from ordering.credentials import PhoneCredentials
from ordering.order import Event, Order
from ordering.pricing import Price
from ordering.request import DEFAULT_CATEGORY, Fields, OrderRequest, form_of
from shared import html
from shared.brand import brand
from shared.problem import FieldProblem, Problem

FILLED_IN = "private, no-cache"
"""Of a page with what was typed: kept by the browser that shows it, so that Back finds it again, and by nobody else."""


def href(order_id: str, token: str, language: str) -> str:
    """The order's own page."""
    return f"/bestelling/{order_id}?token={quote(token)}{'' if language == html.DUTCH else f'&language={language}'}"


def own_page(
    found: Order,
    events: Sequence[Event],
    token: str,
    language: str,
    *,
    phones: Sequence[PhoneCredentials] | None = None,
    problem: Problem | None = None,
    proof: str = "",
) -> str:
    """The order's own page; with the phones' credentials, with a problem, with a button that proves the mail address."""
    domain = brand().sip_domain
    return html.render(
        "order",
        language,
        order=views.order(found, events, domain),
        token=token,
        credentials=None if phones is None else views.credentials(found, domain, phones),
        problem=problem and {"title": problem.kind.title, "detail": problem.detail},
        proof=proof if found.address_proven_at is None else "",
    )


def check_page(request: OrderRequest, price: Price, key: str, fields: Fields) -> str:
    """What was filled in, to be read over before it is ordered; nothing is written.

    The page sends back `hidden` with step=order to place the order, or with step=change to change it.
    """
    values = {name: str(value) for name, value in request.checked.values.items()}
    kept = {name: form.as_text(fields.get(name)) for name in ("website", "altcha", "language") if fields.get(name)}
    return html.render(
        "check",
        request.language,
        category=request.definition.id,
        values=values,
        answers=[
            {"name": field.name, "label": field.label, "text": field.shown(request.checked.values[field.name])}
            for field in request.definition.fields
            if request.checked.values[field.name] != ""
        ],
        price=views.price(price),
        hidden={
            "category": request.definition.id,
            **values,
            **kept,
            "monthlyTotalCents": str(price.monthly_total_cents),
            "oneTimeTotalCents": str(price.one_time_total_cents),
            "idempotencyKey": key,
        },
    )


def form_page(fields: Fields, language: str, errors: Sequence[FieldProblem] = ()) -> str:
    """The form of this kind of order, filled in."""
    category = form.as_text(fields.get("category"))
    known: Mapping[str, str] = {name: form.as_text(value) for name, value in fields.items()}
    return html.render(
        "order-form",
        language,
        values={**known, "category": category if form_of(category) else DEFAULT_CATEGORY},
        errors={wrong.field: wrong.message for wrong in errors},
        error_list=[{"field": wrong.field, "message": wrong.message} for wrong in errors],
        idempotency_key=form.as_text(fields.get("idempotencyKey")) or str(uuid.uuid4()),
    )
