"""Visitor, sales and what the fleet has told of it, together, in any order, with crashes.

The same story is told to an in-memory fake and to AWS's DynamoDB Local at once: both must say the same at every step,
so what the fake promises in the other tests the table keeps. What must always hold is asserted of both.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ordering import credentials, fulfilment, mail, placing
from ordering import order as orders
from ordering.catalogue import Offering
from ordering.order import TERMINAL, TRANSITIONS, Actor, Event, EventKind, Order, OrderError, RelatedParty, Role, State
from ordering.pricing import OrderItem, Price
from ordering.store import AlreadyPlacedError, OpenOrderError, OrderStore, UnknownOrderError
from shared import dynamodb, settings
from shared.dynamodb import Write
from tests.functions.test_orders_api import FIELDS

pytestmark = pytest.mark.needs("java")

SALES = Actor(Role.SALES, "verkoop@example.nl")
WHO = {Role.CUSTOMER: orders.CUSTOMER, Role.SALES: SALES}
ADDRESSES = ["a@example.nl", "b@example.nl", "c@example.nl"]
KEYS = ["first", "second", "third"]

Change = Callable[[Order], Order]


SRTP = Offering("srtp", 1, date(2026, 1, 1), "SRTP", "phone", "month", 200)


class Crash(BaseException):
    """The process is killed: nothing catches this."""


class RememberingOrders:
    """OrderStore in memory: orders, their events and marks of open orders."""

    def __init__(self) -> None:
        self.all: dict[str, Order] = {}
        self.events: dict[str, list[Event]] = {}

    def get(self, order_id: str) -> Order:
        if order_id not in self.all:
            raise UnknownOrderError(order_id)
        return self.all[order_id]

    def place(self, order: Order) -> None:
        if order.id in self.all:
            raise AlreadyPlacedError(self.all[order.id])
        for other in self.all.values():
            same = other.related_party.email == order.related_party.email
            if order.needs_node and other.needs_node and same and other.state not in TERMINAL:
                raise OpenOrderError(other.id)
        self._keep(order)

    def history(self, order_id: str) -> tuple[Order, list[Event]]:
        return self.get(order_id), self.events[order_id]

    def change(self, order_id: str, change: Change, *also: Write) -> Order:
        after = change(self.get(order_id))
        self._keep(after)
        return after

    def change_seen(self, order_id: str, seen: int | None, change: Change, told_to: Role = Role.CUSTOMER) -> Order:
        def apply(found: Order) -> Order:
            changed = change(found)
            found.expect(seen)
            return changed

        return self.change(order_id, apply)

    def open_order(self, email: str) -> str | None:
        return next(
            (
                one.id
                for one in self.all.values()
                if one.needs_node and one.related_party.email == email and one.state not in TERMINAL
            ),
            None,
        )

    def _keep(self, order: Order) -> None:
        self.events.setdefault(order.id, []).extend(order.news)
        self.all[order.id] = replace(order, news=())


@dataclass
class World:
    """Orders, in one store or the other, and the clock."""

    orders: Any
    now: datetime = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class Story(RuleBasedStateMachine):
    """Two worlds that live the same story."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count()
        self.ids: list[str] = []

    @initialize()
    def begin(self) -> None:
        for table in (settings.orders_table(), settings.fleet_table()):
            for item in dynamodb.client().scan(TableName=table)["Items"]:
                dynamodb.client().delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})
        self.worlds = [World(RememberingOrders()), World(OrderStore(settings.orders_table()))]

    def same(self, act: Callable[[World], Any]) -> Any:
        """What both worlds say to an act: a value or the type of an error."""
        said = []
        for world in self.worlds:
            try:
                said.append(act(world))
            except (OrderError, AlreadyPlacedError, OpenOrderError) as error:
                said.append(type(error))
        assert said[0] == said[1]
        return said[0]

    @rule(
        email=st.sampled_from(ADDRESSES),
        key=st.sampled_from(KEYS) | st.none(),
        category=st.sampled_from(["srtp", "quote"]),
    )
    def visitor_orders(self, email: str, key: str | None, category: str) -> None:
        order_id = credentials.order_id("a key", key) if key else f"0RDER{next(self.numbers):05d}"
        price = Price((OrderItem(5, SRTP),) if category == "srtp" else (), 21)
        party = RelatedParty("Bakkerij Jansen", "", "A. Jansen", email, telephone="+31851234567")
        placed = orders.place(
            order_id=order_id, category=category, customer_id="abc234", related_party=party,
            note="", price=price, token_sha256="0" * 64, request_sha256="1" * 64, now=self.worlds[0].now,
        )  # fmt: skip
        if self.same(lambda world: world.orders.place(placed)) is None:
            self.ids.append(order_id)

    @precondition(lambda self: self.ids)
    @rule(
        data=st.data(),
        role=st.sampled_from(list(WHO)),
        wanted=st.sampled_from(State),
        behind=st.sampled_from([None, 0, 1]),
    )
    def somebody_changes_an_order(self, data: st.DataObject, role: Role, wanted: State, behind: int | None) -> None:
        order_id, now = data.draw(st.sampled_from(self.ids)), self.worlds[0].now
        seen = None if behind is None else self.worlds[0].orders.get(order_id).version - behind

        def change(found: Order) -> Order:
            if wanted is State.COMPLETED:
                return orders.complete_by_hand(found, WHO[role], now)
            return orders.move(found, wanted, WHO[role], now, "x")

        self.same(lambda world: world.orders.change_seen(order_id, seen, change).state)

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), role=st.sampled_from(list(WHO)))
    def somebody_cancels(self, data: st.DataObject, role: Role) -> None:
        order_id, now = data.draw(st.sampled_from(self.ids)), self.worlds[0].now
        self.same(lambda world: world.orders.change(order_id, lambda found: orders.cancel(found, WHO[role], now)).state)

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def sales_notes(self, data: st.DataObject) -> None:
        order_id, now = data.draw(st.sampled_from(self.ids)), self.worlds[0].now
        self.same(
            lambda world: (
                world.orders.change(order_id, lambda found: orders.add_note(found, "Belt terug", SALES, now)).version
            )
        )

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), what=st.sampled_from(["complete", "hold", "resume", "cancelled"]))
    def the_fleet_has_it_told(self, data: st.DataObject, what: str) -> None:
        order_id, now = data.draw(st.sampled_from(self.ids)), self.worlds[0].now
        told = {"complete": ("n0001", "abc234.example.nl", now), "hold": ("Geen plaats", now)}.get(what, (now,))

        def tell(world: World) -> None:
            with patch.object(fulfilment, "_orders", lambda: world.orders):
                getattr(fulfilment, what)(order_id, *told)

        self.same(tell)

    @rule(seconds=st.sampled_from([5, 40, 300]))
    def time_passes(self, seconds: int) -> None:
        for world in self.worlds:
            world.now += timedelta(seconds=seconds)

    @invariant()
    def both_worlds_are_the_same(self) -> None:
        for order_id in self.ids:
            memory, table = (world.orders.history(order_id) for world in self.worlds)
            assert memory == table
        for email in ADDRESSES:
            assert self.worlds[0].orders.open_order(email) == self.worlds[1].orders.open_order(email)

    @invariant()
    def every_order_is_what_its_events_say(self) -> None:
        for order_id in self.ids:
            order, events = self.worlds[1].orders.history(order_id)
            assert [event.version for event in events] == list(range(1, order.version + 1))
            changes = [event for event in events if event.kind is EventKind.CHANGE]
            assert (changes[0].source, changes[-1].target) == (None, order.state)
            for before, after in itertools.pairwise(changes):
                assert after.source is before.target
                assert after.who.role in TRANSITIONS[before.target, after.target].roles
            assert order.last == events[-1] and order.last_change == changes[-1]


def test_visitor_sales_and_fleet_live_any_story_alike_in_memory_and_on_dynamodb(environment: None) -> None:
    run_state_machine_as_test(
        Story, settings=hypothesis_settings(max_examples=12, stateful_step_count=20, deadline=None)
    )


# --- killed between any two writes


class KilledClient:
    """DynamoDB's client for a process that is killed: before its n-th write, or when that write was made but not yet
    heard of.
    """

    WRITES = ("put_item", "update_item", "delete_item", "transact_write_items")

    def __init__(self, real: Any, lives: int, made: bool) -> None:
        self._real, self._lives, self._made = real, lives, made

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in self.WRITES:
            return real

        def write(**request: Any) -> Any:
            if self._lives:
                self._lives -= 1
                return real(**request)
            if self._made:
                real(**request)
            raise Crash

        return write


def kinds() -> list[str]:
    found = dynamodb.client().scan(TableName=settings.orders_table())["Items"]
    return sorted(str(dynamodb.unmarshal(item)["sk"]).partition("#")[0] for item in found)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, bool, Callable[[], Any]], bool]]:
    """Do something with so many writes to live; whether it was killed."""
    real = dynamodb.client()

    def run(lives: int, made: bool, act: Callable[[], Any]) -> bool:
        with monkeypatch.context() as patch:
            doomed = KilledClient(real, lives, made)
            patch.setattr(dynamodb, "client", lambda: doomed)
            with suppress(Crash):
                act()
                return False
        return True

    yield run


@pytest.mark.parametrize("made", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("lives", range(4))
def test_an_order_is_whole_or_absent_wherever_its_process_is_killed(api, killed, lives: int, made: bool) -> None:
    key = {"idempotency-key": "again"}
    was_killed = killed(lives, made, lambda: api.post("/api/orders", json_body=FIELDS, headers=key))
    assert was_killed == (lives < 2)
    whole = ["OPEN", "ORDER", "SHARD"]
    assert [kind for kind in kinds() if not kind.startswith("HOUR")] == (whole if lives or made else [])
    # The visitor tries again: one order, with its event, and so its mail.
    again = api.post("/api/orders", json_body=FIELDS, headers=key)
    assert again.status == 201
    assert [kind for kind in kinds() if not kind.startswith("HOUR")] == whole
    assert (found := placing.orders().get(again.json["id"])) and mail.kind(found.last, found) == "received"


@pytest.mark.parametrize("made", [False, True], ids=["before", "after"])
def test_a_decision_and_its_event_are_written_together_or_not_at_all(api, killed, made: bool) -> None:
    body = api.post("/api/orders", json_body=FIELDS).json
    path = f"/api/orders/{body['id']}/cancel?token={body['token']}"
    assert killed(0, made, lambda: api.post(path))
    order, events = placing.orders().history(body["id"])
    assert (order.state, len(events), order.last == events[-1]) == (
        (State.CANCELLED, 2, True) if made else (State.ACKNOWLEDGED, 1, True)
    )
    assert ("OPEN" in kinds()) is not made
