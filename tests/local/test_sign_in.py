"""The sign-in page: an authorization code with PKCE, and nothing without."""

import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientSession, web

from callvoip.edge.exchange import Request
from callvoip.edge.http_api import Authorizer, Route, authorize
from callvoip.edge.sign_in import Client, SignIn, User

ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example"
CALLBACK = "http://127.0.0.1:1/console/"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
ASKED = {
    "response_type": "code",
    "client_id": "console",
    "redirect_uri": CALLBACK,
    "scope": "openid email",
    "state": "s p",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
SIGN_IN = SignIn(
    ISSUER,
    Client("console", frozenset({CALLBACK}), frozenset({CALLBACK}), frozenset({"openid", "email"}), 3600),
    User("sales@example.nl", "geheim", ("sales",)),
)


@pytest.fixture
async def page() -> AsyncIterator[ClientSession]:
    runner = web.AppRunner(SIGN_IN.application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with ClientSession(f"http://{host}:{port}") as session:
        yield session
    await runner.cleanup()


async def sign_in(page: ClientSession, password: str = "geheim", **changes: str):
    query = {**ASKED, **changes}
    async with page.get("/oauth2/authorize", params=query, allow_redirects=False) as answer:
        location = answer.headers.get("Location", "")
        if answer.status != 302 or not location.startswith("/login?"):
            return answer.status, location
    form = {"username": "Sales@Example.nl", "password": password}
    async with page.post("/login", params=query, data=form, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", "")


async def exchange(page: ClientSession, code: str, **changes: str):
    form = {
        "grant_type": "authorization_code",
        "client_id": "console",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    async with page.post("/oauth2/token", data={**form, **changes}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        return answer.status, await answer.json()


def code_in(location: str) -> str:
    return parse_qs(urlsplit(location).query)["code"][0]


async def test_who_signs_in_gets_a_token_that_the_authorizer_accepts(page):
    status, location = await sign_in(page)
    assert status == 302 and location.startswith(CALLBACK)
    assert parse_qs(urlsplit(location).query)["state"] == ["s p"]
    status, tokens = await exchange(page, code_in(location))
    assert status == 200
    request = Request(method="GET", path="/", headers=(("authorization", f"Bearer {tokens['access_token']}"),))
    route = Route("GET /", "f", Authorizer(ISSUER, frozenset({"console"})))
    claims = authorize(route, request, SIGN_IN.keys, datetime.now(UTC))
    assert claims is not None
    assert claims["cognito:groups"] == ["sales"]
    assert "password" not in claims


async def test_a_refresh_token_gives_new_tokens(page):
    _, location = await sign_in(page)
    _, tokens = await exchange(page, code_in(location))
    form = {"grant_type": "refresh_token", "client_id": "console", "refresh_token": tokens["refresh_token"]}
    async with page.post("/oauth2/token", data=form) as answer:
        assert answer.status == 200
        assert "access_token" in await answer.json()


async def test_a_code_works_once(page):
    _, location = await sign_in(page)
    assert (await exchange(page, code_in(location)))[0] == 200
    assert await exchange(page, code_in(location)) == (400, {"error": "invalid_grant"})


@pytest.mark.parametrize(
    "changes", [{"code_verifier": "x" * 43}, {"redirect_uri": "http://127.0.0.1:1/"}, {"client_id": "another"}]
)
async def test_a_code_works_only_for_whom_it_was_made(page, changes):
    _, location = await sign_in(page)
    assert (await exchange(page, code_in(location), **changes))[0] == 400


async def test_a_wrong_password_gets_the_form_again(page):
    assert await sign_in(page, password="fout") == (400, "")


@pytest.mark.parametrize("changes", [{"redirect_uri": "https://evil.example.nl/"}, {"client_id": "another"}])
async def test_nobody_is_sent_to_an_address_that_is_not_the_consoles(page, changes):
    assert await sign_in(page, **changes) == (400, "")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"scope": "openid admin"}, "invalid_scope"),
    ],
)
async def test_a_bad_request_goes_back_with_its_error(page, changes, error):
    status, location = await sign_in(page, **changes)
    assert status == 302
    assert parse_qs(urlsplit(location).query)["error"] == [error]


async def test_what_was_typed_is_escaped(page):
    async with page.post("/login", params=ASKED, data={"username": '"><script>', "password": "x"}) as answer:
        assert "<script>" not in await answer.text()
