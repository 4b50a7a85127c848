"""Routes, the authorizer and events, as API Gateway's documentation has them."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from callvoip.edge.exchange import Request
from callvoip.edge.http_api import Authorizer, Forbidden, Route, Unauthorized, answer, authorize, event, find

NOW = datetime(2026, 11, 21, 18, 5, tzinfo=UTC)
ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example"
KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
KEYS = {"k1": KEY.public_key()}
SALES = Route("GET /api/sales/orders", "sales", Authorizer(ISSUER, frozenset({"console"})))

ROUTES = sorted(
    [
        Route(key, key)
        for key in (
            "$default",
            "ANY /api/{proxy+}",
            "GET /api/orders/{id}",
            "ANY /api/orders/{id}",
            "GET /api/orders/new",
            "POST /api/orders/{id}/credentials",
        )
    ],
    key=lambda route: route.precedence,
)


@pytest.mark.parametrize(
    ("method", "path", "key", "parameters"),
    [
        ("GET", "/api/orders/1", "GET /api/orders/{id}", {"id": "1"}),
        ("PUT", "/api/orders/1", "ANY /api/orders/{id}", {"id": "1"}),
        ("GET", "/api/orders/new", "GET /api/orders/new", {}),
        ("POST", "/api/orders/1/credentials", "POST /api/orders/{id}/credentials", {"id": "1"}),
        ("GET", "/api/orders/1/credentials", "ANY /api/{proxy+}", {"proxy": "orders/1/credentials"}),
        ("GET", "/api/orders/", "ANY /api/{proxy+}", {"proxy": "orders/"}),
        ("GET", "/elsewhere", "$default", {}),
    ],
)
def test_the_most_specific_route_takes_a_request(method, path, key, parameters):
    found = find(ROUTES, method, path)
    assert found is not None
    assert (found[0].key, found[1]) == (key, parameters)


def test_without_a_default_route_nothing_takes_an_unknown_path():
    assert find([Route("GET /a", "f")], "POST", "/a") is None


def token(key=KEY, kid="k1", algorithm="RS256", **changes) -> str:
    claims = {
        "iss": ISSUER,
        "client_id": "console",
        "token_use": "access",
        "cognito:groups": ["sales"],
        "iat": int(NOW.timestamp()),
        "exp": int((NOW + timedelta(hours=1)).timestamp()),
        **changes,
    }
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        key,
        algorithm=algorithm,
        headers={"kid": kid},
    )


def asked_with(value: str | None, route: Route = SALES):
    headers = (("authorization", value),) if value is not None else ()
    return authorize(route, Request(method="GET", path="/api/sales/orders", headers=headers), KEYS, NOW)


@pytest.mark.parametrize(
    "value", [f"Bearer {token()}", f"bearer {token()}", token(), f"Bearer {token(aud='console', client_id=None)}"]
)
def test_a_good_token_is_accepted(value):
    claims = asked_with(value)
    assert claims is not None and claims["cognito:groups"] == ["sales"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer",
        "Bearer rubbish",
        "Bearer a.b.c",
        f"Bearer {token(exp=int(NOW.timestamp()))}",
        f"Bearer {token(exp=None)}",
        f"Bearer {token(exp='later')}",
        f"Bearer {token(nbf=int(NOW.timestamp()) + 60)}",
        f"Bearer {token(iat=int(NOW.timestamp()) + 3600)}",
        f"Bearer {token(key=OTHER_KEY)}",
        f"Bearer {token(key=OTHER_KEY, kid='k2')}",
        f"Bearer {token(iss='https://evil.example.nl')}",
        f"Bearer {token(iss=None)}",
        f"Bearer {token(client_id='another')}",
        f"Bearer {token(client_id=None)}",
        f"Bearer {token(aud='another')}",
        f"Bearer {token(key='x' * 32, algorithm='HS256')}",
        "Bearer "
        + jwt.encode({"iss": ISSUER, "client_id": "console", "exp": 9e9}, "", algorithm="none", headers={"kid": "k1"}),
    ],
)
def test_a_bad_token_is_refused(value):
    with pytest.raises(Unauthorized):
        asked_with(value)


def test_a_token_without_the_routes_scope_is_forbidden():
    with pytest.raises(Forbidden):
        asked_with(token(scope="openid"), Route(SALES.key, "f", SALES.authorizer, frozenset({"orders/write"})))


def test_a_public_route_looks_at_no_token():
    assert asked_with("Bearer rubbish", Route("GET /api/prices", "prices")) is None


def made(route: Route = SALES, parameters: Any = None, claims: Any = None, **request: Any) -> dict[str, Any]:
    fields = {"method": "GET", "path": "/api/sales/orders", **request}
    return event(route, parameters or {}, Request(**fields), claims, api_id="abc123", region="eu-central-1", now=NOW)


def test_an_event_has_the_shape_of_payload_format_2():
    got = made(
        Route("POST /api/orders/{id}", "f"),
        {"id": "1"},
        method="POST",
        path="/api/orders/1",
        query="a=1&a=2&b=%20x",
        headers=(
            ("cookie", "c=1; d=2"),
            ("x-a", "1"),
            ("x-a", "2"),
            ("host", "site"),
            ("user-agent", "curl"),
            ("content-type", "application/json"),
        ),
        body=b'{"x": "\xc3\xa9"}',
        source_ip="192.0.2.1",
    )
    assert json.loads(json.dumps(got)) == got
    assert got["version"] == "2.0"
    assert got["routeKey"] == got["requestContext"]["routeKey"] == "POST /api/orders/{id}"
    assert got["rawPath"] == "/api/orders/1"
    assert got["rawQueryString"] == "a=1&a=2&b=%20x"
    assert got["queryStringParameters"] == {"a": "1,2", "b": " x"}
    assert got["cookies"] == ["c=1", "d=2"]
    assert got["headers"]["x-a"] == "1,2"
    assert got["headers"]["host"] == "abc123.execute-api.eu-central-1.amazonaws.com"
    assert "cookie" not in got["headers"]
    assert got["pathParameters"] == {"id": "1"}
    assert (got["body"], got["isBase64Encoded"]) == ('{"x": "é"}', False)
    http = {
        "method": "POST",
        "path": "/api/orders/1",
        "protocol": "HTTP/1.1",
        "sourceIp": "192.0.2.1",
        "userAgent": "curl",
    }
    assert got["requestContext"]["http"] == http
    assert got["requestContext"]["time"] == "21/Nov/2026:18:05:00 +0000"
    assert got["requestContext"]["timeEpoch"] == 1795284300000
    assert "authorizer" not in got["requestContext"]


def test_what_a_request_lacks_its_event_lacks_too():
    assert not {"body", "cookies", "queryStringParameters", "pathParameters"} & set(made())


def test_claims_arrive_as_strings():
    claims = {"cognito:groups": ["sales", "admins"], "exp": 12, "email_verified": True, "sub": "x"}
    authorizer = made(claims=claims)["requestContext"]["authorizer"]
    assert authorizer == {
        "jwt": {
            "claims": {"cognito:groups": "[sales admins]", "exp": "12", "email_verified": "true", "sub": "x"},
            "scopes": None,
        }
    }


@settings(deadline=None)
@given(
    st.binary(min_size=1),
    st.sampled_from(["application/x-www-form-urlencoded", "image/png", "text/plain", "application/json", ""]),
)
def test_a_body_comes_back_whole_from_its_event(body, kind):
    got = made(method="POST", headers=(("content-type", kind),), body=body)
    assert (base64.b64decode(got["body"]) if got["isBase64Encoded"] else got["body"].encode()) == body


def test_a_form_arrives_in_base64():
    assert (
        made(method="POST", headers=(("content-type", "application/x-www-form-urlencoded"),), body=b"a=1")[
            "isBase64Encoded"
        ]
        is True
    )


def test_a_functions_result_becomes_an_answer():
    result = {
        "statusCode": 303,
        "headers": {"Location": "/x"},
        "cookies": ["a=1", "b=2"],
        "body": base64.b64encode(b"\0").decode(),
        "isBase64Encoded": True,
    }
    got = answer(result)
    assert (got.status, got.body) == (303, b"\0")
    assert [value for name, value in got.headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert ("location", "/x") in got.headers


def test_a_result_without_a_status_is_a_json_body():
    got = answer({"a": 1})
    assert (got.status, got.headers, got.body) == (200, (("content-type", "application/json"),), b'{"a": 1}')


@pytest.mark.parametrize(
    "result", [{"statusCode": "many"}, {"statusCode": 42}, {"statusCode": 200, "body": "!", "isBase64Encoded": True}]
)
def test_a_malformed_result_is_an_error(result):
    with pytest.raises(ValueError):
        answer(result)
