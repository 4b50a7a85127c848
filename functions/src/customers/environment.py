"""What should be served for one customer: all its phones, where they are, its numbers and its limits. Pure.

The document is the contract with the fleet and the nodes (docs/architecture.md): camelCase, plain JSON types; what is absent is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

from customers.documents import Item, present
from shared.clock import from_iso, to_iso

Country = Literal["NL", "BE"]
Ha1 = Mapping[str, str]
"""H(username:realm:password) by the name of its algorithm, in hexadecimal (RFC 7616 section 3.4.2, RFC 8760)."""


class Ringing(StrEnum):
    """How the phones of a number ring."""

    TOGETHER = "together"
    IN_ORDER = "inOrder"


class Destination(StrEnum):
    """A class of outside numbers that an environment may call; 112 and the free numbers of care are never limited."""

    NATIONAL = "national"
    MOBILE = "mobile"
    FREEPHONE = "freephone"
    EUROPE = "europe"
    WORLD = "world"
    PREMIUM = "premium"


@dataclass(frozen=True)
class Phone:
    """One SIP account. Without `ha1` it cannot register: its password was never handed out, or it was revoked.

    `previous_ha1` is accepted as well until `previous_until`; `number` (E.164) is what it shows outward, `site` the id of where it is.
    `generation` counts its passwords, `leaves_on` is the day from which it is no more, in the Netherlands.
    """

    username: str
    extension: int
    label: str = ""
    site: str = ""
    number: str = ""
    ha1: Ha1 | None = None
    previous_ha1: Ha1 | None = None
    previous_until: datetime | None = None
    generation: int = 0
    leaves_on: date | None = None


@dataclass(frozen=True)
class Site:
    """A place with phones, and the address that 112 is told (EECC article 109)."""

    id: str
    street: str
    house_number: str
    postcode: str
    city: str
    country: Country


@dataclass(frozen=True)
class Forwarding:
    """Where calls to a number go instead, E.164 or empty."""

    always: str = ""
    busy: str = ""
    no_answer: str = ""


@dataclass(frozen=True)
class Line:
    """A number (E.164) in service: which phones it rings, how, for how long, and what happens to calls that nobody takes."""

    number: str
    rings: tuple[str, ...] = ()
    order: Ringing = Ringing.TOGETHER
    ring_seconds: int = 20
    forward: Forwarding = field(default_factory=Forwarding)
    no_answer_seconds: int = 25


@dataclass(frozen=True)
class Limits:
    """What an environment can cost at most, so that a stolen password cannot cost more."""

    concurrent_calls: int = 2
    forwarded_calls: int = 2
    calls_per_minute: int = 30
    minutes_per_day: int = 1440
    destinations: tuple[Destination, ...] = (Destination.NATIONAL, Destination.MOBILE, Destination.FREEPHONE)


@dataclass(frozen=True)
class Environment:
    """The environment of one customer; `version` grows by one with each change of what a node must know.

    `served`: it has a product that is active or being activated. `awaits_proof`: a product waits for the proof call. `suspended`: calls out
    are refused, but never 112. `dedicated`: its nodes serve nobody else. `call_history_days`: 0 means that nothing is written down.
    `aliases` are ids of environments that became part of this one, whose names phones still know.
    """

    customer_id: str
    version: int = 1
    served: bool = False
    encrypted: bool = False
    suspended: bool = False
    awaits_proof: bool = False
    country: Country = "NL"
    call_history_days: int = 90
    phones: tuple[Phone, ...] = ()
    sites: tuple[Site, ...] = ()
    lines: tuple[Line, ...] = ()
    limits: Limits = field(default_factory=Limits)
    aliases: tuple[str, ...] = ()
    dedicated: bool = False

    @property
    def id(self) -> str:
        """The customer's id: a customer has one environment."""
        return self.customer_id

    def phone(self, username: str) -> Phone | None:
        """The phone with this user name."""
        return next((phone for phone in self.phones if phone.username == username), None)


def name(environment_id: str, sip_domain: str) -> str:
    """What the environment's phones are given in place of an address; SRV and address records stand under it."""
    return f"{environment_id}.{sip_domain}"


def to_item(environment: Environment) -> Item:
    """The document."""
    return {
        "environmentId": environment.id,
        "customerId": environment.customer_id,
        "version": environment.version,
        "served": environment.served,
        "encrypted": environment.encrypted,
        "suspended": environment.suspended,
        "awaitsProof": environment.awaits_proof,
        "country": environment.country,
        "callHistoryDays": environment.call_history_days,
        "phones": [_from_phone(phone) for phone in environment.phones],
        "sites": [site_to_item(site) for site in environment.sites],
        "numbers": [_from_line(line) for line in environment.lines],
        "limits": limits_to_item(environment.limits),
        **present({"aliases": list(environment.aliases), "dedicated": environment.dedicated or None}),
    }


def from_item(item: Mapping[str, Any]) -> Environment:
    """The environment of a document, whatever else stands in it; raises KeyError, TypeError or ValueError when it is none."""
    return Environment(
        customer_id=item["customerId"],
        version=item["version"],
        served=item["served"],
        encrypted=item["encrypted"],
        suspended=item["suspended"],
        awaits_proof=item.get("awaitsProof", False),
        country=item["country"],
        call_history_days=item["callHistoryDays"],
        phones=tuple(_to_phone(phone) for phone in item["phones"]),
        sites=tuple(site_from_item(site) for site in item["sites"]),
        lines=tuple(_to_line(line) for line in item["numbers"]),
        limits=limits_from_item(item["limits"]),
        aliases=tuple(item.get("aliases", [])),
        dedicated=item.get("dedicated", False),
    )


def _from_phone(phone: Phone) -> Item:
    return present(
        {
            "username": phone.username,
            "extension": phone.extension,
            "label": phone.label,
            "site": phone.site,
            "number": phone.number,
            "ha1": dict(phone.ha1) if phone.ha1 else None,
            "previousHa1": dict(phone.previous_ha1) if phone.previous_ha1 else None,
            "previousUntil": to_iso(phone.previous_until) if phone.previous_until else None,
            "generation": phone.generation,
            "leavesOn": str(phone.leaves_on) if phone.leaves_on else None,
        }
    )


def _to_phone(item: Mapping[str, Any]) -> Phone:
    return Phone(
        username=item["username"],
        extension=item["extension"],
        label=item.get("label", ""),
        site=item.get("site", ""),
        number=item.get("number", ""),
        ha1=item.get("ha1"),
        previous_ha1=item.get("previousHa1"),
        previous_until=from_iso(item["previousUntil"]) if "previousUntil" in item else None,
        generation=item.get("generation", 0),
        leaves_on=date.fromisoformat(item["leavesOn"]) if "leavesOn" in item else None,
    )


def limits_to_item(limits: Limits) -> Item:
    """The limits as they stand in a document."""
    return {
        "concurrentCalls": limits.concurrent_calls,
        "forwardedCalls": limits.forwarded_calls,
        "callsPerMinute": limits.calls_per_minute,
        "minutesPerDay": limits.minutes_per_day,
        "destinations": [each.value for each in limits.destinations],
    }


def limits_from_item(item: Mapping[str, Any]) -> Limits:
    """The limits that `limits_to_item` wrote; raises KeyError or ValueError when they are none."""
    return Limits(
        item["concurrentCalls"],
        item["forwardedCalls"],
        item["callsPerMinute"],
        item["minutesPerDay"],
        tuple(Destination(each) for each in item["destinations"]),
    )


def site_to_item(site: Site) -> Item:
    """A site as it stands in documents."""
    return present(
        {
            "id": site.id,
            "street": site.street,
            "houseNumber": site.house_number,
            "postcode": site.postcode,
            "city": site.city,
            "country": site.country,
        }
    )


def site_from_item(item: Mapping[str, Any]) -> Site:
    """The site that `site_to_item` wrote."""
    return Site(
        item["id"],
        item.get("street", ""),
        item.get("houseNumber", ""),
        item.get("postcode", ""),
        item.get("city", ""),
        item["country"],
    )


def _from_line(line: Line) -> Item:
    forward = {"always": line.forward.always, "busy": line.forward.busy, "noAnswer": line.forward.no_answer}
    return {
        "number": line.number,
        "rings": list(line.rings),
        "order": line.order.value,
        "ringSeconds": line.ring_seconds,
        "forward": present(forward),
        "noAnswerSeconds": line.no_answer_seconds,
    }


def _to_line(item: Mapping[str, Any]) -> Line:
    forward = item.get("forward", {})
    return Line(
        number=item["number"],
        rings=tuple(item["rings"]),
        order=Ringing(item["order"]),
        ring_seconds=item["ringSeconds"],
        forward=Forwarding(forward.get("always", ""), forward.get("busy", ""), forward.get("noAnswer", "")),
        no_answer_seconds=item["noAnswerSeconds"],
    )
