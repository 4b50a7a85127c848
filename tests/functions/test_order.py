"""ordering.order: the states of an order."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from ordering import order as orders
from ordering import states
from ordering.catalogue import Offering
from ordering.order import (
    TERMINAL,
    TRANSITIONS,
    Actor,
    CredentialsTooEarlyError,
    Order,
    RelatedParty,
    Role,
    SipServer,
    StaleVersionError,
    State,
    TransitionRefusedError,
)
from ordering.pricing import OrderItem, Price

NOW = datetime(2026, 11, 21, 17, 5, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
SIP = SipServer("n0001", "192.0.2.1", 5061)
PLACED = orders.place(
    order_id="0123456789",
    category="srtp",
    customer_id="abc234",
    related_party=RelatedParty("Bakkerij Jansen", "12345678", "A. Jansen", "jansen@example.nl", "+31851234567"),
    note="",
    price=Price((OrderItem(5, Offering("srtp", 1, date(2026, 1, 1), "SRTP", "phone", "month", 200)),), 21),
    token_sha256="0" * 64,
    now=NOW,
)


def in_state(state: State) -> Order:
    return replace(PLACED, state=state)


@pytest.mark.parametrize(("source", "target", "role"), list(product(State, State, Role)))
def test_exactly_the_pairs_of_the_table_are_allowed_for_exactly_their_roles(
    source: State, target: State, role: Role
) -> None:
    order, who = in_state(source), Actor(role, "someone")
    transition = TRANSITIONS.get((source, target))
    if transition and role in transition.roles:
        moved = orders.move(order, target, who, LATER, "why")
        assert (moved.state, moved.version) == (target, order.version + 1)
        assert moved.last == orders.Event(order.version + 1, LATER, source, target, who, "why")
        assert replace(moved, state=order.state, version=order.version, last=order.last) == order
    else:
        with pytest.raises(TransitionRefusedError) as refused:
            orders.move(order, target, who, LATER)
        assert refused.value.order == order


def test_the_terminal_states_are_those_of_the_design() -> None:
    assert {State.COMPLETED, State.REJECTED, State.CANCELLED, State.FAILED} == TERMINAL


def test_every_state_can_be_reached_from_the_first() -> None:
    reached, before = {State.ACKNOWLEDGED}, set[State]()
    while reached != before:
        before = set(reached)
        reached |= {target for source, target in TRANSITIONS if source in before}
    assert reached == set(State)


def test_a_new_order_is_acknowledged_by_an_event_of_the_customer() -> None:
    assert (PLACED.state, PLACED.version, PLACED.order_date) == (State.ACKNOWLEDGED, 1, NOW)
    assert (PLACED.last.source, PLACED.last.target, PLACED.last.who.role) == (None, State.ACKNOWLEDGED, Role.CUSTOMER)


def test_a_completed_order_says_when_and_where() -> None:
    completed = orders.complete(in_state(State.IN_PROGRESS), SIP, LATER)
    assert (completed.state, completed.completion_date, completed.sip) == (State.COMPLETED, LATER, SIP)
    assert completed.credentials == "available"


def test_credentials_are_issued_once_and_not_before_completion() -> None:
    with pytest.raises(CredentialsTooEarlyError):
        orders.issue_credentials(in_state(State.IN_PROGRESS), NOW)
    issued = orders.issue_credentials(orders.complete(in_state(State.IN_PROGRESS), SIP, NOW), LATER)
    assert (issued.credentials, issued.credentials_issued_at, issued.last.source) == ("issued", LATER, State.COMPLETED)
    again = orders.issue_credentials(issued, LATER)
    assert (again.version, again.credentials) == (issued.version + 1, "issued")


def test_a_caller_who_saw_another_version_is_stale() -> None:
    PLACED.expect(None)
    PLACED.expect(1)
    with pytest.raises(StaleVersionError):
        PLACED.expect(2)


def test_the_table_is_markdown() -> None:
    rows = [line for line in states.table().splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(TRANSITIONS)
    assert "| acknowledged | inProgress | approve | sales |" in rows


def test_the_documentation_shows_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs/order-states.md").read_text()
    assert page.endswith(f"\n\n{states.table()}\n"), (
        "run: python -m ordering.states, and put what it prints into docs/order-states.md"
    )
