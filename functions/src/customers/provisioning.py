"""The address from which a phone sets itself up: unguessable, for one phone, bound to its MAC or a code, for some days and uses. Pure.

Each use is a hand-out of a new password: none is stored, and who copies a file that was fetched before has one that ends in an hour.
"""

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

from customers.documents import Item, present
from shared.clock import from_iso, to_iso

LASTS = timedelta(days=7)
MOST_USES = 10
MOST_WRONG = 5
"""So many requests with a wrong code or MAC end the address: who has its path but not the phone is guessing."""
CODE_LENGTH = 8
CODE_LASTS = timedelta(minutes=10)
"""A code is for one setting-up; a phone may fetch its file several times during it."""
_MAC = re.compile(r"[0-9a-f]{12}")


class Make(StrEnum):
    """Whose phones understand the file."""

    YEALINK = "yealink"
    SNOM = "snom"
    GRANDSTREAM = "grandstream"
    FANVIL = "fanvil"
    LINPHONE = "linphone"
    OTHER = "other"


class BadMacError(ValueError):
    """What was given is no MAC address."""


class RefusedError(Exception):
    """The address cannot be used: unknown, revoked, over, used up, or by somebody else. Who asks is never told which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Address:
    """The provisioning address of one phone. Secrets stand in it as hashes; bound to a MAC, or else to a code."""

    customer_id: str
    username: str
    make: Make
    secret_sha256: str
    issued_at: datetime
    expires_at: datetime
    mac: str = ""
    code_sha256: str = ""
    uses: int = 0
    wrong: int = 0
    first_used_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked: bool = False
    version: int = 1

    def usable(self, now: datetime) -> bool:
        """Whether a phone can still be set up from it."""
        return not self.revoked and now < self.expires_at and self.uses < MOST_USES and self.wrong < MOST_WRONG


@dataclass(frozen=True)
class Issued:
    """What is told once: the path of the address, below the site's own, and the code, if it is bound to one."""

    address: Address
    path: str
    code: str = ""

    @property
    def path_with_code(self) -> str:
        """What a QR code holds."""
        return f"{self.path}?code={self.code}" if self.code else self.path


def issue(customer_id: str, username: str, make: Make, mac: str, now: datetime) -> Issued:
    """A new address, bound to `mac` or, when that is empty, to a new code; raises BadMacError."""
    secret = secrets.token_urlsafe(32)
    code = "" if mac else "".join(secrets.choice("0123456789") for _ in range(CODE_LENGTH))
    address = Address(
        customer_id=customer_id,
        username=username,
        make=make,
        secret_sha256=_hash(secret),
        issued_at=now,
        expires_at=now + LASTS,
        mac=clean_mac(mac) if mac else "",
        code_sha256=_hash(code) if code else "",
    )
    return Issued(address, f"/instellen/{username}/{secret}/{file_name(address)}", code)


def file_name(address: Address) -> str:
    """What the phone's own firmware asks for below the address, where it has a name of its own."""
    match address.make:
        case Make.YEALINK | Make.FANVIL:
            return f"{address.mac or 'telefoon'}.cfg"
        case Make.GRANDSTREAM:
            return f"cfg{address.mac}.xml" if address.mac else "cfg.xml"
        case Make.SNOM:
            return f"snom-{address.mac.upper()}.xml" if address.mac else "snom.xml"
        case Make.LINPHONE:
            return "linphone.xml"
        case Make.OTHER:
            return "telefoon.txt"


def use(address: Address, secret: str, file: str, code: str, user_agent: str, now: datetime) -> Address:
    """The address after one good use; raises RefusedError."""
    if not hmac.compare_digest(_hash(secret), address.secret_sha256):
        raise RefusedError("secret")
    if not address.usable(now):
        raise RefusedError("over")
    if not _bound(address, file, code, user_agent, now):
        raise RefusedError("binding")
    return replace(
        address,
        uses=address.uses + 1,
        first_used_at=address.first_used_at or now,
        last_used_at=now,
        version=address.version + 1,
    )


def wrongly_used(address: Address) -> Address:
    """The address after somebody had its secret but not what it is bound to."""
    return replace(address, wrong=address.wrong + 1, version=address.version + 1)


def revoked(address: Address) -> Address:
    """The address, of no use from now on."""
    return replace(address, revoked=True, version=address.version + 1)


def _bound(address: Address, file: str, code: str, user_agent: str, now: datetime) -> bool:
    """Phones name their MAC in the file they ask for or in User-Agent (Yealink, Snom, Grandstream, Fanvil do)."""
    if address.mac:
        return address.mac in _macs(f"{file} {user_agent}")
    if address.first_used_at and now >= address.first_used_at + CODE_LASTS:
        return False
    return hmac.compare_digest(_hash(code), address.code_sha256)


def _macs(text: str) -> set[str]:
    found = re.findall(r"(?:[0-9a-f]{2}[:-]?){5}[0-9a-f]{2}", text.lower())
    return {re.sub(r"[:-]", "", each) for each in found}


def clean_mac(text: str) -> str:
    """A MAC address as 12 hexadecimal digits in lower case; raises BadMacError."""
    bare = re.sub(r"[\s:.-]", "", text).lower()
    if _MAC.fullmatch(bare) is None:
        raise BadMacError(text)
    return bare


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def to_item(address: Address) -> Item:
    """The attributes of an address, without its keys."""
    return present(
        {
            "customerId": address.customer_id,
            "username": address.username,
            "make": address.make.value,
            "secretSha256": address.secret_sha256,
            "issuedAt": to_iso(address.issued_at),
            "validUntil": to_iso(address.expires_at),
            "mac": address.mac,
            "codeSha256": address.code_sha256,
            "uses": address.uses,
            "wrong": address.wrong,
            "firstUsedAt": to_iso(address.first_used_at) if address.first_used_at else "",
            "lastUsedAt": to_iso(address.last_used_at) if address.last_used_at else "",
            "revoked": address.revoked,
            "version": address.version,
            # Kept for a while after it is over, so that who set up a phone sees when and how often.
            "expiresAt": int((address.expires_at + timedelta(days=30)).timestamp()),
        }
    )


def from_item(item: Mapping[str, Any]) -> Address:
    """The address that `to_item` wrote."""
    return Address(
        customer_id=item["customerId"],
        username=item["username"],
        make=Make(item["make"]),
        secret_sha256=item["secretSha256"],
        issued_at=from_iso(item["issuedAt"]),
        expires_at=from_iso(item["validUntil"]),
        mac=item.get("mac", ""),
        code_sha256=item.get("codeSha256", ""),
        uses=item["uses"],
        wrong=item["wrong"],
        first_used_at=from_iso(item["firstUsedAt"]) if "firstUsedAt" in item else None,
        last_used_at=from_iso(item["lastUsedAt"]) if "lastUsedAt" in item else None,
        revoked=item["revoked"],
        version=item["version"],
    )
