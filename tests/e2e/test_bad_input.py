"""What people and programs send that is wrong: each gets a clear 4xx, in Dutch where a person meets it, and nothing is
written.
"""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from callvoip.client import Client
from callvoip.system import LocalSystem
from tests.support.orders_table import items

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("processes")]

GOOD: dict[str, Any] = {
    "company": "Slagerij Voorbeeld",
    "kvk": "12345678",
    "name": "Sam de Slager",
    "email": "sam@example.nl",
    "telephone": "0855550124",
    "phones": "3",
    "note": "Graag voor de kerst",
}

WRONG = {
    "no phones": {"phones": "0"},
    "fewer than no phones": {"phones": "-1"},
    "a number in scientific notation": {"phones": "1e9"},
    "a very large number": {"phones": "1000000000"},
    "a number in words": {"phones": "vijf"},
    "a name of 300 characters": {"name": "x" * 300},
    "an e-mail address without @": {"email": "sam.example.nl"},
}


@pytest.fixture(autouse=True, scope="module")
def told_nobody(told: set[str]) -> None:
    """Nor may a log hold what was refused."""
    told.update(value for fields in (GOOD, *WRONG.values()) for value in fields.values())


@pytest.fixture
def nothing_is_written(system: LocalSystem):
    before = len(items(system))
    yield
    assert len(items(system)) == before


def is_problem(answer: requests.Response, status: int) -> dict[str, Any]:
    """The RFC 9457 problem in an answer, which has to have this status and say something in Dutch."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


@pytest.mark.usefixtures("nothing_is_written")
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_field_is_named_in_json_and_in_the_form(system: LocalSystem, wrong: dict[str, str]) -> None:
    (field,) = wrong
    problem = is_problem(requests.post(f"{system.api}/orders", json=GOOD | wrong, timeout=10), 422)
    assert [error["field"] for error in problem["errors"]] == [field]

    page = requests.post(
        f"{system.api}/orders", data=GOOD | wrong, headers={"Accept": "text/html"}, timeout=10, allow_redirects=False
    )
    assert page.status_code == 422
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<title>Fout:" in page.text
    assert f'href="#{field}"' in page.text
    assert problem["errors"][0]["message"] in page.text
    assert GOOD["company"] in page.text, "what was right is kept"


@pytest.mark.usefixtures("nothing_is_written")
def test_an_empty_form_names_every_required_field(system: LocalSystem) -> None:
    problem = is_problem(requests.post(f"{system.api}/orders", json={}, timeout=10), 422)
    assert [error["field"] for error in problem["errors"]] == ["company", "name", "email", "telephone", "phones"]
    page = requests.post(f"{system.api}/orders", data={"company": ""}, headers={"Accept": "text/html"}, timeout=10)
    assert page.status_code == 422


@pytest.mark.usefixtures("nothing_is_written")
@pytest.mark.parametrize("body", [b"{", b"[1, 2", b"\xff\xfe", b"null", b"[]", b'"text"', b""])
def test_a_broken_body_is_a_400(system: LocalSystem, body: bytes) -> None:
    is_problem(
        requests.post(f"{system.api}/orders", data=body, headers={"Content-Type": "application/json"}, timeout=10), 400
    )


@pytest.mark.usefixtures("nothing_is_written")
def test_another_price_than_ours_is_a_409_with_both(system: LocalSystem) -> None:
    problem = is_problem(requests.post(f"{system.api}/orders", json=GOOD | {"monthlyTotalCents": 1}, timeout=10), 409)
    assert "6,00" in problem["detail"]


def test_an_unknown_order_and_a_wrong_token_look_the_same(system: LocalSystem) -> None:
    placed = Client(system.api).post("/orders", GOOD | {"email": "onbekend@example.nl"})
    answers = [
        requests.get(f"{system.api}/orders/{order}", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        for order, token in (
            ("ZZZZZZZZZZ", placed["token"]),
            (placed["id"], "wrong"),
            ("../orders", "x"),
            (placed["id"], ""),
        )
    ]
    details = {is_problem(answer, 404)["detail"] for answer in answers[:2]}
    assert len(details) == 1
    assert all(400 <= answer.status_code < 500 for answer in answers)
    page = requests.get(
        f"{system.site}/bestelling/{placed['id']}?token=wrong", headers={"Accept": "text/html"}, timeout=10
    )
    assert page.status_code == 404
    assert page.headers["Content-Type"].startswith("text/html")
    is_problem(
        requests.post(
            f"{system.api}/orders/{placed['id']}/credentials", headers={"Authorization": "Bearer wrong"}, timeout=10
        ),
        404,
    )


def test_sales_is_closed_without_a_token_of_ours(system: LocalSystem) -> None:
    good = Client.signed_in(system.site, system.api, system.sales_user, system.sales_password).token
    claims = jwt.decode(good, options={"verify_signature": False})
    header = jwt.get_unverified_header(good)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    foreign = jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": header["kid"]})
    expired = jwt.encode(
        claims | {"exp": int(time.time()) - 60}, stranger, algorithm="RS256", headers={"kid": header["kid"]}
    )
    unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": header["kid"]})
    tampered = good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB")
    for token in ("", "nonsense", foreign, expired, unsigned, tampered):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        assert requests.get(f"{system.api}/sales/orders", headers=headers, timeout=10).status_code == 401
    assert (
        requests.get(f"{system.api}/sales/orders", headers={"Authorization": f"Bearer {good}"}, timeout=10).status_code
        == 200
    )


def test_an_order_is_decided_once(system: LocalSystem) -> None:
    sales = Client.signed_in(system.site, system.api, system.sales_user, system.sales_password)
    headers = {"Authorization": f"Bearer {sales.token}"}
    first, second = (
        Client(system.api).post("/orders", GOOD | {"email": f"klant{n}@example.nl"})["id"] for n in range(2)
    )

    def change(order: str, what: str, body: dict[str, Any] | None = None) -> requests.Response:
        return requests.post(f"{system.api}/sales/orders/{order}/{what}", json=body or {}, headers=headers, timeout=10)

    is_problem(change(first, "reject", {"reason": "  "}), 422)
    assert change(first, "reject", {"reason": "Proef"}).status_code == 200
    is_problem(change(first, "approve"), 409)
    is_problem(change(first, "reject", {"reason": "Nog eens"}), 409)
    is_problem(change("ZZZZZZZZZZ", "approve"), 404)
    assert change(second, "approve").status_code == 200
    is_problem(change(second, "approve"), 409)
    is_problem(change(second, "reject", {"reason": "Toch niet"}), 409)
