"""ordering.orders_api on AWS's DynamoDB Local: what a customer does with an order, and everything that can be wrong
with it.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import md5, sha256
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from moto import mock_aws

from customers import environments, fulfilment
from ordering import challenge, credentials, placing
from ordering import order as orders
from ordering.credentials import PhoneCredentials
from ordering.order import Actor, Role, State
from ordering.store import OrderStore
from shared import clock, dynamodb, settings
from shared.brand import brand
from tests.functions.test_spam import solve
from tests.support import write_units

pytestmark = pytest.mark.needs("java")

NOW = datetime(2026, 11, 21, 17, 5, tzinfo=UTC)
SALES = Actor(Role.SALES, "verkoop@example.nl")
FIELDS = {
    "company": "Bakkerij Jansen",
    "kvk": "12345678",
    "name": "A. Jansen",
    "email": "jansen@example.nl",
    "telephone": "085 123 45 67",
    "phones": "5",
    "note": "Graag voor december",
}
ADDRESS = {"street": "Voorbeeldstraat", "houseNumber": "1", "postcode": "3511 AA", "city": "Utrecht"}
"""Where the phones stand: an order without it is not in service before its customer has told it."""
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PERSONAL = ("Jansen", "jansen@example.nl", "851234567", "december")


@pytest.fixture(autouse=True)
def _fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


def everything() -> list[dynamodb.Item]:
    """All items of the orders table."""
    found = dynamodb.client().scan(TableName=settings.orders_table())
    return [dynamodb.unmarshal(item) for item in found["Items"]]


def kept() -> list[str]:
    """The sort keys of all items of the orders table."""
    return sorted(re.sub("^SHARD#.*", "SHARD#", item["sk"]) for item in everything())


def store() -> OrderStore:
    return placing.orders()


def placed(api, **changes: object):
    answer = api.post("/api/orders", json_body={**FIELDS, **ADDRESS, **changes})
    assert answer.status == 201, answer.body
    return answer.json


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def complete(order_id: str) -> None:
    """Bring an order into service: sales approves, it becomes a customer's phones, a proof call passes."""
    approved = store().change(order_id, lambda found: orders.move(found, State.IN_PROGRESS, SALES, NOW))
    fulfilment.fulfil(approved, NOW)
    environment = environments.get(approved.customer_id)
    assert environment
    environments.proven(approved.customer_id, environment.version, "n0001", NOW)


# --- placing an order


def test_an_order_is_priced_recorded_and_answered_with_its_address_and_token(api) -> None:
    answer = api.post("/api/orders", json_body={**FIELDS, "monthlyTotalCents": 1000})
    body = answer.json
    assert answer.status == 201
    assert answer.headers["location"] == f"/api/orders/{body['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert body["href"] == f"/bestelling/{body['id']}?token={body['token']}"
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{10}", body["id"])
    assert {key: value for key, value in body.items() if key not in ("id", "token", "href")} == {
        "state": "acknowledged",
        "version": 1,
        "orderDate": "2026-11-21T17:05:00.000Z",
        "category": "srtp",
        "productOrderItem": [
            {
                "quantity": 5,
                "productOffering": {
                    "id": "srtp",
                    "version": 1,
                    "name": "SRTP: versleutelde gesprekken",
                    "unit": "phone",
                    "period": "month",
                },
                "unitPriceCents": 200,
                "totalCents": 1000,
            }
        ],
        "monthlyTotalCents": 1000,
        "vatRatePercent": 21,
        "monthlyTotalInclVatCents": 1210,
        "oneTimeTotalCents": 0,
        "oneTimeTotalInclVatCents": 0,
        "credentials": "later",
        "details": [],
        "events": [{"at": "2026-11-21T17:05:00.000Z", "from": None, "to": "acknowledged"}],
    }


def test_an_order_is_whole_and_holds_no_token(api) -> None:
    body = placed(api)
    items = everything()
    assert kept() == ["HOUR#17", "OPEN", "ORDER", "SHARD#"]
    assert body["token"] not in json.dumps(items)
    order = next(item for item in items if item["sk"] == "ORDER")
    assert order["tokenSha256"] == sha256(body["token"].encode()).hexdigest()
    assert order["relatedParty"]["telephone"] == "+31851234567"


def test_a_form_without_javascript_leads_to_the_orders_own_page(api) -> None:
    answer = api.post("/api/orders", form=FIELDS, headers=BROWSER)
    assert answer.status == 303
    page = api.get(answer.headers["location"], headers=BROWSER)
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["referrer-policy"] == "same-origin"
    assert 'data-state="acknowledged"' in page.body
    assert "€\u00a010,00, 21 november 2026 om 18.05 uur" in page.body


def test_a_form_and_json_make_the_same_order(api) -> None:
    by_form = api.post("/api/orders", form=FIELDS).headers["location"]
    token = parse_qs(urlsplit(by_form).query)["token"][0]
    order_id = urlsplit(by_form).path.rpartition("/")[2]
    seen = api.get(f"/api/orders/{order_id}", headers=bearer(token)).json
    sent = placed(api, phones=5, email="anders@example.nl")
    same = ("state", "version", "category", "productOrderItem", "monthlyTotalCents", "credentials", "events")
    assert [seen[name] for name in same] == [sent[name] for name in same]


def test_what_is_typed_in_html_stays_text(api) -> None:
    answer = api.post(
        "/api/orders", form={**FIELDS, "company": "<script>alert(1)</script>", "phones": "vijf"}, headers=BROWSER
    )
    assert answer.status == 422
    assert "<script>" not in answer.body
    assert "&lt;script&gt;" in answer.body


# --- what can be wrong with an order


WRONG = {
    "empty": (
        {},
        {"company": "missing", "name": "missing", "email": "missing", "telephone": "missing", "phones": "missing"},
    ),
    "no phones": ({**FIELDS, "phones": "0"}, {"phones": "too_small"}),
    "minus one phone": ({**FIELDS, "phones": "-1"}, {"phones": "too_small"}),
    "1e9 phones": ({**FIELDS, "phones": "1e9"}, {"phones": "not_integer"}),
    "a billion phones": ({**FIELDS, "phones": "1000000000"}, {"phones": "too_large"}),
    "vijf phones": ({**FIELDS, "phones": "vijf"}, {"phones": "not_integer"}),
    "a long name": ({**FIELDS, "name": "n" * 300}, {"name": "too_long"}),
    "an address without @": ({**FIELDS, "email": "jansen.example.nl"}, {"email": "invalid"}),
    "an unknown category": ({**FIELDS, "category": "fax"}, {"category": "invalid"}),
    "a category that is a path": ({**FIELDS, "category": "../brand"}, {"category": "invalid"}),
    "a total that is none": ({**FIELDS, "monthlyTotalCents": "tien"}, {"monthlyTotalCents": "invalid"}),
}


@pytest.mark.parametrize(("fields", "errors"), WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("way", ["json", "form", "browser"])
def test_wrong_fields_are_told_in_dutch_and_nothing_is_written(api, fields, errors, way: str) -> None:
    if way == "json":
        answer = api.post("/api/orders", json_body=fields)
    else:
        answer = api.post("/api/orders", form=fields, headers=BROWSER if way == "browser" else {})
    assert answer.status == 422
    if way == "browser":
        assert re.findall(r'href="#(\w+)"', answer.body) == list(errors)
        assert f'value="{fields.get("company", "")}"' in answer.body
    else:
        problem = answer.json
        assert answer.headers["content-type"] == "application/problem+json"
        assert {error["field"]: error["code"] for error in problem["errors"]} == errors
        assert problem["title"] == "Niet alles is goed ingevuld"
        assert problem["status"] == 422
        assert problem["instance"] == "/api/orders"
        assert problem["correlationId"]
    assert everything() == []


@pytest.mark.parametrize("phones", [1e9, -1, 0, 5.5, True, [5], {"n": 5}, None])
def test_json_of_another_type_is_wrong_too(api, phones: object) -> None:
    answer = api.post("/api/orders", json_body={**FIELDS, "phones": phones})
    assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (422, ["phones"])


BODIES = {
    "broken json": ("application/json", "{", 400),
    "json that is no object": ("application/json", "[1]", 400),
    "deep json": ("application/json", "[" * 60_000, 400),
    "a number of 5000 digits": ("application/json", '{"phones":' + "9" * 5000 + "}", 400),
    "no utf-8": ("application/json", b"\xff\xfe", 400),
    "no body": ("application/json", None, 400),
    "too many fields": ("application/x-www-form-urlencoded", "&".join(f"f{n}=1" for n in range(200)).encode(), 400),
    "too much": ("application/json", "{" + " " * 70_000 + "}", 413),
    "xml": ("application/xml", "<order/>", 415),
    "no content type": ("", "company=Jansen", 415),
    "multipart": ("multipart/form-data; boundary=x", b"--x--", 415),
}


@pytest.mark.parametrize(("kind", "body", "status"), BODIES.values(), ids=BODIES.keys())
def test_a_body_that_cannot_be_read_is_refused(api, kind: str, body, status: int) -> None:
    answer = api.post("/api/orders", body=body, headers={"content-type": kind})
    assert (answer.status, answer.json["status"]) == (status, status)
    assert everything() == []


def test_half_a_character_is_replaced_and_not_a_fault(api) -> None:
    answer = api.post(
        "/api/orders", body=json.dumps({**FIELDS, "company": "\ud83d"}), headers={"content-type": "application/json"}
    )
    assert answer.status == 201


@pytest.mark.promise("afgesproken-prijs")
def test_another_total_than_ours_is_a_conflict_with_both(api) -> None:
    answer = api.post("/api/orders", json_body={**FIELDS, "monthlyTotalCents": 900})
    assert answer.status == 409
    assert (answer.json["monthlyTotalCents"], answer.json["clientMonthlyTotalCents"]) == (1000, 900)
    assert "€\u00a010,00" in answer.json["detail"]
    page = api.post("/api/orders", form={**FIELDS, "monthlyTotalCents": "900"}, headers=BROWSER)
    assert page.status == 409
    assert 'href="#phones"' in page.body
    assert everything() == []


# --- the same order twice


def test_the_same_request_with_the_same_key_gets_the_first_answer(api) -> None:
    key = {"idempotency-key": "6d0f1c9e-51c5-4a8c-9d3b-0f6a0b1d2c3e"}
    first = api.post("/api/orders", json_body=FIELDS, headers=key)
    again = api.post("/api/orders", json_body={**FIELDS, "telephone": "+31 85 1234567"}, headers=key)
    assert (again.status, again.json) == (first.status, first.json)
    assert kept() == ["HOUR#17", "OPEN", "ORDER", "SHARD#"]


def test_a_replay_shows_what_became_of_the_order(api) -> None:
    key = {"idempotency-key": "6d0f1c9e-51c5-4a8c-9d3b-0f6a0b1d2c3e"}
    first = api.post("/api/orders", json_body=FIELDS, headers=key).json
    store().change(first["id"], lambda found: orders.move(found, State.IN_PROGRESS, SALES, NOW))
    again = api.post("/api/orders", json_body=FIELDS, headers=key)
    assert (again.status, again.json["id"], again.json["token"]) == (201, first["id"], first["token"])
    assert [event["to"] for event in again.json["events"]] == ["acknowledged", "inProgress"]


def test_another_request_with_the_same_key_is_refused(api) -> None:
    key = {"idempotency-key": "6d0f1c9e-51c5-4a8c-9d3b-0f6a0b1d2c3e"}
    placed_first = api.post("/api/orders", json_body=FIELDS, headers=key)
    other = api.post("/api/orders", json_body={**FIELDS, "phones": 6}, headers=key)
    assert (placed_first.status, other.status) == (201, 422)
    assert other.json["type"] == "urn:callvoip:problem:idempotency-key-reused"


def test_the_key_of_a_form_works_like_the_header(api) -> None:
    form = {**FIELDS, "idempotencyKey": "8f14e45f-ceea-467f-a9d3-1f0b6a0b1d2c"}
    first = api.post("/api/orders", form=form, headers=BROWSER)
    again = api.post("/api/orders", form=form, headers=BROWSER)
    assert first.status == again.status == 303
    assert first.headers["location"] == again.headers["location"]


def test_a_key_is_remembered_as_long_as_its_order(api, monkeypatch: pytest.MonkeyPatch) -> None:
    key = {"idempotency-key": "once-and-for-all"}
    first = api.post("/api/orders", json_body=FIELDS, headers=key)
    store().change(first.json["id"], lambda found: orders.move(found, State.REJECTED, SALES, NOW))
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(days=400))
    again = api.post("/api/orders", json_body=FIELDS, headers=key)
    assert (again.status, again.json["id"], again.json["state"]) == (201, first.json["id"], "rejected")


def test_without_a_key_the_same_request_is_another_order(api) -> None:
    first, second = (api.post("/api/orders", json_body=QUOTE) for _ in range(2))
    assert (first.status, second.status) == (201, 201)
    assert first.json["id"] != second.json["id"]


def test_what_came_in_between_does_not_keep_the_first_answer_from_being_given(
    api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both looked before either wrote: the transaction tells the second of the first's order."""
    key = {"idempotency-key": "close-together"}
    first = api.post("/api/orders", json_body=FIELDS, headers=key)
    monkeypatch.setattr(OrderStore, "find", lambda self, order_id: None)
    again = api.post("/api/orders", json_body=FIELDS, headers=key)
    other = api.post("/api/orders", json_body={**FIELDS, "phones": 6}, headers=key)
    assert (again.status, again.json) == (first.status, first.json)
    assert (other.status, other.json["type"]) == (422, "urn:callvoip:problem:idempotency-key-reused")


# --- what an order costs to write


def test_an_srtp_order_of_a_visitor_with_javascript_takes_nine_write_units(api) -> None:
    payload = solve(challenge.Challenge(**api.get("/api/challenge").json))
    fields = {
        **FIELDS,
        "note": "Graag na kantooruren bellen, wij zijn van negen tot vijf in de winkel.",
        "altcha": payload,
    }
    headers = {"idempotency-key": "6d0f1c9e-51c5-4a8c-9d3b-0f6a0b1d2c3e"}
    # In a transaction (2 each): the order, the mark of an open order, the count of orders by state; the order's entries
    # in the indexes by state and by change; the count of its source.
    assert write_units.of(lambda: api.post("/api/orders", json_body=fields, headers=headers)) == 9
    assert write_units.of(lambda: api.post("/api/orders", json_body=fields, headers=headers)) == 0
    assert kept() == ["HOUR#17", "OPEN", "ORDER", "SHARD#"]


def test_an_order_with_the_longest_of_everything_takes_more_and_is_still_whole(api) -> None:
    fields = {**FIELDS, "company": "b" * 100, "name": "n" * 100, "note": "n" * 1000}
    assert write_units.of(lambda: api.post("/api/orders", json_body=fields)) == 13
    assert kept() == ["HOUR#17", "OPEN", "ORDER", "SHARD#"]


@pytest.mark.parametrize("key", ["k" * 256, "é", "a b"])
def test_an_odd_key_is_refused(api, key: str) -> None:
    assert api.post("/api/orders", json_body=FIELDS, headers={"idempotency-key": key}).status == 400


def test_neither_the_key_nor_the_token_can_be_read_from_the_table(api) -> None:
    answer = api.post("/api/orders", json_body=FIELDS, headers={"idempotency-key": "a-very-unguessable-key"})
    table = json.dumps(everything(), default=sorted)
    assert "a-very-unguessable-key" not in table
    assert answer.json["token"] not in table


def test_two_hundred_parallel_posts_with_one_key_make_one_order(api, side_by_side) -> None:
    request = partial(api.post, "/api/orders", json_body=FIELDS, headers={"idempotency-key": "all-at-once"})
    answers = side_by_side([request] * 200)
    assert {answer.status for answer in answers} == {201}, next(
        answer.body for answer in answers if answer.status != 201
    )
    assert len({answer.body for answer in answers}) == 1
    assert kept() == ["HOUR#17", "OPEN", "ORDER", "SHARD#"]


# --- following an order


@pytest.mark.promise("geheim-adres")
def test_the_order_is_read_with_its_token_only(api) -> None:
    body = placed(api)
    read = api.get(f"/api/orders/{body['id']}", headers=bearer(body["token"]))
    by_query = api.get(f"/api/orders/{body['id']}?token={body['token']}")
    assert read.status == by_query.status == 200
    assert read.json == by_query.json == {name: value for name, value in body.items() if name not in ("token", "href")}


def test_a_customer_sees_no_personal_data_and_no_colleague(api) -> None:
    body = placed(api)
    store().change(body["id"], lambda found: orders.move(found, State.IN_PROGRESS, SALES, NOW))
    read = api.get(f"/api/orders/{body['id']}", headers=bearer(body["token"]))
    assert not any(text in read.body for text in (*PERSONAL, "verkoop@example.nl"))


@pytest.mark.parametrize("route", ["/api/orders/{id}", "/bestelling/{id}"])
@pytest.mark.parametrize("headers", [{}, BROWSER], ids=["program", "browser"])
@pytest.mark.promise("geheim-adres")
def test_an_unknown_order_and_a_wrong_token_are_answered_alike(api, route: str, headers) -> None:
    body = placed(api)
    known = route.format(id=body["id"])
    unknown = route.format(id="0" * 10)
    answers = [
        api.get(f"{known}?token=wrong", headers=headers),
        api.get(known, headers=headers),
        api.get(known, headers={**headers, **bearer("")}),
        api.get(f"{unknown}?token={body['token']}", headers=headers),
        api.get(route.format(id="x" * 3000), headers=headers),
        api.get(route.format(id="lowercase1"), headers=headers),
    ]
    assert {answer.status for answer in answers} == {404}
    if headers:
        assert {answer.headers["content-type"] for answer in answers} == {"text/html; charset=utf-8"}
        assert all("Wij kennen geen bestelling op dit adres" in answer.body for answer in answers)
    else:
        assert len({(answer.json["title"], answer.json["detail"]) for answer in answers}) == 1


def test_an_unknown_route_and_method_are_problems(api) -> None:
    for answer in (api.get("/api/nothing"), api.request("DELETE", "/api/orders/0000000000"), api.get("/api/orders")):
        assert answer.status == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_who_goes_round_the_distribution_is_refused(api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIGIN_SECRET", "known to the distribution")
    settings.origin_secret.cache_clear()
    refused = [api.get("/api/prices"), api.post("/api/orders", json_body=FIELDS, headers={"x-origin-verify": "guess"})]
    assert [answer.status for answer in refused] == [404, 404]
    assert everything() == []
    passed = api.get("/api/prices", headers={"x-origin-verify": "known to the distribution"})
    assert passed.status == 200


# --- the phones' credentials


@pytest.mark.parametrize("way", ["header", "query", "field"])
@pytest.mark.promise("wachtwoorden-niet-bewaard")
def test_credentials_are_made_anew_each_time_and_stored_as_hashes(api, way: str) -> None:
    body = placed(api)
    complete(body["id"])
    path, token = f"/api/orders/{body['id']}/credentials", body["token"]

    def ask() -> Any:
        if way == "header":
            return api.post(path, headers=bearer(token))
        return api.post(f"{path}?token={token}") if way == "query" else api.post(path, form={"token": token})

    first = ask()
    assert first.status == 200
    told = first.json
    assert told["sip"] == {
        "domain": "sip.callvoiptelefonie.example.nl",
        "host": f"{store().get(body['id']).customer_id}.sip.callvoiptelefonie.example.nl",
        "port": 5061,
        "transport": "tls",
    }
    assert [phone["extension"] for phone in told["phones"]] == [201, 202, 203, 204, 205]
    assert len({phone["password"] for phone in told["phones"]}) == 5

    kept = environments.get(store().get(body["id"]).customer_id)
    stored = dynamodb.client().scan(TableName=settings.customers_table())["Items"]
    assert kept
    for phone, known in zip(told["phones"], kept.phones, strict=True):
        text = f"{phone['username']}:{told['sip']['domain']}:{phone['password']}".encode()
        assert known.ha1 == {"SHA-256": sha256(text).hexdigest(), "MD5": md5(text).hexdigest()}
        assert phone["password"] not in json.dumps([stored, everything()])

    second = ask()
    assert second.status == 200
    assert not {phone["password"] for phone in told["phones"]} & {phone["password"] for phone in second.json["phones"]}
    read = api.get(f"/api/orders/{body['id']}", headers=bearer(token)).json
    assert (read["credentials"], read["credentialsIssuedAt"]) == ("issued", "2026-11-21T17:05:00.000Z")
    assert read["events"][-1] == {
        "at": "2026-11-21T17:05:00.000Z",
        "from": "completed",
        "to": "completed",
        "kind": "credentials",
    }


def test_credentials_are_not_there_before_the_order_is_completed(api) -> None:
    body = placed(api)
    answer = api.post(f"/api/orders/{body['id']}/credentials", headers=bearer(body["token"]))
    assert (answer.status, answer.json["state"]) == (409, "acknowledged")


def test_credentials_are_for_the_token_only(api) -> None:
    body = placed(api)
    complete(body["id"])
    path = f"/api/orders/{body['id']}/credentials"
    assert [api.post(path).status, api.post(path, headers=bearer("wrong")).status] == [404, 404]


def test_credentials_without_javascript_stand_on_the_orders_page_anew_each_time(api) -> None:
    body = placed(api)
    complete(body["id"])
    path, form = f"/bestelling/{body['id']}/credentials", {"token": body["token"]}
    first = api.post(path, form=form, headers=BROWSER)
    assert first.status == 200
    assert len(re.findall(r'data-password="\w{20}"', first.body)) == 5
    second = api.post(path, form=form, headers=BROWSER)
    assert second.status == 200
    made = [set(re.findall(r'data-password="(\w{20})"', page.body)) for page in (first, second)]
    assert len(made[1]) == 5 and not made[0] & made[1]


def test_of_parallel_requests_one_has_the_passwords_that_are_kept(api, side_by_side) -> None:
    body = placed(api)
    complete(body["id"])

    request = partial(api.post, f"/api/orders/{body['id']}/credentials", headers=bearer(body["token"]))
    answers = [answer for answer in side_by_side([request] * 10) if answer.status == 200]
    assert answers
    kept = environments.get(store().get(body["id"]).customer_id)
    told = [
        [PhoneCredentials(**phone).ha1(brand().sip_domain) for phone in answer.json["phones"]] for answer in answers
    ]
    assert kept and [phone.ha1 for phone in kept.phones] in told


# --- what the log says


def test_no_personal_data_token_or_password_is_logged(api, log) -> None:
    body = placed(api)
    api.post("/api/orders", json_body={**FIELDS, "phones": "vijf"})
    complete(body["id"])
    told = api.post(f"/api/orders/{body['id']}/credentials", headers=bearer(body["token"])).json
    assert body["id"] in log.getvalue()
    for secret in (*PERSONAL, body["token"], *(phone["password"] for phone in told["phones"])):
        assert secret not in log.getvalue()


def test_a_fault_of_ours_is_told_without_the_inside_and_is_found_in_the_log(api, monkeypatch, log) -> None:
    monkeypatch.setenv("ORDERS_TABLE", "gone")
    settings.required.cache_clear()
    store()._orders = "gone"
    answer = api.post("/api/orders", json_body=FIELDS)
    assert answer.status == 500
    assert answer.json["correlationId"] in answer.json["detail"]
    assert "gone" not in answer.body
    logged = [json.loads(line) for line in log.getvalue().splitlines() if '"fault"' in line]
    assert [line["correlation_id"] for line in logged] == [answer.json["correlationId"]]


# --- the other kinds of order

PARTY = {name: FIELDS[name] for name in ("company", "kvk", "name", "email", "telephone")}
BELGIAN = {"kvk": "0403.170.701", "telephone": "03 555 01 00"}
PLAN = {
    **PARTY,
    **BELGIAN,
    "category": "plan",
    "offering": "unlimited-eu",
    "country": "be",
    "areaCode": "03",
    "porting": "no",
}
QUOTE = {**PARTY, "category": "quote", "subject": "Drie vestigingen", "text": "Veertig telefoons"}
AGREEMENT = {**PARTY, "category": "processing-agreement", "authorised": "yes"}


def test_a_plan_costs_its_month_and_half_the_connection_once(api) -> None:
    answer = api.post("/api/orders", json_body={**PLAN, "monthlyTotalCents": 2800})
    assert answer.status == 201
    body = answer.json
    assert [item["productOffering"]["id"] for item in body["productOrderItem"]] == ["unlimited-eu", "connection"]
    totals = ("monthlyTotalCents", "monthlyTotalInclVatCents", "oneTimeTotalCents", "oneTimeTotalInclVatCents")
    assert [body[name] for name in totals] == [2800, 3388, 2500, 3025]
    assert body["productOrderItem"][1]["promotion"]["validUntil"] == "2026-12-31"


def test_a_customer_reads_back_what_was_asked_for(api) -> None:
    body = api.post("/api/orders", json_body=PLAN).json
    seen = api.get(f"/api/orders/{body['id']}", headers=bearer(body["token"])).json
    assert seen["details"] == body["details"]
    assert {detail["name"]: detail["value"] for detail in seen["details"]} == {
        "offering": "unlimited-eu", "country": "be", "areaCode": "03", "porting": "no",
    }  # fmt: skip
    assert all(detail["label"] and detail["text"] for detail in seen["details"])


@pytest.mark.parametrize("fields", [QUOTE, AGREEMENT], ids=lambda fields: fields["category"])
def test_a_request_has_no_price(api, fields: dict[str, str]) -> None:
    body = api.post("/api/orders", json_body=fields).json
    assert (body["category"], body["productOrderItem"], body["monthlyTotalCents"], body["oneTimeTotalCents"]) == (
        fields["category"],
        [],
        0,
        0,
    )


def test_only_srtp_is_ordered_once_at_a_time(api) -> None:
    assert [api.post("/api/orders", json_body=fields).status for fields in (FIELDS, PLAN, PLAN, QUOTE, AGREEMENT)] == [
        201
    ] * 5


# --- reading over before ordering


def hidden_of(page: str) -> dict[str, str]:
    return {
        name: unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="(.*?)">', page, re.DOTALL)
    }


@pytest.mark.parametrize(
    "fields", [FIELDS, PLAN, QUOTE, AGREEMENT], ids=["srtp", "plan", "quote", "processing-agreement"]
)
def test_an_order_is_read_over_before_it_is_placed(api, fields: dict[str, str]) -> None:
    page = api.post("/api/orders", form={**fields, "step": "check"}, headers=BROWSER)
    assert (page.status, everything()) == (200, [])
    hidden = hidden_of(page.body)
    assert hidden["telephone"] in ("+31851234567", "+3235550100")
    first = api.post("/api/orders", form={**hidden, "step": "order"}, headers=BROWSER)
    again = api.post("/api/orders", form={**hidden, "step": "order"}, headers=BROWSER)
    assert (first.status, first.headers["location"]) == (303, again.headers["location"])
    assert f'<h1 data-category="{fields.get("category", "srtp")}">' in page.body


def test_an_order_that_was_read_over_can_be_changed_first(api) -> None:
    hidden = hidden_of(api.post("/api/orders", form={**FIELDS, "step": "check"}, headers=BROWSER).body)
    page = api.post("/api/orders", form={**hidden, "step": "change"}, headers=BROWSER)
    assert (page.status, everything()) == (200, [])
    assert 'name="phones" value="5"' in page.body


def test_wrong_fields_are_told_before_there_is_anything_to_read_over(api) -> None:
    page = api.post("/api/orders", form={**PLAN, "areaCode": "3", "step": "check"}, headers=BROWSER)
    assert (page.status, re.findall(r'href="#(\w+)"', page.body)) == (422, ["areaCode"])
    assert 'name="category" value="plan"' in page.body


def test_what_a_customer_typed_stays_text_on_the_page_to_read_over(api) -> None:
    page = api.post("/api/orders", form={**QUOTE, "subject": '<script>x</script>"', "step": "check"}, headers=BROWSER)
    assert "<script>" not in page.body
    assert hidden_of(page.body)["subject"] == '<script>x</script>"'


# --- one open order


def test_a_second_open_order_is_told_so_and_its_address_gets_the_link(api) -> None:
    first = placed(api)
    second = api.post("/api/orders", json_body={**FIELDS, "email": "JANSEN@example.nl", "company": "Iemand anders"})
    assert (second.status, second.json["errors"][0]["code"]) == (409, "open_order")
    assert first["id"] not in second.body
    assert [item["orderId"] for item in everything() if item["sk"] == "REMINDER"] == [first["id"]]


def test_an_address_is_reminded_at_most_once_an_hour(api, monkeypatch: pytest.MonkeyPatch) -> None:
    placed(api)
    moments = []
    for minutes in (0, 30, 61):
        monkeypatch.setattr(clock, "now", lambda minutes=minutes: NOW + timedelta(minutes=minutes))
        api.post("/api/orders", json_body=FIELDS)
        moments += [item["at"] for item in everything() if item["sk"] == "REMINDER"]
    assert moments == [clock.to_iso(NOW)] * 2 + [clock.to_iso(NOW + timedelta(minutes=61))]


def test_a_browser_without_javascript_reads_of_the_open_order_at_its_form(api) -> None:
    placed(api)
    page = api.post("/api/orders", form=FIELDS, headers=BROWSER)
    assert (page.status, re.findall(r'href="#(\w+)"', page.body)) == (409, ["email"])


@pytest.mark.parametrize("end", [State.REJECTED, State.CANCELLED, State.COMPLETED])
def test_when_an_order_is_done_the_next_may_come(api, end: State) -> None:
    body = placed(api)
    if end is State.COMPLETED:
        complete(body["id"])
    else:
        store().change(body["id"], lambda found: orders.move(found, end, SALES, NOW))
    assert api.post("/api/orders", json_body=FIELDS).status == 201


def test_of_parallel_orders_of_one_customer_one_is_placed(api, side_by_side) -> None:
    answers = side_by_side([partial(api.post, "/api/orders", json_body=FIELDS)] * 20)
    assert sorted(answer.status for answer in answers) == [201, *[409] * 19]


# --- withdrawing and answering


def test_a_customer_withdraws_what_was_not_approved(api) -> None:
    body = placed(api)
    answer = api.post(
        f"/api/orders/{body['id']}/cancel", headers=bearer(body["token"]), json_body={"reason": "Toch niet"}
    )
    assert (answer.status, answer.json["state"], answer.json["events"][-1]["why"]) == (200, "cancelled", "Toch niet")
    again = api.post(f"/api/orders/{body['id']}/cancel", headers=bearer(body["token"]))
    assert (again.status, again.json["state"]) == (409, "cancelled")


def test_a_customer_asks_to_cancel_what_was_approved(api) -> None:
    body = placed(api)
    store().change(body["id"], lambda found: orders.move(found, State.IN_PROGRESS, SALES, NOW))
    page = api.post(f"/bestelling/{body['id']}/cancel", form={"token": body["token"]}, headers=BROWSER)
    assert page.status == 303
    assert 'data-state="assessingCancellation"' in api.get(page.headers["location"], headers=BROWSER).body


def test_a_customer_answers_the_question_of_sales(api) -> None:
    body = placed(api)
    store().change(body["id"], lambda found: orders.move(found, State.PENDING, SALES, NOW, "Welke toestellen?"))
    path = f"/bestelling/{body['id']}/answer"
    empty = api.post(path, form={"token": body["token"], "text": " "}, headers=BROWSER)
    assert (empty.status, "Vul uw antwoord in" in empty.body) == (422, True)
    assert api.post(path, form={"token": body["token"], "text": "Yealink T54"}, headers=BROWSER).status == 303
    seen = api.get(f"/api/orders/{body['id']}", headers=bearer(body["token"])).json
    assert [event.get("why") for event in seen["events"]] == [None, "Welke toestellen?", "Yealink T54"]
    assert seen["state"] == "acknowledged"
    assert (
        api.post(f"/api/orders/{body['id']}/answer", headers=bearer(body["token"]), json_body={"text": "x"}).status
        == 409
    )


@pytest.mark.parametrize("act", ["cancel", "answer"])
@pytest.mark.parametrize("place", ["/api/orders", "/bestelling"])
def test_only_who_has_the_token_changes_an_order(api, act: str, place: str) -> None:
    body = placed(api)
    answer = api.post(f"{place}/{body['id']}/{act}", form={"token": "wrong", "text": "x"})
    assert answer.status == 404
    assert store().get(body["id"]).version == 1


def test_a_customer_who_saw_an_older_version_is_told_what_changed(api) -> None:
    body = placed(api)
    store().change(body["id"], lambda found: orders.add_note(found, "Belt morgen terug", SALES, NOW))
    stale = api.post(f"/api/orders/{body['id']}/cancel", headers={**bearer(body["token"]), "if-match": '"1"'})
    assert (stale.status, stale.json["version"], "changes" in stale.json) == (412, 2, False)
    assert "Belt morgen terug" not in stale.body
    assert "verkoop@example.nl" not in stale.body


def test_a_customer_who_comes_too_late_learns_what_was_decided_and_not_by_whom(api) -> None:
    body = placed(api)
    store().change(body["id"], lambda found: orders.move(found, State.REJECTED, SALES, NOW, "Wij leveren daar niet"))
    late = api.post(f"/api/orders/{body['id']}/cancel", headers={**bearer(body["token"]), "if-match": '"1"'})
    assert (late.status, late.json["changes"][0]["why"]) == (409, "Wij leveren daar niet")
    assert "is al afgewezen" in late.json["detail"]
    assert "verkoop@example.nl" not in late.body


def test_a_note_of_sales_is_never_shown_to_the_customer(api) -> None:
    body = placed(api)
    store().change(body["id"], lambda found: orders.add_note(found, "Belt morgen terug", SALES, NOW))
    seen = api.get(f"/api/orders/{body['id']}", headers=bearer(body["token"]))
    assert (seen.json["version"], len(seen.json["events"])) == (2, 1)
    assert "Belt morgen" not in seen.body


def test_a_link_in_mail_opens_the_order_also_after_the_key_was_replaced(api, monkeypatch: pytest.MonkeyPatch) -> None:
    body = placed(api)
    monkeypatch.setenv("ORDER_KEY", "the next key")
    settings.required.cache_clear()
    settings.order_keys.cache_clear()
    mailed = credentials.order_token("the next key", body["id"])
    assert mailed != body["token"]
    assert [
        api.get(f"/api/orders/{body['id']}", headers=bearer(token)).status for token in (mailed, body["token"])
    ] == [200, 200]


def test_a_new_key_is_read_from_its_store_and_links_of_the_old_one_go_on(api, monkeypatch: pytest.MonkeyPatch) -> None:
    body = placed(api)
    old = settings.order_key()
    with mock_aws(config={"core": {"passthrough": {"urls": [".*127.0.0.1.*"]}}}):
        store = boto3.client("secretsmanager", "eu-central-1")
        store.create_secret(Name="Callvoip/order-key", SecretString=f"the next key,{old}")
        monkeypatch.setenv("ORDER_KEY_SECRET", "Callvoip/order-key")
        settings.order_keys.cache_clear()
        assert settings.order_keys() == ("the next key", old)
    mailed = [credentials.order_token(key, body["id"]) for key in settings.order_keys()]
    path = f"/api/orders/{body['id']}"
    assert [api.get(path, headers=bearer(token)).status for token in (*mailed, "x")] == [200, 200, 404]
    settings.order_keys.cache_clear()


# --- spam and abuse


def suspicions(order_id: str) -> list[str]:
    return [suspicion.code for suspicion in store().get(order_id).suspicions]


def test_an_order_without_proof_is_taken_and_says_so(api) -> None:
    assert suspicions(placed(api)["id"]) == ["no_proof"]


def test_an_order_with_a_proof_is_clean_and_its_proof_is_good_once(api, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = solve(challenge.Challenge(**api.get("/api/challenge").json))
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(minutes=1))
    assert suspicions(placed(api, altcha=payload)["id"]) == []
    assert suspicions(placed(api, altcha=payload, email="anders@example.nl")["id"]) == ["wrong_proof"]


def test_a_robot_gives_itself_away(api) -> None:
    payload = solve(challenge.Challenge(**api.get("/api/challenge").json))
    body = placed(api, altcha=payload, website="https://example.com", email="x@mailinator.com")
    assert suspicions(body["id"]) == ["honeypot", "too_fast", "disposable"]
    assert "honeypot" not in api.get(f"/api/orders/{body['id']}", headers=bearer(body["token"])).body


def test_a_source_is_slowed_down_after_many_orders_and_told_for_how_long(api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_PER_HOUR", "4")
    settings.orders_per_hour.cache_clear()
    made = [placed(api, **QUOTE) for _ in range(4)]
    assert [suspicions(body["id"]) for body in made] == [["no_proof"]] * 3 + [["no_proof", "repeated"]]
    answer = api.post("/api/orders", json_body=QUOTE)
    assert (answer.status, answer.headers["retry-after"]) == (429, str(55 * 60))
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(hours=1))
    assert api.post("/api/orders", json_body=QUOTE).status == 201


def test_the_viewer_behind_the_distribution_is_the_source_and_not_what_it_claims(
    api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORIGIN_SECRET", "s")
    monkeypatch.setenv("ORDERS_PER_HOUR", "1")
    settings.origin_secret.cache_clear()
    settings.orders_per_hour.cache_clear()

    def order(forwarded: str) -> int:
        headers = {"x-origin-verify": "s", "x-forwarded-for": forwarded}
        return int(api.post("/api/orders", json_body=QUOTE, headers=headers).status)

    assert [order("192.0.2.1, 198.51.100.9"), order("192.0.2.2, 198.51.100.9")] == [201, 201]
    assert order("203.0.113.5, 192.0.2.1, 198.51.100.9") == 429


@pytest.mark.promise("misbruik-zonder-adres")
def test_no_address_on_the_internet_is_kept(api) -> None:
    placed(api)
    assert "192.0.2.1" not in json.dumps(everything(), default=sorted)
