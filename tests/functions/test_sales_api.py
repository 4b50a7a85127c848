"""ordering.sales_api on AWS's DynamoDB Local: the queue, and decisions that are made once."""

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest

from ordering import order as orders
from ordering import sales_api
from ordering.order import SipServer, State
from shared import clock, dynamodb, settings

pytestmark = pytest.mark.needs("java")

NOW = datetime(2026, 11, 21, 17, 5, tzinfo=UTC)
# As API Gateway passes claims on: a list becomes text in brackets.
ANNA = {"sub": "7d0c", "email": "anna@example.nl", "cognito:groups": "[sales staff]"}
BOB = {"sub": "8e1d", "username": "bob", "cognito:groups": "[sales]"}
FIELDS = {"company": "Bakkerij Jansen", "name": "A. Jansen", "email": "jansen@example.nl", "telephone": "085 123 45 67", "phones": "5"}


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes at every look at the clock."""
    moments = (NOW + timedelta(seconds=n) for n in range(10_000))
    monkeypatch.setattr(clock, "now", lambda: next(moments))


_addresses = count()


def placed(api: Any, **changes: str) -> Any:
    """A new order of a customer of its own: an address has one open order at a time."""
    email = f"klant{next(_addresses)}@example.nl"
    answer = api.post("/api/orders", json_body={**FIELDS, "email": email, **changes})
    assert answer.status == 201, answer.body
    return answer.json


def queue(api: Any, query: str = "", claims: dict[str, str] = ANNA) -> Any:
    return api.get(f"/api/sales/orders{query}", claims=claims)


def approve(api: Any, order_id: str, claims: dict[str, str] = ANNA, if_match: str = "*") -> Any:
    return api.post(f"/api/sales/orders/{order_id}/approve", claims=claims, json_body={}, headers={"If-Match": if_match})


def reject(api: Any, order_id: str, reason: object = "Wij leveren niet in uw land", claims: dict[str, str] = ANNA) -> Any:
    return api.post(f"/api/sales/orders/{order_id}/reject", claims=claims, json_body={"reason": reason})


# --- who may come in


@pytest.mark.parametrize("target", ["/api/sales/orders", "/api/sales/orders/0000000000"])
@pytest.mark.parametrize(
    ("claims", "status"),
    [
        (None, 401),
        ({}, 401),
        ({"sub": "1"}, 404),
        ({"sub": "1", "cognito:groups": "[admin]"}, 404),
        ({"sub": "1", "cognito:groups": "[presales]"}, 404),
    ],
)
def test_only_sales_comes_in(api, target: str, claims, status: int) -> None:
    body = placed(api)
    assert api.get(target, claims=claims).status == status
    for decide in ("approve", "reject"):
        assert api.post(f"/api/sales/orders/{body['id']}/{decide}", claims=claims, json_body={"reason": "x"}).status == status
    assert api.get(f"/api/orders/{body['id']}?token={body['token']}").json["version"] == 1


def test_groups_may_come_as_a_list(api) -> None:
    assert api.get("/api/sales/orders", claims={"sub": "1", "cognito:groups": ["staff", "sales"]}).status == 200


# --- the queue


def test_the_queue_shows_who_ordered_what_newest_first_with_counts(api) -> None:
    first, second = placed(api), placed(api, company="Garage De Vries", phones="12")
    body = queue(api, "?state=acknowledged").json
    assert [item["id"] for item in body["items"]] == [second["id"], first["id"]]
    assert body["counts"] == {state.value: 2 if state is State.ACKNOWLEDGED else 0 for state in State}
    assert body["next"] is None
    item = body["items"][0]
    assert (item["relatedParty"]["company"], item["monthlyTotalCents"], item["state"]) == ("Garage De Vries", 2400, "acknowledged")


def test_the_queue_follows_a_decision(api) -> None:
    order = placed(api)
    approve(api, order["id"])
    assert queue(api, "?state=acknowledged").json["items"] == []
    body = queue(api, "?state=inProgress").json
    assert ([item["id"] for item in body["items"]], body["counts"]["inProgress"]) == ([order["id"]], 1)


@pytest.mark.parametrize("state", ["?state=acknowledged&", "?"], ids=["one state", "all states"])
@pytest.mark.parametrize("same_moment", [False, True])
def test_pages_hold_every_order_once(api, monkeypatch, state: str, same_moment: bool) -> None:
    if same_moment:
        monkeypatch.setattr(clock, "now", lambda: NOW)
    made = [placed(api)["id"] for _ in range(7)]
    approve(api, made[3])
    seen, cursor, pages = [], "", 0
    while pages < 10:
        body = queue(api, f"{state}limit=2{cursor}").json
        seen += [item["id"] for item in body["items"]]
        pages += 1
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    expected = [order_id for order_id in made if state == "?" or order_id != made[3]]
    assert sorted(seen) == sorted(expected)
    if not same_moment:
        assert seen == expected[::-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=sold", "state"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=vijf", "limit"),
        ("limit=-1", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=W10=", "cursor"),
        ("cursor=%C3%A9", "cursor"),
    ],
)
def test_a_wrong_parameter_is_named(api, query: str, field: str) -> None:
    answer = queue(api, f"?{query}")
    assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (422, [field])


# --- one order


def test_sales_sees_everything(api) -> None:
    order = placed(api, kvk="12345678", note="Graag voor december", email="jansen@example.nl")
    answer = api.get(f"/api/sales/orders/{order['id']}", claims=ANNA)
    assert answer.headers["etag"] == '"1"'
    body = answer.json
    assert body["relatedParty"] == {
        "company": "Bakkerij Jansen",
        "kvk": "12345678",
        "name": "A. Jansen",
        "email": "jansen@example.nl",
        "telephone": "+31851234567",
    }
    assert (body["note"], body["events"][0]["who"], len(body["customerId"])) == ("Graag voor december", "klant", 6)
    assert "node" not in body


def test_sales_sees_on_which_node_the_order_is(api) -> None:
    order = placed(api)
    approve(api, order["id"])
    items: list[dict[str, object]] = [
        {"pk": f"ALLOCATION#{order['id']}", "sk": "ALLOCATION", "orderId": order["id"], "nodeId": "n0001", "instanceArn": "arn"},
        {"pk": "NODES", "sk": "n0001", "nodeId": "n0001", "state": "ready", "address": "192.0.2.1"},
    ]
    for item in items:
        dynamodb.client().put_item(TableName=settings.fleet_table(), Item=dynamodb.marshal(item))
    body = api.get(f"/api/sales/orders/{order['id']}", claims=ANNA).json
    assert body["node"] == {"id": "n0001", "state": "ready", "address": "192.0.2.1"}


@pytest.mark.parametrize("order_id", ["0000000000", "x", "x" * 3000])
def test_an_unknown_order_is_a_404(api, order_id: str) -> None:
    answers = [api.get(f"/api/sales/orders/{order_id}", claims=ANNA), approve(api, order_id), reject(api, order_id)]
    assert [answer.status for answer in answers] == [404, 404, 404]


# --- decisions


def test_approving_starts_the_work_and_says_who(api) -> None:
    order = placed(api)
    answer = approve(api, order["id"])
    assert (answer.status, answer.json["state"], answer.json["version"]) == (200, "inProgress", 2)
    assert answer.headers["etag"] == '"2"'
    assert answer.json["events"][-1] == {
        "at": clock.to_iso(NOW + timedelta(seconds=1)),
        "from": "acknowledged",
        "to": "inProgress",
        "who": "anna@example.nl",
    }


def test_a_rejection_tells_the_customer_why_and_not_who(api) -> None:
    order = placed(api)
    assert reject(api, order["id"], "  Wij leveren niet in uw land.\r\nHelaas. ").json["state"] == "rejected"
    seen = api.get(f"/api/orders/{order['id']}?token={order['token']}")
    assert seen.json["events"][-1]["why"] == "Wij leveren niet in uw land.\nHelaas."
    assert "anna" not in seen.body


@pytest.mark.parametrize(
    ("reason", "code"), [("", "missing"), ("   ", "missing"), (None, "missing"), (["x"], "missing"), ("x" * 1001, "too_long")]
)
def test_a_rejection_needs_a_reason(api, reason: object, code: str) -> None:
    order = placed(api)
    answer = reject(api, order["id"], reason)
    assert (answer.status, answer.json["errors"][0]["code"]) == (422, code)
    assert api.get(f"/api/sales/orders/{order['id']}", claims=ANNA).json["state"] == "acknowledged"


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (approve, approve, "is al goedgekeurd ({when_and_who}); zij kan daarom niet worden goedgekeurd."),
        (approve, reject, "is al goedgekeurd ({when_and_who}); zij kan daarom niet worden afgewezen."),
        (reject, approve, "is al afgewezen ({when_and_who}); zij kan daarom niet worden goedgekeurd."),
        (reject, reject, "is al afgewezen ({when_and_who}); zij kan daarom niet worden afgewezen."),
    ],
)
def test_a_second_decision_is_told_what_the_first_was_and_by_whom(api, first, second, words: str) -> None:
    when_and_who = "21 november 2026 om 18.05 uur door anna@example.nl"
    order = placed(api)
    made = first(api, order["id"])
    refused = second(api, order["id"], claims=BOB)
    assert (made.status, refused.status) == (200, 409)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json["detail"] == f"De bestelling {words.format(when_and_who=when_and_who)}"
    assert (refused.json["state"], refused.json["version"]) == (made.json["state"], 2)
    assert len(api.get(f"/api/sales/orders/{order['id']}", claims=ANNA).json["events"]) == 2


@pytest.mark.parametrize("if_match", ['"1"', "1", 'W/"1"', "*"])
def test_the_version_that_was_seen_may_be_named(api, if_match: str) -> None:
    order = placed(api)
    assert approve(api, order["id"], if_match=if_match).status == 200


def test_a_decision_on_another_version_than_the_order_has_is_refused(api) -> None:
    order = placed(api)
    answer = approve(api, order["id"], if_match='"7"')
    assert (answer.status, answer.json["state"], answer.json["version"]) == (412, "acknowledged", 1)


def test_an_if_match_that_is_no_version_is_refused(api) -> None:
    assert approve(api, placed(api)["id"], if_match='"abc"').status == 400


@pytest.mark.parametrize(("kind", "body", "status"), [("application/json", "{", 400), ("text/plain", "reason", 415)])
def test_a_rejection_that_cannot_be_read_changes_nothing(api, kind: str, body: str, status: int) -> None:
    order = placed(api)
    answer = api.post(f"/api/sales/orders/{order['id']}/reject", claims=ANNA, body=body, headers={"content-type": kind})
    assert answer.status == status
    assert api.get(f"/api/sales/orders/{order['id']}", claims=ANNA).json["version"] == 1


def test_of_fifty_parallel_approvals_one_wins_and_the_others_all_hear_the_same(api, side_by_side) -> None:
    order = placed(api)
    answers = side_by_side([partial(approve, api, order["id"], {**ANNA, "email": f"verkoop{n}@example.nl"}) for n in range(50)])
    assert sorted(answer.status for answer in answers) == [200, *[409] * 49]
    won = next(answer.json for answer in answers if answer.status == 200)
    assert len({answer.json["detail"] for answer in answers if answer.status == 409}) == 1
    assert won["events"][-1]["who"] in next(answer.json["detail"] for answer in answers if answer.status == 409)
    after = api.get(f"/api/sales/orders/{order['id']}", claims=ANNA).json
    assert (after["version"], len(after["events"])) == (2, 2)


def test_approvals_and_rejections_at_once_make_one_decision(api, side_by_side) -> None:
    order = placed(api)
    answers = side_by_side([partial((approve, reject)[n % 2], api, order["id"]) for n in range(20)])
    assert sorted(answer.status for answer in answers) == [200, *[409] * 19]
    assert len(api.get(f"/api/sales/orders/{order['id']}", claims=ANNA).json["events"]) == 2


def test_an_order_in_service_cannot_be_decided_again(api) -> None:
    order = placed(api)
    approve(api, order["id"])
    sales_api.orders().change(order["id"], lambda found: orders.complete(found, SipServer("n0001", "192.0.2.1", 5061), NOW))
    assert [approve(api, order["id"]).status, reject(api, order["id"]).status] == [409, 409]
