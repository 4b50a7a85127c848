"""A browser without JavaScript, as Mijn omgeving meets one: it keeps cookies, follows redirects, fills in forms and sends them."""

import base64
import copy
import html.parser
import importlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.support.functions import HERE, Context
from tests.support.site.document import Document, read

_EVENT = json.loads((HERE / "events/http_api.json").read_text())


@dataclass
class Form:
    """A form of a page: where it goes, and what its fields hold."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass
class Seen:
    """A page, after its redirects."""

    status: int
    path: str
    headers: Mapping[str, str]
    body: str

    @property
    def document(self) -> Document:
        """The page, read."""
        return read(self.body)

    @property
    def text(self) -> str:
        """What a reader sees."""
        return self.document.text

    @property
    def forms(self) -> list[Form]:
        """The forms of the page."""
        reader = _Forms()
        reader.feed(self.body)
        return reader.forms

    def form(self, action: str) -> Form:
        """The form that goes to this path."""
        (found,) = [one for one in self.forms if one.action.partition("?")[0] == action]
        return found


class _Forms(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None
        self._select = ""
        self._area = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(told.get("action", ""), told.get("method", "get").upper())
            self.forms.append(self._open)
        if self._open is None or "disabled" in told:
            return
        name = told.get("name", "")
        kind = told.get("type", "text")
        if tag == "input" and name:
            if kind in ("checkbox", "radio"):
                if "checked" in told:
                    self._open.fields[name] = told.get("value", "on")
            else:
                self._open.fields[name] = told.get("value", "")
        elif tag == "button" and name:
            self._open.buttons[told.get("value", "")] = (name, told.get("value", ""))
        elif tag == "textarea":
            self._area = name
            self._open.fields[name] = ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in told or self._select not in self._open.fields):
            self._open.fields[self._select] = told.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._area and self._open:
            self._open.fields[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "textarea":
            self._area = ""
        elif tag == "select":
            self._select = ""


@dataclass
class Browser:
    """One browser; `address` is where it is on the net."""

    address: str = "192.0.2.10"
    agent: str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)
    """What was set, with its attributes, in the order in which it came."""

    def get(self, target: str, **options: Any) -> Seen:
        """Go to an address."""
        return self.request("GET", target, **options)

    def post(self, target: str, fields: Mapping[str, str] | None = None, **options: Any) -> Seen:
        """Send these fields, as a form of our own pages would."""
        return self.request("POST", target, fields=fields or {}, **options)

    def send(self, form: Form, button: str | None = None, **changed: str) -> Seen:
        """Fill in a form and press a button."""
        pressed = dict([form.buttons[button]]) if button is not None else {}
        unknown = changed.keys() - form.fields.keys()
        assert not unknown, f"the form has no {unknown}; it has {sorted(form.fields)}"
        return self.post(form.action, {**form.fields, **changed, **pressed})

    def request(
        self,
        method: str,
        target: str,
        *,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        follow: bool = True,
    ) -> Seen:
        """One request, and those that its redirects ask for."""
        event = self.event(method, target, fields, headers or {})
        module = importlib.import_module("customers.portal_api")
        answer = module.handler(event, Context())
        self._keep(answer.get("cookies", []))
        told = {name.lower(): value for name, value in answer["headers"].items()}
        if follow and answer["statusCode"] in (302, 303):
            return self.get(told["location"], headers=headers)
        body = answer.get("body", "")
        if answer.get("isBase64Encoded"):
            body = base64.b64decode(body).decode()
        return Seen(answer["statusCode"], event["rawPath"], told, body)

    def event(
        self, method: str, target: str, fields: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        event: dict[str, Any] = copy.deepcopy(_EVENT)
        url = urlsplit(target)
        event["rawPath"] = event["requestContext"]["http"]["path"] = url.path
        event["rawQueryString"] = url.query
        if url.query:
            event["queryStringParameters"] = dict(parse_qsl(url.query, keep_blank_values=True))
        http = event["requestContext"]["http"]
        http["method"], http["sourceIp"] = method, self.address
        event["requestContext"]["requestId"] = uuid.uuid4().hex
        event["headers"] |= {
            "accept": "text/html,application/xhtml+xml",
            "user-agent": self.agent,
            "x-forwarded-for": self.address,
            "sec-fetch-site": "same-origin",
            **headers,
        }
        if self.cookies:
            event["cookies"] = [f"{name}={value}" for name, value in self.cookies.items()]
        if fields is not None:
            event["headers"]["content-type"] = "application/x-www-form-urlencoded"
            event["body"] = base64.b64encode(urlencode(fields).encode()).decode()
            event["isBase64Encoded"] = True
        return event

    def _keep(self, lines: list[str]) -> None:
        for line in lines:
            self.set_cookies.append(line)
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
