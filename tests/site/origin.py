"""The origin as a browser sees it: the built site under its real headers, and an API with the product's own rules, all in memory."""

import base64
import hashlib
import json
import threading
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ordering import catalogue, credentials, form, order, pricing, views
from ordering.order import Actor, Event, Order, OrderError, RelatedParty, Role, SipServer, State
from ordering.problems import PROBLEMS, PriceChangedError
from shared import clock, html
from shared.problem import FieldProblem, Problem, ProblemError, invalid, not_found

DATA = Path(__file__).parents[2] / "site/data"
SIP_DOMAIN = "sip.example.nl"
SALES = Actor(Role.SALES, "verkoop@example.nl")
CLIENT_ID = "console-under-test"
# As infra/ sends it: nothing may be inline, nothing may come from elsewhere.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; manifest-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_TYPES = {
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".xml": "application/xml",
}


@cache
def order_form() -> form.Form:
    """The form that the site renders."""
    return form.parse(tomllib.loads((DATA / "forms/srtp.toml").read_text()))


@cache
def prices() -> catalogue.Catalogue:
    """The catalogue that the site renders."""
    return catalogue.parse(tomllib.loads((DATA / "catalogue.toml").read_text()))


@dataclass
class Answer:
    """What the origin says to one request."""

    status: int
    body: str | bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Origin:
    """A running origin, and the hands that a test needs: the fleet's, the session's and the network's."""

    site: Path
    url: str = ""
    orders: dict[str, Order] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    placed: dict[str, str] = field(default_factory=dict)
    posts: int = 0
    """How many times an order was posted, replays included."""
    access_tokens: set[str] = field(default_factory=set)
    challenges: dict[str, str] = field(default_factory=dict)
    price_offset_cents: int = 0
    """Added to the server's unit price, as if the catalogue had changed after the site was built."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def complete(self, order_id: str) -> None:
        """The fleet has put the order in service."""
        with self.lock:
            self._keep(order.complete(self.orders[order_id], SipServer("node-1", "203.0.113.7", 5061), clock.now()))

    def move(self, order_id: str, target: State, who: Actor, why: str = "") -> Order:
        """One transition by the product's own table."""
        with self.lock:
            return self._keep(order.move(self.orders[order_id], target, who, clock.now(), why))

    def place(self, fields: Mapping[str, object]) -> str:
        """The href of a new order; raises ProblemError or PriceChangedError."""
        checked = form.check(order_form(), fields)
        if checked.errors:
            raise invalid([FieldProblem(wrong.field, wrong.code, wrong.message) for wrong in checked.errors])
        now = clock.now()
        price = pricing.price(self._catalogue(), [("srtp", checked.number("phones"))], clock.local_day(now))
        shown = fields.get("monthlyTotalCents")
        if shown not in (None, price.monthly_total_cents):
            raise PriceChangedError(int(str(shown)), price.monthly_total_cents)
        token = credentials.new_token()
        party = RelatedParty(**{name: checked.text(name) for name in ("company", "kvk", "name", "email", "telephone")})
        made = order.place(
            order_id=credentials.new_order_id(),
            category="srtp",
            customer_id=credentials.new_customer_id(),
            related_party=party,
            note=checked.text("note"),
            price=price,
            token_sha256=credentials.sha256(token),
            now=now,
        )
        self.tokens[made.id] = token
        self._keep(made)
        return f"/bestelling/{made.id}?token={quote(token)}"

    def expire_sessions(self) -> None:
        """Every token that was given is worth nothing any more."""
        self.access_tokens.clear()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What the origin says; problems become JSON or a page, as the product does."""
        address = urlsplit(target)
        query = dict(parse_qsl(address.query))
        wants_page = "text/html" in headers.get("accept", "")
        with self.lock:
            try:
                return self._route(method, address.path, query, headers, body)
            except (ProblemError, OrderError, PriceChangedError) as error:
                found = PROBLEMS.problem(error)
                assert found is not None
                if wants_page:
                    problem = {"title": found.kind.title, "detail": found.detail, "status": found.kind.status, "correlationId": "c-1"}
                    return Answer(found.kind.status, html.render("problem", problem=problem), {"Content-Type": _TYPES[".html"]})
                return _json(found.kind.status, found.to_json(address.path, "c-1"), "application/problem+json")

    def _route(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Answer:
        parts = path.strip("/").split("/")
        match method, parts:
            case "GET", ["api", "prices"]:
                return _json(200, views.prices(self._catalogue(), clock.local_day(clock.now())))
            case "POST", ["api", "orders"]:
                return self._post_order(headers, body)
            case "GET", ["api", "orders", order_id]:
                return _json(200, self._order_view(order_id, headers.get("authorization", "").removeprefix("Bearer ")))
            case "GET", ["bestelling", order_id]:
                token = query.get("token", "")
                return self._order_page(self._order_view(order_id, token), token)
            case "POST", ["bestelling", order_id, "credentials"]:
                return self._issue(order_id, dict(parse_qsl(body.decode()))["token"])
            case _, ["api", "sales", "orders", *rest]:
                if headers.get("authorization", "").removeprefix("Bearer ") not in self.access_tokens:
                    return _json(401, {"message": "Unauthorized"})
                return self._sales(method, rest, query, json.loads(body) if body else {}, headers.get("if-match"))
            case "GET", ["console", "config.json"]:
                return _json(200, self._configuration())
            case "GET", ["oauth2", "authorize"]:
                return self._authorize(query)
            case "POST", ["oauth2", "token"]:
                return self._token(dict(parse_qsl(body.decode())))
        return self._file(path)

    def _post_order(self, headers: Mapping[str, str], body: bytes) -> Answer:
        self.posts += 1
        if headers.get("content-type", "").startswith("application/json"):
            key = headers["idempotency-key"]
            if key not in self.placed:
                self.placed[key] = self.place(json.loads(body))
            href = self.placed[key]
            order_id = urlsplit(href).path.split("/")[-1]
            return _json(201, {**self._view(order_id), "token": self.tokens[order_id], "href": href})
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
        try:
            return Answer(303, "", {"Location": self.place(fields)})
        except ProblemError as error:
            errors = error.problem.errors
            page = html.render(
                "order-form",
                values=fields,
                errors={wrong.field: wrong.message for wrong in errors},
                error_list=[{"field": wrong.field, "message": wrong.message} for wrong in errors],
                idempotency_key="again",
            )
            return Answer(422, page, {"Content-Type": _TYPES[".html"]})

    def _issue(self, order_id: str, token: str) -> Answer:
        self._order_view(order_id, token)
        told, problem = None, None
        try:
            found = self._keep(order.issue_credentials(self.orders[order_id], clock.now()))
            phones = [
                credentials.PhoneCredentials(extension, f"{found.customer_id}-{extension}", credentials.new_password())
                for extension in range(101, 101 + found.quantity)
            ]
            told = views.credentials(found, SIP_DOMAIN, phones)
        except OrderError as error:
            refused = PROBLEMS.problem(error)
            assert refused is not None
            problem = {"title": refused.kind.title, "detail": refused.detail}
        return self._order_page(self._view(order_id), token, told, problem)

    def _sales(self, method: str, rest: list[str], query: Mapping[str, str], body: Mapping[str, str], if_match: str | None) -> Answer:
        match method, rest:
            case "GET", []:
                found = sorted((one for one in self.orders.values() if one.state == query["state"]), key=lambda one: one.order_date)
                counts = {state.value: sum(one.state is state for one in self.orders.values()) for state in State}
                start, limit = int(query.get("cursor", 0)), int(query.get("limit", 50))
                items = [views.sales_summary(one, SIP_DOMAIN) for one in found[start : start + limit]]
                more = str(start + limit) if len(found) > start + limit else None
                return _json(200, {"items": items, "counts": counts, "next": more})
            case "POST", [order_id, "approve"]:
                self._decide(order_id, State.IN_PROGRESS, "", if_match)
            case "POST", [order_id, "reject"]:
                if not body.get("reason"):
                    raise invalid([FieldProblem("reason", "missing", "Vul in waarom u de bestelling afwijst")])
                self._decide(order_id, State.REJECTED, body["reason"], if_match)
        found_order = self.orders.get(rest[0])
        if found_order is None:
            raise not_found("Wij kennen deze bestelling niet.")
        return _json(200, views.sales_order(found_order, self.events[rest[0]], None, SIP_DOMAIN))

    def _decide(self, order_id: str, target: State, why: str, if_match: str | None) -> None:
        changed = order.move(self.orders[order_id], target, SALES, clock.now(), why)
        self.orders[order_id].expect(int(if_match.strip('"')) if if_match else None)
        self._keep(changed)

    def _configuration(self) -> dict[str, str]:
        return {
            "authority": self.url,
            "authorize": f"{self.url}/oauth2/authorize",
            "token": f"{self.url}/oauth2/token",
            "logout": f"{self.url}/oauth2/logout",
            "clientId": CLIENT_ID,
            "scope": "openid email",
        }

    def _authorize(self, query: Mapping[str, str]) -> Answer:
        """A sign-in page whose visitor is signed in already, as with Cognito's own cookie."""
        assert query["response_type"] == "code" and query["client_id"] == CLIENT_ID and query["code_challenge_method"] == "S256"
        code = credentials.new_token()
        self.challenges[code] = query["code_challenge"]
        return Answer(302, "", {"Location": f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"})

    def _token(self, fields: Mapping[str, str]) -> Answer:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(fields["code_verifier"].encode()).digest()).decode().rstrip("=")
        if self.challenges.pop(fields["code"], None) != challenge or fields["grant_type"] != "authorization_code":
            return _json(400, {"error": "invalid_grant"})
        token = credentials.new_token()
        self.access_tokens.add(token)
        return _json(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def _order_view(self, order_id: str, token: str) -> dict[str, Any]:
        if order_id not in self.orders or self.tokens[order_id] != token:
            raise ProblemError(Problem(not_found("").problem.kind, "Wij kennen geen bestelling op dit adres."))
        return self._view(order_id)

    def _view(self, order_id: str) -> dict[str, Any]:
        return views.order(self.orders[order_id], self.events[order_id], SIP_DOMAIN)

    def _order_page(self, view: dict[str, Any], token: str, told: object = None, problem: object = None) -> Answer:
        page = html.render("order", order=view, token=token, credentials=told, problem=problem)
        return Answer(409 if problem else 200, page, {"Content-Type": _TYPES[".html"]})

    def _keep(self, changed: Order) -> Order:
        self.orders[changed.id] = changed
        self.events.setdefault(changed.id, []).append(changed.last)
        return changed

    def _catalogue(self) -> catalogue.Catalogue:
        document = tomllib.loads((DATA / "catalogue.toml").read_text())
        for offering in document["offering"]:
            if offering["id"] == "srtp":
                offering["unit_price_cents"] += self.price_offset_cents
        return catalogue.parse(document)

    def _file(self, path: str) -> Answer:
        file = self.site / path.strip("/")
        file = file / "index.html" if path.endswith("/") else file
        if not file.is_file():
            return Answer(404, (self.site / "404.html").read_bytes(), {"Content-Type": _TYPES[".html"]})
        return Answer(200, file.read_bytes(), {"Content-Type": _TYPES.get(file.suffix, "application/octet-stream")})


def _json(status: int, body: object, content_type: str = "application/json") -> Answer:
    return Answer(status, json.dumps(body), {"Content-Type": content_type})


def example(**changes: object) -> dict[str, object]:
    """A right order of 5 phones."""
    fields: dict[str, object] = {
        "company": "Bakkerij De Oven",
        "kvk": "12345678",
        "name": "A. Bakker",
        "email": "bakker@example.nl",
        "telephone": "085 555 01 00",
        "phones": "5",
        "note": "",
    }
    return {**fields, **changes}


@contextmanager
def serve(site: Path) -> Iterator[Origin]:
    """Serve the built site and the API on a free port until the context ends."""
    origin = Origin(site)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = origin.answer(self.command, self.path, headers, self.rfile.read(length))
            body = answer.body.encode() if isinstance(answer.body, str) else answer.body
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.send_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            with suppress(BrokenPipeError, ConnectionResetError):  # the browser went on
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST = handle_any

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    origin.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield origin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
