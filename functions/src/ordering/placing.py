"""Placing an order: priced from the catalogue, agreed to by what was shown, weighed for spam, stored once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from fleet import sizes
from ordering import challenge, credentials, order, pricing, source, spam
from ordering.catalogue_store import CatalogueStore
from ordering.order import Event, Order
from ordering.pricing import Price
from ordering.problems import IdempotencyKeyReusedError, PriceChangedError, TooManyOrdersError, TooManyPhonesError
from ordering.request import OrderRequest
from ordering.spam import Clues, Proof
from ordering.store import AlreadyPlacedError, OpenOrderError, OrderStore
from shared import clock, settings
from shared.telemetry import count, logger

PHONES = "phones"
"""The field of a form that counts telephones, all of one environment."""


@dataclass(frozen=True)
class Placed:
    """An order with its history, and the token that its customer gets."""

    order: Order
    events: Sequence[Event]
    token: str


@cache
def orders() -> OrderStore:
    """The orders of this deployment."""
    return OrderStore(settings.orders_table())


@cache
def catalogue() -> CatalogueStore:
    """The catalogue that this deployment sells from."""
    return CatalogueStore(settings.catalogue_table())


def price(request: OrderRequest, now: datetime) -> Price:
    """What the request costs today. Raises TooManyPhonesError for more phones than one environment can have."""
    if request.definition.quantity_field == PHONES:
        most = sizes.largest_environment()
        if request.checked.number(PHONES) > most:
            raise TooManyPhonesError(most, request.language)
    return pricing.price(catalogue().read(), request.definition.quantities(request.checked), clock.local_day(now))


def key_of(request: OrderRequest, sender: str) -> str:
    """The Idempotency-Key for a check step that has none: the same for the same answers of the same visitor today, so that going
    back and sending them again is one order.
    """
    return credentials.keyed_hash(settings.order_key(), "check", sender, request.sha256).hex()[:32]


def place(request: OrderRequest, sender: str, now: datetime) -> Placed:
    """Place an order, or answer the one that the same request placed before.

    Raises TooManyPhonesError, PriceChangedError, TooManyOrdersError, IdempotencyKeyReusedError or OpenOrderError.
    """
    key = settings.order_key()
    order_id = credentials.order_id(key, request.key) if request.key else credentials.new_order_id()
    if request.key and (first := orders().find(order_id)):
        return _replay(first, request)
    cost = price(request, now)
    if not request.shown.agrees(cost.amounts):
        raise PriceChangedError(request.shown, cost.amounts)
    before = source.history(settings.orders_table(), sender, now)
    if before.this_hour >= settings.orders_per_hour():
        raise TooManyOrdersError(source.until_next_hour(now))
    solution = challenge.check(key, request.altcha, now)
    token = credentials.order_token(key, order_id)
    placed = order.place(
        order_id=order_id,
        category=request.definition.id,
        customer_id=credentials.new_customer_id(),
        related_party=request.related_party,
        note=request.note,
        price=cost,
        token_sha256=credentials.sha256(token),
        request_sha256=request.sha256,
        now=now,
        details=request.details,
        suspicions=spam.suspicions(_clues(request, solution, sender, before, now)),
        language=request.language,
    )
    try:
        orders().place(placed)
    except AlreadyPlacedError as already:
        return _replay(already.order, request)
    except OpenOrderError as already:
        orders().remind(already.order_id, now)
        raise
    try:
        source.record(settings.orders_table(), sender, solution.challenge if solution else "", now)
    except Exception:
        # The order stands; that its source was not counted is no reason to tell the customer otherwise.
        logger.exception("source not counted")
    logger.info("order placed", extra={"order_id": placed.id, "category": placed.category})
    count("OrderPlaced")
    return Placed(placed, [placed.last], token)


def _clues(
    request: OrderRequest, solution: challenge.Solution | None, sender: str, before: source.History, now: datetime
) -> Clues:
    proof = Proof.GOOD
    if not request.altcha:
        proof = Proof.ABSENT
    elif solution is None or solution.source != sender or solution.challenge in before.used:
        proof = Proof.WRONG
    return Clues(
        honeypot=bool(request.honeypot),
        proof=proof,
        age=now - solution.issued_at if solution else None,
        email=request.related_party.email,
        orders_before=before.today,
    )


def _replay(first: Order, request: OrderRequest) -> Placed:
    """The answer to a request that came before: its order as it is now, and its token. Raises
    IdempotencyKeyReusedError.
    """
    if first.request_sha256 != request.sha256:
        raise IdempotencyKeyReusedError
    logger.info("order placed before", extra={"order_id": first.id})
    token = credentials.order_token(settings.order_key(), first.id)
    return Placed(*orders().history(first.id), token)
