"""Signing in by a link in a mail: single use, for ten minutes, in the browser that asked for it. Pure.

A request is stored under its id. Its token stands only in the mail: it is made from the id with our key, so that who
reads the table can make no link. The browser that asked has a secret of its own in a cookie, of which the table knows
the hash.
"""

import base64
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ordering.credentials import keyed_hash, matches, sha256

VALID_FOR = timedelta(minutes=10)
LINKS_PER_HOUR = 5
"""How many mails one address gets within an hour; who asks more often hears the same words and gets none."""
ASKED_PER_HOUR = 30
"""How often one source may ask for a link within an hour: an office shares one address."""
FAILURES_PER_HOUR = 20
"""How many links that do not work one source may try within an hour."""
_ADDRESS = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\"]+")
LONGEST_ADDRESS = 320
"""Characters: 64 before the @, 255 after it (RFC 5321 section 4.5.3.1)."""


class SignInRefusedError(Exception):
    """This link signs nobody in."""


class WrongLinkError(SignInRefusedError):
    """There is no such link, or no contact of a customer has its address any more."""


class OtherBrowserError(SignInRefusedError):
    """The link was opened in another browser than it was asked for in: it was forwarded, or the mail is read on another machine."""


class LinkUsedError(SignInRefusedError):
    """Somebody signed in with this link before."""


class LinkExpiredError(SignInRefusedError):
    """The link was asked for more than ten minutes ago."""


@dataclass(frozen=True)
class SignIn:
    """One request for a link. `links` counts those of the same address within the hour, this one included."""

    id: str
    email: str
    browser_sha256: str
    language: str
    asked_at: datetime
    links: int
    used_at: datetime | None = None

    @property
    def may_be_mailed(self) -> bool:
        """Whether this address has had fewer links than flood a mailbox."""
        return self.links <= LINKS_PER_HOUR

    @property
    def expires_at(self) -> datetime:
        """From when on the link does nothing."""
        return self.asked_at + VALID_FOR


def new_secret() -> str:
    """What a browser keeps in a cookie: 256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def ask(email: str, browser: str, language: str, links: int, now: datetime) -> SignIn:
    """A new request for a link."""
    return SignIn(secrets.token_hex(16), comparable(email), sha256(browser), language, now, links)


def token(key: str, request_id: str) -> str:
    """The secret part of a link: 256 bits that only who has the key can make."""
    return base64.urlsafe_b64encode(keyed_hash(key, "sign in", request_id)).decode().rstrip("=")


def use(found: SignIn | None, key: str, request_id: str, told: str, browser: str, now: datetime) -> SignIn:
    """The request after its link was used; raises a SignInRefusedError.

    What is wrong with a link is told only to who has its token, and a link stays good when another browser tries it: else a scanner that
    follows what stands in a mail would use it up.
    """
    right = hmac.compare_digest(token(key, request_id).encode(), told.encode("utf-8", "replace"))
    if found is None or not right:
        raise WrongLinkError
    if not matches(browser, found.browser_sha256):
        raise OtherBrowserError
    if found.used_at:
        raise LinkUsedError
    if now >= found.expires_at:
        raise LinkExpiredError
    return replace(found, used_at=now)


def is_address(email: str) -> bool:
    """Whether this can be a mail address, which only a mail to it can prove."""
    return len(email) <= LONGEST_ADDRESS and _ADDRESS.fullmatch(comparable(email)) is not None


def comparable(email: str) -> str:
    """An address in the form in which two spellings of it are the same: NFC, without space around it, in lower case.

    RFC 5321 section 2.4 lets the part before the @ differ by case; no provider of mail does so, and people type either.
    """
    return unicodedata.normalize("NFC", email).strip().casefold()
