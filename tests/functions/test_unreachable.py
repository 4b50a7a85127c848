"""DynamoDB that does not answer, or an item that nobody can read: a clear answer in time, and what was typed is kept."""

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from shared import dynamodb, settings
from tests.functions.test_orders_api import AGREEMENT, BROWSER, FIELDS, PLAN, placed, store
from tests.functions.test_sales_api import ANNA

pytestmark = pytest.mark.needs("java")


@pytest.fixture
def hanging(api: Any) -> Iterator[str]:
    """From here on DynamoDB accepts connections and says nothing; the id of an order that was placed before."""
    order_id: str = placed(api)["id"]
    caches = (dynamodb.client, settings.store_timeout_s)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{silent.getsockname()[1]}")
        patch.setenv("STORE_TIMEOUT_S", "0.2")
        for cache in caches:
            cache.cache_clear()
        yield order_id
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize("target", ["/api/prices", "/api/orders/{id}", "/bestelling/{id}?token=x"])
def test_a_store_that_hangs_is_told_as_a_problem(api, hanging: str, target: str, capsys) -> None:
    answer = api.get(target.format(id=hanging))
    assert (answer.status, answer.json["type"]) == (503, "urn:callvoip:problem:unavailable")
    assert '"Fault"' in capsys.readouterr().out


@pytest.mark.parametrize("target", ["orders", "orders/{id}", "overview", "changes?since=2026-11-21T17:05:00.000Z"])
def test_the_console_is_told_too(api, hanging: str, target: str) -> None:
    assert api.get(f"/api/sales/{target.format(id=hanging)}", claims=ANNA).status == 503


def test_a_browser_gets_a_page(api, hanging: str) -> None:
    page = api.get(f"/bestelling/{hanging}?token=x", headers=BROWSER)
    assert (page.status, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "Wij kunnen nu even niet bij uw gegevens" in page.body


@pytest.mark.parametrize("step", ["check", "order"])
def test_what_was_typed_is_kept(api, hanging: str, step: str) -> None:
    page = api.post("/api/orders", form={**FIELDS, "email": "nieuw@example.nl", "step": step}, headers=BROWSER)
    assert page.status == 503
    assert 'name="phones" value="5"' in page.body and f'value="{FIELDS["company"]}"' in page.body
    assert "Probeer het over een minuut nog eens" in page.body


# --- items that nobody can read


@pytest.fixture
def odd(api: Any) -> str:
    """The id of one order among others whose item lost what every order has."""
    order_id: str = placed(api)["id"]
    api.post("/api/orders", json_body=PLAN)
    api.post("/api/orders", json_body=AGREEMENT)
    key = dynamodb.marshal({"pk": f"ORDER#{order_id}", "sk": "ORDER"})
    dynamodb.client().update_item(TableName=settings.orders_table(), Key=key, UpdateExpression="REMOVE relatedParty")
    return order_id


def test_a_list_shows_it_with_its_id_and_goes_on(api, odd: str, capsys) -> None:
    for query in ("", "?q=jansen", "?sort=company", "?category=srtp"):
        items = api.get(f"/api/sales/orders{query}", claims=ANNA).json["items"]
        [unreadable] = [item for item in items if item.get("unreadable")]
        assert (unreadable["id"], unreadable["state"]) == (odd, "acknowledged")
        assert query in ("?category=srtp",) or len(items) == 3
    assert '"OrderUnreadable":[1.0]' in capsys.readouterr().out.replace(" ", "")


def test_export_month_and_changes_go_on(api, odd: str) -> None:
    lines = api.get("/api/sales/export", claims=ANNA).body.split("\r\n")
    assert [line.split(";")[2] for line in lines[1:4] if line.startswith(odd)] == ["Onleesbaar"]
    assert len(lines) == 5
    assert api.get("/api/sales/overview", claims=ANNA).status == 200
    found = api.get("/api/sales/changes?since=2026-01-01T00:00:00.000Z", claims=ANNA).json["items"]
    assert len(found) == 3 and [item["id"] for item in found if item.get("unreadable")] == [odd]


def test_the_order_itself_says_that_it_is_unreadable_and_not_lost(api, odd: str) -> None:
    answer = api.get(f"/api/sales/orders/{odd}", claims=ANNA)
    assert (answer.status, answer.json["type"]) == (500, "urn:callvoip:problem:unreadable-order")
    assert odd in answer.json["detail"]
    page = api.get(f"/bestelling/{odd}?token=x", headers=BROWSER)
    assert page.status == 500 and re.search("niet verloren", page.body)
    assert store().counts()["acknowledged"] == 3
