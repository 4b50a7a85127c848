"""Signing in and out: ask for a link, use it once in the same browser, end the session.

What is answered to who asks for a link says nothing about the address: the same writes are made and the same page is shown for each, and
whether a mail follows is decided later, by the mailer on the table's stream.
"""

import re

from aws_lambda_powertools.event_handler import Response

from customers.portal import door, memberships, sessions, sign_in
from customers.portal.door import (
    BROWSER_COOKIE,
    HOME,
    SESSION_COOKIE,
    SIGN_IN,
    app,
    cookie,
    cookies,
    fields,
    page,
    see_other,
    session,
    source_name,
    store,
    visitor,
)
from customers.portal.sign_in import SignInRefusedError, WrongLinkError
from shared import html, http, settings
from shared.routes import Caller
from shared.telemetry import count, logger

_REQUEST_ID = re.compile(r"[0-9a-f]{32}")
_BROWSER = re.compile(r"[A-Za-z0-9_-]{43}")


@door.get(SIGN_IN, "Where somebody asks for a link to sign in with", caller=Caller.PUBLIC)
def get_sign_in() -> Response[str]:
    """The form, and a secret of its own for a browser that has none."""
    query = app.current_event.query_string_parameters or {}
    return _with_browser_secret(ended=query.get("ended") == "1")


@door.post(SIGN_IN, "Ask for a link to sign in with", "email", "language", caller=Caller.PUBLIC)
def post_sign_in() -> Response[str]:
    """Keep the request; a mail follows if the address is known."""
    whose, sent = visitor(), fields()
    email = sent.get("email", "")
    if not _BROWSER.fullmatch(whose.secret):
        return _with_browser_secret(400, email=email, problem="no_cookie")
    if not sign_in.is_address(email):
        return page("sign-in", 422, email=email[: sign_in.LONGEST_ADDRESS], problem="address", ended=False)
    if store().count("ASKED", source_name(), whose.now) > sign_in.ASKED_PER_HOUR:
        return page("sign-in", 429, email=email, problem="often", ended=False)
    links = store().count("LINKS", sessions.person(settings.order_key(), email), whose.now)
    store().put_sign_in(sign_in.ask(email, whose.secret, whose.language, links, whose.now))
    count("SignInAsked")
    return see_other(f"{SIGN_IN}/verstuurd", **_language())


@door.get(f"{SIGN_IN}/verstuurd", "What to do after a link was asked for", caller=Caller.PUBLIC)
def get_sign_in_sent() -> Response[str]:
    """The same for every address."""
    return page("sign-in-sent", minutes=sign_in.VALID_FOR.seconds // 60)


@door.get(SIGN_IN + "/{request_id}/{code}", "The page of a link, with the button that signs in", caller=Caller.PUBLIC)
def get_sign_in_link(request_id: str, code: str) -> Response[str]:
    """Looking changes nothing and asks nothing: a scanner that follows the links in a mail sees this page and no more."""
    here = bool(_BROWSER.fullmatch(visitor().secret))
    return page("sign-in-link", action=f"{SIGN_IN}/{request_id}/{code}", here=here)


@door.post(SIGN_IN + "/{request_id}/{code}", "Sign in with a link, once", caller=Caller.PUBLIC)
def post_sign_in_link(request_id: str, code: str) -> Response[str]:
    """Begin a session; or the page that says what is wrong with the link, which stays as it was."""
    whose, key = visitor(), settings.order_key()
    if store().counted("FAILED", source_name(), whose.now) >= sign_in.FAILURES_PER_HOUR:
        return page("sign-in-refused", 429, reason="TooManyError")
    try:
        asked = store().sign_in(request_id) if _REQUEST_ID.fullmatch(request_id) else None
        used = sign_in.use(asked, key, request_id, code, whose.secret, whose.now)
        members = memberships.all_of(used.email)
        if not members:
            raise WrongLinkError
        device = sessions.device(app.current_event.headers.get("user-agent", ""), http.source_ip(app))
        begun, value = sessions.begin(key, used.email, members[0].customer.id, used.language, device, whose.now)
        store().begin(used, begun)
    except SignInRefusedError as refused:
        store().count("FAILED", source_name(), whose.now)
        logger.info("sign-in refused", extra={"reason": type(refused).__name__})
        count("SignInRefused")
        return page("sign-in-refused", 409, reason=type(refused).__name__)
    logger.info("signed in", extra={"customer_id": begun.customer_id})
    count("SignedIn")
    answer = see_other(HOME)
    answer.cookies = [cookie(SESSION_COOKIE, value)]
    return answer


@door.post("/mijn/afmelden", "End this session")
def post_sign_out() -> Response[str]:
    """Back to where one signs in."""
    store().end(session())
    answer = see_other(SIGN_IN, **_language())
    answer.cookies = [cookie(SESSION_COOKIE, "", 0)]
    return answer


def _with_browser_secret(status: int = 200, **context: object) -> Response[str]:
    """The form to ask for a link, for a browser that may be here for the first time."""
    kept = cookies().get(BROWSER_COOKIE, "")
    secret = kept if _BROWSER.fullmatch(kept) else sign_in.new_secret()
    token = sessions.form_token(settings.order_key(), secret)
    answer = page("sign-in", status, **{"email": "", "problem": None, "ended": False, **context, "token": token})
    # Longer than a link works: who asks again from here keeps the links that were asked for before.
    answer.cookies = [cookie(BROWSER_COOKIE, secret, 24 * 3600)]
    return answer


def _language() -> dict[str, str]:
    language = visitor().language
    return {} if language == html.DUTCH else {"language": language}
