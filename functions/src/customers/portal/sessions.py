"""Who is signed in: a session lives while its browser does something every half hour, and half a day at most. Pure.

The cookie holds `person.secret`; the table knows the hash of the secret. A person is a mail address: their sessions stand together, so that
they can be listed and ended. What somebody may do is read anew with each request from the customer's contacts.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from customers.portal.sign_in import comparable, new_secret
from ordering.credentials import keyed_hash, matches, sha256

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
_SEEN_EVERY = timedelta(minutes=1)
"""How exactly the last request is known: no more than one write a minute."""
_COOKIE = re.compile(r"([0-9a-f]{32})\.([A-Za-z0-9_-]{43})")
# In this order: Edge also says Chrome, and Chrome also says Safari.
_BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
_SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "Linux": "Linux",
}


@dataclass(frozen=True)
class Device:
    """Where somebody signs in, for a person to recognise: `Firefox, Windows`, and a network too wide to point at one household.

    An IPv4 /16, an IPv6 /32.
    """

    browser: str
    network: str


@dataclass(frozen=True)
class Session:
    """One browser in which a person is signed in, and the customer that it looks at."""

    person: str
    secret_sha256: str
    email: str
    customer_id: str
    language: str
    browser: str
    network: str
    started_at: datetime
    seen_at: datetime

    @property
    def id(self) -> str:
        """What the list of sessions calls it; it opens nothing."""
        return self.secret_sha256[:16]

    def is_alive(self, now: datetime) -> bool:
        """Whether the browser was here within the half hour, and signed in within half a day."""
        return now - self.seen_at < IDLE and now - self.started_at < LONGEST

    @property
    def expires_at(self) -> datetime:
        """From when on nobody needs to remember it."""
        return min(self.seen_at + IDLE, self.started_at + LONGEST)


def person(key: str, email: str) -> str:
    """A mail address as the table's key and the cookie have it; it tells the address to nobody without the key."""
    return keyed_hash(key, "person", comparable(email)).hex()[:32]


def begin(key: str, email: str, customer_id: str, language: str, device: Device, now: datetime) -> tuple[Session, str]:
    """A new session, and the value of its cookie."""
    secret = new_secret()
    who = person(key, email)
    made = Session(
        who, sha256(secret), comparable(email), customer_id, language, device.browser, device.network, now, now
    )
    return made, f"{who}.{secret}"


def read_cookie(value: str) -> tuple[str, str] | None:
    """The person and the secret that a cookie holds; None when it is not one of ours."""
    match = _COOKIE.fullmatch(value)
    return (match[1], match[2]) if match else None


def holds(found: Session, secret: str) -> bool:
    """Whether this is the session's secret, in constant time."""
    return matches(secret, found.secret_sha256)


def seen(found: Session, language: str, now: datetime) -> Session | None:
    """The session after a request in this language; None when nothing changed that must be known."""
    if language == found.language and now - found.seen_at < _SEEN_EVERY:
        return None
    return replace(found, language=language, seen_at=now)


def form_token(key: str, secret: str) -> str:
    """What a form must bring along: made from the secret in the browser's cookie, which no other site can read."""
    return keyed_hash(key, "form", secret).hex()


def device(user_agent: str, address: str) -> Device:
    """What a request tells of where it comes from."""
    return Device(_browser(user_agent), _network(address))


def _browser(user_agent: str) -> str:
    names = (next((name for sign, name in table.items() if sign in user_agent), "") for table in (_BROWSERS, _SYSTEMS))
    return ", ".join(name for name in names if name)


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    return str(ip_network((parsed, 16 if parsed.version == 4 else 32), strict=False))
