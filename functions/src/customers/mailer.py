"""Writes to a customer's contacts what the stream of the customers table tells: links to sign in with, and each thing that changed."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from customers import account as accounts
from customers.account import Event
from customers.portal import letters, memberships, news, proof, sign_in
from customers.portal.store import to_proof, to_sign_in
from customers.store import store
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
    match item.get("sk", ""):
        case "SIGN-IN":
            _sign_in(item)
        case "PROOF":
            _proof(item)
        case str(sk) if sk.startswith("EVENT#"):
            _events(item["pk"].removeprefix("HISTORY#"), item.get("events", ()))


def _events(customer_id: str, told: Sequence[Mapping[str, Any]]) -> None:
    """Write about each event of one change; one that fails keeps none of the others back, and all come again."""
    failed: Exception | None = None
    for one in told:
        try:
            _event(customer_id, accounts.event_from_item(one))
        except Exception as error:
            failed = error
    if failed:
        raise failed


def _event(customer_id: str, event: Event) -> None:
    """Write to each contact whom an event concerns, each once."""
    account = store().find(customer_id)
    told = news.news(event, account) if account else None
    if account is None or told is None:
        return
    customer = account.customer
    link = f"{settings.site_url()}{told.path}"
    for email, name in told.to:
        facts = {"company": customer.company or customer.id, **told.facts}
        made = letters.letter(told.kind, email, customer.language, name, link, brand(), **facts)
        reader = hashlib.sha256(email.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        _send(made, customer_id, f"SENT#{event.version:08d}#{reader}")


def _proof(item: Mapping[str, Any]) -> None:
    """Mail the link that proves a new address to that address."""
    asked, now = to_proof(item), clock.now()
    account = store().find(asked.customer_id)
    contact = account and account.customer.contact(asked.contact_id)
    if not account or not contact or not asked.is_good(now):
        return
    code = proof.token(settings.order_key(), asked.id)
    link = f"{settings.site_url()}/mijn/gegevens/bewijs/{asked.id}/{code}"
    company = account.customer.company or account.id
    minutes = proof.VALID_FOR.seconds // 60
    made = letters.letter(
        "proof", asked.email, asked.language, contact.name, link, brand(), company=company, minutes=minutes
    )
    _send(made, f"PROOF#{asked.id}", "SENT")


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
    _send(made, f"SIGN-IN#{asked.id}", "SENT")


def _send(made: Letter, whose: str, event_id: str) -> None:
    # That it was sent is written into the same table: under a key that the stream's filter does not bring here.
    ours = brand()
    sender = Sender(ours.name, ours.email, ours.telephone)
    if outbox.send_once(settings.customers_table(), whose, event_id, outbox.compose(made), sender, clock.now()):
        logger.info("mail sent", extra={"mail": event_id})


def _in(language: str) -> str:
    return "" if language == "nl" else f"?language={language}"
