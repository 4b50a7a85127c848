"""An environment that is larger than a node is refused before it is sold; one that asks for nodes of its own gets them."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from customers import delivery, environments, fulfilment, preferences, service
from customers.account import EventKind
from customers.states import Actor, Role
from customers.store import store
from fleet import sizes
from fleet.demand import Demand
from fleet.erlang import calls_needed
from ordering.order import Order
from shared import clock, settings
from tests.functions.test_orders_api import BROWSER, FIELDS
from tests.support.functions import Api

pytestmark = pytest.mark.needs("java")

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
WHO = Actor(Role.SALES, "verkoop@example.nl")


@pytest.fixture
def small_node(environment: None, monkeypatch: pytest.MonkeyPatch) -> int:
    """A node that carries 5 calls, which are enough for so many phones."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    monkeypatch.setattr(settings, "node_capacity_calls", lambda: 5)
    return sizes.largest_environment()


def test_the_largest_environment_is_the_largest_that_a_node_carries(small_node: int) -> None:
    assert calls_needed(small_node) <= 5 < calls_needed(small_node + 1)


def test_an_order_for_more_phones_is_refused_at_its_field(api: Api, small_node: int) -> None:
    answer = api.post("/api/orders", json_body={**FIELDS, "phones": str(small_node + 1)})
    assert answer.status == 422
    [error] = answer.json["errors"]
    assert error["field"] == "phones" and f"hoogstens {small_node} telefoons" in error["message"]
    assert api.post("/api/orders", json_body={**FIELDS, "phones": str(small_node)}).status == 201


def test_a_browser_without_javascript_gets_its_form_back_with_the_same_words_already_when_it_only_looks(
    api: Api, small_node: int
) -> None:
    form = {**FIELDS, "phones": str(small_node + 1), "step": "check"}
    answer = api.post("/api/orders", form=form, headers=BROWSER)
    assert f"hoogstens {small_node} telefoons" in answer.body


def test_phones_are_added_up_to_what_a_node_carries_and_not_beyond(
    approved: Callable[..., Order], small_node: int
) -> None:
    fulfilment.fulfil(approved("9AWHNQ3569", "abc234", quantity=small_node), NOW)
    with pytest.raises(delivery.TooLargeError, match=f"hoogstens {small_node} telefoons"):
        service.change("abc234", lambda found: delivery.add_phones(found, 1, "more", WHO, NOW)[0], NOW)
    assert len(store().get("abc234").environment.phones) == small_node


def test_one_that_is_too_large_already_may_be_changed_and_shrink(
    approved: Callable[..., Order], environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fulfilment.fulfil(approved("9AWHNQ3569", "abc234", quantity=20), NOW)
    monkeypatch.setattr(settings, "node_capacity_calls", lambda: 5)
    service.change("abc234", lambda found: preferences.keep_calls(found, 7, WHO, NOW), NOW)
    assert environments.get("abc234")


def test_an_environment_with_nodes_of_its_own_says_so_to_the_fleet(
    approved: Callable[..., Order], environment: None
) -> None:
    fulfilment.fulfil(approved("9AWHNQ3569", "abc234"), NOW)
    assert not Demand().wanted()["abc234"].dedicated
    for wanted in (True, True, False):
        service.change("abc234", lambda found: preferences.dedicate(found, wanted, WHO, NOW), NOW)  # noqa: B023
        assert Demand().wanted()["abc234"].dedicated is wanted
    kinds = [event.kind for event in store().history("abc234")]
    assert kinds.count(EventKind.DEDICATED_CHANGED) == 2, "the second time changed nothing"
