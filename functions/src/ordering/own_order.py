"""What a customer does with an order of its own, once its token has been proven: read, cancel, answer, get credentials."""

from collections.abc import Sequence
from datetime import datetime

from customers import phones, recognition, states
from customers.store import store as customers
from ordering import credentials, order
from ordering.credentials import PhoneCredentials
from ordering.order import Event, Order, State
from ordering.placing import orders
from ordering.refusals import NoPhonesYetError
from ordering.store import UnknownOrderError
from shared import settings
from shared.telemetry import count, logger


def read(order_id: str, token: str) -> tuple[Order, Sequence[Event]]:
    """The order with its history; raises UnknownOrderError, also for another token."""
    found, events = orders().history(order_id)
    prove(found, token)
    return found, events


def cancel(order_id: str, token: str, seen: int | None, why: str, now: datetime) -> None:
    """Withdraw an order, or ask to cancel it; raises as `OrderStore.change_seen` and `order.cancel` do."""
    prove(orders().get(order_id), token)
    changed = orders().change_seen(order_id, seen, lambda found: order.cancel(found, order.CUSTOMER, now, why))
    logger.info("order cancelled by its customer", extra={"order_id": order_id, "state": changed.state.value})


def answer(order_id: str, token: str, seen: int | None, text: str, now: datetime) -> None:
    """Answer the question of sales."""
    prove(orders().get(order_id), token)
    orders().change_seen(order_id, seen, lambda found: order.move(found, State.ACKNOWLEDGED, order.CUSTOMER, now, text))


def issue_credentials(order_id: str, token: str, now: datetime) -> tuple[Order, list[PhoneCredentials]]:
    """New passwords for the order's phones; those before hold for an hour more. Raises CredentialsTooEarlyError or NoPhonesYetError."""
    found = orders().get(order_id)
    prove(found, token)
    order.issue_credentials(found, now)  # raises what it raises before there are any
    made = _hand_out(found, now)
    changed = orders().change(order_id, lambda each: order.issue_credentials(each, now))
    logger.info("credentials issued", extra={"order_id": order_id})
    count("CredentialsIssued")
    return changed, made


def prove_address(order_id: str, token: str, proof: str, now: datetime) -> None:
    """The customer followed the link that was mailed; raises UnknownOrderError for another proof than that of the address."""
    found = orders().get(order_id)
    prove(found, token)
    made = [credentials.address_proof(key, order_id, found.related_party.email) for key in settings.order_keys()]
    if not any([credentials.same(proof, each) for each in made]):  # noqa: C419 (all are compared, whichever is right)
        raise UnknownOrderError(order_id)
    known = _known_customer(found)
    orders().change(order_id, lambda each: order.prove_address(each, now, known))
    logger.info("address proven", extra={"order_id": order_id, "customer_id": known})


def prove(found: Order, token: str) -> None:
    """Raise UnknownOrderError unless the token is this order's: the one told when it was placed, or one that was mailed since."""
    known = [credentials.sha256(credentials.order_token(key, found.id)) for key in settings.order_keys()]
    if not any([credentials.matches(token, each) for each in (found.token_sha256, *known)]):  # noqa: C419
        raise UnknownOrderError(found.id)


def _known_customer(found: Order) -> str:
    """The one customer for whom the reader of this address orders; empty when there is none, or more than one."""
    party = found.related_party
    accounts = [customers().find(each) for each in customers().with_contact(party.email)]
    known = [
        each.id
        for each in accounts
        if each and recognition.orders_for(each.customer, party.email, party.company, party.kvk, party.country.upper())
    ]
    return known[0] if len(known) == 1 else ""


def _hand_out(found: Order, now: datetime) -> list[PhoneCredentials]:
    customer_id = customers().of_order(found.id)
    if customer_id is None:
        raise NoPhonesYetError(found)
    return phones.hand_out(customer_id, None, states.Actor(states.Role.CUSTOMER, "klant"), now)
