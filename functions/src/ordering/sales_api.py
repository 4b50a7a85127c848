"""What sales does with orders: see the queue, read, decide, ask, note."""

import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, partial

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from ordering import export_csv, form, order, queue, views
from ordering.order import Actor, EventKind, Order, Role, State
from ordering.problems import PROBLEMS
from ordering.queue import Entry, Filter, Sort
from ordering.store import OrderStore
from shared import clock, colleague, http, problem, settings
from shared import text as texts
from shared.brand import brand
from shared.problem import FieldProblem, ProblemError
from shared.routes import Body, Caller
from shared.telemetry import count, logger

_MONTH = re.compile(r"20[0-9]{2}-(?:0[1-9]|1[0-2])")
_MOST_ON_A_PAGE = 100
_ON_A_PAGE = 50
_MOST_AT_ONCE = 50
_LONGEST_TEXT = 1000
_LONGEST_QUERY = 100

app: APIGatewayHttpResolver = http.api(PROBLEMS)
routes = http.routes(app)

_FILTERS = ("state", "category", "q", "sort", "order")


def _lines(name: str) -> Body:
    return Body({name: {"type": "string", "minLength": 1, "maxLength": _LONGEST_TEXT}})


@cache
def orders() -> OrderStore:
    """The orders of this deployment."""
    return OrderStore(settings.orders_table(), settings.fleet_table())


@routes.get(
    "/api/sales/orders",
    Caller.SALES,
    "A page of orders, and how many there are in each state; any other order than by date, or a search, looks at the newest of each state",
    answer="OrderPage",
    parameters=(*_FILTERS, "limit", "cursor", "ifNoneMatch"),
)
def list_orders() -> Response[str]:
    """A page of orders, and how many there are in each state."""
    query = _query()
    limit = _limit(query.get("limit", ""))
    found, following, complete = _page(_listing(query), limit, query.get("cursor") or None)
    domain = brand().sip_domain
    body = {
        "items": [views.sales_summary(each, domain) for each in found],
        "counts": {state.value: number for state, number in orders().counts().items()},
        "next": following,
        "complete": complete,
    }
    return http.unless_seen(app, body)


@routes.get(
    "/api/sales/export",
    Caller.SALES,
    "The orders that the filter shows, as a table for Excel",
    answer="text/csv",
    parameters=_FILTERS,
)
def export() -> Response[str]:
    """The orders that the filter shows, as a table for Excel."""
    listing = _listing(_query())
    arranged, complete = _arranged(listing)
    found = orders().get_all([entry.order_id for entry in arranged])
    name = f"bestellingen-{clock.local_day(clock.now())}{'' if complete else '-onvolledig'}.csv"
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(200, "text/csv; charset=utf-8", export_csv.table(found), headers=headers)


@routes.get(
    "/api/sales/overview",
    Caller.SALES,
    "What the orders of one month come to",
    answer="Overview",
    parameters=("month", "ifNoneMatch"),
)
def overview() -> Response[str]:
    """What the orders of one month come to."""
    name = _query().get("month") or f"{clock.local_day(clock.now()):%Y-%m}"
    since, until = _month(name)
    found, complete = orders().entries(State, since, until)
    return http.unless_seen(app, {**queue.month(found, name), "complete": complete})


@routes.get(
    "/api/sales/fleet",
    Caller.SALES,
    "The media nodes and how full they are",
    answer="Fleet",
    parameters=("ifNoneMatch",),
)
def fleet() -> Response[str]:
    """The media nodes and how full they are."""
    return http.unless_seen(app, {"nodes": [views.fleet_node(node) for node in orders().fleet()]})


@routes.get(
    "/api/sales/orders/{order_id}",
    Caller.SALES,
    "All that is known of an order",
    answer="SalesOrder",
    parameters=("ifNoneMatch",),
)
def get_sales_order(order_id: str) -> Response[str]:
    """All that is known of an order."""
    return _answer(order_id)


@routes.post(
    "/api/sales/orders/{order_id}/approve",
    Caller.SALES,
    "Approve an order",
    answer="SalesOrder",
    parameters=("ifMatch",),
)
def approve(order_id: str) -> Response[str]:
    """Approve an order; the fleet takes it from there, or sales when it needs no node."""
    return _move(order_id, State.IN_PROGRESS)


@routes.post(
    "/api/sales/orders/{order_id}/reject",
    Caller.SALES,
    "Reject an order with a reason, which the customer reads",
    answer="SalesOrder",
    parameters=("ifMatch",),
    body=_lines("reason"),
)
def reject(order_id: str) -> Response[str]:
    """Reject an order with a reason, which the customer reads."""
    return _move(order_id, State.REJECTED, "reason", "Vul in waarom u de bestelling afwijst; de klant leest dit")


@routes.post(
    "/api/sales/orders/{order_id}/ask",
    Caller.SALES,
    "Ask the customer something; the order waits for the answer",
    answer="SalesOrder",
    parameters=("ifMatch",),
    body=_lines("question"),
)
def ask(order_id: str) -> Response[str]:
    """Ask the customer something; the order waits for the answer."""
    return _move(order_id, State.PENDING, "question", "Vul in wat u de klant wilt vragen")


@routes.post(
    "/api/sales/orders/{order_id}/hold",
    Caller.SALES,
    "Put an approved order on hold; the customer reads why",
    answer="SalesOrder",
    parameters=("ifMatch",),
    body=_lines("reason"),
)
def hold(order_id: str) -> Response[str]:
    """Put an approved order on hold with a reason, which the customer reads; only sales resumes it."""
    return _move(order_id, State.HELD, "reason", "Vul in waarom u de bestelling aanhoudt; de klant leest dit")


@routes.post(
    "/api/sales/orders/{order_id}/resume",
    Caller.SALES,
    "Go on with an order that was on hold, or whose cancellation is refused",
    answer="SalesOrder",
    parameters=("ifMatch",),
)
def resume(order_id: str) -> Response[str]:
    """Go on with an order that was on hold, or whose cancellation was asked for and is refused."""
    return _move(order_id, State.IN_PROGRESS)


@routes.post(
    "/api/sales/orders/{order_id}/cancel",
    Caller.SALES,
    "Cancel an order; the customer reads why, and the fleet frees its place",
    answer="SalesOrder",
    parameters=("ifMatch",),
    body=_lines("reason"),
)
def cancel_for_customer(order_id: str) -> Response[str]:
    """Cancel an order with a reason, which the customer reads; the fleet frees its place."""
    colleague, now = _colleague(), clock.now()
    why = _text("reason", "Vul in waarom u de bestelling annuleert; de klant leest dit")
    return _change(order_id, lambda found: order.cancel(found, colleague, now, why))


@routes.post(
    "/api/sales/orders/{order_id}/complete",
    Caller.SALES,
    "Say that an order that needs no node has been carried out",
    answer="SalesOrder",
    parameters=("ifMatch",),
)
def complete(order_id: str) -> Response[str]:
    """Say that an order that needs no node has been carried out."""
    colleague, now = _colleague(), clock.now()
    return _change(order_id, lambda found: order.complete_by_hand(found, colleague, now))


@routes.post(
    "/api/sales/orders/{order_id}/notes",
    Caller.SALES,
    "Write something down for colleagues; the customer never sees it",
    answer="SalesOrder",
    parameters=("ifMatch",),
    body=_lines("text"),
)
def add_note(order_id: str) -> Response[str]:
    """Write something down for colleagues; the customer never sees it."""
    colleague, now = _colleague(), clock.now()
    text = _text("text", "Vul de notitie in")
    return _change(order_id, lambda found: order.note(found, text, colleague, now))


@routes.post(
    "/api/sales/approvals",
    Caller.SALES,
    "Approve the orders that were selected, each on the version that was seen",
    answer="Approvals",
    body=Body("Selection"),
)
def approve_selected() -> Response[str]:
    """Approve the orders that were selected, each on the version that was seen; every one is answered for itself."""
    colleague, now = _colleague(), clock.now()
    approval = partial(order.move, target=State.IN_PROGRESS, who=colleague, now=now)
    results: list[dict[str, object]] = []
    for order_id, version in _selected():
        try:
            changed = orders().change_seen(order_id, version, approval, told_to=Role.SALES)
        except Exception as error:
            told = http.as_problem(app, PROBLEMS, error)
            results.append({"id": order_id, "status": int(told.kind.status), "problem": http.members(app, told)})
        else:
            _decided(changed)
            results.append({"id": order_id, "status": 200, "state": changed.state.value, "version": changed.version})
    return http.json_response(200, {"results": results})


def _move(order_id: str, target: State, field: str = "", missing: str = "") -> Response[str]:
    """Bring an order to a state, for the reason in `field` of the body where there has to be one."""
    colleague, now = _colleague(), clock.now()
    why = _text(field, missing) if field else ""
    return _change(order_id, lambda found: order.move(found, target, colleague, now, why))


def _change(order_id: str, change: Callable[[Order], Order]) -> Response[str]:
    changed = orders().change_seen(order_id, http.seen_version(app), change, told_to=Role.SALES)
    _decided(changed)
    return _answer(order_id)


def _decided(changed: Order) -> None:
    logger.info(
        "order changed by sales",
        extra={"order_id": changed.id, "state": changed.state.value, "kind": changed.last.kind.value},
    )
    if changed.last.kind is EventKind.CHANGE:
        count(f"Order{changed.state.value[0].upper()}{changed.state.value[1:]}")


def _answer(order_id: str) -> Response[str]:
    found, events = orders().history(order_id)
    body = views.sales_order(found, events, orders().serving_node(order_id), brand().sip_domain)
    return http.unless_seen(app, body, found.version)


def _colleague() -> Actor:
    return Actor(Role.SALES, colleague.name(app))


@dataclass(frozen=True)
class _Listing:
    """Which orders are asked for, and in which order."""

    filter: Filter
    sort: Sort
    descending: bool

    @property
    def is_plain(self) -> bool:
        """Whether the index itself has this order and filter, so that there is no bound."""
        return self.sort is Sort.ORDER_DATE and self.descending and not self.filter.category and not self.filter.text

    @property
    def states(self) -> list[State]:
        return [state for state in State if not self.filter.states or state in self.filter.states]


def _listing(query: Mapping[str, str]) -> _Listing:
    category = query.get("category", "")
    if len(category) > _LONGEST_QUERY:
        raise _wrong_parameter("category", "Deze soort bestelling kennen wij niet")
    text = query.get("q", "")
    if len(text) > _LONGEST_QUERY:
        raise _wrong_parameter("q", f"Zoek met hoogstens {_LONGEST_QUERY} tekens")
    sort = _one_of("sort", query.get("sort") or Sort.ORDER_DATE.value, [each.value for each in Sort])
    direction = _one_of("order", query.get("order") or "desc", ["asc", "desc"])
    return _Listing(Filter(frozenset(_states(query.get("state", ""))), category, text), Sort(sort), direction == "desc")


def _page(listing: _Listing, limit: int, cursor: str | None) -> tuple[Sequence[Order], str | None, bool]:
    """A page, the cursor of the next, and whether all orders were looked at for it."""
    try:
        if listing.is_plain:
            found = orders().newest(listing.states, limit, cursor)
            return found.orders, found.next, True
        arranged, complete = _arranged(listing)
        shown, following = queue.page(arranged, listing.sort, listing.descending, limit, cursor)
    except (ValueError, binascii.Error):
        raise _wrong_parameter("cursor", "Deze cursor is niet van ons") from None
    return orders().get_all([entry.order_id for entry in shown]), following, complete


def _arranged(listing: _Listing) -> tuple[list[Entry], bool]:
    entries, complete = orders().entries(listing.states)
    return queue.arrange(filter(listing.filter.holds, entries), listing.sort, listing.descending), complete


def _query() -> Mapping[str, str]:
    return app.current_event.query_string_parameters or {}


def _month(name: str) -> tuple[str, str]:
    """The first and last moment of a month as the Netherlands have it, in UTC; raises ProblemError."""
    if not _MONTH.fullmatch(name):
        raise _wrong_parameter("month", "Een maand is jaar en maand, zoals 2026-11")
    year, number = int(name[:4]), int(name[5:])
    following = date(year + number // 12, number % 12 + 1, 1)
    return clock.to_iso(clock.midnight(date(year, number, 1))), clock.to_iso(
        clock.midnight(following) - timedelta(milliseconds=1)
    )


def _selected() -> list[tuple[str, int]]:
    """The orders to approve; raises ProblemError."""
    match http.read_body(app).get("orders"):
        case [_, *_] as selected if len(selected) <= _MOST_AT_ONCE:
            pass
        case _:
            raise problem.invalid([FieldProblem("orders", "invalid", f"Kies 1 tot {_MOST_AT_ONCE} bestellingen")])
    found = []
    for each in selected:
        match each:
            case {"id": str(order_id), "version": int(version)} if not isinstance(version, bool):
                found.append((order_id, version))
            case _:
                raise problem.invalid([FieldProblem("orders", "invalid", "Noem van elke bestelling id en versie")])
    return found


def _text(name: str, missing: str) -> str:
    """Lines that must be there; raises ProblemError."""
    text = texts.lines(form.as_text(http.read_body(app).get(name)))
    if not text:
        raise problem.invalid([FieldProblem(name, "missing", missing)])
    if len(text) > _LONGEST_TEXT:
        raise problem.invalid([FieldProblem(name, "too_long", f"Gebruik hoogstens {_LONGEST_TEXT} tekens")])
    return text


def _states(text: str) -> list[State]:
    """The states between commas; none means all."""
    return [State(_one_of("state", part, [state.value for state in State])) for part in text.split(",") if text]


def _one_of(name: str, text: str, values: Sequence[str]) -> str:
    if text not in values:
        raise _wrong_parameter(name, f"De waarde moet een van deze zijn: {', '.join(values)}")
    return text


def _limit(text: str) -> int:
    if not text:
        return _ON_A_PAGE
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= _MOST_ON_A_PAGE:
        raise _wrong_parameter("limit", f"Het aantal moet tussen 1 en {_MOST_ON_A_PAGE} liggen")
    return int(text)


def _wrong_parameter(name: str, message: str) -> ProblemError:
    return problem.invalid([FieldProblem(name, "invalid", message)])


handler = http.handler(app)
