"""That a new mail address is its owner's: a link goes there, and who is signed in opens it. Pure."""

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from ordering.credentials import keyed_hash

VALID_FOR = timedelta(minutes=30)


@dataclass(frozen=True)
class Proof:
    """A new mail address of a contact, until its link was opened."""

    id: str
    customer_id: str
    contact_id: str
    email: str
    language: str
    asked_at: datetime

    def is_good(self, now: datetime) -> bool:
        """Whether its link still works."""
        return now < self.asked_at + VALID_FOR


def ask(customer_id: str, contact_id: str, email: str, language: str, now: datetime) -> Proof:
    """A new proof that is yet to be given."""
    return Proof(secrets.token_hex(16), customer_id, contact_id, email, language, now)


def token(key: str, proof_id: str) -> str:
    """The secret part of its link, that only the mail holds."""
    return base64.urlsafe_b64encode(keyed_hash(key, "proof of address", proof_id)).decode().rstrip("=")
