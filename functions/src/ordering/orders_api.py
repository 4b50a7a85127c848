"""What a customer does with an order: place it, follow it, and collect the phones' credentials."""

import json
import re
import tomllib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache, lru_cache
from urllib.parse import quote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from customers.phones import hand_out
from customers.states import Actor as CustomersActor
from customers.states import Role as CustomersRole
from customers.store import store as customers
from ordering import challenge, credentials, form, order, pricing, source, spam, views
from ordering.order import Detail, Event, Order, OrderError, RelatedParty, State
from ordering.pricing import Price
from ordering.problems import PROBLEMS, IdempotencyKeyReusedError, PriceChangedError, TooManyOrdersError
from ordering.spam import Clues, Proof
from ordering.store import (
    AlreadyPlacedError,
    CatalogueStore,
    NoNodeError,
    OpenOrderError,
    OrderStore,
    UnknownOrderError,
)
from shared import clock, html, http, problem, settings
from shared import text as texts
from shared.brand import brand
from shared.problem import FieldProblem, ProblemError
from shared.routes import FORM, JSON, Body, Caller
from shared.telemetry import count, logger

LONGEST_TEXT = 1000
_PARTY = ("company", "kvk", "name", "email", "telephone")
_CATEGORY = re.compile(r"[a-z][a-z-]{0,31}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")

app: APIGatewayHttpResolver = http.api(PROBLEMS)
routes = http.routes(app)

_LINES = {"type": "string", "maxLength": LONGEST_TEXT}
_TOKEN = {"token": {"type": "string"}}
_BY_TOKEN = ("token",)
_TOKEN_ONLY = Body(_TOKEN, required=False, media=(FORM,))
_TO_ITS_PAGE = {303: "To the order's own page"}
_PAGE_REFUSALS = {409: "The page with the reason why not", 412: "The page: not the version seen"}


def _text_body(name: str, *media: str) -> Body:
    return Body({**_TOKEN, name: _LINES}, required=False, media=media or (JSON, FORM))


@dataclass(frozen=True)
class _Placed:
    order: Order
    events: Sequence[Event]
    token: str


@cache
def orders() -> OrderStore:
    """The orders of this deployment."""
    return OrderStore(settings.orders_table(), settings.fleet_table())


@cache
def catalogue() -> CatalogueStore:
    """The catalogue that this deployment sells from."""
    return CatalogueStore(settings.catalogue_table())


@lru_cache(maxsize=16)
def form_of(category: str, language: str = html.DUTCH) -> form.Form | None:
    """The form that orders of this category are made with, in one of our languages; None when there is no such
    category.
    """
    path = settings.data_directory() / "forms" / f"{category}.toml"
    if not _CATEGORY.fullmatch(category) or not path.is_file():
        return None
    words = settings.data_directory() / language / "forms" / f"{category}.toml"
    return form.parse(tomllib.loads(path.read_text()), tomllib.loads(words.read_text()) if words.is_file() else None)


@routes.get(
    "/api/challenge",
    Caller.PUBLIC,
    "A proof of work, by ALTCHA's protocol; its solution goes into the field altcha of an order",
    answer="Challenge",
)
def get_challenge() -> Response[str]:
    """A proof of work for the browser to do while a form is filled in."""
    now = clock.now()
    return http.json_response(200, asdict(challenge.make(settings.order_key(), _source(now), now)))


@routes.post(
    "/api/orders",
    Caller.PUBLIC,
    "Place an order; a form that a browser sends is answered with the order's own page, or with the form and what is wrong",
    answer="PlacedOrder",
    status=201,
    parameters=("idempotencyKey",),
    body=Body("OrderRequest", media=(JSON, FORM)),
    also={
        200: "step=check: what was filled in, to be read over; step=change: the form again",
        **_TO_ITS_PAGE,
        409: "The client showed another price, or this customer has an open order",
        429: "Too many orders from one source; Retry-After says when to try again",
    },
)
def post_order() -> Response[str]:
    """Place an order; a browser without JavaScript gets its form back when something is wrong.

    With step=check a form is only checked and priced, and comes back to be read over; with step=change it comes back to
    be changed.
    """
    fields = http.read_body(app)
    by_form = http.content_type(app) == FORM
    try:
        if by_form and fields.get("step") == "change":
            return _form_page(_category(fields), fields, 200, ())
        if by_form and fields.get("step") == "check":
            return _check_page(fields, clock.now())
        placed = _place(fields, clock.now())
    except (ProblemError, PriceChangedError, OpenOrderError) as error:
        if by_form and http.wants_html(app):
            return _form_again(fields, error)
        raise
    href = _href(placed.order.id, placed.token, _language(fields))
    if by_form:
        return Response(303, http.HTML, "", headers={"Location": href, "Cache-Control": "no-store"})
    body = {**_view(placed.order, placed.events), "token": placed.token, "href": href}
    return http.json_response(201, body, {"Location": f"/api/orders/{placed.order.id}"})


@routes.get("/api/orders/{order_id}", Caller.ORDER_TOKEN, "Follow an order", answer="Order", parameters=_BY_TOKEN)
def get_order(order_id: str) -> Response[str]:
    """The order as its customer sees it."""
    return http.json_response(200, _read(order_id, _token()))


@routes.post(
    "/api/orders/{order_id}/credentials",
    Caller.ORDER_TOKEN,
    "Make the phones' credentials and tell them, once",
    answer="Credentials",
    parameters=_BY_TOKEN,
    body=_TOKEN_ONLY,
    also={409: "Told before, or not active yet"},
)
def post_credentials(order_id: str) -> Response[str]:
    """Make the phones' credentials and tell them, once."""
    return http.json_response(200, _issue(order_id, _token(http.read_optional_form(app))))


@routes.post(
    "/api/orders/{order_id}/cancel",
    Caller.ORDER_TOKEN,
    "Withdraw an order, or ask to cancel it when it was approved",
    answer="Order",
    parameters=(*_BY_TOKEN, "ifMatch"),
    body=_text_body("reason"),
)
def post_cancel(order_id: str) -> Response[str]:
    """Withdraw an order, or ask to cancel it when it was approved."""
    fields = _optional_body()
    return http.json_response(200, _cancel(order_id, _token(fields), _optional_text(fields, "reason")))


@routes.post(
    "/api/orders/{order_id}/answer",
    Caller.ORDER_TOKEN,
    "Answer the question of sales",
    answer="Order",
    parameters=(*_BY_TOKEN, "ifMatch"),
    body=_text_body("text"),
)
def post_answer(order_id: str) -> Response[str]:
    """Answer the question of sales."""
    fields = _optional_body()
    return http.json_response(200, _answer(order_id, _token(fields), fields))


@routes.get("/bestelling/{order_id}", Caller.ORDER_TOKEN, "The order's own page", parameters=_BY_TOKEN)
def get_order_page(order_id: str) -> Response[str]:
    """The order's own page."""
    token = _token()
    return _order_page(order_id, token)


@routes.post(
    "/bestelling/{order_id}/credentials",
    Caller.ORDER_TOKEN,
    "The order's own page with the phones' credentials, once",
    parameters=_BY_TOKEN,
    body=_TOKEN_ONLY,
    also={409: "The page with the reason why there are none"},
)
def post_credentials_page(order_id: str) -> Response[str]:
    """The order's own page with the phones' credentials, or with the reason why there are none."""
    token = _token(http.read_optional_form(app))
    try:
        return _order_page(order_id, token, told=_issue(order_id, token))
    except (OrderError, NoNodeError) as error:
        return _order_page(order_id, token, error)


@routes.post(
    "/bestelling/{order_id}/cancel",
    Caller.ORDER_TOKEN,
    "The twin of /api/orders/{order_id}/cancel for browsers without JavaScript",
    status=303,
    parameters=_BY_TOKEN,
    body=_text_body("reason", FORM),
    also=_PAGE_REFUSALS,
)
def post_cancel_page(order_id: str) -> Response[str]:
    """The twin of post_cancel for browsers without JavaScript: to the order's own page, or that page with what is
    wrong.
    """
    fields = http.read_optional_form(app)
    token = _token(fields)
    try:
        _cancel(order_id, token, _optional_text(fields, "reason"))
    except (OrderError, ProblemError) as error:
        return _order_page(order_id, token, error)
    return _see_other(order_id, token)


@routes.post(
    "/bestelling/{order_id}/answer",
    Caller.ORDER_TOKEN,
    "The twin of /api/orders/{order_id}/answer for browsers without JavaScript",
    status=303,
    parameters=_BY_TOKEN,
    body=_text_body("text", FORM),
    also=_PAGE_REFUSALS,
)
def post_answer_page(order_id: str) -> Response[str]:
    """The twin of post_answer for browsers without JavaScript."""
    fields = http.read_optional_form(app)
    token = _token(fields)
    try:
        _answer(order_id, token, fields)
    except (OrderError, ProblemError) as error:
        return _order_page(order_id, token, error)
    return _see_other(order_id, token)


def _order_page(
    order_id: str, token: str, error: Exception | None = None, told: views.View | None = None
) -> Response[str]:
    # Read first: who has no token learns nothing, whatever went wrong.
    seen = _read(order_id, token)
    found = PROBLEMS.problem(error) if error else None
    shown = found and {"title": found.kind.title, "detail": found.detail}
    language = _language(http.read_optional_form(app))
    page = html.render("order", language, order=seen, token=token, credentials=told, problem=shown)
    return http.html_response(found.kind.status if found else 200, page)


def _href(order_id: str, token: str, language: str) -> str:
    """The order's own page."""
    return f"/bestelling/{order_id}?token={quote(token)}{'' if language == html.DUTCH else f'&language={language}'}"


def _see_other(order_id: str, token: str) -> Response[str]:
    href = _href(order_id, token, _language(http.read_optional_form(app)))
    return Response(303, http.HTML, "", headers={"Location": href, "Cache-Control": "no-store"})


def _language(fields: Mapping[str, object]) -> str:
    """The language of the page that this request came from; Dutch unless it says another that our views have."""
    asked = form.as_text(fields.get("language")) or (app.current_event.query_string_parameters or {}).get(
        "language", ""
    )
    return asked if asked in html.languages(settings.views_directory()) else html.DUTCH


def _category(fields: Mapping[str, object]) -> str:
    """The kind of order; raises ProblemError when there is no such kind."""
    category = form.as_text(fields.get("category")) or order.SRTP
    if form_of(category) is None:
        raise problem.invalid([FieldProblem("category", "invalid", "Deze soort bestelling kennen wij niet")])
    return category


def _checked(fields: Mapping[str, object]) -> tuple[form.Form, form.Checked]:
    """What was ordered; raises ProblemError."""
    definition = form_of(_category(fields), _language(fields))
    assert definition is not None  # noqa: S101 (or _category had raised)
    checked = form.check(definition, fields)
    if checked.errors:
        raise problem.invalid([FieldProblem(error.field, error.code, error.message) for error in checked.errors])
    return definition, checked


def _price(definition: form.Form, checked: form.Checked, now: datetime) -> Price:
    quantities = definition.quantities(checked)
    return pricing.price(catalogue().read(), quantities, clock.local_day(now))


def _place(fields: Mapping[str, object], now: datetime) -> _Placed:
    definition, checked = _checked(fields)
    shown_cents = _shown_cents(fields)
    key = _idempotency_key(fields)
    order_id = credentials.order_id(settings.order_key(), key) if key else credentials.new_order_id()
    request_sha256 = credentials.sha256(json.dumps([definition.id, dict(checked.values), shown_cents], sort_keys=True))
    if key and (first := orders().find(order_id)):
        return _replay(first, request_sha256)

    price = _price(definition, checked, now)
    if shown_cents not in (None, price.monthly_total_cents):
        raise PriceChangedError(shown_cents, price.monthly_total_cents)
    sender = _source(now)
    before = source.history(settings.orders_table(), sender, now)
    if before.this_hour >= settings.orders_per_hour():
        raise TooManyOrdersError(source.until_next_hour(now))
    solution = challenge.check(settings.order_key(), form.as_text(fields.get("altcha")), now)
    token = credentials.order_token(settings.order_key(), order_id)
    placed = order.place(
        order_id=order_id,
        category=definition.id,
        customer_id=credentials.new_customer_id(),
        related_party=RelatedParty(
            **{name: checked.text(name) for name in _PARTY}, country=checked.text("country").upper()
        ),
        note=checked.text("note") if "note" in checked.values else "",
        price=price,
        token_sha256=credentials.sha256(token),
        request_sha256=request_sha256,
        now=now,
        details=_details(form_of(definition.id) or definition, checked),  # sales reads Dutch
        suspicions=spam.suspicions(_clues(fields, checked.text("email"), solution, sender, before, now)),
    )
    try:
        orders().place(placed)
    except AlreadyPlacedError as already:
        return _replay(already.order, request_sha256)
    except OpenOrderError as already:
        orders().remind(already.order_id, now)
        raise
    try:
        source.record(settings.orders_table(), sender, solution.challenge if solution else "", now)
    except Exception:
        # The order stands; that its source was not counted is no reason to tell the customer otherwise.
        logger.exception("source not counted")
    logger.info("order placed", extra={"order_id": placed.id, "category": definition.id})
    count("OrderPlaced")
    return _Placed(placed, [placed.last], token)


def _details(definition: form.Form, checked: form.Checked) -> tuple[Detail, ...]:
    """What this kind of order says besides who ordered, how many and why."""
    known = {*_PARTY, "note", definition.quantity_field}
    return tuple(
        Detail(field.name, checked.text(field.name), field.label, field.shown(checked.values[field.name]))
        for field in definition.fields
        if field.name not in known and checked.values[field.name] not in ("", field.default)
    )


def _clues(
    fields: Mapping[str, object],
    email: str,
    solution: challenge.Solution | None,
    sender: str,
    before: source.History,
    now: datetime,
) -> Clues:
    proof = Proof.GOOD
    if not form.as_text(fields.get("altcha")):
        proof = Proof.ABSENT
    elif solution is None or solution.source != sender or solution.challenge in before.used:
        proof = Proof.WRONG
    return Clues(
        honeypot=bool(form.as_text(fields.get("website")).strip()),
        proof=proof,
        age=now - solution.issued_at if solution else None,
        email=email,
        orders_before=before.today,
    )


def _source(now: datetime) -> str:
    return source.name(settings.order_key(), http.source_ip(app), now)


def _replay(first: Order, request_sha256: str) -> _Placed:
    """The answer to a request that came before: its order as it is now, and its token. Raises
    IdempotencyKeyReusedError.
    """
    if first.request_sha256 != request_sha256:
        raise IdempotencyKeyReusedError
    logger.info("order placed before", extra={"order_id": first.id})
    return _Placed(*orders().history(first.id), credentials.order_token(settings.order_key(), first.id))


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


def _check_page(fields: Mapping[str, object], now: datetime) -> Response[str]:
    """What was filled in, to be read over before it is ordered; nothing is written. Raises ProblemError.

    The page sends back `hidden` with step=order to place the order, or with step=change to change it.
    """
    definition, checked = _checked(fields)
    price = _price(definition, checked, now)
    kept = {name: form.as_text(fields.get(name)) for name in ("website", "altcha", "language") if fields.get(name)}
    page = html.render(
        "check",
        _language(fields),
        category=definition.id,
        values={name: str(value) for name, value in checked.values.items()},
        answers=[
            {"name": field.name, "label": field.label, "text": field.shown(checked.values[field.name])}
            for field in definition.fields
            if checked.values[field.name] != ""
        ],
        price=views.price(price),
        hidden={
            "category": definition.id,
            **{name: str(value) for name, value in checked.values.items()},
            **kept,
            "monthlyTotalCents": str(price.monthly_total_cents),
            "idempotencyKey": _idempotency_key(fields) or str(uuid.uuid4()),
        },
    )
    return http.html_response(200, page)


def _form_again(
    fields: Mapping[str, object], error: ProblemError | PriceChangedError | OpenOrderError
) -> Response[str]:
    """The form with everything that was typed, and what is wrong with it at the top and at the fields."""
    found = PROBLEMS.problem(error)
    if found is None or not found.errors:
        raise error
    category = form.as_text(fields.get("category"))
    return _form_page(category if form_of(category) else order.SRTP, fields, found.kind.status, found.errors)


def _form_page(
    category: str, fields: Mapping[str, object], status: int, errors: Sequence[FieldProblem]
) -> Response[str]:
    """The form of this kind of order, filled in."""
    page = html.render(
        "order-form",
        _language(fields),
        values={**{name: form.as_text(value) for name, value in fields.items()}, "category": category},
        errors={wrong.field: wrong.message for wrong in errors},
        error_list=[{"field": wrong.field, "message": wrong.message} for wrong in errors],
        idempotency_key=form.as_text(fields.get("idempotencyKey")) or str(uuid.uuid4()),
    )
    return http.html_response(status, page)


def _optional_body() -> dict[str, object]:
    """The body if there is one."""
    return http.read_body(app) if app.current_event.body else {}


def _optional_text(fields: Mapping[str, object], name: str) -> str:
    """Lines that may be left out; raises ProblemError when they are too long."""
    text = texts.lines(form.as_text(fields.get(name)))
    if len(text) > LONGEST_TEXT:
        raise problem.invalid([FieldProblem(name, "too_long", f"Gebruik hoogstens {LONGEST_TEXT} tekens")])
    return text


def _cancel(order_id: str, token: str, why: str) -> views.View:
    _prove(orders().get(order_id), token)
    seen, now = http.seen_version(app), clock.now()
    changed = orders().change_seen(order_id, seen, lambda found: order.cancel(found, order.CUSTOMER, now, why))
    logger.info("order cancelled by its customer", extra={"order_id": order_id, "state": changed.state.value})
    return _read(order_id, token)


def _answer(order_id: str, token: str, fields: Mapping[str, object]) -> views.View:
    _prove(orders().get(order_id), token)
    text = _optional_text(fields, "text")
    if not text:
        raise problem.invalid([FieldProblem("text", "missing", "Vul uw antwoord in")])
    seen, now = http.seen_version(app), clock.now()
    orders().change_seen(order_id, seen, lambda found: order.move(found, State.ACKNOWLEDGED, order.CUSTOMER, now, text))
    return _read(order_id, token)


def _token(fields: Mapping[str, object] | None = None) -> str:
    """The order's token, from wherever it may stand."""
    event = app.current_event
    scheme, _, bearer = event.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bearer.strip()
    return form.as_text((fields or {}).get("token")) or (event.query_string_parameters or {}).get("token", "")


def _read(order_id: str, token: str) -> views.View:
    found, events = orders().history(order_id)
    _prove(found, token)
    return _view(found, events)


BY_CUSTOMER = CustomersActor(CustomersRole.CUSTOMER, "klant")


def _issue(order_id: str, token: str) -> views.View:
    _prove(orders().get(order_id), token)
    domain = brand().sip_domain
    now = clock.now()
    if customer_id := customers().of_order(order_id):
        issued = orders().change(order_id, lambda found: order.issue_credentials(found, now))
        phones = hand_out(customer_id, None, BY_CUSTOMER, now)
    else:
        issued, phones = orders().issue_credentials(order_id, domain, now)
    logger.info("credentials issued", extra={"order_id": order_id})
    count("CredentialsIssued")
    return views.credentials(issued, domain, phones)


def _prove(found: Order, token: str) -> None:
    # The second makes links in mail work on, also after the key was replaced.
    made = credentials.sha256(credentials.order_token(settings.order_key(), found.id))
    if not any([credentials.matches(token, found.token_sha256), credentials.matches(token, made)]):
        raise UnknownOrderError(found.id)


def _view(found: Order, events: Sequence[Event]) -> views.View:
    return views.order(found, events, brand().sip_domain)


handler = http.handler(app)
