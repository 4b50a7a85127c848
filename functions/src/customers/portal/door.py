"""The door of Mijn omgeving: each request passes here before its page. Whoever is not signed in gets no further than signing in.

A POST is taken only from our own pages: the browser says that it came from this origin (Sec-Fetch-Site, or else Origin; Fetch Metadata
Request Headers, W3C), and the form holds a token that is made from the secret in the browser's cookie.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any, TypeVar
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.shared.cookies import Cookie, SameSite

from customers.customer import Customer
from customers.customer import Kind as CustomerKind
from customers.portal import memberships, sessions
from customers.portal.people import Member, Right
from customers.portal.problems import PROBLEMS
from customers.portal.sessions import Session
from customers.portal.store import PortalStore
from customers.vat import Vat, vat_of
from ordering import source
from ordering.credentials import sha256
from shared import clock, html, http, settings
from shared.problem import Kind, Problem, ProblemError
from shared.routes import FORM, Body, Caller

F = TypeVar("F", bound=Callable[..., Any])

SESSION_COOKIE = "__Host-session"
BROWSER_COOKIE = "__Host-sign-in"
HOME = "/mijn/overzicht"
SIGN_IN = "/mijn/aanmelden"

_ELSEWHERE = Kind("not-from-our-page", HTTPStatus.BAD_REQUEST, "Dit kwam niet van onze eigen pagina")
_NOT_YOURS = Kind("not-your-role", HTTPStatus.NOT_FOUND, "Dit hoort niet bij uw rol")

app: APIGatewayHttpResolver = http.api(PROBLEMS)
routes = http.routes(app)

_TEXT = {"type": "string"}
_ON = {303: "On to the next page; to where one signs in for who is not signed in"}
_REFUSED = {409: "Not from this state, or at another price", 429: "Too often"}


def get(path: str, summary: str, caller: Caller = Caller.CUSTOMER) -> Callable[[F], F]:
    """Declare a page."""
    return routes.get(path, caller, summary, also=_ON)


def post(path: str, summary: str, *fields: str, caller: Caller = Caller.CUSTOMER) -> Callable[[F], F]:
    """Declare what a form of a page is sent to, and its fields besides the token."""
    body = Body(dict.fromkeys(("token", *fields), _TEXT), required=False, media=(FORM,))
    return routes.post(path, caller, summary, body=body, also={**_ON, **_REFUSED})


@dataclass(frozen=True)
class Visitor:
    """Whose request this is. `secret` is what the browser's cookie holds: of its session, or else of its request for a link."""

    now: datetime
    language: str
    secret: str
    session: Session | None = None
    member: Member | None = None

    @property
    def token(self) -> str:
        """What the forms of this visitor bring along."""
        return sessions.form_token(settings.order_key(), self.secret) if self.secret else ""


@cache
def store() -> PortalStore:
    """Requests for links and sessions of this deployment."""
    return PortalStore(settings.customers_table())


def visitor() -> Visitor:
    """Whose request is being answered."""
    found = app.context["visitor"]
    assert isinstance(found, Visitor)  # noqa: S101 (the door has put it there)
    return found


def member() -> Member:
    """Who is signed in."""
    found = visitor().member
    assert found is not None  # noqa: S101 (the door lets nobody else through)
    return found


def session() -> Session:
    """The session of who is signed in."""
    found = visitor().session
    assert found is not None  # noqa: S101 (the door lets nobody else through)
    return found


def need(right: Right) -> Member:
    """Who is signed in, if their role has this right; raises ProblemError (404, as the distribution keeps 403 to itself)."""
    found = member()
    if right not in found.rights:
        raise ProblemError(
            Problem(_NOT_YOURS, "Vraag het aan de eigenaar van uw omgeving, of laat die uw rol wijzigen.")
        )
    return found


def source_name() -> str:
    """Where the request came from, as the counters know it."""
    return source.name(settings.order_key(), http.source_ip(app), visitor().now)


def page(view: str, status: int = 200, **context: Any) -> Response[str]:
    """A page of Mijn omgeving in the visitor's language."""
    whose = visitor()
    who = whose.member
    me = who and {
        "company": who.customer.company,
        "name": who.contact.name,
        "email": who.contact.email,
        "rights": sorted(right.value for right in who.rights),
    }
    path = app.current_event.path
    vat = _vat(who.customer) if who else None
    common = {"vat": vat, "me": me, "token": whose.token, "path": path, "page": view, "problem": None}
    text = html.render(f"mijn-{view}", whose.language, **{**common, **context})
    return http.html_response(status, text)


def _vat(customer: Customer) -> Vat | None:
    """Consumers see prices with VAT as well (article 6:193e BW); for a business they are without."""
    if customer.kind is not CustomerKind.CONSUMER:
        return None
    return vat_of(customer, customer.country, clock.local_day(visitor().now))


def see_other(path: str, **query: str) -> Response[str]:
    """On to a page by GET, so that reloading it repeats nothing."""
    return to(f"{path}?{urlencode(query)}" if query else path)


def to(href: str) -> Response[str]:
    """A redirect of a form that was handled."""
    return Response(303, http.HTML, "", headers={"Location": href, "Cache-Control": "no-store"})


def cookie(name: str, value: str, max_age_s: int | None = None) -> Cookie:
    """A cookie that goes to this origin only and that no script reads; without an age it ends with the browser.

    Browsers take Secure and __Host- from http://127.0.0.1 too, which is as good as TLS to them: the local system needs no other cookie.
    """
    return Cookie(name, value, path="/", secure=True, http_only=True, max_age=max_age_s, same_site=SameSite.LAX_MODE)


def cookies() -> Mapping[str, str]:
    """What the browser keeps for us."""
    found: dict[str, str] = {}
    for line in app.current_event.cookies or ():
        try:
            found |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        except CookieError:
            continue
    return found


def fields() -> dict[str, str]:
    """The fields of the form that was sent."""
    return http.read_optional_form(app)


def enter(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[str]:
    """Let a request in, or send it to where one signs in; raises ProblemError (400) for a form that is not from our own page."""
    now, kept = clock.now(), cookies()
    public = app.current_event.path.startswith(SIGN_IN)
    if app.current_event.http_method == "POST":
        _from_our_page()
    if public:
        whose = Visitor(now, _asked_language() or html.DUTCH, kept.get(BROWSER_COOKIE, ""))
    else:
        found = _signed_in(kept.get(SESSION_COOKIE, ""), now)
        if found is None:
            return _to_sign_in(bool(kept.get(SESSION_COOKIE)))
        whose = found
    app.append_context(visitor=whose)  # type: ignore[no-untyped-call]
    if app.current_event.http_method == "POST" and whose.secret:
        _with_token(whose)
    return next_middleware(app)


app.use([enter])


def _signed_in(value: str, now: datetime) -> Visitor | None:
    """Who the session's cookie belongs to, if it is alive and its address still belongs to a contact of its customer."""
    parts = sessions.read_cookie(value)
    found = store().session(parts[0], sha256(parts[1])) if parts else None
    if parts is None or found is None or not found.is_alive(now):
        return None
    who = memberships.of(found.customer_id, found.email)
    if who is None:
        store().end(found)
        return None
    language = _asked_language() or found.language
    changed = sessions.seen(found, language, now)
    if changed:
        store().put_session(changed)
    return Visitor(now, language, parts[1], changed or found, who)


def _asked_language() -> str:
    asked = fields().get("language") or (app.current_event.query_string_parameters or {}).get("language", "")
    return asked if asked in html.languages(settings.views_directory()) else ""


def _to_sign_in(had_session: bool) -> Response[str]:
    language = _asked_language()
    query = {**({"language": language} if language else {}), **({"ended": "1"} if had_session else {})}
    return see_other(SIGN_IN, **query)


def _from_our_page() -> None:
    headers = app.current_event.headers
    site = headers.get("sec-fetch-site", "")
    # Without a referrer, as our pages have it, the browser says `null` of a form's origin; then Sec-Fetch-Site or the token decides.
    origin = headers.get("origin", "null")
    ours = site in ("same-origin", "none") if site else origin in ("null", settings.site_url())
    if not ours:
        raise ProblemError(
            Problem(_ELSEWHERE, "Er is niets gewijzigd. Ga naar Mijn omgeving en probeer het daar nog eens.")
        )


def _with_token(whose: Visitor) -> None:
    if not hmac.compare_digest(whose.token.encode(), fields().get("token", "").encode("utf-8", "replace")):
        raise ProblemError(Problem(_ELSEWHERE, "Er is niets gewijzigd. Herlaad de pagina en probeer het nog eens."))
