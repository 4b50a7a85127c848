"""What sales sees of customers and does for them: with who and why, mailed without the why."""

from collections.abc import Callable
from typing import Any

import pytest

from customers import fulfilment, numbers
from customers.account import Account, EventKind
from customers.product import State
from customers.states import Actor, Role
from customers.store import store
from ordering.order import Order
from tests.support.customers import NOW, prove
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


def test_numbers_sites_limits_and_what_is_kept_are_changed_with_who_and_why_and_a_mail(
    shop: Account, post: Post
) -> None:
    number = shop.environment.lines[0].number
    assert do("changeNumber", number=number, rings=["bakker-202"], busy="+31201234567").status == 200
    line = store().get("bakker").environment.lines[0]
    assert (line.rings, line.forward.busy, line.forward.always) == (("bakker-202",), "+31201234567", "")
    assert do("changeNumber", number=number, busy="").status == 200
    line = store().get("bakker").environment.lines[0]
    assert (line.rings, line.forward.busy) == (("bakker-202",), "")
    address: dict[str, Any] = {"street": "Kade", "houseNumber": "12", "postcode": "1011 AB", "city": "Amsterdam"}
    sites = do("putSite", **address).json["sites"]
    assert sites[-1]["street"] == "Kade"
    assert do("putSite", site=sites[-1]["id"], **{**address, "street": "Laan"}).json["sites"][-1]["street"] == "Laan"
    assert do("removeSite", site=sites[-1]["id"]).status == 200
    limits = {"concurrentCalls": 9, "forwardedCalls": 0, "callsPerMinute": 5, "minutesPerDay": 60}
    told = do("limit", **limits, destinations=["national"]).json["limits"]
    assert told == {**limits, "destinations": ["national"], "own": True}
    version = store().get("bakker").environment.version
    assert do("addPhones", labels=["Balie"], monthlyTotalCents=600).status == 200
    assert store().get("bakker").environment.limits.concurrent_calls == 9, "more phones do not undo it"
    assert store().get("bakker").environment.version > version
    assert do("unlimit").json["limits"]["own"] is False
    assert do("keepCalls", days=0).json["callHistoryDays"] == 0
    assert {event.why for event in store().history("bakker")[-9:]} == {"klant belde"}
    subjects = {mail.subject for mail in post.deliver()}
    assert {"De grenzen van uw omgeving zijn gewijzigd", "Uw gesprekken bewaren wij voortaan 0 dagen"} <= subjects


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("changeNumber", {"number": "+31999999999"}),
        ("changeNumber", {"rings": ["slager-201"]}),
        ("changeNumber", {"always": "+31900123456"}),
        ("changeNumber", {"order": "random"}),
        ("changeNumber", {"ringSeconds": "20"}),
        ("putSite", {"street": "Kade"}),
        ("removeSite", {"site": "99"}),
        ("limit", {"concurrentCalls": 9}),
        ("limit", {"concurrentCalls": 0, "forwardedCalls": 0, "callsPerMinute": 1, "minutesPerDay": 1, "destinations": ["europe"]}),
        ("limit", {"concurrentCalls": 1, "forwardedCalls": 0, "callsPerMinute": 1, "minutesPerDay": 1, "destinations": ["moon"]}),
        ("limit", {"concurrentCalls": 1, "forwardedCalls": 0, "callsPerMinute": 1, "minutesPerDay": 1, "destinations": 7}),
        ("keepCalls", {"days": 366}),
        ("keepCalls", {"days": True}),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_told_by_its_field(shop: Account, action: str, fields: dict[str, Any]) -> None:
    number = {"number": shop.environment.lines[0].number} if action == "changeNumber" else {}
    told = do(action, **{**number, **fields})
    assert told.status in (404, 422), told.body
    assert store().get("bakker") == shop


def test_sales_brings_a_number_into_service_for_a_plan_that_waits_for_it(
    bakery: Account, post: Post, approved: Callable[..., Order]
) -> None:
    def order_plan(order_id: str) -> None:
        fulfilment.fulfil(approved(order_id, "bakker", "plan"), NOW)
        prove("bakker")

    free, other = "+31855550144", "+31855550145"
    numbers.load([free, other], "blok", Actor(Role.OPERATOR, "beheer"), NOW)
    refused = do("giveNumber", number=free)
    assert (refused.status, refused.json["title"]) == (409, "Er is geen belplan voor dit nummer")
    order_plan("9876543210")
    for wrong, status in (("085", 422), ("+31855559999", 422), (None, 422)):
        assert do("giveNumber", number=wrong).status == status
    assert do("giveNumber", version=1, number=free).status == 412, "somebody was quicker"
    told = do("giveNumber", number="+31 85 555 01 44")
    assert told.status == 200 and [each["number"] for each in told.json["numbers"]] == [free]
    assert {each["state"] for each in told.json["products"]} == {"active"}
    given = next(each for each in told.json["events"] if each["kind"] == "numberAssigned")
    assert (given["why"], given["who"]["name"]) == ("klant belde", "verkoop@example.nl")
    assert do("giveNumber", number=free).json["version"] == told.json["version"], "again changes nothing"
    assert do("giveNumber", number=other).json["detail"].startswith("Elk belplan")
    told_by_mail = [body(mail) for mail in post.deliver() if "nummer" in mail.subject.lower()]
    assert told_by_mail and not any("klant belde" in text for text in told_by_mail)
    order_plan("9876543211")
    numbers.reserve(other, "slager", Actor(Role.SALES, "verkoop"), NOW)
    taken = do("giveNumber", number=other)
    assert (taken.status, taken.json["errors"][0]["field"]) == (422, "number")


def test_two_customers_become_one_by_a_person_with_a_reason_and_a_mail(bakery: Account, post: Post) -> None:
    def judge(**fields: Any) -> Any:
        sent = {"reason": "zelfde bedrijf, gebeld", **fields}
        return Api().post("/api/sales/customers/bakker/join", json_body=sent, claims=CLAIMS)

    assert judge(other="niemnd", same=True).status == 404
    assert judge(other="bakker", same=True).json["title"] == "Deze klanten kunnen niet worden samengevoegd"
    assert judge(other="slager").status == 422 and judge(other="slager", same=True, reason="").status == 422
    joined = judge(other="slager", same=True)
    assert joined.status == 200 and len(joined.json["phones"]) == 4
    assert judge(other="slager", same=True).json["phones"] == joined.json["phones"], (
        "again finishes, and changes nothing"
    )
    assert store().get("slager").customer.joined_into == "bakker"
    for customer in ("bakker", "slager"):
        found = [event for event in store().history(customer) if event.kind is EventKind.JOINED]
        assert [(event.who.name, event.why) for event in found] == [("verkoop@example.nl", "zelfde bedrijf, gebeld")]
    told = [mail for mail in post.deliver() if mail.subject == "Uw gegevens zijn samengevoegd"]
    assert OWNER in {mail.destinations["ToAddresses"][0] for mail in told}
    assert not any("gebeld" in body(mail) for mail in told)


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
