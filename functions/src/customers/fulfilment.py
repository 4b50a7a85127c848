"""Delivers approved orders: by the stream of orders they become customers, products and phones; by that of customers, orders get complete.

The order is read anew, as a record may come late or twice; each step is a transaction that is refused where it was done before.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from customers import account as accounts
from customers import contract, delivery, numbers, orders_behind
from customers.account import Account, EventKind
from customers.customer import Address, Kind
from customers.delivery import CannotDeliverError, Delivery
from customers.environment import Country, Ha1, Site
from customers.product import State as ProductState
from customers.states import CLOCK, FLEET, Actor, Role
from customers.store import TakenError, store
from ordering import fulfilment as ordering
from ordering.order import Order, State
from shared import clock, dynamodb
from shared.dynamodb import BusyError
from shared.telemetry import count, flush, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

DELIVERED = frozenset({"srtp", "plan"})
"""The kinds of order that bring something that lives on; the others are sales' work alone."""

_ATTEMPTS = 8
_ENDED = frozenset({State.CANCELLED, State.REJECTED, State.FAILED})


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Handle a batch of stream records; one that fails does not keep the others from being done, and comes again."""
    failed = []
    for record in event["Records"]:
        try:
            _handle(record["dynamodb"].get("Keys", {}), clock.now())
        except Exception:
            logger.exception("not fulfilled", extra={"sequence": record["dynamodb"]["SequenceNumber"]})
            count("FulfilmentFailed")
            failed.append({"itemIdentifier": record["dynamodb"]["SequenceNumber"]})
    flush()
    return {"batchItemFailures": failed}


def _handle(keys: dict[str, Any], now: datetime) -> None:
    key = dynamodb.unmarshal(keys)
    pk, sk = str(key.get("pk", "")), key.get("sk")
    if sk == "ORDER" and pk.startswith("ORDER#"):
        fulfil(ordering.find(pk.removeprefix("ORDER#")), now)
    elif sk == "CUSTOMER" and pk.startswith("CUSTOMER#"):
        found = store().find(pk.removeprefix("CUSTOMER#"))
        if found:
            orders_behind.tell(found, now)


def fulfil(order: Order | None, now: datetime) -> None:
    """Bring what lives on in line with an order as it is; again does no harm. Raises BusyError and what DynamoDB raises."""
    if order is None or order.category not in DELIVERED:
        return
    if order.state is State.IN_PROGRESS:
        account = _deliver(order, now)
        if account:
            orders_behind.tell(account, now)
    elif order.state is State.COMPLETED and (not order.needs_node or store().of_order(order.id)):
        # What a node serves was delivered before it could be completed; if not, it is older than customers: migration.py.
        adopt(order, now)
    elif order.state is State.PENDING_CANCELLATION:
        _cancel(order, now)
        ordering.cancelled(order.id, now)
    elif order.state in _ENDED:
        _cancel(order, now)


def adopt(order: Order, now: datetime, known: tuple[tuple[str, Ha1 | None], ...] = ()) -> None:
    """Let a completed order have its products, active since it was completed: by hand, or before customers were kept at all.

    `known` are user names and hashes of its phones, where there are any.
    """
    account = _deliver(order, now, known)
    if account is None or all(found.state is not ProductState.CREATED for found in account.of_order(order.id)):
        return
    since = order.completion_date or now

    def change(found: Account) -> Account:
        for each in found.of_order(order.id):
            if each.state is ProductState.CREATED:
                active = replace(
                    each,
                    state=ProductState.ACTIVE,
                    started_on=clock.local_day(since),
                    since_version=found.environment.version,
                )
                found = accounts.activated(accounts.with_product(found, active), active, FLEET, since)
        return found

    store().change(account.id, change)


def _deliver(order: Order, now: datetime, known: tuple[tuple[str, Ha1 | None], ...] = ()) -> Account | None:
    wanted = replace(to_delivery(order), known=known)
    who = Actor(Role.SALES, order.last_change.who.name)
    for _ in range(_ATTEMPTS):
        customer_id = store().of_order(order.id) or wanted.customer_id
        found = store().find(customer_id)
        while found and found.customer.joined_into:
            found = store().find(found.customer.joined_into)
        try:
            if found is None:
                return _begin(wanted, who, now)
            return _extend(found, wanted, who, now)
        except TakenError:
            # Another run was quicker; what it wrote is seen in the next round.
            continue
        except CannotDeliverError as refused:
            reason = str(refused)
            if found:
                store().change(found.id, _noted(reason, order.id, now))
            ordering.hold(order.id, reason, now)
            return None
    raise BusyError


def _begin(wanted: Delivery, who: Actor, now: datetime) -> Account:
    account = delivery.deliver(delivery.begin(wanted, who, now), wanted, who, now)
    alike = store().look_alikes(account.customer)
    if alike:
        account = replace(account, customer=replace(account.customer, look_alikes=alike))
        account = accounts.add_event(account, EventKind.LOOK_ALIKE_FOUND, CLOCK, now, customers=sorted(alike))
    store().create(account, store().fulfilled(wanted.order_id, account.id))
    logger.info("customer created", extra={"customer_id": account.id, "order_id": wanted.order_id})
    count("CustomerCreated")
    return numbers.wish(store().get(account.id), wanted, who, now)


def _extend(found: Account, wanted: Delivery, who: Actor, now: datetime) -> Account:
    if found.of_order(wanted.order_id) or store().of_order(wanted.order_id):
        return numbers.wish(found, wanted, who, now)
    after = store().change(
        found.id,
        lambda account: delivery.deliver(contract.carry_out(account, now), wanted, who, now),
        also=lambda account: [store().fulfilled(wanted.order_id, account.id)],
    )
    return numbers.wish(after, wanted, who, now)


def _noted(reason: str, order_id: str, now: datetime) -> Callable[[Account], Account]:
    def change(found: Account) -> Account:
        if found.held_because == reason:
            return found
        return accounts.add_event(
            replace(found, held_because=reason), EventKind.HELD, CLOCK, now, reason, orderId=order_id
        )

    return change


def _cancel(order: Order, now: datetime) -> None:
    customer_id = store().of_order(order.id)
    if customer_id and store().find(customer_id):

        def change(found: Account) -> Account:
            # With nothing left, what follows the end of a contract follows here as well.
            return contract.carry_out(delivery.cancel(found, order.id, FLEET, now, order.last_change.why), now)

        store().change(customer_id, change)


def _billing_address(details: Mapping[str, str], country: Country) -> Address:
    street, house_number, postcode, city = (
        details.get(f"billing{part}", "") for part in ("Street", "HouseNumber", "Postcode", "City")
    )
    return Address(street, house_number, postcode, city, country)


def to_delivery(order: Order) -> Delivery:
    """What an order asks to be delivered."""
    details = {detail.name: detail.value for detail in order.details}
    party = order.related_party
    country: Country = "BE" if party.country.upper() == "BE" else "NL"
    kind = details.get("customerKind") or (Kind.BUSINESS if party.kvk else Kind.CONSUMER)
    return Delivery(
        order_id=order.id,
        customer_id=order.delivered_to,
        company=party.company,
        enterprise_number=party.kvk,
        contact_name=party.name,
        email=party.email,
        proven_at=order.address_proven_at,
        telephone=party.telephone,
        language=order.language,
        country=country,
        kind=Kind(kind),
        items=tuple(
            delivery.Item(
                offering_id=item.offering.id,
                offering_version=item.offering.version,
                name=item.offering.name,
                unit=item.offering.unit,
                monthly=item.offering.period == "month",
                quantity=item.quantity,
                unit_cents=item.total_cents // item.quantity,
            )
            for item in order.price.items
        ),
        placed_at=order.order_date,
        approved_at=order.last_change.at,
        at_once=details.get("atOnce", "") == "yes",
        billing_address=_billing_address(details, country),
        brings=details.get("portingNumber", ""),
        site=_site(details, country),
    )


def _site(details: Mapping[str, str], country: Country) -> Site | None:
    """Where the phones stand; None when the order does not say it all."""
    street, number, postcode, city = (details.get(name, "") for name in ("street", "houseNumber", "postcode", "city"))
    return Site("", street, number, postcode, city, country) if street and number and postcode and city else None
