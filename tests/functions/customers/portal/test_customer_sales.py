"""What sales sees of customers and does for them: with who and why, mailed without the why."""

from typing import Any

import pytest

from customers.account import Account, EventKind
from customers.product import State
from customers.store import store
from tests.support.functions import Api
from tests.support.portal.bakery import BILLING, OWNER, TECHNICAL, Post, body

pytestmark = pytest.mark.needs("java")

CLAIMS = {"sub": "x", "username": "verkoop@example.nl", "cognito:groups": "[sales]"}


def do(action: str, version: int | None = None, **fields: Any) -> Any:
    """One action for the bakery."""
    headers = {"if-match": f'"{version}"'} if version else {}
    sent = {"action": action, "reason": "klant belde", **fields}
    return Api().post("/api/sales/customers/bakker/changes", json_body=sent, headers=headers, claims=CLAIMS)


def test_customers_are_found_by_what_is_known_of_them(bakery: Account) -> None:
    page = Api().get("/api/sales/customers", claims=CLAIMS).json
    assert [each["company"] for each in page["items"]] == ["Bakkerij De Korst", "Slagerij Vet"] or page[
        "customers"
    ] == 2
    assert page["monthlyCents"] == 800 and page["phones"] == 4 and page["complete"]
    for word in ("korst", "12345678", "techniek@"):
        assert "bakker" in [
            each["id"] for each in Api().get(f"/api/sales/customers?q={word}", claims=CLAIMS).json["items"]
        ]
    assert Api().get("/api/sales/customers?q=niemand", claims=CLAIMS).json["items"] == []


def test_a_customer_is_shown_whole_with_who_did_what_and_why(bakery: Account) -> None:
    found = Api().get("/api/sales/customers/bakker", claims=CLAIMS).json
    assert found["products"][0]["state"] == "active" and len(found["phones"]) == 2 and found["cost"]["nowCents"] == 400
    assert {"owner", "technical", "billing"} == {role for each in found["contacts"] for role in each["roles"]}
    assert found["events"][-1]["kind"] == "customerCreated"
    assert Api().get("/api/sales/customers/niemnd", claims=CLAIMS).status == 404


def test_each_step_says_who_and_why_and_is_mailed_without_the_why(bakery: Account, post: Post) -> None:
    assert do("addPhones", labels=["Balie"], monthlyTotalCents=600).status == 200
    assert do("revokePhone", username="bakker-201").status == 200
    assert do("giveNotice").json["products"][0]["state"] == "pendingTerminate"
    assert do("askForPasswords").status == 200
    last = store().history("bakker")[-1]
    assert last.kind is EventKind.MAIL_SENT and last.why == "klant belde" and last.who.name == "verkoop@example.nl"
    sent = post.deliver()
    told = {(mail.destinations["ToAddresses"][0], mail.subject) for mail in sent}
    assert (OWNER, "Maak nieuwe wachtwoorden voor uw telefoons") in told
    assert (BILLING, "Bevestiging van uw opzegging: SRTP") in told and TECHNICAL in dict(told)
    assert not any("klant belde" in body(mail) for mail in sent)
    assert any("afdeling verkoop" in body(mail) for mail in sent)


def test_what_cannot_be_is_told_and_changes_nothing(bakery: Account) -> None:
    assert do("addPhones", labels=["Balie"], monthlyTotalCents=500).json["monthlyTotalCents"] == 600
    assert do("addPhones", labels=[], monthlyTotalCents=600).status == 422
    assert do("kwatsch").status == 422 and do("suspend", reason=" ").status == 422
    assert do("revokePhone", username="slager-201").status == 404
    assert do("withdraw", product="0123456789-srtp").status == 409, "a business"
    assert do("removeContact", contact="1").status == 422, "the last owner"
    assert do("suspend", bakery.version - 1).status == 412
    assert store().get("bakker") == bakery
    assert do("suspend", bakery.version).status == 200
    assert store().get("bakker").products[0].state is State.SUSPENDED


def test_only_sales_gets_here(bakery: Account) -> None:
    for claims in (None, {"sub": "x", "cognito:groups": "[admin]"}):
        assert Api().get("/api/sales/customers", claims=claims).status in (401, 404)
        assert Api().get("/api/sales/customers/bakker", claims=claims).status in (401, 404)
        sent = {"action": "suspend", "reason": "x"}
        assert Api().post("/api/sales/customers/bakker/changes", json_body=sent, claims=claims).status in (401, 404)
    assert store().get("bakker") == bakery
