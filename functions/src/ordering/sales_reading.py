"""What sales reads of orders: the queue, what changed, the export, a month, the fleet, one order and those related to it."""

import binascii
from collections.abc import Mapping, Sequence
from datetime import timedelta

from aws_lambda_powertools.event_handler import Response

from fleet import whereabouts
from ordering import export_csv, queue, sales_query, views
from ordering.items import Unreadable
from ordering.order import Order, State
from ordering.queue import Entry
from ordering.sales_query import FILTERS, Listing
from ordering.sales_routes import all_of, app, orders, routes
from shared import clock, http
from shared.brand import brand
from shared.routes import Caller


@routes.get(
    "/api/sales/orders",
    Caller.SALES,
    "A page of orders, and how many there are in each state; any other order than by date, or a search, looks at the newest of each state",
    answer="OrderPage",
    parameters=(*FILTERS, "limit", "cursor", "ifNoneMatch"),
)
def list_orders() -> Response[str]:
    """A page of orders, and how many there are in each state."""
    query = _query()
    found, following, complete = _page(
        sales_query.listing(query), sales_query.limit(query), query.get("cursor") or None
    )
    body = {
        "items": _summaries(found),
        "counts": orders().counts(),
        "next": following,
        "complete": complete,
    }
    return http.unless_seen(app, body)


@routes.get(
    "/api/sales/changes",
    Caller.SALES,
    "Which orders changed since the answer before, and the counts: what a console asks again and again",
    answer="OrderChanges",
    parameters=("since", "ifNoneMatch"),
)
def list_changes() -> Response[str]:
    """What changed since `since`; without it nothing, but from where to ask on."""
    try:
        found = orders().changes(_query().get("since") or None, clock.now())
    except (ValueError, OverflowError):
        raise sales_query.wrong("since", "Dit moment is niet van ons") from None
    body = {"items": _summaries(found.orders), "counts": orders().counts(), "until": found.until, "more": found.more}
    return http.unless_seen(app, body)


@routes.get(
    "/api/sales/export",
    Caller.SALES,
    "The orders that the filter shows, as a table for Excel",
    answer="text/csv",
    parameters=FILTERS,
)
def export() -> Response[str]:
    """The orders that the filter shows, as a table for Excel."""
    arranged, complete = _arranged(sales_query.listing(_query()))
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
    since, until = sales_query.month(name)
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
    return http.unless_seen(app, {"nodes": [views.fleet_node(node) for node in whereabouts.nodes()]})


@routes.get(
    "/api/sales/fleet/{node_id}/metrics",
    Caller.SALES,
    "What a media node measured in the last 24 hours, every five minutes (docs/metrics.md)",
    answer="NodeMetrics",
    parameters=("ifNoneMatch",),
)
def node_metrics(node_id: str) -> Response[str]:
    """What a media node measured in the last 24 hours."""
    samples = whereabouts.metrics(node_id, clock.now() - timedelta(hours=24))
    return http.unless_seen(app, views.node_metrics(samples))


@routes.get(
    "/api/sales/orders/{order_id}",
    Caller.SALES,
    "All that is known of an order",
    answer="SalesOrder",
    parameters=("ifNoneMatch",),
)
def get_sales_order(order_id: str) -> Response[str]:
    """All that is known of an order."""
    return all_of(order_id)


@routes.get(
    "/api/sales/orders/{order_id}/related",
    Caller.SALES,
    "The other orders of the same customer, or of the same mail address, enterprise number or telephone number",
    answer="RelatedOrders",
)
def list_related(order_id: str) -> Response[str]:
    """All that seems to be of one customer, for a person to judge."""
    found = orders().get(order_id)
    entries, complete = orders().entries(State)
    related = [entry.order_id for entry in entries if entry.order_id != order_id and queue.related(found, entry)]
    return http.json_response(200, {"items": _summaries(orders().get_all(related)), "complete": complete})


def _summaries(found: Sequence[Order | Unreadable]) -> list[views.View]:
    return [views.sales_summary(each, brand().sip_domain) for each in found]


def _page(listing: Listing, limit: int, cursor: str | None) -> tuple[Sequence[Order | Unreadable], str | None, bool]:
    """A page, the cursor of the next, and whether all orders were looked at for it."""
    try:
        if listing.is_plain:
            found = orders().newest(listing.states, limit, cursor)
            return found.orders, found.next, True
        arranged, complete = _arranged(listing)
        shown, following = queue.page(arranged, listing.sort, listing.descending, limit, cursor)
    except (ValueError, binascii.Error):
        raise sales_query.wrong("cursor", "Deze cursor is niet van ons") from None
    return orders().get_all([entry.order_id for entry in shown]), following, complete


def _arranged(listing: Listing) -> tuple[list[Entry], bool]:
    entries, complete = orders().entries(listing.states)
    return queue.arrange(filter(listing.filter.holds, entries), listing.sort, listing.descending), complete


def _query() -> Mapping[str, str]:
    return app.current_event.query_string_parameters or {}
