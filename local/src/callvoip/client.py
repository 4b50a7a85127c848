"""Speaks to a running system as a browser does: JSON over HTTP, and the sign-in of sales by authorization code with
PKCE.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

TIMEOUT_S = 30.0


class RequestRefusedError(Exception):
    """An answer that is not 2xx; the text holds status, address and the problem's own words."""


class Client:
    """JSON requests to one system, with a bearer token where one is given."""

    def __init__(self, api: str, token: str = "") -> None:
        self.token = token
        self._api = api
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Any:
        """GET; the JSON that came back. Raises RequestRefusedError, requests.RequestException."""
        return self._json(requests.get(self._api + path, headers=self._headers, timeout=TIMEOUT_S))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST; the JSON that came back. Raises RequestRefusedError, requests.RequestException."""
        return self._json(
            requests.post(self._api + path, json=dict(body or {}), headers=self._headers, timeout=TIMEOUT_S)
        )

    @staticmethod
    def _json(answer: requests.Response) -> Any:
        if not answer.ok:
            raise RequestRefusedError(f"{answer.status_code} from {answer.url.partition('?')[0]}: {answer.text[:1000]}")
        return answer.json()

    @classmethod
    def signed_in(cls, site: str, api: str, user: str, password: str) -> Self:
        """A client with the access token of someone of sales, got as the console gets it (RFC 7636)."""
        config = requests.get(f"{site}/console/config.json", timeout=TIMEOUT_S).json()
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        redirect = f"{site}/console/"
        query = {
            "response_type": "code",
            "client_id": config["clientId"],
            "redirect_uri": redirect,
            "scope": config["scope"],
            "state": secrets.token_urlsafe(8),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        with requests.Session() as session:
            page = session.get(f"{config['authorize']}?{urlencode(query)}", timeout=TIMEOUT_S)
            credentials = {"username": user, "password": password}
            answer = session.post(page.url, data=credentials, allow_redirects=False, timeout=TIMEOUT_S)
            code = parse_qs(urlsplit(answer.headers.get("Location", "")).query).get("code")
            if not code:
                raise RequestRefusedError(f"{answer.status_code} from the sign-in page: no code for user {user}")
            grant = {
                "grant_type": "authorization_code",
                "client_id": config["clientId"],
                "code": code[0],
                "redirect_uri": redirect,
                "code_verifier": verifier,
            }
            return cls(api, cls._json(session.post(config["token"], data=grant, timeout=TIMEOUT_S))["access_token"])
