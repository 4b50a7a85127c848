"""What a customer has because of orders, with the states of TM Forum TMF637. Pure; `python -m customers.product` prints the table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from customers.documents import Item, present
from customers.states import Actor, Role, Transition, by, markdown
from shared.clock import from_iso, to_iso

SRTP = "srtp"
"""The offering that switches encryption on for all phones of an environment; its quantity is the number of phones."""


class State(StrEnum):
    """TMF637's states of a product, as far as ours have them."""

    CREATED = "created"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    PENDING_TERMINATE = "pendingTerminate"
    TERMINATED = "terminated"


_CUSTOMER, _SALES, _FLEET, _CLOCK = Role.CUSTOMER, Role.SALES, Role.FLEET, Role.CLOCK

TRANSITIONS: Mapping[tuple[State, State], Transition] = {
    (State.CREATED, State.ACTIVE): by("activate", _FLEET, _SALES),
    (State.CREATED, State.TERMINATED): by("cancel", _CUSTOMER, _SALES, _FLEET),
    (State.ACTIVE, State.SUSPENDED): by("suspend", _SALES),
    (State.SUSPENDED, State.ACTIVE): by("resume", _SALES),
    (State.ACTIVE, State.PENDING_TERMINATE): by("give notice", _CUSTOMER, _SALES),
    (State.SUSPENDED, State.PENDING_TERMINATE): by("give notice", _CUSTOMER, _SALES),
    (State.PENDING_TERMINATE, State.ACTIVE): by("take notice back", _CUSTOMER, _SALES),
    (State.PENDING_TERMINATE, State.SUSPENDED): by("take notice back while suspended", _CUSTOMER, _SALES),
    (State.PENDING_TERMINATE, State.TERMINATED): by("end", _CLOCK),
    (State.ACTIVE, State.TERMINATED): by("withdraw", _CUSTOMER, _SALES),
    (State.SUSPENDED, State.TERMINATED): by("withdraw", _CUSTOMER, _SALES),
}
"""Every change that exists; a pair that is not here is refused. Withdrawing from `pendingTerminate` takes the notice back first."""

SERVED = frozenset({State.CREATED, State.ACTIVE, State.SUSPENDED, State.PENDING_TERMINATE})
"""The states in which the environment is served: being activated, or active in one way or another."""

RUNNING = SERVED - {State.CREATED}
"""The states in which a product costs money."""


class ProductRefusedError(Exception):
    """A change that the product does not allow: the pair of states is not in the table, or not for this role."""

    def __init__(self, product: "Product", target: State) -> None:
        super().__init__(f"product {product.id} is {product.state}: cannot become {target}")
        self.product = product
        self.target = target


@dataclass(frozen=True)
class Fee:
    """What is charged once, when the product becomes active; in cents, excluding VAT."""

    offering_id: str
    name: str
    quantity: int
    unit_cents: int

    @property
    def cents(self) -> int:
        return self.quantity * self.unit_cents


@dataclass(frozen=True)
class Product:
    """One product. `unit_cents` is what one unit costs a month as it was accepted, excluding VAT.

    `started_on` is the first day that counts and `ends_on` the first that does not, both in the Netherlands. `approved_at` begins the
    period of withdrawal, `at_once` tells that a consumer expressly asked to be served within it. `since_version` is the first version
    of the environment that holds it, `brought` are the user names of the phones that came with it.
    """

    id: str
    order_id: str
    offering_id: str
    offering_version: int
    name: str
    unit: str
    quantity: int
    unit_cents: int
    state: State
    created_at: datetime
    approved_at: datetime
    since_version: int = 1
    fees: tuple[Fee, ...] = ()
    at_once: bool = False
    started_on: date | None = None
    notice_at: datetime | None = None
    ends_on: date | None = None
    ended_at: datetime | None = None
    brought: tuple[str, ...] = ()

    @property
    def monthly_cents(self) -> int:
        """What it costs a month at this quantity, excluding VAT."""
        return self.quantity * self.unit_cents

    @property
    def served(self) -> bool:
        """Whether its environment must be served for it."""
        return self.state in SERVED


def move(product: Product, target: State, who: Actor) -> Product:
    """The product in another state; raises ProductRefusedError."""
    transition = TRANSITIONS.get((product.state, target))
    if transition is None or who.role not in transition.roles:
        raise ProductRefusedError(product, target)
    return replace(product, state=target)


def to_item(product: Product) -> Item:
    """The attributes of a product, without its keys."""
    item: Item = {
        "id": product.id,
        "orderId": product.order_id,
        "offeringId": product.offering_id,
        "offeringVersion": product.offering_version,
        "name": product.name,
        "unit": product.unit,
        "quantity": product.quantity,
        "unitCents": product.unit_cents,
        "state": product.state.value,
        "createdAt": to_iso(product.created_at),
        "approvedAt": to_iso(product.approved_at),
        "sinceVersion": product.since_version,
        "fees": [
            {"offeringId": fee.offering_id, "name": fee.name, "quantity": fee.quantity, "unitCents": fee.unit_cents}
            for fee in product.fees
        ],
        "atOnce": product.at_once,
        "startedOn": str(product.started_on) if product.started_on else None,
        "noticeAt": to_iso(product.notice_at) if product.notice_at else None,
        "endsOn": str(product.ends_on) if product.ends_on else None,
        "endedAt": to_iso(product.ended_at) if product.ended_at else None,
        "brought": list(product.brought),
    }
    return present(item)


def from_item(item: Mapping[str, Any]) -> Product:
    """The product that `to_item` wrote; raises KeyError or ValueError when it is none."""

    def moment(name: str) -> datetime | None:
        return from_iso(item[name]) if name in item else None

    def day(name: str) -> date | None:
        return date.fromisoformat(item[name]) if name in item else None

    return Product(
        id=item["id"],
        order_id=item["orderId"],
        offering_id=item["offeringId"],
        offering_version=item["offeringVersion"],
        name=item["name"],
        unit=item["unit"],
        quantity=item["quantity"],
        unit_cents=item["unitCents"],
        state=State(item["state"]),
        created_at=from_iso(item["createdAt"]),
        approved_at=from_iso(item["approvedAt"]),
        since_version=item["sinceVersion"],
        fees=tuple(
            Fee(fee["offeringId"], fee["name"], fee["quantity"], fee["unitCents"]) for fee in item.get("fees", [])
        ),
        at_once=item["atOnce"],
        started_on=day("startedOn"),
        notice_at=moment("noticeAt"),
        ends_on=day("endsOn"),
        ended_at=moment("endedAt"),
        brought=tuple(item.get("brought", [])),
    )


if __name__ == "__main__":
    print(markdown(TRANSITIONS, State))
