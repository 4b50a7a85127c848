"""ordering.sales_api on AWS's DynamoDB Local: the queue, and decisions that are made once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest

from fleet import node as nodes
from fleet.node import NodeState
from fleet.placement import Assignment, Placement
from fleet.placement import Role as PlacementRole
from fleet.store import FleetStore
from ordering import lists, sales_api
from ordering import order as orders
from ordering.order import SipServer, State
from shared import clock, dynamodb, settings

pytestmark = pytest.mark.needs("java")

NOW = datetime(2026, 11, 21, 17, 5, tzinfo=UTC)
# As API Gateway passes claims on: a list becomes text in brackets.
ANNA = {"sub": "7d0c", "email": "anna@example.nl", "cognito:groups": "[sales staff]"}
BOB = {"sub": "8e1d", "username": "bob", "cognito:groups": "[sales]"}
FIELDS = {
    "company": "Bakkerij Jansen",
    "name": "A. Jansen",
    "email": "jansen@example.nl",
    "telephone": "085 123 45 67",
    "phones": "5",
}


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
    return api.post(
        f"/api/sales/orders/{order_id}/approve", claims=claims, json_body={}, headers={"If-Match": if_match}
    )


def reject(
    api: Any, order_id: str, reason: object = "Wij leveren niet in uw land", claims: dict[str, str] = ANNA
) -> Any:
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
        assert (
            api.post(f"/api/sales/orders/{body['id']}/{decide}", claims=claims, json_body={"reason": "x"}).status
            == status
        )
    assert api.get(f"/api/orders/{body['id']}?token={body['token']}").json["version"] == 1


def test_groups_may_come_as_a_list(api) -> None:
    assert api.get("/api/sales/orders", claims={"sub": "1", "cognito:groups": ["staff", "sales"]}).status == 200


# --- the queue


def test_the_queue_shows_who_ordered_what_newest_first_with_counts(api) -> None:
    first, second = placed(api), placed(api, company="Garage De Vries", phones="12")
    body = queue(api, "?state=acknowledged").json
    assert [item["id"] for item in body["items"]] == [second["id"], first["id"]]
    assert body["counts"] == {
        "answered": 0,
        **{state.value: 2 if state is State.ACKNOWLEDGED else 0 for state in State},
    }
    assert body["next"] is None
    item = body["items"][0]
    assert (item["relatedParty"]["company"], item["monthlyTotalCents"], item["state"]) == (
        "Garage De Vries",
        2400,
        "acknowledged",
    )


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
    assert answer.headers["etag"].startswith('"1-')
    body = answer.json
    assert body["relatedParty"] == {
        "company": "Bakkerij Jansen",
        "kvk": "12345678",
        "name": "A. Jansen",
        "email": "jansen@example.nl",
        "telephone": "+31851234567",
        "country": "NL",
    }
    assert (body["note"], body["events"][0]["who"], len(body["customerId"])) == ("Graag voor december", "klant", 6)
    assert "node" not in body


def test_sales_sees_on_which_node_the_order_is(api) -> None:
    order = placed(api)
    approve(api, order["id"])
    environment = api.get(f"/api/sales/orders/{order['id']}", claims=ANNA).json["customerId"]
    fleet = FleetStore(settings.fleet_table())
    node = replace(nodes.request("n0001", 100, NOW), state=NodeState.READY, address="192.0.2.1", instance_arn="arn")
    fleet.add(node)
    here = Assignment("n0001", "arn", PlacementRole.PRIMARY, 1, 4, 1, NOW)
    fleet.rearrange(Placement(environment), Placement(environment, epoch=1, assignments=(here,)), {}, NOW)
    body = api.get(f"/api/sales/orders/{order['id']}", claims=ANNA).json
    assert body["node"] == {"id": "n0001", "state": "ready", "address": "192.0.2.1", "standby": ""}


@pytest.mark.parametrize("order_id", ["0000000000", "x", "x" * 3000])
def test_an_unknown_order_is_a_404(api, order_id: str) -> None:
    answers = [api.get(f"/api/sales/orders/{order_id}", claims=ANNA), approve(api, order_id), reject(api, order_id)]
    assert [answer.status for answer in answers] == [404, 404, 404]


@pytest.mark.parametrize("target", ["", "?q=jansen&sort=company", "/{id}", "/../overview", "/../fleet"])
def test_who_has_the_answer_already_is_sent_nothing(api, target: str) -> None:
    order = placed(api)
    target = f"/api/sales/orders{target}".replace("orders/../", "").format(id=order["id"])
    first = api.get(target, claims=ANNA)
    assert first.status == 200
    for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
        again = api.get(target, claims=ANNA, headers={"If-None-Match": known})
        assert (again.status, again.body, again.headers["etag"]) == (304, "", first.headers["etag"])
    assert api.get(target, claims=ANNA, headers={"If-None-Match": '"other"'}).body == first.body


def test_a_change_makes_another_tag_and_a_decision_takes_the_tag_as_the_version(api) -> None:
    order = placed(api)
    target = f"/api/sales/orders/{order['id']}"
    seen = {path: api.get(path, claims=ANNA).headers["etag"] for path in ("/api/sales/orders", target)}
    assert approve(api, order["id"], if_match=seen[target]).status == 200
    for path, tag in seen.items():
        assert api.get(path, claims=ANNA, headers={"If-None-Match": tag}).status == 200
    assert reject(api, order["id"]).status == 409
    assert approve(api, placed(api)["id"], if_match='"7-0123abcd"').status == 412


# --- decisions


def test_approving_starts_the_work_and_says_who(api) -> None:
    order = placed(api)
    answer = approve(api, order["id"])
    assert (answer.status, answer.json["state"], answer.json["version"]) == (200, "inProgress", 2)
    assert answer.headers["etag"].startswith('"2-')
    assert answer.json["events"][-1] == {
        "at": clock.to_iso(NOW + timedelta(seconds=1)),
        "from": "acknowledged",
        "to": "inProgress",
        "who": "anna@example.nl",
    }


@pytest.mark.promise("afgewezen-gratis")
def test_a_rejection_tells_the_customer_why_and_not_who(api) -> None:
    order = placed(api)
    assert reject(api, order["id"], "  Wij leveren niet in uw land.\r\nHelaas. ").json["state"] == "rejected"
    seen = api.get(f"/api/orders/{order['id']}?token={order['token']}")
    assert seen.json["events"][-1]["why"] == "Wij leveren niet in uw land.\nHelaas."
    assert "anna" not in seen.body


@pytest.mark.parametrize(
    ("reason", "code"),
    [("", "missing"), ("   ", "missing"), (None, "missing"), (["x"], "missing"), ("x" * 1001, "too_long")],
)
@pytest.mark.promise("afgewezen-gratis")
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
    answers = side_by_side(
        [partial(approve, api, order["id"], {**ANNA, "email": f"verkoop{n}@example.nl"}) for n in range(50)]
    )
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
    sales_api.orders().change(
        order["id"], lambda found: orders.complete(found, SipServer("n0001", "192.0.2.1", 5061), NOW)
    )
    assert [approve(api, order["id"]).status, reject(api, order["id"]).status] == [409, 409]


# --- the other things that sales does


def act(
    api: Any, order_id: str, what: str, body: object = None, if_match: str = "*", claims: dict[str, str] = ANNA
) -> Any:
    path = f"/api/sales/orders/{order_id}/{what}"
    return api.post(path, claims=claims, json_body=body or {}, headers={"If-Match": if_match})


def test_a_question_waits_for_its_answer(api) -> None:
    body = placed(api)
    asked = act(api, body["id"], "ask", {"question": "Welke toestellen?"})
    assert (asked.status, asked.json["state"], asked.json["events"][-1]["why"]) == (200, "pending", "Welke toestellen?")
    assert approve(api, body["id"]).status == 409
    answered = api.post(f"/api/orders/{body['id']}/answer?token={body['token']}", json_body={"text": "Yealink"})
    assert (answered.status, approve(api, body["id"]).json["state"]) == (200, "inProgress")


def test_an_approved_order_is_held_and_resumed(api) -> None:
    body = placed(api)
    assert act(api, body["id"], "hold", {"reason": "x"}).status == 409
    approve(api, body["id"])
    assert act(api, body["id"], "hold", {"reason": "Wacht op de verhuizing"}).json["state"] == "held"
    assert act(api, body["id"], "resume").json["state"] == "inProgress"


@pytest.mark.parametrize("category", ["srtp", "quote"])
def test_sales_cancels_as_far_as_it_may(api, category: str) -> None:
    extra = {"category": "quote", "subject": "x", "text": "y"} if category == "quote" else {}
    fresh, approved = placed(api, **extra), placed(api, **extra)
    approve(api, approved["id"])
    assert act(api, fresh["id"], "cancel", {"reason": "Dubbel"}).json["state"] == "cancelled"
    cancelled = act(api, approved["id"], "cancel", {"reason": "Dubbel"}).json
    steps = [event["to"] for event in cancelled["events"]]
    way = ["acknowledged", "inProgress", "assessingCancellation", "pendingCancellation"]
    # What has no place on a node has nothing to free.
    assert steps == (way if category == "srtp" else [*way, "cancelled"])
    assert cancelled["version"] == len(steps)


def test_a_cancellation_that_was_asked_for_is_granted_or_refused(api) -> None:
    granted, refused = placed(api), placed(api)
    for body in (granted, refused):
        approve(api, body["id"])
        api.post(f"/api/orders/{body['id']}/cancel?token={body['token']}")
    assert act(api, granted["id"], "cancel", {"reason": "Akkoord"}).json["state"] == "pendingCancellation"
    without = act(api, refused["id"], "resume")
    assert (without.status, [error["code"] for error in without.json["errors"]]) == (422, ["missing"])
    told = act(api, refused["id"], "resume", {"reason": "Uw nummer is al overgezet", "note": "Belt steeds"})
    assert told.json["state"] == "inProgress"
    seen = api.get(f"/api/orders/{refused['id']}?token={refused['token']}")
    assert seen.json["events"][-1]["why"] == "Uw nummer is al overgezet"
    assert "Belt steeds" not in seen.body and "Belt steeds" in told.body


def test_what_needs_no_node_is_completed_by_hand_and_what_needs_one_is_not(api) -> None:
    quote, srtp = placed(api, category="quote", subject="x", text="y"), placed(api)
    for body in (quote, srtp):
        approve(api, body["id"])
    assert act(api, quote["id"], "complete").json["state"] == "completed"
    assert (act(api, srtp["id"], "complete").status, act(api, quote["id"], "complete").status) == (409, 409)
    seen = api.get(f"/api/orders/{quote['id']}?token={quote['token']}").json
    assert (seen["credentials"], "completionDate" in seen) == ("later", True)


def test_a_note_changes_no_state_and_says_who(api) -> None:
    body = placed(api)
    noted = act(api, body["id"], "notes", {"text": "Belt morgen terug"}).json
    assert (noted["state"], noted["version"], noted["events"][-1]["kind"]) == ("acknowledged", 2, "note")
    assert (noted["events"][-1]["who"], noted["events"][-1]["note"]) == ("anna@example.nl", "Belt morgen terug")
    refused = act(api, body["id"], "reject", {"reason": "Nee"}) and approve(api, body["id"])
    act(api, body["id"], "notes", {"text": "Nog iets"})
    assert "is al afgewezen" in refused.json["detail"]


def test_who_saw_an_older_version_is_told_what_changed(api) -> None:
    body = placed(api)
    act(api, body["id"], "notes", {"text": "Belt morgen terug"}, claims=BOB)
    stale = act(api, body["id"], "reject", {"reason": "Nee"}, if_match='"1"')
    assert (stale.status, stale.json["version"]) == (412, 2)
    assert [(change["kind"], change["who"], change["note"]) for change in stale.json["changes"]] == [
        ("note", "bob", "Belt morgen terug")
    ]


@pytest.mark.parametrize(
    ("what", "field"), [("ask", "question"), ("hold", "reason"), ("cancel", "reason"), ("notes", "text")]
)
@pytest.mark.parametrize(("text", "code"), [(" ", "missing"), (None, "missing"), (7.5, None), ("x" * 1001, "too_long")])
def test_a_text_must_be_there_and_fit(api, what: str, field: str, text: object, code: str | None) -> None:
    body = placed(api)
    answer = act(api, body["id"], what, {field: text})
    assert answer.status == (422 if code else 409 if what == "hold" else 200)
    if code:
        assert (answer.json["errors"][0]["field"], answer.json["errors"][0]["code"]) == (field, code)


# --- finding orders


def found(api: Any, query: str) -> list[str]:
    answer = queue(api, f"?{query}")
    assert answer.status == 200, answer.body
    return [item["relatedParty"]["company"] for item in answer.json["items"]]


@pytest.fixture
def three(api: Any) -> list[Any]:
    return [
        placed(api, company="Bakkerij Jansen", phones="5", kvk="12345678"),
        placed(api, company="Café Zürich", phones="50", telephone="0851112233"),
        placed(api, company="Autobedrijf Aa", category="quote", subject="x", text="y"),
    ]


def test_sales_searches_filters_and_sorts(api, three: list[Any]) -> None:
    assert found(api, "q=cafe") == ["Café Zürich"]
    assert found(api, "q=0851112233") == ["Café Zürich"]
    assert found(api, "q=12345678") == ["Bakkerij Jansen"]
    assert found(api, f"q={three[2]['id'].lower()}") == ["Autobedrijf Aa"]
    assert found(api, "category=quote") == ["Autobedrijf Aa"]
    assert found(api, "sort=company&order=asc") == ["Autobedrijf Aa", "Bakkerij Jansen", "Café Zürich"]
    assert found(api, "sort=monthlyTotal") == ["Café Zürich", "Bakkerij Jansen", "Autobedrijf Aa"]
    assert found(api, "order=asc") == ["Bakkerij Jansen", "Café Zürich", "Autobedrijf Aa"]
    assert found(api, "state=rejected,held") == []
    assert found(api, "state=acknowledged,held&q=a") == ["Autobedrijf Aa", "Café Zürich", "Bakkerij Jansen"]


def test_pages_of_a_sorted_queue_follow_each_other(api, three: list[Any]) -> None:
    first = queue(api, "?sort=company&order=asc&limit=2").json
    second = queue(api, f"?sort=company&order=asc&limit=2&cursor={first['next']}").json
    assert [item["relatedParty"]["company"] for item in second["items"]] == ["Café Zürich"]
    assert second["next"] is None
    assert queue(api, f"?sort=monthlyTotal&cursor={first['next']}").status == 422


@pytest.mark.parametrize(
    ("query", "field"),
    [("sort=price", "sort"), ("order=up", "order"), ("q=" + "x" * 101, "q"), ("category=" + "x" * 101, "category")],
)
def test_a_wrong_filter_is_named(api, query: str, field: str) -> None:
    answers = [queue(api, f"?{query}"), api.get(f"/api/sales/export?{query}", claims=ANNA)]
    for answer in answers:
        assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (422, [field])


def test_the_table_for_excel_honours_the_filter(api, three: list[Any]) -> None:
    answer = api.get("/api/sales/export?q=bakkerij", claims=ANNA)
    assert answer.status == 200
    assert 'filename="bestellingen-2026-11-21.csv"' in answer.headers["content-disposition"]
    lines = answer.body.split("\r\n")
    assert lines[0].startswith("\ufeffBestelling;")
    assert (len(lines), lines[1].split(";")[4], lines[1].split(";")[11]) == (3, "Bakkerij Jansen", "10,00")


def test_what_looks_at_the_newest_orders_only_says_so(api, three: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def complete() -> list[bool]:
        asked = [
            queue(api, "?q=a"),
            queue(api, "?order=asc"),
            api.get("/api/sales/overview?month=2026-11", claims=ANNA),
        ]
        return [answer.json["complete"] for answer in asked]

    assert complete() == [True, True, True]
    monkeypatch.setattr(lists, "MOST_SEARCHED", 2)
    assert complete() == [False, False, False]
    assert found(api, "q=a") == ["Autobedrijf Aa", "Café Zürich"]
    assert queue(api).json["complete"]
    export = api.get("/api/sales/export?q=a", claims=ANNA)
    assert 'filename="bestellingen-2026-11-21-onvolledig.csv"' in export.headers["content-disposition"]


# --- several at once


def test_selected_orders_are_approved_each_on_the_version_that_was_seen(api, three: list[Any]) -> None:
    act(api, three[1]["id"], "notes", {"text": "Even wachten"})
    selected = [{"id": body["id"], "version": 1} for body in three] + [{"id": "0000000000", "version": 1}]
    answer = api.post("/api/sales/approvals", claims=ANNA, json_body={"orders": selected})
    assert [result["status"] for result in answer.json["results"]] == [200, 412, 200, 404]
    assert answer.json["results"][1]["problem"]["changes"][0]["note"] == "Even wachten"
    states = [api.get(f"/api/sales/orders/{body['id']}", claims=ANNA).json["state"] for body in three]
    assert states == ["inProgress", "acknowledged", "inProgress"]


@pytest.mark.parametrize(
    "orders", [None, [], "x", [1], [{"id": "x"}], [{"id": "x", "version": True}], [{"id": "x", "version": 1}] * 51]
)
def test_a_selection_that_is_none_is_refused(api, orders: object) -> None:
    assert api.post("/api/sales/approvals", claims=ANNA, json_body={"orders": orders}).status == 422


# --- overview and fleet


def test_the_month_is_counted(api, three: list[Any]) -> None:
    reject(api, three[0]["id"])
    body = api.get("/api/sales/overview?month=2026-11", claims=ANNA).json
    assert (body["orders"], body["active"]["orders"], body["lost"]["orders"]) == (3, 0, 1)
    assert body["expected"] == {"orders": 2, "phones": 50, "monthlyRevenueCents": 10_000}
    assert (body["byState"]["rejected"], body["byDay"]) == (1, [{"day": "2026-11-21", "orders": 3}])
    assert api.get("/api/sales/overview", claims=ANNA).json == body
    assert api.get("/api/sales/overview?month=2026-12", claims=ANNA).json["orders"] == 0
    assert api.get("/api/sales/overview?month=2026-13", claims=ANNA).status == 422


def test_the_fleet_shows_what_nodes_say_of_themselves(api) -> None:
    fleet = FleetStore(settings.fleet_table())
    first = nodes.request("n0001", 100, NOW)
    fleet.add(replace(first, state=NodeState.READY, address="192.0.2.1", instance_arn="arn-1"))
    fleet.add(nodes.request("n0002", 100, NOW))
    fleet.add(replace(nodes.request("n0003", 100, NOW), state=NodeState.TERMINATED))
    beat = {
        "at": 1_795_280_700_000,
        "state": "ready",
        "address": "192.0.2.1",
        "sipPort": 5061,
        "calls": 2,
        "registrations": 5,
    }
    dynamodb.client().put_item(
        TableName=settings.fleet_table(), Item=dynamodb.marshal({"pk": "arn-1", "sk": "HEARTBEAT", **beat})
    )
    ready, requested = api.get("/api/sales/fleet", claims=ANNA).json["nodes"]
    assert (ready["calls"], ready["registrations"], ready["heartbeatAt"]) == (2, 5, "2026-11-21T17:05:00.000Z")
    assert (requested["id"], requested["calls"], requested["heartbeatAt"], requested["address"]) == (
        "n0002",
        None,
        None,
        "",
    )


def test_what_a_node_measured_in_the_last_day(api) -> None:
    fleet = FleetStore(settings.fleet_table())
    fleet.add(replace(nodes.request("n0001", 100, NOW), state=NodeState.READY, instance_arn="arn-1"))
    for hours, values in ((30, {"calls": 9}), (2, {"calls": 3, "mos": 4.25}), (1, "nonsense"), (0, {"calls": 1})):
        at = NOW - timedelta(hours=hours)
        item = {
            "pk": "arn-1",
            "sk": f"METRICS#{at:%Y-%m-%dT%H:%MZ}",
            "at": int(at.timestamp() * 1000),
            "values": values,
        }
        dynamodb.client().put_item(TableName=settings.fleet_table(), Item=dynamodb.marshal(item))
    found = api.get("/api/sales/fleet/n0001/metrics", claims=ANNA).json["samples"]
    assert [sample["values"] for sample in found] == [{"calls": 3, "mos": 4.25}, {"calls": 1}], (
        "an odd one hides no other"
    )
    assert api.get("/api/sales/fleet/n0002/metrics", claims=ANNA).json == {"samples": []}


@pytest.mark.parametrize(
    "target",
    ["/api/sales/overview", "/api/sales/fleet", "/api/sales/fleet/n0001/metrics", "/api/sales/export"],
)
def test_only_sales_sees_the_figures(api, target: str) -> None:
    assert [api.get(target).status, api.get(target, claims={"sub": "1"}).status] == [401, 404]
