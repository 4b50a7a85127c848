"""Orders as their customers place them, and the proof call as the fleet tells it."""

from datetime import UTC, date, datetime

from customers import environments
from ordering import order as orders
from ordering.catalogue import Offering
from ordering.order import Detail, Order, RelatedParty
from ordering.pricing import OrderItem, Price

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
SALES = orders.Actor(orders.Role.SALES, "verkoop")
SRTP = Offering("srtp", 1, date(2026, 1, 1), "SRTP", "phone", "month", 200)
PLAN = Offering("unlimited-nl", 1, date(2026, 1, 1), "Onbeperkt bellen Nederland", "number", "month", 2100)
CONNECTION = Offering("connection", 1, date(2026, 1, 1), "Aansluitkosten", "number", "once", 5000)


ADDRESS = tuple(
    Detail(name, value, name, value)
    for name, value in (("street", "Bakkersgang"), ("houseNumber", "1"), ("postcode", "3511 AA"), ("city", "Utrecht"))
)
"""Where the phones stand: without it nothing becomes active."""


def placed(
    order_id: str,
    customer_id: str,
    category: str = "srtp",
    quantity: int = 3,
    details: tuple[Detail, ...] = (),
    address: tuple[Detail, ...] = ADDRESS,
    **party: str,
) -> Order:
    items = (OrderItem(quantity, SRTP),) if category == "srtp" else (OrderItem(1, PLAN), OrderItem(1, CONNECTION))
    who = {"company": "Bakkerij", "kvk": "12345678", "name": "A", "email": "a@example.nl", "telephone": "+31855550100"}
    return orders.place(
        order_id=order_id,
        category=category,
        customer_id=customer_id,
        related_party=RelatedParty(**{**who, **party}),
        note="",
        price=Price(items, 21),
        token_sha256="0" * 64,
        now=NOW,
        details=(*details, *address),
    )


def prove(customer_id: str) -> None:
    found = environments.get(customer_id)
    assert found
    environments.proven(customer_id, found.version, "n0001", NOW)
