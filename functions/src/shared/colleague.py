"""Who of sales is signed in. API Gateway has checked the token; the group is checked here."""

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from shared import problem, settings
from shared.problem import Problem, ProblemError


def name(app: APIGatewayHttpResolver) -> str:
    """The colleague's e-mail address or user name; raises ProblemError (401, or 404 for who is in no group of ours)."""
    authorizer = app.current_event.raw_event["requestContext"].get("authorizer") or {}
    claims = (authorizer.get("jwt") or {}).get("claims")
    if not claims:
        raise ProblemError(Problem(problem.UNAUTHENTICATED, "Meld u aan om bestellingen te zien."))
    groups = claims.get("cognito:groups") or ""
    # API Gateway flattens a list claim to "[sales admin]".
    members = groups if isinstance(groups, list) else str(groups).strip("[]").replace(",", " ").split()
    if settings.sales_group() not in members:
        # Not 403: the distribution answers that with a page of its own (RFC 9110 section 15.5.4 lets a server hide behind 404).
        raise problem.not_found(
            f"Uw account hoort niet bij de groep {settings.sales_group()}, die bestellingen beoordeelt."
        )
    # An access token of Cognito has no e-mail address; its user name is one, as infra/sign_in.py has it.
    return str(claims.get("email") or claims.get("username") or claims["sub"])
