"""GET /api/prices: what is on sale today."""

from functools import cache

from aws_lambda_powertools.event_handler import Response

from ordering import views
from ordering.catalogue_store import CatalogueStore
from shared import clock, http, settings
from shared.problem import ProblemTable
from shared.routes import Caller

app = http.api(ProblemTable())
routes = http.routes(app)


@cache
def catalogue() -> CatalogueStore:
    """The catalogue that this deployment sells from."""
    return CatalogueStore(settings.catalogue_table())


@routes.get("/api/prices", Caller.PUBLIC, "What is on sale today", answer="Prices")
def get_prices() -> Response[str]:
    """The prices of today, in cents excluding VAT."""
    today = clock.local_day(clock.now())
    return http.json_response(200, views.prices(catalogue().read(), today), {"Cache-Control": "public, max-age=60"})


handler = http.handler(app)
