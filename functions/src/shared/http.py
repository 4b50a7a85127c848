"""The HTTP side of a function: requests read without trust, answers, and every error as a problem."""

import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware

from shared import colleague, problem, settings
from shared.dynamodb import UNREACHABLE, BusyError
from shared.problem import Problem, ProblemError, ProblemTable
from shared.routes import FORM, JSON, Caller, Route, Routes
from shared.telemetry import count, flush, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

HTML = "text/html"


Handler = Callable[[dict[str, Any], "LambdaContext"], dict[str, Any]]

ORIGIN_HEADER = "x-origin-verify"
"""Only the distribution knows its value: who goes round it goes round its firewall too."""

# What follows the version in an entity tag of ours tells versions of everything else in the answer apart.
_VERSION = re.compile(r'(?:W/)?"?([0-9]{1,9})(?:-[0-9a-f]+)?"?')
_LONGEST_BODY = 64 * 1024


def api(problems: ProblemTable) -> APIGatewayHttpResolver:
    """A resolver of API Gateway HTTP API events (payload version 2.0) that answers errors by the table."""
    app = APIGatewayHttpResolver()
    app.use([_from_the_distribution_only])

    @app.exception_handler(Exception)  # type: ignore[untyped-decorator]
    def on_error(error: Exception) -> Response[str]:
        return problem_response(app, as_problem(app, problems, error))

    @app.not_found
    def on_unknown_route(_: NotFoundError) -> Response[str]:
        return problem_response(app, Problem(problem.NOT_FOUND, "Dit adres bestaat niet."))

    return app


def routes(app: APIGatewayHttpResolver) -> Routes:
    """The routes of a handler: what is declared on them is registered with `app`, and only colleagues get to those of sales."""

    def register(route: Route, function: Callable[..., Any]) -> None:
        guards = [_colleagues_only] if route.caller is Caller.SALES else []
        app.route(route.rule, route.method, middlewares=guards)(function)

    return Routes(register)


def _colleagues_only(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[str]:
    colleague.name(app)
    return next_middleware(app)


def as_problem(app: APIGatewayHttpResolver, problems: ProblemTable, error: Exception) -> Problem:
    """What an error means to whoever made the request; what nobody foresaw goes to the log."""
    found = problems.problem(error)
    if found is None and isinstance(error, BusyError):
        found = Problem(problem.BUSY, "Er is niets gewijzigd. Probeer het over enkele seconden nog eens.")
    if found is None and isinstance(error, UNREACHABLE):
        logger.error("store unreachable", extra={"error": type(error).__name__})
        count("Fault")
        found = Problem(problem.UNAVAILABLE, "Er is niets gewijzigd. Probeer het over een minuut nog eens.")
    if found is None:
        logger.exception("fault")
        count("Fault")
        found = problem.fault(correlation_id(app))
    return found


def members(app: APIGatewayHttpResolver, found: Problem) -> dict[str, Any]:
    """A problem of this request as JSON."""
    return found.to_json(app.current_event.path, correlation_id(app))


def handler(app: APIGatewayHttpResolver) -> Handler:
    """The Lambda handler around a resolver: correlation id in every log line, metrics sent at the end."""

    @logger.inject_lambda_context(correlation_id_path="requestContext.requestId", clear_state=True)
    def handle(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
        try:
            return app.resolve(event, context)
        finally:
            flush()

    return handle


def _from_the_distribution_only(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[str]:
    secret = settings.origin_secret()
    if secret and not hmac.compare_digest(secret.encode(), app.current_event.headers.get(ORIGIN_HEADER, "").encode()):
        # Not 403: the distribution shows its own page for that, as the bucket says so of files it has not. RFC 9110
        # section 15.5.4 lets a server hide what is forbidden behind a 404.
        raise problem.not_found("Ga naar onze website; dit adres is niet voor bezoekers.")
    return next_middleware(app)


def source_ip(app: APIGatewayHttpResolver) -> str:
    """The address the request came from: behind the distribution what it says of its viewer, else who connected to us.

    CloudFront adds its viewer's address at the end of X-Forwarded-For, and API Gateway adds CloudFront's after it; what
    stands before comes from the viewer and is not to be believed.
    """
    event = app.current_event
    hops = [hop.strip() for hop in event.headers.get("x-forwarded-for", "").split(",")]
    return hops[-2] if settings.origin_secret() and len(hops) > 1 else event.request_context.http.source_ip


def correlation_id(app: APIGatewayHttpResolver) -> str:
    """The request's id, by which its log lines are found."""
    return app.current_event.request_context.request_id


def json_response(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response[str]:
    """A JSON answer that nobody keeps, unless `headers` says otherwise."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(status, JSON, text, headers={"Cache-Control": "no-store", **(headers or {})})


def unless_seen(app: APIGatewayHttpResolver, body: Mapping[str, Any], version: int | None = None) -> Response[str]:
    """A JSON answer with an entity tag, or 304 to who has it already (RFC 9110 section 13.1.2); the tag begins with the
    version, if any.
    """
    answer = json_response(200, body)
    digest = hashlib.sha256(str(answer.body).encode()).hexdigest()[:16]
    tag = f'"{digest}"' if version is None else f'"{version}-{digest}"'
    known = {each.strip().removeprefix("W/") for each in app.current_event.headers.get("if-none-match", "").split(",")}
    headers = {"Cache-Control": "no-store", "ETag": tag}
    if app.current_event.http_method == "GET" and tag in known:
        return Response(304, headers=headers, body="")
    answer.headers |= headers
    return answer


def html_response(status: int, page: str, cache_control: str = "no-store") -> Response[str]:
    """A page of one visitor; its address may hold a token, so no other site may learn it."""
    return Response(
        status,
        f"{HTML}; charset=utf-8",
        page,
        headers={"Cache-Control": cache_control, "Referrer-Policy": "same-origin"},
    )


def problem_response(app: APIGatewayHttpResolver, found: Problem) -> Response[str]:
    """A problem as a page for a browser that navigates, as application/problem+json for all others."""
    correlation = correlation_id(app)
    language = _language(app)
    if language:
        from shared import translation

        found = translation.translated(found, language)
    told = members(app, found)
    if wants_html(app):
        try:
            from shared import html

            answer = html_response(found.kind.status, html.render("problem", language or html.DUTCH, problem=told))
            answer.headers |= found.headers
            return answer
        except Exception:
            # The problem is told in any case; that its page is broken stands in the log.
            logger.exception("the view of problems failed")
    headers = {"Cache-Control": "no-store", "X-Correlation-Id": correlation, **found.headers}
    return Response(int(found.kind.status), problem.CONTENT_TYPE, json.dumps(told, ensure_ascii=False), headers=headers)


def _language(app: APIGatewayHttpResolver) -> str:
    """The language of whoever made the request, where it is not Dutch; what cannot be read has none."""
    from shared import html, translation

    try:
        text = _text(app)
    except ProblemError:
        text = ""
    language = translation.asked_for(app.current_event.raw_event, text)
    return "" if language == html.DUTCH else language


def wants_html(app: APIGatewayHttpResolver) -> bool:
    """Whether a browser is navigating; scripts ask for JSON or for anything."""
    return HTML in app.current_event.headers.get("accept", "")


def content_type(app: APIGatewayHttpResolver) -> str:
    """The media type of the body, without parameters, in lower case."""
    return app.current_event.headers.get("content-type", "").partition(";")[0].strip().lower()


def read_body(app: APIGatewayHttpResolver) -> dict[str, object]:
    """The members of a JSON object or the fields of a form; raises ProblemError (400, 413, 415)."""
    kind = content_type(app)
    if kind == JSON:
        return _json_object(_text(app))
    if kind == FORM:
        return dict(_form(_text(app)))
    raise ProblemError(Problem(problem.UNSUPPORTED_MEDIA_TYPE, f"Stuur {JSON} of {FORM}."))


def seen_version(app: APIGatewayHttpResolver) -> int | None:
    """The version in If-Match (RFC 9110 section 13.1.1), if the caller names one; raises ProblemError (400)."""
    text = app.current_event.headers.get("if-match", "").strip()
    if text in ("", "*"):
        return None
    match = _VERSION.fullmatch(text)
    if match is None:
        raise problem.bad_request('If-Match moet de versie van de bestelling zijn, zoals "3".')
    return int(match[1])


def read_optional_form(app: APIGatewayHttpResolver) -> dict[str, str]:
    """The fields of a form; empty when the body is none. Raises ProblemError (400, 413)."""
    return _form(_text(app)) if content_type(app) == FORM else {}


def _text(app: APIGatewayHttpResolver) -> str:
    event = app.current_event
    if len(event.body or "") > _LONGEST_BODY:
        raise ProblemError(Problem(problem.TOO_LARGE, "Stuur hoogstens 64 kB."))
    try:
        return event.decoded_body or ""
    except (binascii.Error, UnicodeDecodeError):
        raise problem.bad_request("De tekst is geen UTF-8.") from None


def _json_object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise problem.bad_request("De tekst is geen geldige JSON.") from None
    if not isinstance(value, dict):
        raise problem.bad_request("De JSON moet een object zijn.")
    return value


def _form(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=100))
    except ValueError:
        raise problem.bad_request("Het formulier heeft te veel velden.") from None
