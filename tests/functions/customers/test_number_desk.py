"""The operator's desk for numbers: one in service for a customer, or why not."""

import pytest

from customers import environments, number_desk
from customers.delivery import Item
from customers.store import CustomerStore
from tests.functions.customers.test_store import customers, made, srtp

__all__ = ["customers"]
NUMBER = "+31855550177"
PLAN = (Item("unlimited-nl", 1, "Onbeperkt bellen Nederland", "number", True, 1, 2100),)


def test_a_number_rings_the_first_phones_and_again_changes_nothing(
    customers: CustomerStore, capsys: pytest.CaptureFixture[str]
) -> None:
    customers.create(made(srtp(items=PLAN)))
    for _ in range(2):
        assert number_desk.main(["+31 85 555 01 77", "abc234"]) == 0
    assert "rings abc234-201, abc234-202, abc234-203" in capsys.readouterr().out
    found = environments.get("abc234")
    assert found and [line.number for line in found.lines] == [NUMBER]


@pytest.mark.parametrize(
    ("number", "customer", "why"),
    [
        ("085", "abc234", "cannot be brought into service"),
        (NUMBER, "xyz789", "There is no customer 'xyz789'"),
        ("+31855550178", "ghk234", "has no plan"),
        (NUMBER, "def567", "cannot be brought into service"),
    ],
)
def test_what_is_wrong_is_said(
    customers: CustomerStore, capsys: pytest.CaptureFixture[str], number: str, customer: str, why: str
) -> None:
    customers.create(made(srtp(items=PLAN)))
    customers.create(made(srtp("def567", "ABCDEFGHJK", email="b@example.nl", items=PLAN)))
    customers.create(made(srtp("ghk234", "ABCDEFGHJM", email="c@example.nl")))
    assert number_desk.main([NUMBER, "abc234"]) == 0
    assert number_desk.main([number, customer]) == 1
    assert why in capsys.readouterr().err
