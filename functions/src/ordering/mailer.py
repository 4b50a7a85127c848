"""Sends a mail for each change of an order that a customer should hear of.

The stream of the orders table is the outbox: an order and its last event are written in one transaction, so a mail is
due if and only if the change was made. Lambda brings a record again until it was handled; what was sent is written down
by event, so again is not twice.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ordering import credentials, mail
from ordering.items import Unreadable
from ordering.lists import read
from ordering.order import Order
from shared import clock, dynamodb, outbox, settings
from shared.brand import brand
from shared.html import DUTCH
from shared.outbox import Sender
from shared.telemetry import flush, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Handle a batch of stream records, each for itself: those that fail come again, three times, and then become dead letters."""
    try:
        return outbox.handle_each(event, lambda item: _handle(dict(item), clock.now()))
    finally:
        flush()


class UnreadableRecordError(Exception):
    """The record's item cannot be read: it alone becomes a dead letter."""


def _handle(item: dynamodb.Item, now: datetime) -> None:
    if item.get("sk") == "ORDER":
        order = _order(item)
        what = mail.kind(order.last, order)
        if what:
            _send_once(what, order, f"{order.version:06d}", now)
    elif item.get("sk") == "REMINDER":
        found = dynamodb.get(settings.orders_table(), f"ORDER#{item['orderId']}", "ORDER")
        if found:
            _send_once(mail.REMINDER, _order(found), f"REMINDER#{item['at']}", now)


def _order(item: dynamodb.Item) -> Order:
    order = read(item)
    if isinstance(order, Unreadable):
        raise UnreadableRecordError
    return order


def _send_once(what: str, order: Order, event_id: str, now: datetime) -> None:
    extra = {"order_id": order.id, "mail": what}
    ours = brand()
    made = mail.compose(what, order, _link(order), ours, settings.site_url())
    sender = Sender(ours.name, ours.email, ours.telephone)
    if outbox.send_once(settings.orders_table(), order.id, event_id, made, sender, now):
        logger.info("mail sent", extra=extra)
    else:
        logger.info("mail sent before", extra=extra)


def _link(order: Order) -> str:
    """The order's own page, with what proves that its address was read while that is not proven."""
    key = settings.order_key()
    token = credentials.order_token(key, order.id)
    link = f"{settings.site_url()}/bestelling/{order.id}?token={token}"
    if order.language != DUTCH:
        link += f"&language={order.language}"
    if order.address_proven_at is None:
        link += f"&proof={credentials.address_proof(key, order.id, order.related_party.email)}"
    return link
