"""What every route of sales stands on: the resolver, the orders, who asks, and an order as the answer."""

from functools import cache

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from fleet import whereabouts
from ordering import views
from ordering.order import Actor, Role
from ordering.problems import PROBLEMS
from ordering.store import OrderStore
from shared import colleague, http, settings
from shared.brand import brand

app: APIGatewayHttpResolver = http.api(PROBLEMS)
routes = http.routes(app)


@cache
def orders() -> OrderStore:
    """The orders of this deployment."""
    return OrderStore(settings.orders_table())


def who() -> Actor:
    """Who of sales made the request."""
    return Actor(Role.SALES, colleague.name(app))


def all_of(order_id: str) -> Response[str]:
    """All that is known of an order, as it is now."""
    found, events = orders().history(order_id)
    body = views.sales_order(found, events, whereabouts.of(found.delivered_to), brand().sip_domain)
    return http.unless_seen(app, body, found.version)
