"""Stands in for Cognito's hosted sign-in page: the same paths, with a key of its own that lives as long as the system.

Authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636). Nothing signed here is accepted anywhere but by this
local system.
https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-userpools-server-contract-reference.html
"""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from callvoip.aws.deployment import Deployment
from callvoip.aws.origins import translate

CODE_SECONDS = 300
_PAGE = """<!doctype html>
<html lang="nl"><head><meta charset="utf-8"><title>Inloggen</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width">
<style>body{{font:1rem/1.5 sans-serif;max-width:24rem;margin:4rem auto;padding:0 1rem}}input,button{{font:inherit;width:100%;padding:.5rem;
margin:.25rem 0 1rem;box-sizing:border-box}}[role=alert]{{color:#b00020}}</style></head>
<body><main><h1>Inloggen</h1><p>Deze pagina vervangt de inlogpagina van Amazon Cognito op uw eigen machine.</p>{alert}
<form method="post" action="/login?{query}"><label>Gebruikersnaam<input name="username" autocomplete="username" required
value="{username}"></label><label>Wachtwoord<input name="password" type="password" autocomplete="current-password" required></label>
<button>Inloggen</button></form></main></body></html>"""


@dataclass(frozen=True)
class Client:
    """The console as OAuth client, from the template. Times are in seconds."""

    id: str
    callbacks: frozenset[str]
    logouts: frozenset[str]
    scopes: frozenset[str]
    access_seconds: int


@dataclass(frozen=True)
class User:
    """Someone who may sign in."""

    name: str
    password: str = field(repr=False)
    groups: tuple[str, ...]
    subject: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class _Grant:
    """What a code or a refresh token stands for."""

    user: User
    redirect: str
    challenge: str
    scope: str
    nonce: str | None
    expires: float


class SignIn:
    """The pages and the token endpoint, for one pool, client and user."""

    def __init__(self, issuer: str, client: Client, user: User) -> None:
        self.issuer = issuer
        self.client = client
        self.user = user
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._kid = secrets.token_hex(8)
        self._codes: dict[str, _Grant] = {}
        self._refresh: dict[str, _Grant] = {}

    @property
    def keys(self) -> Mapping[str, Any]:
        """Public keys by kid, for the authorizer."""
        return {self._kid: self._key.public_key()}

    def application(self) -> web.Application:
        """The HTTP application, to be served at an origin of its own as Cognito's is."""
        application = web.Application()
        application.router.add_get("/oauth2/authorize", self._authorize)
        application.router.add_get("/login", self._form)
        application.router.add_post("/login", self._login)
        application.router.add_post("/oauth2/token", self._token)
        application.router.add_get("/logout", self._logout)
        application.router.add_get("/.well-known/jwks.json", self._jwks)
        return application

    def access_token(self, now: float, scope: str = "openid") -> str:
        """An access token with the claims that Cognito's have."""
        claims = {
            **self._claims(now),
            "client_id": self.client.id,
            "scope": scope,
            "token_use": "access",
            "username": self.user.name,
        }
        return self._signed(claims)

    def _claims(self, now: float) -> dict[str, Any]:
        return {
            "sub": self.user.subject,
            "iss": self.issuer,
            "cognito:groups": list(self.user.groups),
            "iat": int(now),
            "auth_time": int(now),
            "exp": int(now) + self.client.access_seconds,
            "jti": str(uuid.uuid4()),
        }

    def _signed(self, claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), self._key, algorithm="RS256", headers={"kid": self._kid})

    def _refused(self, query: Mapping[str, str]) -> str | None:
        """Why an authorization request cannot be answered at its redirect URI, or None."""
        if query.get("client_id") != self.client.id:
            return "Onbekende client_id."
        if query.get("redirect_uri") not in self.client.callbacks:
            return "Deze redirect_uri is niet toegestaan."
        return None

    async def _authorize(self, request: web.Request) -> web.Response:
        query = request.query
        if refused := self._refused(query):
            return web.Response(status=400, text=refused)
        error = None
        if query.get("response_type") != "code":
            error = "unsupported_response_type"
        elif query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
            error = "invalid_request"
        elif not set(query.get("scope", "").split()) <= self.client.scopes:
            error = "invalid_scope"
        if error:
            return _redirect(query["redirect_uri"], error=error, state=query.get("state"))
        return web.Response(status=302, headers={"Location": f"/login?{request.rel_url.raw_query_string}"})

    async def _form(self, request: web.Request) -> web.Response:
        if refused := self._refused(request.query):
            return web.Response(status=400, text=refused)
        return self._page(request)

    def _page(self, request: web.Request, *, username: str = "", wrong: bool = False) -> web.Response:
        alert = '<p role="alert">De gebruikersnaam of het wachtwoord klopt niet.</p>' if wrong else ""
        text = _PAGE.format(
            alert=alert, query=html.escape(request.rel_url.raw_query_string), username=html.escape(username)
        )
        return web.Response(
            status=400 if wrong else 200, text=text, content_type="text/html", headers={"Cache-Control": "no-store"}
        )

    async def _login(self, request: web.Request) -> web.Response:
        query = request.query
        if refused := self._refused(query):
            return web.Response(status=400, text=refused)
        form = await request.post()
        name, password = str(form.get("username", "")), str(form.get("password", ""))
        good = secrets.compare_digest(password.encode(), self.user.password.encode())
        if name.strip().lower() != self.user.name or not good:
            return self._page(request, username=name, wrong=True)
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Grant(
            user=self.user,
            redirect=query["redirect_uri"],
            challenge=query.get("code_challenge", ""),
            scope=query.get("scope", ""),
            nonce=query.get("nonce"),
            expires=time.time() + CODE_SECONDS,
        )
        return _redirect(query["redirect_uri"], code=code, state=query.get("state"))

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if form.get("client_id") != self.client.id:
            return _json({"error": "invalid_client"}, status=400)
        kind = form.get("grant_type")
        if kind == "authorization_code":
            grant = self._codes.pop(form.get("code", ""), None)
            verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if (
                grant is None
                or grant.expires < time.time()
                or grant.redirect != form.get("redirect_uri")
                or grant.challenge != base64.urlsafe_b64encode(verifier).decode().rstrip("=")
            ):
                return _json({"error": "invalid_grant"}, status=400)
            refresh = secrets.token_urlsafe(32)
            self._refresh[refresh] = grant
            return _json({**self._tokens(grant), "refresh_token": refresh})
        if kind == "refresh_token":
            grant = self._refresh.get(form.get("refresh_token", ""))
            return _json(self._tokens(grant)) if grant else _json({"error": "invalid_grant"}, status=400)
        return _json({"error": "unsupported_grant_type"}, status=400)

    def _tokens(self, grant: _Grant) -> dict[str, Any]:
        now = time.time()
        identity = {
            **self._claims(now),
            "aud": self.client.id,
            "token_use": "id",
            "cognito:username": grant.user.name,
            "email": grant.user.name,
            "email_verified": True,
        }
        if grant.nonce:
            identity["nonce"] = grant.nonce
        return {
            "access_token": self.access_token(now, grant.scope),
            "id_token": self._signed(identity),
            "token_type": "Bearer",
            "expires_in": self.client.access_seconds,
        }

    async def _logout(self, request: web.Request) -> web.Response:
        target = request.query.get("logout_uri", "")
        if request.query.get("client_id") != self.client.id or target not in self.client.logouts:
            return web.Response(status=400, text="Deze logout_uri is niet toegestaan.")
        return web.Response(status=302, headers={"Location": target})

    async def _jwks(self, request: web.Request) -> web.Response:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return _json({"keys": [{**key, "kid": self._kid, "alg": "RS256", "use": "sig"}]})


def _redirect(target: str, **parameters: str | None) -> web.Response:
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    return web.Response(status=302, headers={"Location": f"{target}?{query}"})


def _json(body: Mapping[str, Any], status: int = 200) -> web.Response:
    # Cognito lets any origin read these two answers: the console's script asks from the site's.
    return web.json_response(
        body, status=status, headers={"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
    )


def read(deployment: Deployment, aliases: Mapping[str, str], *, password: str) -> SignIn:
    """The template's pool, client and group, with one user. `aliases` turns AWS's origins into local ones."""
    client = deployment.the("AWS::Cognito::UserPoolClient")
    pool = deployment.the("AWS::Cognito::UserPool")

    def local(urls: list[str]) -> frozenset[str]:
        return frozenset(translate(url, aliases) for url in urls)

    return SignIn(
        issuer=f"https://cognito-idp.{deployment.region}.amazonaws.com/{pool.name}",
        client=Client(
            id=client.name,
            callbacks=local(client.properties["CallbackURLs"]),
            logouts=local(client.properties["LogoutURLs"]),
            scopes=frozenset(client.properties["AllowedOAuthScopes"]),
            access_seconds=int(client.properties["AccessTokenValidity"]) * 60,
        ),
        user=User(
            name="sales@example.nl",
            password=password,
            groups=tuple(group.name for group in deployment.all("AWS::Cognito::UserPoolGroup")),
        ),
    )
