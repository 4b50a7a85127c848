"""GET /.well-known/call-receipt-keys.json: the keys that verify call receipts, of all nodes that ever served."""

from functools import cache

from aws_lambda_powertools.event_handler import Response

from fleet.receipt_keys import ReceiptKeyStore
from shared import http, settings
from shared.problem import ProblemTable
from shared.routes import Caller

app = http.api(ProblemTable())
routes = http.routes(app)


@cache
def keys() -> ReceiptKeyStore:
    """The keys of this deployment's nodes."""
    return ReceiptKeyStore(settings.fleet_table())


@routes.get(
    "/.well-known/call-receipt-keys.json",
    Caller.PUBLIC,
    "The keys that verify call receipts",
    answer="ReceiptKeys",
)
def get_receipt_keys() -> Response[str]:
    """A JSON Web Key Set (RFC 7517 section 5); each key also says which node has it and since when."""
    return http.json_response(200, {"keys": keys().all()}, {"Cache-Control": "public, max-age=300"})


handler = http.handler(app)
