"""What a customer does with an order: place it, follow it, collect the phones' credentials; as JSON, and as pages for browsers."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from ordering import challenge, form, order_pages, own_order, placing, request, source, views
from ordering.problems import PROBLEMS, OrderError
from ordering.request import LONGEST_TEXT, Fields, lines, optional_lines
from shared import clock, html, http, settings
from shared.brand import brand
from shared.problem import FieldProblem, Problem, ProblemError
from shared.routes import FORM, JSON, Body, Caller

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


@routes.get(
    "/api/challenge",
    Caller.PUBLIC,
    "A proof of work, by ALTCHA's protocol; its solution goes into the field altcha of an order",
    answer="Challenge",
)
def get_challenge() -> Response[str]:
    """A proof of work for the browser to do while a form is filled in."""
    now = clock.now()
    return http.json_response(200, asdict(challenge.make(settings.order_key(), _sender(now), now)))


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

    With step=check a form is only checked and priced, and comes back to be read over; with step=change it comes back
    to be changed.
    """
    fields = http.read_body(app)
    by_form, language, now = http.content_type(app) == FORM, _language(fields), clock.now()
    try:
        if by_form and fields.get("step") == "change":
            return http.html_response(200, order_pages.form_page(fields, language), order_pages.FILLED_IN)
        asked = request.parse(fields, app.current_event.headers.get("idempotency-key", ""), language)
        if by_form and fields.get("step") == "check":
            key = asked.key or placing.key_of(asked, _sender(now))
            page = order_pages.check_page(asked, placing.price(asked, now), key, fields)
            return http.html_response(200, page, order_pages.FILLED_IN)
        placed = placing.place(asked, _sender(now), now)
    except Exception as error:
        if by_form and http.wants_html(app):
            return _form_again(fields, language, error)
        raise
    href = order_pages.href(placed.order.id, placed.token, language)
    if by_form:
        return _see_other(href)
    view = views.order(placed.order, placed.events, brand().sip_domain)
    return http.json_response(
        201, {**view, "token": placed.token, "href": href}, {"Location": f"/api/orders/{placed.order.id}"}
    )


@routes.get("/api/orders/{order_id}", Caller.ORDER_TOKEN, "Follow an order", answer="Order", parameters=_BY_TOKEN)
def get_order(order_id: str) -> Response[str]:
    """The order as its customer sees it."""
    return _order(order_id, _token())


@routes.post(
    "/api/orders/{order_id}/credentials",
    Caller.ORDER_TOKEN,
    "Make new credentials for the phones and tell them; those before hold for an hour more",
    answer="Credentials",
    parameters=_BY_TOKEN,
    body=_TOKEN_ONLY,
    also={409: "Not active yet"},
)
def post_credentials(order_id: str) -> Response[str]:
    """Make the phones' credentials and tell them."""
    found, phones = own_order.issue_credentials(order_id, _token(http.read_optional_form(app)), clock.now())
    return http.json_response(200, views.credentials(found, brand().sip_domain, phones))


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
    token = _token(fields)
    own_order.cancel(order_id, token, http.seen_version(app), optional_lines(fields, "reason"), clock.now())
    return _order(order_id, token)


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
    token = _token(fields)
    own_order.read(order_id, token)  # who has no token learns nothing, whatever is wrong
    own_order.answer(order_id, token, http.seen_version(app), _answer_in(fields), clock.now())
    return _order(order_id, token)


@routes.get(
    "/bestelling/{order_id}",
    Caller.ORDER_TOKEN,
    "The order's own page",
    parameters=("token", "language", "proof"),
)
def get_order_page(order_id: str) -> Response[str]:
    """The order's own page."""
    return _page(order_id, {})


@routes.post(
    "/bestelling/{order_id}/credentials",
    Caller.ORDER_TOKEN,
    "The order's own page with new credentials for the phones",
    parameters=_BY_TOKEN,
    body=_TOKEN_ONLY,
    also={409: "The page with the reason why there are none"},
)
def post_credentials_page(order_id: str) -> Response[str]:
    """The order's own page with the phones' credentials, or with the reason why there are none."""
    fields = http.read_optional_form(app)
    token = _token(fields)
    own_order.read(order_id, token)
    try:
        _, phones = own_order.issue_credentials(order_id, token, clock.now())
    except Exception as error:
        return _page(order_id, fields, error)
    found, events = own_order.read(order_id, token)
    return http.html_response(
        200, order_pages.own_page(found, events, token, _language(fields, found.language), phones=phones)
    )


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
    """To the order's own page, or that page with what is wrong."""
    fields = http.read_optional_form(app)
    token = _token(fields)
    own_order.read(order_id, token)
    try:
        own_order.cancel(order_id, token, http.seen_version(app), optional_lines(fields, "reason"), clock.now())
    except (OrderError, ProblemError) as error:
        return _page(order_id, fields, error)
    return _see_other(order_pages.href(order_id, token, _language(fields)))


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
    """To the order's own page, or that page with what is wrong."""
    fields = http.read_optional_form(app)
    token = _token(fields)
    own_order.read(order_id, token)
    try:
        own_order.answer(order_id, token, http.seen_version(app), _answer_in(fields), clock.now())
    except (OrderError, ProblemError) as error:
        return _page(order_id, fields, error)
    return _see_other(order_pages.href(order_id, token, _language(fields)))


@routes.post(
    "/bestelling/{order_id}/address",
    Caller.ORDER_TOKEN,
    "Prove the mail address, by the button on the page that the link in our mail leads to",
    status=303,
    parameters=_BY_TOKEN,
    body=Body({**_TOKEN, "proof": {"type": "string"}}, required=False, media=(FORM,)),
)
def post_address_page(order_id: str) -> Response[str]:
    """A button and not the link itself: scanners of mail follow links."""
    fields = http.read_optional_form(app)
    token = _token(fields)
    own_order.prove_address(order_id, token, fields.get("proof", ""), clock.now())
    return _see_other(order_pages.href(order_id, token, _language(fields)))


def _order(order_id: str, token: str) -> Response[str]:
    found, events = own_order.read(order_id, token)
    return http.json_response(200, views.order(found, events, brand().sip_domain))


def _page(order_id: str, fields: Mapping[str, str], error: Exception | None = None) -> Response[str]:
    token = _token(fields)
    # Read first: who has no token learns nothing, whatever went wrong.
    found, events = own_order.read(order_id, token)
    told: Problem | None = http.as_problem(app, PROBLEMS, error) if error else None
    query = app.current_event.query_string_parameters or {}
    page = order_pages.own_page(
        found,
        events,
        token,
        _language(fields, found.language),
        problem=told,
        proof=query.get("proof", ""),
    )
    return http.html_response(told.kind.status if told else 200, page)


def _form_again(fields: Fields, language: str, error: Exception) -> Response[str]:
    """The form with everything that was typed, and what is wrong at its top; raises `error` when a page of its own tells more."""
    told = http.as_problem(app, PROBLEMS, error)
    broken = told.kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    errors = told.errors or (
        [FieldProblem("company", told.kind.name, f"{told.kind.title}. {told.detail}")] if broken else []
    )
    if not errors:
        raise error
    return http.html_response(told.kind.status, order_pages.form_page(fields, language, errors), order_pages.FILLED_IN)


def _see_other(href: str) -> Response[str]:
    return Response(303, http.HTML, "", headers={"Location": href, "Cache-Control": "no-store"})


def _language(fields: Fields, otherwise: str = html.DUTCH) -> str:
    """The language of the page that this request came from, if it says so and our views have it."""
    query = app.current_event.query_string_parameters or {}
    asked = form.as_text(fields.get("language")) or query.get("language", "") or otherwise
    return asked if asked in html.languages(settings.views_directory()) else html.DUTCH


def _optional_body() -> dict[str, object]:
    return http.read_body(app) if app.current_event.body else {}


def _answer_in(fields: Fields) -> str:
    return lines(fields, "text", "Vul uw antwoord in")


def _token(fields: Fields | None = None) -> str:
    """The order's token, from wherever it may stand."""
    event = app.current_event
    scheme, _, bearer = event.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bearer.strip()
    return form.as_text((fields or {}).get("token")) or (event.query_string_parameters or {}).get("token", "")


def _sender(now: datetime) -> str:
    return source.name(settings.order_key(), http.source_ip(app), now)


handler = http.handler(app)
