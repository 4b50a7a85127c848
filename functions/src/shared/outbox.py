"""Mail that follows from what a table's stream tells: each once, and none that waits for another.

The stream is the outbox: what is to be told is written in the transaction that made it true, so a mail is due if and only if the change was
made. Lambda brings a record again until it was handled; what was sent is written down, so again is not twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from html import escape
from typing import Any

from shared import aws, clock, dynamodb, settings
from shared.telemetry import count, logger

_LEASE = timedelta(minutes=2)
"""Longer than a mailer may run: who claimed a mail and has not sent it by then is dead."""
_REMEMBERED = timedelta(days=8)
"""Longer than a record can come again."""


class ClaimedError(Exception):
    """Another run is sending this mail; when it dies the next may."""


class SentError(Exception):
    """This mail was sent before."""


@dataclass(frozen=True)
class Mail:
    """One message, to one address, as text and as HTML."""

    to: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Sender:
    """Who writes: the provider's name, and where a customer can reach it."""

    name: str
    email: str
    telephone: str


@dataclass(frozen=True)
class Letter:
    """What a mail says, before it has a form: paragraphs, and a link between them and what comes after."""

    to: str
    subject: str
    language: str
    before: Sequence[str]
    link: str
    link_text: str
    after: Sequence[str]


@cache
def client() -> Any:
    """The process' one client."""
    return aws.client("sesv2", connect_timeout_s=2, read_timeout_s=10, attempts=3)


def compose(letter: Letter) -> Mail:
    """The message of a letter, as text and as HTML that says the same."""
    text = "\n\n".join([*letter.before, f"{letter.link_text}: {letter.link}", *letter.after]) + "\n"
    html = (
        f'<!doctype html><html lang="{escape(letter.language)}"><head><meta charset="utf-8">'
        f"<title>{escape(letter.subject)}</title></head>"
        '<body style="font-family:sans-serif;line-height:1.5;max-width:40em">'
        f'{_paragraphs(letter.before)}<p><a href="{escape(letter.link)}">{escape(letter.link_text)}</a></p>'
        f"{_paragraphs(letter.after)}</body></html>"
    )
    return Mail(letter.to, letter.subject, text, html)


def handle_each(event: Mapping[str, Any], handle: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Handle each record of a batch, whatever became of the one before; those that failed are told to Lambda, which brings them again.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    failed = []
    for record in event["Records"]:
        change = record["dynamodb"]
        try:
            handle(dynamodb.unmarshal(change.get("NewImage") or {}))
        except Exception as error:
            # Not the exception's text: SES's own words may name the address, so they stay out of the log.
            extra = {"sequence": change["SequenceNumber"], "reason": type(error).__name__}
            logger.error("mail not sent", extra=extra)
            count("MailFailed")
            failed.append({"itemIdentifier": change["SequenceNumber"]})
    return {"batchItemFailures": failed}


def send_once(table: str, whose: str, event_id: str, mail: Mail, sender: Sender, now: datetime) -> bool:
    """Send a mail unless it was sent before; whether it was sent now. Raises ClaimedError when another run is at it.

    SES knows no idempotency token. Only who dies between SES's answer and what is written then makes a mail come twice; the other order
    of things would lose one.
    """
    try:
        _claim(table, whose, event_id, now)
    except SentError:
        return False
    try:
        _send(mail, sender)
    except Exception:
        _write(
            table, _item(whose, event_id, now - _LEASE, sent=False)
        )  # the next try need not wait for the lease to end
        raise
    _write(table, _item(whose, event_id, now, sent=True))
    count("MailSent")
    return True


def _send(mail: Mail, sender: Sender) -> None:
    client().send_email(
        FromEmailAddress=f'"{sender.name}" <{settings.mail_from()}>',
        ReplyToAddresses=[sender.email],
        Destination={"ToAddresses": [_ascii(mail.to)]},
        Content={
            "Simple": {
                "Subject": {"Data": mail.subject, "Charset": "UTF-8"},
                "Body": {
                    "Text": {"Data": mail.text, "Charset": "UTF-8"},
                    "Html": {"Data": mail.html, "Charset": "UTF-8"},
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


def _write(table: str, item: dynamodb.Item) -> None:
    dynamodb.client().put_item(TableName=table, Item=dynamodb.marshal(item))


def _claim(table: str, whose: str, event_id: str, now: datetime) -> None:
    def refused(before: dynamodb.Item | None) -> Exception:
        return SentError() if before and before["sent"] else ClaimedError()

    condition = "attribute_not_exists(pk) OR (sent = :no AND claimedAt <= :dead)"
    dead = clock.to_iso(now - _LEASE)
    item = _item(whose, event_id, now, sent=False)
    dynamodb.transact(dynamodb.put(table, item, refused, condition, no=False, dead=dead))


def _item(whose: str, event_id: str, now: datetime, *, sent: bool) -> dynamodb.Item:
    expires = int((now + _REMEMBERED).timestamp())
    return {
        "pk": f"MAIL#{whose}",
        "sk": event_id,
        "sent": sent,
        "claimedAt": clock.to_iso(now),
        "expiresAt": expires,
    }


def _paragraphs(texts: Sequence[str]) -> str:
    return "".join(f"<p>{escape(text).replace(chr(10), '<br>')}</p>" for text in texts)
