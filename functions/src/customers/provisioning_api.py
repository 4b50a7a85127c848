"""The addresses at which phones fetch their settings. Whatever is wrong, the answer is the same 404: who guesses learns nothing."""

from aws_lambda_powertools.event_handler import Response

from customers import provision
from customers.provisioning import RefusedError
from shared import clock, http, problem
from shared.problem import Problem, ProblemTable
from shared.routes import Caller
from shared.telemetry import count, logger

PROBLEMS = ProblemTable()
app = http.api(PROBLEMS)
routes = http.routes(app)


@PROBLEMS.on(RefusedError)
def _refused(_: RefusedError) -> Problem:
    return Problem(
        problem.NOT_FOUND, "Dit adres bestaat niet of geldt niet meer. Vraag in Mijn omgeving een nieuw aan."
    )


@routes.get(
    "/instellen/{username}/{secret}/{file}",
    Caller.PUBLIC,
    "A phone fetches its settings: bound to its MAC or to a code, for some days and uses; each use makes a new password",
    answer="text/plain, application/xml",
    also={404: "Unknown, over, used up, revoked, or asked for by another phone"},
)
def get_settings(username: str, secret: str, file: str) -> Response[str]:
    """The file of one phone."""
    event = app.current_event
    code = (event.query_string_parameters or {}).get("code", "")
    try:
        found = provision.fetch(username, secret, file, code, event.headers.get("user-agent", ""), clock.now())
    except RefusedError as refused:
        # Never the address itself: with its secret in the log, whoever reads the log could use it.
        logger.info("settings refused", extra={"reason": refused.reason})
        count("ProvisioningRefused")
        raise
    count("PhoneProvisioned")
    return Response(200, f"{found.media_type}; charset=utf-8", found.content, headers={"Cache-Control": "no-store"})


handler = http.handler(app)
