"""Products and numbers: exactly the changes of their tables, drawn in docs/."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import product as every
from pathlib import Path

import pytest

from customers import number, product
from customers.number import Number, NumberRefusedError, NumberTakenError
from customers.product import Product, ProductRefusedError
from customers.states import Actor, Role, Transition, markdown

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
PRODUCT = Product(
    "0123456789-srtp",
    "0123456789",
    "srtp",
    1,
    "SRTP",
    "phone",
    3,
    200,
    product.State.CREATED,
    created_at=NOW,
    approved_at=NOW,
)
DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(("source", "target", "role"), list(every(product.State, product.State, Role)))
def test_a_product_changes_by_its_table_only(source: product.State, target: product.State, role: Role) -> None:
    found = replace(PRODUCT, state=source)
    row = product.TRANSITIONS.get((source, target))
    if row and role in row.roles:
        assert product.move(found, target, Actor(role, "somebody")) == replace(found, state=target)
    else:
        with pytest.raises(ProductRefusedError):
            product.move(found, target, Actor(role, "somebody"))


@pytest.mark.parametrize(("source", "target", "role"), list(every(number.State, number.State, Role)))
def test_a_number_changes_by_its_table_only(source: number.State, target: number.State, role: Role) -> None:
    owner = "abc234" if source in number.OWNED else ""
    found = Number("+31855550123", source, 4, owner)
    row = number.TRANSITIONS.get((source, target))
    if row and role in row.roles:
        moved = number.move(found, target, Actor(role, "somebody"), NOW, customer_id="abc234", why="because")
        assert (moved.state, moved.version, moved.customer_id) == (
            target,
            5,
            "abc234" if target in number.OWNED else "",
        )
        assert moved.news[-1].customer_id == "abc234" or (not owner and not moved.customer_id)
    else:
        with pytest.raises(NumberRefusedError):
            number.move(found, target, Actor(role, "somebody"), NOW, customer_id="abc234")


@pytest.mark.parametrize("source", sorted(number.OWNED))
@pytest.mark.parametrize("target", list(number.State))
def test_a_number_of_somebody_else_is_left_alone(source: number.State, target: number.State) -> None:
    with pytest.raises(NumberTakenError):
        number.move(
            Number("+31855550123", source, 4, "abc234"), target, Actor(Role.SALES, "sales"), NOW, customer_id="xyz789"
        )


@pytest.mark.parametrize(
    ("page", "table", "states"),
    [("product-states", product.TRANSITIONS, product.State), ("number-states", number.TRANSITIONS, number.State)],
)
def test_the_documentation_shows_the_table(
    page: str, table: Mapping[tuple[StrEnum, StrEnum], Transition], states: type[StrEnum]
) -> None:
    module = page.removesuffix("-states")
    text = (DOCS / f"{page}.md").read_text()
    assert text.endswith(f"\n\n{markdown(table, states)}\n"), (
        f"run: python -m customers.{module}, and put what it prints into docs/{page}.md"
    )


@pytest.mark.parametrize("table", [product.TRANSITIONS, number.TRANSITIONS])
def test_every_state_can_be_reached(table: Mapping[tuple[StrEnum, StrEnum], Transition]) -> None:
    reached = {target for _, target in table}
    begins = {source for source, _ in table} - reached
    assert begins <= {product.State.CREATED}


def test_a_product_comes_back_from_its_item() -> None:
    full = replace(
        PRODUCT,
        fees=(product.Fee("connection", "Aansluitkosten", 1, 2500),),
        started_on=NOW.date(),
        notice_at=NOW,
        ends_on=NOW.date(),
        ended_at=NOW,
        at_once=True,
        brought=("abc234-201",),
    )
    for found in (PRODUCT, full):
        assert product.from_item(product.to_item(found)) == found
