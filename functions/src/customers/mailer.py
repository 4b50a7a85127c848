"""Writes to a customer's contacts what the stream of the customers table tells: links to sign in with, and each thing that changed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from customers.portal import letters, memberships, sign_in
from customers.portal.store import to_sign_in
from shared import clock, outbox, settings
from shared.brand import brand
from shared.outbox import Letter, Sender
from shared.telemetry import flush, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Handle a batch of stream records."""
    try:
        return outbox.handle_each(event, _handle)
    finally:
        flush()


def _handle(item: Mapping[str, Any]) -> None:
    if item.get("sk") == "SIGN-IN":
        _sign_in(item)


def _sign_in(item: Mapping[str, Any]) -> None:
    """Mail a link to who is known. Who asked has had an answer that says nothing of this."""
    asked, now = to_sign_in(item), clock.now()
    if asked.used_at or not asked.may_be_mailed or now >= asked.expires_at:
        return
    members = memberships.all_of(asked.email)
    if not members:
        logger.info("sign-in asked for an unknown address")
        return
    contact = members[0].contact
    token = sign_in.token(settings.order_key(), asked.id)
    link = f"{settings.site_url()}/mijn/aanmelden/{asked.id}/{token}{_in(asked.language)}"
    minutes = sign_in.VALID_FOR.seconds // 60
    made = letters.letter("sign_in", contact.email, asked.language, contact.name, link, brand(), minutes=minutes)
    _send(made, f"SIGN-IN#{asked.id}", "SIGN-IN")


def _send(made: Letter, whose: str, event_id: str) -> None:
    ours = brand()
    sender = Sender(ours.name, ours.email, ours.telephone)
    if outbox.send_once(settings.customers_table(), whose, event_id, outbox.compose(made), sender, clock.now()):
        logger.info("mail sent", extra={"mail": event_id})


def _in(language: str) -> str:
    return "" if language == "nl" else f"?language={language}"
