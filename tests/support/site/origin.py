"""The origin as a browser sees it: the built site under its real headers, and an API with the product's own rules, all
in memory.
"""

import base64
import gzip
import hashlib
import json
import secrets
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fleet.whereabouts import Serving
from ordering import catalogue, credentials, export_csv, form, mail, order, pricing, queue, views
from ordering.order import (
    CUSTOMER,
    Actor,
    Detail,
    Event,
    Order,
    OrderError,
    RelatedParty,
    Role,
    SipServer,
    State,
    Suspicion,
)
from ordering.problems import PROBLEMS, PriceChangedError
from shared import clock, html
from shared.brand import brand
from shared.problem import FieldProblem, Kind, Problem, ProblemError, invalid, not_found
from tests.support.own_data import DATA

SIP_DOMAIN = "sip.example.nl"
SALES = Actor(Role.SALES, "verkoop@example.nl")
CLIENT_ID = "console-under-test"
PROBE = {
    "ok": True,
    "at": 1_795_280_000_000,
    "suites": ["AES_CM_128_HMAC_SHA1_80"] * 2,
    "packets": 150,
    "plaintextPackets": 0,
}
_PARTY = ("company", "kvk", "name", "email", "telephone")
_OPEN_ORDER = Kind("open-order", HTTPStatus.CONFLICT, "U hebt al een bestelling van SRTP")
# As infra/ sends it: nothing may be inline, nothing may come from elsewhere.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self'; img-src 'self' data:; font-src 'self'; "
    "manifest-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def content_security_policy(path: str) -> str:
    """The policy of a path; the search page may compile its index's WebAssembly."""
    wasm = "script-src 'self' 'wasm-unsafe-eval'"
    return (
        CONTENT_SECURITY_POLICY.replace("script-src 'self'", wasm)
        if path.startswith("/zoeken/")
        else CONTENT_SECURITY_POLICY
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
def order_form(category: str = "srtp", language: str = html.DUTCH) -> form.Form:
    """The form that the site renders."""
    words = DATA / language / f"forms/{category}.toml"
    return form.parse(
        tomllib.loads((DATA / f"forms/{category}.toml").read_text()),
        tomllib.loads(words.read_text()) if words.is_file() else None,
    )


def spoken(fields: Mapping[str, object]) -> str:
    """The language of the page that sent these fields."""
    return str(fields.get("language") or html.DUTCH)


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
    forms: list[dict[str, object]] = field(default_factory=list)
    """All fields of each order that was placed, as they arrived."""
    changed: list[str] = field(default_factory=list)
    """The order of each change, in time."""
    unreadable: set[str] = field(default_factory=set)
    """Orders that the API can show no more of than their id."""
    asked: list[str] = field(default_factory=list)
    """What of the sales API was asked, in time."""
    posts: int = 0
    """How many times an order was posted, replays included; asking for the check step is not posting."""
    difficulty: int | None = 500
    """Up to which number the proof of work counts; None: there is no challenge to be had."""
    access_tokens: set[str] = field(default_factory=set)
    challenges: dict[str, str] = field(default_factory=dict)
    price_offset_cents: int = 0
    """Added to the server's unit price, as if the catalogue had changed after the site was built."""
    serving: Serving = field(default_factory=lambda: Serving("node-1", "ready", "203.0.113.7", "", PROBE))
    nodes: list[dict[str, Any]] = field(default_factory=list)
    """What the fleet view shows."""
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """What the servers measured, by their names."""
    customers: Callable[..., Answer] | None = None
    """What answers for the customers of sales, where a test has some."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def complete(self, order_id: str) -> None:
        """The fleet has put the order in service."""
        with self.lock:
            self._keep(order.complete(self.orders[order_id], SipServer("node-1", "203.0.113.7", 5061), clock.now()))

    def move(self, order_id: str, target: State, who: Actor, why: str = "") -> Order:
        """One transition by the product's own table."""
        with self.lock:
            return self._keep(order.move(self.orders[order_id], target, who, clock.now(), why))

    def check(self, fields: Mapping[str, object]) -> tuple[form.Form, form.Checked, pricing.Price]:
        """The form of these fields, their normalised values and their price; raises ProblemError."""
        definition = order_form(str(fields.get("category") or "srtp"), spoken(fields))
        checked = form.check(definition, fields)
        if checked.errors:
            raise invalid([FieldProblem(wrong.field, wrong.code, wrong.message) for wrong in checked.errors])
        return (
            definition,
            checked,
            pricing.price(self._catalogue(), definition.quantities(checked), clock.local_day(clock.now())),
        )

    def place(self, fields: Mapping[str, object]) -> str:
        """The href of a new order; raises ProblemError or PriceChangedError."""
        definition, checked, price = self.check(fields)
        shown = fields.get("monthlyTotalCents")
        once = fields.get("oneTimeTotalCents")
        amounts = pricing.Amounts(*(None if each is None else int(str(each)) for each in (shown, once)))
        if not amounts.agrees(price.amounts):
            raise PriceChangedError(amounts, price.amounts)
        self.forms.append(dict(fields))
        token = secrets.token_urlsafe(32)
        party = RelatedParty(**{name: str(checked.values.get(name, "")) for name in _PARTY})
        own = [one for one in definition.fields if one.name not in {*_PARTY, "note", definition.quantity_field}]
        made = order.place(
            order_id=credentials.new_order_id(),
            category=definition.id,
            customer_id=credentials.new_customer_id(),
            related_party=party,
            note=str(checked.values.get("note", "")),
            price=price,
            token_sha256=credentials.sha256(token),
            now=clock.now(),
            details=tuple(
                Detail(one.name, checked.text(one.name), one.label, one.shown(checked.text(one.name)))
                for one in own
                if checked.text(one.name)
            ),
            suspicions=(Suspicion("website", "Een veld dat mensen niet zien, is ingevuld", 60),)
            if fields.get("website")
            else (),
        )
        self.tokens[made.id] = token
        self._keep(made)
        return _href(made.id, token, spoken(fields))

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
                    problem = {
                        "title": found.kind.title,
                        "detail": found.detail,
                        "status": found.kind.status,
                        "correlationId": "c-1",
                    }
                    return Answer(
                        found.kind.status, html.render("problem", problem=problem), {"Content-Type": _TYPES[".html"]}
                    )
                return _json(found.kind.status, found.to_json(address.path, "c-1"), "application/problem+json")

    def _route(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
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
                return self._order_page(self._order_view(order_id, token), token, spoken(query))
            case "GET", ["api", "challenge"]:
                return self._challenge()
            case "POST", ["bestelling", order_id, "credentials"]:
                return self._issue(order_id, dict(parse_qsl(body.decode())))
            case "POST", ["bestelling", order_id, "cancel"]:
                return self._by_customer(
                    order_id, body, lambda found, text: order.cancel(found, CUSTOMER, clock.now(), text)
                )
            case "POST", ["bestelling", order_id, "answer"]:
                return self._by_customer(order_id, body, _answered)
            case _, ["api", "sales", *rest]:
                if headers.get("authorization", "").removeprefix("Bearer ") not in self.access_tokens:
                    return _json(401, {"message": "Unauthorized"})
                answer = self._sales(method, rest, query, json.loads(body) if body else {}, headers.get("if-match"))
                return _unless_seen(answer, headers) if method == "GET" and answer.status == 200 else answer
            case "GET", ["console", "config.json"]:
                return _json(200, self._configuration())
            case "GET", ["oauth2", "authorize"]:
                return self._authorize(query)
            case "POST", ["oauth2", "token"]:
                return self._token(dict(parse_qsl(body.decode())))
        return self._file(path)

    def _post_order(self, headers: Mapping[str, str], body: bytes) -> Answer:
        if headers.get("content-type", "").startswith("application/json"):
            self.posts += 1
            href = self._placed_once(headers.get("idempotency-key", ""), json.loads(body))
            order_id = urlsplit(href).path.split("/")[-1]
            return _json(201, {**self._view(order_id), "token": self.tokens[order_id], "href": href})
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
        try:
            match fields.get("step"):
                case "check":
                    return self._check_page(fields)
                case "change":
                    return _form_page(200, fields, [])
            self.posts += 1
            return Answer(303, "", {"Location": self._placed_once(fields.get("idempotencyKey", ""), fields)})
        except ProblemError as error:
            if not error.problem.errors:
                raise
            return _form_page(422, fields, error.problem.errors)

    def _placed_once(self, key: str, fields: Mapping[str, object]) -> str:
        """The href of the order that was placed under this key, now or before."""
        if not key or key not in self.placed:
            open_orders = [one for one in self.orders.values() if one.needs_node and one.state not in order.TERMINAL]
            if fields.get("category", "srtp") == "srtp" and fields.get("email") in {
                one.related_party.email for one in open_orders
            }:
                raise ProblemError(Problem(_OPEN_ORDER, "Wij hebben de link naar uw bestelling gemaild."))
            self.placed[key] = self.place(fields)
        return self.placed[key]

    def _check_page(self, fields: Mapping[str, str]) -> Answer:
        definition, checked, price = self.check(fields)
        hidden = {
            **fields,
            "category": definition.id,
            "idempotencyKey": fields.get("idempotencyKey") or secrets.token_urlsafe(32),
        }
        page = html.render(
            "check",
            spoken(fields),
            category=definition.id,
            values=checked.values,
            price=views.price(price),
            hidden=hidden,
        )
        return Answer(200, page, {"Content-Type": _TYPES[".html"]})

    def _challenge(self) -> Answer:
        """A proof of work, as ALTCHA asks for it."""
        if self.difficulty is None:
            return _json(503, {})
        salt = secrets.token_urlsafe(32)
        challenge = hashlib.sha256(f"{salt}{self.difficulty}".encode()).hexdigest()
        signed = {
            "algorithm": "SHA-256",
            "challenge": challenge,
            "salt": salt,
            "signature": "signed",
            "maxnumber": self.difficulty,
        }
        return _json(200, signed)

    def _by_customer(self, order_id: str, body: bytes, change: Callable[[Order, str], Order]) -> Answer:
        """What a customer does on the order's page: back to the page, or the page with what is wrong."""
        fields = dict(parse_qsl(body.decode()))
        token = fields["token"]
        self._order_view(order_id, token)
        try:
            self._keep(change(self.orders[order_id], fields.get("text", fields.get("reason", ""))))
        except (OrderError, ProblemError) as error:
            found = PROBLEMS.problem(error)
            assert found is not None
            told = {"title": found.kind.title, "detail": found.detail, "status": int(found.kind.status)}
            return self._order_page(self._view(order_id), token, spoken(fields), None, told)
        return Answer(303, "", {"Location": _href(order_id, token, spoken(fields))})

    def _issue(self, order_id: str, fields: Mapping[str, str]) -> Answer:
        token = fields["token"]
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
        return self._order_page(self._view(order_id), token, spoken(fields), told, problem)

    def _sales(
        self, method: str, rest: list[str], query: Mapping[str, str], body: Mapping[str, Any], if_match: str | None
    ) -> Answer:
        if rest[:1] == ["customers"] and self.customers:
            return self.customers(method, "/".join(rest), query, body, if_match)
        self.asked.append(f"{method} {'/'.join(rest)}")
        counts = {state.value: sum(one.state is state for one in self.orders.values()) for state in State}
        match method, rest:
            case "GET", ["changes"]:
                since = query.get("since")
                found_ids = dict.fromkeys(self.changed[int(since) :]) if since else {}
                items = [self._summary(order_id) for order_id in found_ids]
                return _json(200, {"items": items, "counts": counts, "until": str(len(self.changed)), "more": False})
            case "GET", ["orders"]:
                sort = queue.Sort(query.get("sort", "orderDate"))
                found, following = queue.page(
                    self._arranged(query),
                    sort,
                    query.get("order") != "asc",
                    int(query.get("limit", 50)),
                    query.get("cursor"),
                )
                items = [self._summary(one.order_id) for one in found]
                return _json(200, {"items": items, "counts": counts, "next": following, "complete": True})
            case "GET", ["orders", order_id, "related"]:
                email = self.orders[order_id].related_party.email
                same = [
                    one.id for one in self.orders.values() if one.related_party.email == email and one.id != order_id
                ]
                return _json(200, {"items": [self._summary(one) for one in same], "complete": True})
            case "POST", ["orders", order_id, "preview"]:
                return _json(200, self._preview(self.orders[order_id], body))
            case "GET", ["export"]:
                chosen = [self.orders[one.order_id] for one in self._arranged(query)]
                return Answer(200, export_csv.table(chosen), {"Content-Type": "text/csv; charset=utf-8"})
            case "GET", ["overview"]:
                month = query["month"]
                return _json(
                    200,
                    queue.month(
                        [_entry(one) for one in self.orders.values() if f"{one.order_date:%Y-%m}" == month], month
                    ),
                )
            case "GET", ["fleet"]:
                return _json(200, {"nodes": self.nodes})
            case "GET", ["fleet", name, "metrics"]:
                return _json(200, {"samples": self.samples.get(name, [])})
            case "POST", ["approvals"]:
                return _json(
                    200, {"results": [self._approve(chosen["id"], chosen["version"]) for chosen in body["orders"]]}
                )
            case "POST", ["orders", order_id, action]:
                self._change(order_id, int(if_match.strip('"')) if if_match else None, _decision(action, body))
        found_order = self.orders.get(rest[1])
        if found_order is None:
            raise not_found("Wij kennen deze bestelling niet.")
        node = self.serving if found_order.sip else None
        return _json(200, views.sales_order(found_order, self.events[rest[1]], node, SIP_DOMAIN))

    def _summary(self, order_id: str) -> dict[str, Any]:
        if order_id in self.unreadable:
            return {"id": order_id, "unreadable": True, "state": None, "orderDate": None}
        return views.sales_summary(self.orders[order_id], SIP_DOMAIN)

    def _preview(self, found: Order, body: Mapping[str, str]) -> dict[str, str | None]:
        after = _decision(body["decision"], {"reason": body.get("reason", ""), "question": body.get("reason", "")})(
            found
        )
        kinds = [kind for event in after.news if (kind := mail.kind(event, after))]
        told = mail.compose(kinds[-1], after, f"{self.url}/bestelling/{found.id}", brand(), self.url) if kinds else None
        return {
            "to": found.related_party.email,
            "subject": told.subject if told else None,
            "text": told.text if told else None,
        }

    def _arranged(self, query: Mapping[str, str]) -> list[queue.Entry]:
        wanted = queue.Filter(
            frozenset(State(part) for part in query.get("state", "").split(",") if part),
            query.get("category", ""),
            query.get("q", ""),
        )
        entries = filter(wanted.holds, map(_entry, self.orders.values()))
        return queue.arrange(entries, queue.Sort(query.get("sort", "orderDate")), query.get("order") != "asc")

    def _change(self, order_id: str, seen: int | None, change: Callable[[Order], Order]) -> Order:
        changed = change(self.orders[order_id])
        self.orders[order_id].expect(seen)
        return self._keep(changed)

    def _approve(self, order_id: str, version: int) -> dict[str, Any]:
        try:
            changed = self._change(order_id, version, _decision("approve", {}))
        except OrderError as error:
            found = PROBLEMS.problem(error)
            assert found is not None
            return {"id": order_id, "status": int(found.kind.status), "problem": found.to_json("", "c-1")}
        return {"id": order_id, "status": 200, "state": changed.state.value, "version": changed.version}

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
        assert (
            query["response_type"] == "code"
            and query["client_id"] == CLIENT_ID
            and query["code_challenge_method"] == "S256"
        )
        code = secrets.token_urlsafe(32)
        self.challenges[code] = query["code_challenge"]
        return Answer(
            302, "", {"Location": f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"}
        )

    def _token(self, fields: Mapping[str, str]) -> Answer:
        challenge = (
            base64.urlsafe_b64encode(hashlib.sha256(fields["code_verifier"].encode()).digest()).decode().rstrip("=")
        )
        if self.challenges.pop(fields["code"], None) != challenge or fields["grant_type"] != "authorization_code":
            return _json(400, {"error": "invalid_grant"})
        token = secrets.token_urlsafe(32)
        self.access_tokens.add(token)
        return _json(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def _order_view(self, order_id: str, token: str) -> dict[str, Any]:
        if order_id not in self.orders or self.tokens[order_id] != token:
            raise ProblemError(Problem(not_found("").problem.kind, "Wij kennen geen bestelling op dit adres."))
        return self._view(order_id)

    def _view(self, order_id: str) -> dict[str, Any]:
        return views.order(self.orders[order_id], self.events[order_id], SIP_DOMAIN)

    def _order_page(
        self,
        view: dict[str, Any],
        token: str,
        language: str,
        told: object = None,
        problem: dict[str, Any] | None = None,
    ) -> Answer:
        page = html.render("order", language, order=view, token=token, credentials=told, problem=problem)
        return Answer(problem.get("status", 409) if problem else 200, page, {"Content-Type": _TYPES[".html"]})

    def _keep(self, changed: Order) -> Order:
        self.orders[changed.id] = replace(changed, news=())
        self.events.setdefault(changed.id, []).extend(changed.news)
        self.changed.append(changed.id)
        return changed

    def _catalogue(self) -> catalogue.Catalogue:
        document = tomllib.loads((DATA / "catalogue.toml").read_text())
        for offering in document["offering"]:
            if offering["id"] == "srtp":
                offering["unit_price_cents"] += self.price_offset_cents
        return catalogue.parse(document)

    def is_file(self, target: str) -> bool:
        """Whether a request is for what Hugo made."""
        return not urlsplit(target).path.startswith(("/api/", "/bestelling/", "/oauth2/"))

    def _file(self, path: str) -> Answer:
        file = self.site / path.strip("/")
        file = file / "index.html" if path.endswith("/") else file
        if not file.is_file():
            return Answer(404, (self.site / "404.html").read_bytes(), {"Content-Type": _TYPES[".html"]})
        return Answer(200, file.read_bytes(), {"Content-Type": _TYPES.get(file.suffix, "application/octet-stream")})


def _href(order_id: str, token: str, language: str) -> str:
    """The order's own page."""
    return f"/bestelling/{order_id}?token={quote(token)}{'' if language == html.DUTCH else f'&language={language}'}"


def _entry(found: Order) -> queue.Entry:
    """An order as the index by state holds it."""
    return queue.Entry(
        order_id=found.id,
        state=found.state,
        order_date=found.order_date,
        category=found.category,
        search=queue.search_text(found),
        phones=found.quantity,
        monthly_total_cents=found.price.monthly_total_cents,
    )


def _decision(action: str, body: Mapping[str, str]) -> Callable[[Order], Order]:
    """What an action of sales does to an order; raises ProblemError when its text is missing."""
    text = body.get({"ask": "question", "notes": "text"}.get(action, "reason"), "")
    note = body.get("note", "")
    if action in {"reject", "ask", "hold", "cancel", "notes"} and not text:
        raise invalid([FieldProblem("reason", "missing", "Vul in waarom")])
    now = clock.now()
    match action:
        case "notes":
            return lambda found: order.add_note(found, text, SALES, now)
        case "cancel":
            return lambda found: order.cancel(found, SALES, now, text, note)
        case "complete":
            return lambda found: order.complete_by_hand(found, SALES, now)
        case "resume":
            return lambda found: order.resume(found, SALES, now, text, note)
        case "correct":
            wrong = (
                [FieldProblem("email", "invalid", "Vul een e-mailadres in")]
                if "@" not in body.get("email", "@")
                else []
            )
            if wrong:
                raise invalid(wrong)
            return lambda found: order.correct(found, replace(found.related_party, **body), SALES, now)
        case "mail":
            return lambda found: order.send_mail_again(found, SALES, now)
        case "credentials":
            return lambda found: order.offer_credentials(found, SALES, now)
    target = {"reject": State.REJECTED, "ask": State.PENDING, "hold": State.HELD}.get(action, State.IN_PROGRESS)
    return lambda found: order.move(found, target, SALES, now, text, note)


def _answered(found: Order, text: str) -> Order:
    """The customer's answer to a question of sales."""
    if not text.strip():
        raise invalid([FieldProblem("text", "missing", "Vul uw antwoord in")])
    return order.move(found, State.ACKNOWLEDGED, CUSTOMER, clock.now(), text)


def _form_page(status: int, fields: Mapping[str, str], errors: Sequence[FieldProblem]) -> Answer:
    page = html.render(
        "order-form",
        spoken(fields),
        values=fields,
        errors={wrong.field: wrong.message for wrong in errors},
        error_list=[{"field": wrong.field, "message": wrong.message} for wrong in errors],
        idempotency_key="",
    )
    return Answer(status, page, {"Content-Type": _TYPES[".html"]})


def _json(status: int, body: object, content_type: str = "application/json") -> Answer:
    return Answer(status, json.dumps(body), {"Content-Type": content_type})


def _unless_seen(answer: Answer, headers: Mapping[str, str]) -> Answer:
    """The answer with an entity tag, or 304 to who has it already."""
    tag = f'"{hashlib.sha256(str(answer.body).encode()).hexdigest()[:16]}"'
    if headers.get("if-none-match") == tag:
        return Answer(304, "", {"ETag": tag})
    return replace(answer, headers={**answer.headers, "ETag": tag})


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
            # As CloudFront, which compresses files and leaves what functions answer alone.
            if origin.is_file(self.path) and "gzip" in headers.get("accept-encoding", "") and len(body) >= 1000:
                body = gzip.compress(body)
                self.send_header("Content-Encoding", "gzip")
            for name, value in {**answer.headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.send_header("Content-Security-Policy", content_security_policy(self.path))
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
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield origin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
