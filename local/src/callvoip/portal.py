"""Mijn omgeving as a browser without JavaScript meets it: pages, forms, a session; signed in by the link in a mail."""

from __future__ import annotations

import html.parser
import re
import time
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urljoin, urlsplit

import requests

TIMEOUT_S = 30.0
MAIL_SECONDS = 60.0


class PortalError(Exception):
    """A page was not what it should be; the text says which and what it said."""


@dataclass
class Page:
    """One page: where it is, what it holds, and its forms by where they go, each with the values of its fields."""

    path: str
    text: str
    forms: dict[str, dict[str, str]] = field(default_factory=dict)

    def attributes(self, name: str) -> list[str]:
        """The values of an attribute wherever it stands."""
        return re.findall(rf'\b{name}="([^"]*)"', self.text)


class Portal:
    """One browser on one system. Its cookies are kept by hand: `__Host-` and Secure hold for 127.0.0.1 in browsers alone."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._cookies: dict[str, str] = {}

    def sign_in(self, address: str, mails: str) -> Page:
        """The overview of whoever has this mail address; `mails` is where the system tells what it sent.

        Raises PortalError when no mail comes.
        """
        known = {mail["id"] for mail in _mails(mails)}
        self.send(self.get("/mijn/aanmelden"), "/mijn/aanmelden", email=address)
        deadline = time.monotonic() + MAIL_SECONDS
        while True:
            for mail in _mails(mails):
                link = re.search(rf"{re.escape(self._site)}(/mijn/aanmelden/\S+)", mail["text"])
                if link and address in mail["to"] and mail["id"] not in known:
                    page = self.get(link[1])
                    return self.send(page, urlsplit(link[1]).path)
            if time.monotonic() > deadline:
                raise PortalError(f"no mail with a link to sign in came to {address}")
            time.sleep(0.2)

    def get(self, path: str) -> Page:
        """A page, after its redirects."""
        return self._ask("GET", path, None)

    def send(self, page: Page, action: str, **values: str) -> Page:
        """Send the page's form that goes to `action` with its fields filled in. Raises PortalError without such a form."""
        if action not in page.forms:
            raise PortalError(f"{page.path} has no form to {action}, only to {', '.join(page.forms) or 'nowhere'}")
        return self._ask("POST", action, {**page.forms[action], **values})

    def _ask(self, method: str, path: str, values: dict[str, str] | None) -> Page:
        headers = {
            "Accept": "text/html",
            "Sec-Fetch-Site": "same-origin",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
        }
        answer = requests.request(
            method, self._site + path, data=values, headers=headers, allow_redirects=False, timeout=TIMEOUT_S
        )
        for line in answer.raw.headers.getlist("Set-Cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self._cookies.pop(name, None)
                else:
                    self._cookies[name] = morsel.value
        if answer.status_code in (302, 303):
            target = urlsplit(urljoin(self._site + path, answer.headers["Location"]))
            return self.get(f"{target.path}?{target.query}" if target.query else target.path)
        if not answer.ok:
            raise PortalError(f"{method} {path.partition('?')[0]}: {answer.status_code} {_said(answer.text)}")
        forms = _Forms()
        forms.feed(answer.text)
        return Page(path, answer.text, forms.found)


class _Forms(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self._open: dict[str, str] | None = None
        self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = self.found.setdefault(told.get("action", "").partition("?")[0], {})
        elif self._open is not None and "name" in told:
            if tag == "input" and (told.get("type") not in ("checkbox", "radio") or "checked" in told):
                self._open[told["name"]] = told.get("value", "")
            elif tag == "textarea":
                self._area = told["name"]
                self._open[self._area] = ""

    def handle_data(self, data: str) -> None:
        if self._area and self._open is not None:
            self._open[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""
        elif tag == "form":
            self._open = None


def _mails(address: str) -> list[dict[str, str]]:
    mails: list[dict[str, str]] = requests.get(address, timeout=TIMEOUT_S).json()
    return mails


def _said(page: str) -> str:
    """The beginning of what a page says in its main part."""
    main = page.partition("<main")[2] or page
    return " ".join(re.sub(r"<[^>]*>", " ", main.partition(">")[2]).split())[:300]
