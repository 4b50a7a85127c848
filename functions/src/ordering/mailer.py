"""Sends a mail for each change of an order that a customer should hear of.

The stream of the orders table is the outbox: an order and its last event are written in one transaction, so a mail is
due if and only if the change was made. Lambda brings a record again until it was handled; what was sent is written down
by event, so again is not twice.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from ordering import credentials, mail
from ordering.items import Unreadable
from ordering.lists import read
from ordering.mail import Mail
from ordering.order import Order
from shared import aws, clock, dynamodb, settings
from shared.brand import brand
from shared.html import DUTCH
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
    """Handle a batch of stream records, each for itself: those that fail come again, three times, and then become dead
    letters; what was sent is not sent again.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    failed = []
    try:
        for record in event["Records"]:
            change = record["dynamodb"]
            try:
                _handle(change.get("NewImage"), clock.now())
            except Exception as error:
                # Not the exception's text: SES's own words may name the address, so they stay out of the log.
                extra = {"sequence": change["SequenceNumber"], "error": type(error).__name__}
                logger.error("mail not sent", extra=extra)
                count("MailFailed")
                failed.append({"itemIdentifier": change["SequenceNumber"]})
        return {"batchItemFailures": failed}
    finally:
        flush()


class UnreadableRecordError(Exception):
    """The record's item cannot be read: it alone becomes a dead letter."""


def _handle(image: Mapping[str, Any] | None, now: datetime) -> None:
    item = dynamodb.unmarshal(image or {})
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
    try:
        _claim(order.id, event_id, now)
    except SentError:
        logger.info("mail sent before", extra=extra)
        return
    try:
        _send(mail.compose(what, order, _link(order), brand(), settings.site_url()))
    except Exception:
        _write(order.id, event_id, now - _LEASE, sent=False)  # the next try need not wait for the lease to end
        raise
    _write(order.id, event_id, now, sent=True)
    logger.info("mail sent", extra=extra)
    count("MailSent")


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


def _send(message: Mail) -> None:
    ours = brand()
    client().send_email(
        FromEmailAddress=f'"{ours.name}" <{settings.mail_from()}>',
        ReplyToAddresses=[ours.email],
        Destination={"ToAddresses": [_ascii(message.to)]},
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


def _ascii(address: str) -> str:
    """The address with its domain as SES wants it (RFC 3492); SES takes no other letters before the @."""
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    import idna

    return f"{local}@{idna.encode(domain, uts46=True).decode()}"


def _claim(order_id: str, event_id: str, now: datetime) -> None:
    """Write down that this mail is being sent; raises SentError or ClaimedError.

    SES knows no idempotency token. Only who dies between SES's answer and the write after it makes a mail come twice; the
    other order of things would lose one.
    """

    def refused(before: dynamodb.Item | None) -> Exception:
        return SentError() if before and before["sent"] else ClaimedError()

    condition = "attribute_not_exists(pk) OR (sent = :no AND claimedAt <= :dead)"
    dead = clock.to_iso(now - _LEASE)
    item = _item(order_id, event_id, now, sent=False)
    dynamodb.transact(dynamodb.put(settings.orders_table(), item, refused, condition, no=False, dead=dead))


def _write(order_id: str, event_id: str, now: datetime, *, sent: bool) -> None:
    item = dynamodb.marshal(_item(order_id, event_id, now, sent=sent))
    dynamodb.client().put_item(TableName=settings.orders_table(), Item=item)


def _item(order_id: str, event_id: str, now: datetime, *, sent: bool) -> dynamodb.Item:
    expires = int((now + _REMEMBERED).timestamp())
    return {
        "pk": f"MAIL#{order_id}",
        "sk": event_id,
        "sent": sent,
        "claimedAt": clock.to_iso(now),
        "expiresAt": expires,
    }
