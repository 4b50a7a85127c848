"""What sales does for a customer: correct, preview, mail again, offer credentials, see all of one; and what a poll costs."""

from typing import Any

import pytest

from ordering import credentials, mail
from shared import settings
from tests.functions.test_orders_api import ADDRESS, complete
from tests.functions.test_sales_api import ANNA, act, approve, placed
from tests.functions.test_sales_api import queue as listed

pytestmark = pytest.mark.needs("java")


def sales(api: Any, order_id: str) -> Any:
    return api.get(f"/api/sales/orders/{order_id}", claims=ANNA).json


def last_mail(order_id: str) -> str | None:
    from ordering.placing import orders

    found = orders().get(order_id)
    return mail.kind(found.last, found)


def test_a_typing_error_is_corrected_and_the_event_tells_what_stood_there(api) -> None:
    order = placed(api)
    fixed = act(api, order["id"], "correct", {"email": "goed@example.nl", "telephone": "085-765\u201143 21"}).json
    assert (fixed["relatedParty"]["email"], fixed["relatedParty"]["telephone"]) == ("goed@example.nl", "+31857654321")
    assert fixed["events"][-1]["kind"] == "correction"
    assert {each["field"]: each["after"] for each in fixed["events"][-1]["changes"]} == {
        "email": "goed@example.nl",
        "telephone": "+31857654321",
    }
    assert last_mail(order["id"]) == mail.LINK_AGAIN
    wrong = act(api, order["id"], "correct", {"email": "geen adres"})
    assert (wrong.status, wrong.json["errors"][0]["field"]) == (422, "email")
    # The address that it left is free, the one that it came to is taken.
    assert placed(api, email="jansen@example.nl")["id"] != order["id"]
    taken = api.post("/api/orders", json_body={**FIELDS, "email": "goed@example.nl"})
    assert (taken.status, taken.json["type"]) == (409, "urn:callvoip:problem:open-order")


FIELDS = {"company": "Ander BV", "name": "B", "telephone": "085 123 45 67", "phones": 2}


def test_a_decision_can_be_seen_as_its_mail_before_it_is_made(api) -> None:
    order = placed(api)
    told = act(api, order["id"], "preview", {"decision": "reject", "reason": "Wij leveren daar niet"}).json
    assert "Wij leveren daar niet" in told["text"] and order["id"] in told["subject"]
    assert sales(api, order["id"])["state"] == "acknowledged"
    assert act(api, order["id"], "preview", {"decision": "hold", "reason": "x"}).status == 409
    assert act(api, order["id"], "preview", {"decision": "nonsense"}).status == 422


def test_a_mail_is_sent_again(api) -> None:
    order = placed(api)
    assert act(api, order["id"], "mail").json["events"][-1]["kind"] == "mail"
    assert last_mail(order["id"]) == "received"
    approve(api, order["id"])
    act(api, order["id"], "mail")
    assert last_mail(order["id"]) == "approved"
    seen = api.get(f"/api/orders/{order['id']}?token={order['token']}").json
    assert "mail" not in [event.get("kind") for event in seen["events"]]


def test_new_credentials_are_started_by_sales_and_seen_by_the_customer_only(api) -> None:
    order = placed(api, **ADDRESS)
    assert act(api, order["id"], "credentials").status == 409
    complete(order["id"])
    offered = act(api, order["id"], "credentials")
    assert offered.status == 200 and "password" not in offered.body
    assert last_mail(order["id"]) == "credentials-offered"
    made = api.post(f"/api/orders/{order['id']}/credentials?token={order['token']}").json
    assert len(made["phones"]) == 5
    assert last_mail(order["id"]) is None, "the customer hears of it by the mail of Mijn omgeving, once"


def test_all_of_one_customer_is_found_together(api) -> None:
    first = placed(api)
    second = placed(api, email="ander@example.nl", telephone="085 765 43 21")
    same = api.post(
        "/api/orders",
        json_body={
            "category": "processing-agreement",
            "company": "X",
            "kvk": "87654321",
            "name": "Y",
            "email": first_mail(api, first),
            "authorised": True,
        },
    ).json
    related = api.get(f"/api/sales/orders/{first['id']}/related", claims=ANNA).json["items"]
    assert [item["id"] for item in related] == [same["id"]]
    assert second["id"] not in [item["id"] for item in related]
    assert [item["id"] for item in listed(api, f"?q={sales(api, first['id'])['customerId']}").json["items"]] == [
        first["id"]
    ]


def first_mail(api: Any, order: Any) -> str:
    return str(sales(api, order["id"])["relatedParty"]["email"])


def test_a_poll_tells_what_changed_and_an_answer_stands_out(api) -> None:
    order = placed(api)
    start = api.get("/api/sales/changes", claims=ANNA).json
    assert (start["items"], start["counts"]["acknowledged"]) == ([], 1)
    act(api, order["id"], "ask", {"question": "Welke toestellen?"})
    api.post(f"/api/orders/{order['id']}/answer?token={order['token']}", json_body={"text": "Yealink"})
    polled = api.get(f"/api/sales/changes?since={start['until']}", claims=ANNA).json
    assert [(item["id"], item["attention"]) for item in polled["items"]] == [(order["id"], "answered")]
    assert (polled["counts"]["acknowledged"], polled["counts"]["answered"], polled["more"]) == (1, 1, False)
    approve(api, order["id"])
    assert api.get("/api/sales/orders", claims=ANNA).json["counts"]["answered"] == 0
    assert api.get("/api/sales/changes?since=gisteren", claims=ANNA).status == 422


def test_a_mail_address_is_proven_by_the_button_behind_the_mailed_link_and_by_nothing_else(api) -> None:
    order = placed(api)
    email = first_mail(api, order)
    proof = credentials.address_proof(settings.order_key(), order["id"], email)
    path = f"/bestelling/{order['id']}"
    assert api.get(f"{path}?token={order['token']}&proof={proof}").status == 200
    assert sales(api, order["id"])["addressProvenAt"] is None, "a scanner of mail follows links"
    assert api.post(f"{path}/address", form={"token": order["token"], "proof": "x"}).status == 404
    assert api.post(f"{path}/address", form={"token": "x", "proof": proof}).status == 404
    assert api.post(f"{path}/address", form={"token": order["token"], "proof": proof}).status == 303
    assert sales(api, order["id"])["addressProvenAt"]
    act(api, order["id"], "correct", {"email": "ander@example.nl"})
    assert sales(api, order["id"])["addressProvenAt"] is None


def test_each_amount_that_was_shown_is_agreed_to(api) -> None:
    plan = {
        "category": "plan", "offering": "unlimited-nl", "country": "nl", "porting": "no", "areaCode": "020",
        "company": "Plan BV", "name": "A", "email": "plan@example.nl", "telephone": "0851234567",
    }  # fmt: skip
    right = api.post("/api/orders", json_body=plan).json
    shown = {"monthlyTotalCents": right["monthlyTotalCents"], "oneTimeTotalCents": right["oneTimeTotalCents"] + 1}
    told = api.post("/api/orders", json_body={**plan, **shown})
    assert (told.status, told.json["type"]) == (409, "urn:callvoip:problem:price-changed")
    assert (told.json["oneTimeTotalCents"], told.json["clientOneTimeTotalCents"]) == (
        right["oneTimeTotalCents"],
        right["oneTimeTotalCents"] + 1,
    )
    assert (
        api.post("/api/orders", json_body={**plan, **shown, "oneTimeTotalCents": right["oneTimeTotalCents"]}).status
        == 201
    )


def test_the_same_answers_sent_again_after_going_back_are_one_order(api) -> None:
    import re
    from html import unescape

    fields = {
        "category": "plan", "offering": "unlimited-nl", "country": "nl", "porting": "no", "areaCode": "020",
        "company": "Plan BV", "name": "A", "email": "plan@example.nl", "telephone": "0851234567",
    }  # fmt: skip
    browser = {"accept": "text/html"}

    def order() -> str:
        page = api.post("/api/orders", form={**fields, "step": "check"}, headers=browser).body
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="(.*?)">', page)
        sent = {name: unescape(value) for name, value in hidden}
        return str(api.post("/api/orders", form={**sent, "step": "order"}, headers=browser).headers["location"])

    first = order()
    assert order() == first
    fields["areaCode"] = "010"
    assert order() != first
