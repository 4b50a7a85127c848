"""customers.numbers: one owner at a time, whoever is quicker; blocks that are loaded from files; what a number rings."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from customers import fulfilment, line, number_blocks, numbers
from customers.environment import Forwarding, Ringing
from customers.line import LineRefusedError, UnknownLineError
from customers.number import NumberRefusedError
from customers.number import State as NumberState
from customers.number_store import NumberStore
from customers.states import Actor, Role
from customers.store import store
from ordering.order import Order
from tests.support.customers import NOW, prove

OPERATOR, BY_SALES = Actor(Role.OPERATOR, "beheer"), Actor(Role.SALES, "verkoop")
CUSTOMER = Actor(Role.CUSTOMER, "klant")
NUMBER = "+31855550123"


def test_a_number_has_one_owner_whoever_is_quicker(
    approved: Callable[..., Order], side_by_side: Callable[[list[Callable[[], Any]]], list[Any]]
) -> None:
    for order_id, customer_id, email in (
        ("0123456789", "abc234", "a@example.nl"),
        ("ABCDEFGHJK", "xyz789", "b@example.nl"),
    ):
        fulfilment.fulfil(approved(order_id, customer_id, "plan", email=email), NOW)
    numbers.load([NUMBER], "block", OPERATOR, NOW)

    got = side_by_side([partial(_take, each) for each in ("abc234", "xyz789") * 3])
    owners = [each for each in ("abc234", "xyz789") if store().get(each).environment.lines]
    number = numbers.find(NUMBER)
    assert number and owners == [number.customer_id]
    assert number.customer_id in got


def test_a_file_of_numbers_says_which_lines_are_none(environment: None) -> None:
    text = ["+31855550120", "0031 85 555 01 21", "+31 (85) 555-0122", "085 555 01 23", "", "=1+1", "+31855550120"]
    added, odd = numbers.load(text, "2026-11", OPERATOR, NOW)
    assert added == 3
    assert odd == ["085 555 01 23", "", "=1+1"]
    assert numbers.load(text, "2026-11", OPERATOR, NOW)[0] == 0
    assert numbers.free("+31", "085") == ["+31855550120", "+31855550121", "+31855550122"]


def _take(customer_id: str) -> str:
    try:
        numbers.reserve(NUMBER, customer_id, BY_SALES, NOW)
        numbers.activate(NUMBER, customer_id, BY_SALES, NOW)
    except Exception as error:
        return type(error).__name__
    return customer_id


def test_a_block_is_loaded_from_a_file(environment: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "block.txt"
    file.write_text("\ufeff# granted in November\n+31855550120\n\n085 555 01 21\n+31855550122\n", encoding="utf-8")
    assert number_blocks.main([str(file), "--name", "085-555"]) == 1
    told = capsys.readouterr()
    assert "2 numbers are new" in told.out
    assert "block.txt:4" in told.err
    assert number_blocks.main([str(file), "--name", "085-555"]) == 1
    assert "0 numbers are new, 2 were known" in capsys.readouterr().out


@pytest.fixture
def in_service(approved: Callable[..., Order]) -> None:
    """A plan with three phones and its number."""
    fulfilment.fulfil(approved("0123456789", "abc234", "plan"), NOW)
    prove("abc234")
    numbers.load([NUMBER], "block", OPERATOR, NOW)
    numbers.reserve(NUMBER, "abc234", BY_SALES, NOW)
    numbers.activate(NUMBER, "abc234", BY_SALES, NOW)


def test_a_number_ends_and_its_history_stays(in_service: None) -> None:
    after = numbers.end(NUMBER, "abc234", BY_SALES, NOW, NumberState.PORTED_OUT, "meegenomen")
    assert not after.environment.lines
    assert all(not phone.number for phone in after.environment.phones)
    history = NumberStore(store().table).history(NUMBER)
    assert [(event.target, event.customer_id) for event in history[2:]] == [
        (NumberState.ACTIVE, "abc234"),
        (NumberState.PORTED_OUT, "abc234"),
    ]
    with pytest.raises(NumberRefusedError):
        numbers.end(NUMBER, "abc234", BY_SALES, NOW)


def test_a_number_rings_whom_it_is_told_to(in_service: None) -> None:
    account = store().get("abc234")
    first, second, _ = (phone.username for phone in account.environment.phones)
    after = line.change(account, NUMBER, CUSTOMER, NOW, rings=[second, first], order=Ringing.IN_ORDER, ring_seconds=15)
    [changed] = after.environment.lines
    assert (changed.rings, changed.order, changed.ring_seconds) == ((second, first), Ringing.IN_ORDER, 15)
    away = line.change(account, NUMBER, CUSTOMER, NOW, forward=Forwarding(always="0031 20 123 45 67"))
    assert away.environment.lines[0].forward.always == "+31201234567"


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("rings", {"rings": ["xyz789-201"]}),
        ("rings", {"rings": ["abc234-201", "abc234-201"]}),
        ("ringSeconds", {"ring_seconds": 4}),
        ("noAnswerSeconds", {"no_answer_seconds": 121}),
        ("always", {"forward": Forwarding(always="020 123 45 67")}),
        ("always", {"forward": Forwarding(always="112")}),
        ("busy", {"forward": Forwarding(busy="+319001234567")}),
        ("busy", {"forward": Forwarding(busy="+3290012345")}),
        ("noAnswer", {"forward": Forwarding(no_answer="+881612345678")}),
        ("noAnswer", {"forward": Forwarding(no_answer=NUMBER)}),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(in_service: None, field: str, change: dict[str, Any]) -> None:
    with pytest.raises(LineRefusedError) as refused:
        line.change(store().get("abc234"), NUMBER, CUSTOMER, NOW, **change)
    assert refused.value.field == field


def test_only_a_number_in_service_is_changed(in_service: None) -> None:
    with pytest.raises(UnknownLineError):
        line.change(store().get("abc234"), "+31855550999", CUSTOMER, NOW, ring_seconds=10)
