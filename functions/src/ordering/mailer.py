"""Sends a mail for each change of an order that a customer should hear of.

The stream of the orders table is the outbox: an order and its last event are written in one transaction, so a mail is
due if and only if the change was made. Lambda brings a record again until it was handled; what was sent is written down
by event, so again is not twice.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from ordering import credentials, items, mail
from ordering.mail import Mail, Sender
from ordering.order import Order
from shared import aws, clock, dynamodb, settings
from shared.brand import brand
from shared.telemetry import count, flush, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_LEASE = timedelta(minutes=2)
"""Longer than this function may run: who claimed a mail and has not sent it by then is dead."""
_REMEMBERED = timedelta(days=8)
"""Longer than a record can come again."""


class ClaimedError(Exception):
    """Another run is sending this mail; when it dies the next may."""


class SentError(Exception):
    """This mail was sent before."""


@cache
def client() -> Any:
    """The process' one client."""
    return aws.client("sesv2", connect_timeout_s=2, read_timeout_s=10, attempts=3)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Handle a batch of stream records; the first that fails and all after it come again.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    try:
        for record in event["Records"]:
            change = record["dynamodb"]
            try:
                _handle(change.get("NewImage"), clock.now())
            except Exception:
                # Not the exception's text only: SES's own words may name the address, so they stay out of the log.
                logger.error("mail not sent", extra={"sequence": change["SequenceNumber"]})
                count("MailFailed")
                return {"batchItemFailures": [{"itemIdentifier": change["SequenceNumber"]}]}
        return {"batchItemFailures": []}
    finally:
        flush()


def _handle(image: Mapping[str, Any] | None, now: datetime) -> None:
    item = dynamodb.unmarshal(image or {})
    if item.get("sk") == "ORDER":
        order = items.to_order(item)
        what = mail.kind(order.last)
        if what:
            _send_once(what, order, f"{order.version:06d}", now)
    elif item.get("sk") == "REMINDER":
        found = dynamodb.get(settings.orders_table(), f"ORDER#{item['orderId']}", "ORDER")
        if found:
            _send_once(mail.REMINDER, items.to_order(found), f"REMINDER#{item['at']}", now)


def _send_once(what: str, order: Order, event_id: str, now: datetime) -> None:
    extra = {"order_id": order.id, "mail": what}
    try:
        _claim(order.id, event_id, now)
    except SentError:
        logger.info("mail sent before", extra=extra)
        return
    token = credentials.order_token(settings.order_key(), order.id)
    ours = brand()
    sender = Sender(ours.name, ours.email, ours.telephone)
    _send(mail.compose(what, order, f"{settings.site_url()}/bestelling/{order.id}?token={token}", sender), sender)
    _remember(order.id, event_id, now)
    logger.info("mail sent", extra=extra)
    count("MailSent")


def _send(message: Mail, sender: Sender) -> None:
    client().send_email(
        FromEmailAddress=f'"{sender.name}" <{settings.mail_from()}>',
        ReplyToAddresses=[sender.email],
        Destination={"ToAddresses": [message.to]},
        Content={
            "Simple": {
                "Subject": {"Data": message.subject, "Charset": "UTF-8"},
                "Body": {
                    "Text": {"Data": message.text, "Charset": "UTF-8"},
                    "Html": {"Data": message.html, "Charset": "UTF-8"},
                },
            }
        },
    )


def _claim(order_id: str, event_id: str, now: datetime) -> None:
    """Write down that this mail is being sent; raises SentError or ClaimedError.

    SES knows no idempotency token. Only who dies between SES's answer and `_remember` makes a mail come twice; the
    other order of things would lose one.
    """

    def refused(before: dynamodb.Item | None) -> Exception:
        return SentError() if before and before["sent"] else ClaimedError()

    condition = "attribute_not_exists(pk) OR (sent = :no AND claimedAt < :dead)"
    dead = clock.to_iso(now - _LEASE)
    item = _item(order_id, event_id, now, sent=False)
    dynamodb.transact(dynamodb.put(settings.orders_table(), item, refused, condition, no=False, dead=dead))


def _remember(order_id: str, event_id: str, now: datetime) -> None:
    dynamodb.client().put_item(
        TableName=settings.orders_table(), Item=dynamodb.marshal(_item(order_id, event_id, now, sent=True))
    )


def _item(order_id: str, event_id: str, now: datetime, *, sent: bool) -> dynamodb.Item:
    expires = int((now + _REMEMBERED).timestamp())
    return {
        "pk": f"MAIL#{order_id}",
        "sk": event_id,
        "sent": sent,
        "claimedAt": clock.to_iso(now),
        "expiresAt": expires,
    }
