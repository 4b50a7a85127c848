"""GET /api/prices: what is on sale today."""

from functools import cache

from aws_lambda_powertools.event_handler import Response

from ordering import views
from ordering.store import CatalogueStore
from shared import clock, http, settings
from shared.problem import ProblemTable

app = http.api(ProblemTable())


@cache
def catalogue() -> CatalogueStore:
    """The catalogue that this deployment sells from."""
    return CatalogueStore(settings.catalogue_table())


@app.get("/api/prices")
def get_prices() -> Response[str]:
    """The prices of today, in cents excluding VAT."""
    today = clock.local_day(clock.now())
    return http.json_response(200, views.prices(catalogue().read(), today), {"Cache-Control": "public, max-age=60"})


handler = http.handler(app)
