"""What a customer does with an order: place it, follow it, and collect the phones' credentials."""

import json
import re
import tomllib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from urllib.parse import quote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from ordering import credentials, form, order, pricing, views
from ordering.order import Event, Order, OrderError, RelatedParty
from ordering.problems import PROBLEMS, IdempotencyKeyReusedError, PriceChangedError
from ordering.store import AlreadyPlacedError, CatalogueStore, IdempotencyRecord, NoNodeError, OrderStore, UnknownOrderError
from shared import clock, html, http, problem, settings
from shared.brand import brand
from shared.problem import FieldProblem, ProblemError
from shared.telemetry import count, logger

DEFAULT_CATEGORY = "srtp"
_CATEGORY = re.compile(r"[a-z][a-z-]{0,31}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")

app: APIGatewayHttpResolver = http.api(PROBLEMS)


@dataclass(frozen=True)
class _Placed:
    order: Order
    events: Sequence[Event]
    token: str

    @property
    def href(self) -> str:
        """The order's own page."""
        return f"/bestelling/{self.order.id}?token={quote(self.token)}"


@cache
def orders() -> OrderStore:
    """The orders of this deployment."""
    return OrderStore(settings.orders_table(), settings.fleet_table())


@cache
def catalogue() -> CatalogueStore:
    """The catalogue that this deployment sells from."""
    return CatalogueStore(settings.catalogue_table())


@lru_cache(maxsize=16)
def form_of(category: str) -> form.Form | None:
    """The form that orders of this category are made with; None when there is no such category."""
    path = settings.data_directory() / "forms" / f"{category}.toml"
    return form.parse(tomllib.loads(path.read_text())) if _CATEGORY.fullmatch(category) and path.is_file() else None


@app.post("/api/orders")
def post_order() -> Response[str]:
    """Place an order; a browser without JavaScript gets its form back when something is wrong."""
    fields = http.read_body(app)
    by_form = http.content_type(app) == http.FORM
    try:
        placed = _place(fields, clock.now())
    except (ProblemError, PriceChangedError) as error:
        if by_form and http.wants_html(app):
            return _form_again(fields, error)
        raise
    if by_form:
        return Response(303, http.HTML, "", headers={"Location": placed.href, "Cache-Control": "no-store"})
    body = {**_view(placed.order, placed.events), "token": placed.token, "href": placed.href}
    return http.json_response(201, body, {"Location": f"/api/orders/{placed.order.id}"})


@app.get("/api/orders/<order_id>")
def get_order(order_id: str) -> Response[str]:
    """The order as its customer sees it."""
    return http.json_response(200, _read(order_id, _token()))


@app.post("/api/orders/<order_id>/credentials")
def post_credentials(order_id: str) -> Response[str]:
    """Make the phones' credentials and tell them, once."""
    return http.json_response(200, _issue(order_id, _token(http.read_optional_form(app))))


@app.get("/bestelling/<order_id>")
def get_order_page(order_id: str) -> Response[str]:
    """The order's own page."""
    token = _token()
    return http.html_response(200, html.render("order", order=_read(order_id, token), token=token, credentials=None, problem=None))


@app.post("/bestelling/<order_id>/credentials")
def post_credentials_page(order_id: str) -> Response[str]:
    """The order's own page with the phones' credentials, or with the reason why there are none."""
    token = _token(http.read_optional_form(app))
    told, found = None, None
    try:
        told = _issue(order_id, token)
    except (OrderError, NoNodeError) as error:
        found = PROBLEMS.problem(error)
    page = html.render(
        "order",
        order=_read(order_id, token),
        token=token,
        credentials=told,
        problem=found and {"title": found.kind.title, "detail": found.detail},
    )
    return http.html_response(found.kind.status if found else 200, page)


def _place(fields: Mapping[str, object], now: datetime) -> _Placed:
    category = form.as_text(fields.get("category")) or DEFAULT_CATEGORY
    definition = form_of(category)
    if definition is None:
        raise problem.invalid([FieldProblem("category", "invalid", "Deze soort bestelling kennen wij niet")])
    checked = form.check(definition, fields)
    if checked.errors:
        raise problem.invalid([FieldProblem(error.field, error.code, error.message) for error in checked.errors])
    shown_cents = _shown_cents(fields)
    key = _idempotency_key(fields)
    request_hash = credentials.sha256(json.dumps([category, dict(checked.values), shown_cents], sort_keys=True))
    if key and (record := orders().placed(credentials.sha256(key), now)):
        return _replay(record, key, request_hash)

    quantity = checked.number(definition.quantity_field)
    price = pricing.price(catalogue().read(), [(definition.offering, quantity)], clock.local_day(now))
    if shown_cents not in (None, price.monthly_total_cents):
        raise PriceChangedError(shown_cents, price.monthly_total_cents)
    token = credentials.new_token()
    placed = order.place(
        order_id=credentials.new_order_id(),
        category=category,
        customer_id=credentials.new_customer_id(),
        related_party=RelatedParty(**{name: checked.text(name) for name in ("company", "kvk", "name", "email", "telephone")}),
        note=checked.text("note"),
        price=price,
        token_sha256=credentials.sha256(token),
        now=now,
    )
    idempotency = None
    if key:
        sealed = credentials.seal(token, key, request_hash)
        idempotency = IdempotencyRecord(credentials.sha256(key), request_hash, placed.id, sealed)
    try:
        orders().place(placed, idempotency)
    except AlreadyPlacedError as already:
        return _replay(already.record, key, request_hash)
    logger.info("order placed", extra={"order_id": placed.id, "category": category})
    count("OrderPlaced")
    return _Placed(placed, [placed.last], token)


def _replay(record: IdempotencyRecord, key: str, request_hash: str) -> _Placed:
    """The answer to a request that came before: its order as it is now, and its token."""
    if record.request_hash != request_hash:
        raise IdempotencyKeyReusedError
    logger.info("order placed before", extra={"order_id": record.order_id})
    return _Placed(*orders().history(record.order_id), credentials.unseal(record.sealed_token, key, request_hash))


def _shown_cents(fields: Mapping[str, object]) -> int | None:
    """The monthly total that the client showed, if it says so."""
    text = form.as_text(fields.get("monthlyTotalCents")).strip()
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise problem.invalid([FieldProblem("monthlyTotalCents", "invalid", "Het bedrag moet in hele centen zijn")])
    return int(text)


def _idempotency_key(fields: Mapping[str, object]) -> str:
    key = app.current_event.headers.get("idempotency-key") or form.as_text(fields.get("idempotencyKey"))
    if key and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise problem.bad_request("Een Idempotency-Key heeft 1 tot 255 zichtbare ASCII-tekens.")
    return key


def _form_again(fields: Mapping[str, object], error: ProblemError | PriceChangedError) -> Response[str]:
    """The form with everything that was typed, and what is wrong with it at the top and at the fields."""
    found = PROBLEMS.problem(error)
    if found is None or not found.errors:
        raise error
    page = html.render(
        "order-form",
        values={name: form.as_text(value) for name, value in fields.items()},
        errors={wrong.field: wrong.message for wrong in found.errors},
        error_list=[{"field": wrong.field, "message": wrong.message} for wrong in found.errors],
        idempotency_key=form.as_text(fields.get("idempotencyKey")) or str(uuid.uuid4()),
    )
    return http.html_response(found.kind.status, page)


def _token(fields: Mapping[str, str] | None = None) -> str:
    """The order's token, from wherever it may stand."""
    event = app.current_event
    scheme, _, bearer = event.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bearer.strip()
    return (fields or {}).get("token") or (event.query_string_parameters or {}).get("token", "")


def _read(order_id: str, token: str) -> views.View:
    found, events = orders().history(order_id)
    _prove(found, token)
    return _view(found, events)


def _issue(order_id: str, token: str) -> views.View:
    _prove(orders().get(order_id), token)
    domain = brand().sip_domain
    issued, phones = orders().issue_credentials(order_id, domain, clock.now())
    logger.info("credentials issued", extra={"order_id": order_id})
    count("CredentialsIssued")
    return views.credentials(issued, domain, phones)


def _prove(found: Order, token: str) -> None:
    if not credentials.matches(token, found.token_sha256):
        raise UnknownOrderError(found.id)


def _view(found: Order, events: Sequence[Event]) -> views.View:
    return views.order(found, events, brand().sip_domain)


handler = http.handler(app)
