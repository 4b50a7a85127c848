"""What sales does with orders: see the queue, read, approve, reject. API Gateway has checked the JWT; the group is checked here."""

import binascii
import re
from functools import cache

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from ordering import form, order, views
from ordering.order import Actor, Order, Role, State
from ordering.problems import PROBLEMS
from ordering.store import OrderStore
from shared import clock, http, problem, settings
from shared.brand import brand
from shared.problem import FieldProblem, Problem, ProblemError
from shared.telemetry import count, logger

_VERSION = re.compile(r'(?:W/)?"?([0-9]{1,9})"?')
_MOST_ON_A_PAGE = 100
_ON_A_PAGE = 50
_LONGEST_REASON = 1000

app: APIGatewayHttpResolver = http.api(PROBLEMS)


@cache
def orders() -> OrderStore:
    """The orders of this deployment."""
    return OrderStore(settings.orders_table(), settings.fleet_table())


@app.get("/api/sales/orders")
def list_orders() -> Response[str]:
    """A page of orders, newest first, and how many there are in each state."""
    _colleague()
    query = app.current_event.query_string_parameters or {}
    states = _states(query.get("state", ""))
    limit = _limit(query.get("limit", ""))
    try:
        page = orders().newest(states, limit, query.get("cursor") or None)
    except (ValueError, binascii.Error):
        raise _wrong_parameter("cursor", "Deze cursor is niet van ons") from None
    domain = brand().sip_domain
    body = {
        "items": [views.sales_summary(found, domain) for found in page.orders],
        "counts": {state.value: number for state, number in orders().counts().items()},
        "next": page.next,
    }
    return http.json_response(200, body)


@app.get("/api/sales/orders/<order_id>")
def get_order(order_id: str) -> Response[str]:
    """All that is known of an order."""
    _colleague()
    return _answer(order_id)


@app.post("/api/sales/orders/<order_id>/approve")
def approve(order_id: str) -> Response[str]:
    """Approve an order; the fleet takes it from there."""
    return _decide(order_id, State.IN_PROGRESS, "")


@app.post("/api/sales/orders/<order_id>/reject")
def reject(order_id: str) -> Response[str]:
    """Reject an order with a reason, which the customer reads."""
    _colleague()
    reason = form.tidy_lines(form.as_text(http.read_body(app).get("reason")))
    if not reason:
        raise problem.invalid([FieldProblem("reason", "missing", "Vul in waarom u de bestelling afwijst; de klant leest dit")])
    if len(reason) > _LONGEST_REASON:
        raise problem.invalid([FieldProblem("reason", "too_long", f"De reden mag hoogstens {_LONGEST_REASON} tekens lang zijn")])
    return _decide(order_id, State.REJECTED, reason)


def _decide(order_id: str, target: State, why: str) -> Response[str]:
    colleague = _colleague()
    seen = _seen_version()
    now = clock.now()

    def change(found: Order) -> Order:
        # The state comes first: "approved already, by whom" says more than "changed meanwhile".
        changed = order.move(found, target, colleague, now, why)
        found.expect(seen)
        return changed

    changed = orders().change(order_id, change)
    logger.info("order decided", extra={"order_id": order_id, "state": changed.state.value})
    count(f"Order{target.value[0].upper()}{target.value[1:]}")
    return _answer(order_id)


def _answer(order_id: str) -> Response[str]:
    found, events = orders().history(order_id)
    body = views.sales_order(found, events, orders().serving_node(order_id), brand().sip_domain)
    return http.json_response(200, body, {"ETag": f'"{found.version}"'})


def _colleague() -> Actor:
    """Who is signed in; raises ProblemError (401, 403)."""
    authorizer = app.current_event.raw_event["requestContext"].get("authorizer") or {}
    claims = (authorizer.get("jwt") or {}).get("claims")
    if not claims:
        raise ProblemError(Problem(problem.UNAUTHENTICATED, "Meld u aan om bestellingen te zien."))
    groups = claims.get("cognito:groups") or ""
    # API Gateway flattens a list claim to "[sales admin]".
    members = groups if isinstance(groups, list) else str(groups).strip("[]").replace(",", " ").split()
    if settings.sales_group() not in members:
        raise ProblemError(Problem(problem.FORBIDDEN, "Uw account hoort niet bij de groep die bestellingen beoordeelt."))
    return Actor(Role.SALES, str(claims.get("email") or claims.get("username") or claims["sub"]))


def _states(text: str) -> list[State]:
    if not text:
        return list(State)
    try:
        return [State(text)]
    except ValueError:
        raise _wrong_parameter("state", f"De status moet een van deze zijn: {', '.join(State)}") from None


def _limit(text: str) -> int:
    if not text:
        return _ON_A_PAGE
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= _MOST_ON_A_PAGE:
        raise _wrong_parameter("limit", f"Het aantal moet tussen 1 en {_MOST_ON_A_PAGE} liggen")
    return int(text)


def _seen_version() -> int | None:
    """The version in If-Match (RFC 9110 section 13.1.1), if the caller names one."""
    text = app.current_event.headers.get("if-match", "").strip()
    if text in ("", "*"):
        return None
    match = _VERSION.fullmatch(text)
    if match is None:
        raise problem.bad_request('If-Match moet de versie van de bestelling zijn, zoals "3".')
    return int(match[1])


def _wrong_parameter(name: str, message: str) -> ProblemError:
    return problem.invalid([FieldProblem(name, "invalid", message)])


handler = http.handler(app)
