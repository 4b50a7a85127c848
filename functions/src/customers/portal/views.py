"""What the pages of Mijn omgeving show of a customer. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from customers import notices
from customers import phone as phones
from customers.account import Account, Event, EventKind
from customers.environment import Line, Phone, name
from customers.portal.registrations import Registration
from customers.portal.sessions import Session
from customers.product import RUNNING, Product, State
from shared.clock import local_day, to_iso

View = dict[str, Any]


def overview(account: Account, registered: Mapping[str, Registration], now: datetime) -> View:
    """What is served and how far it is, what waits for the customer, and what it costs."""
    environment = account.environment
    srtp = account.srtp
    own = [phone_view(account, phone, registered) for phone in environment.phones]
    return {
        "state": _state(account),
        "held": account.held_because,
        "notices": notices.shown(account, now, account.customer.language),
        "preparing": [found.name for found in account.products if found.state is State.CREATED],
        "encrypted": environment.encrypted and srtp is not None and srtp.state in RUNNING,
        "encryptedSince": str(srtp.started_on) if srtp and srtp.started_on else "",
        "phones": len(own),
        "registered": sum(phone["state"] == "registered" for phone in own),
        "withoutPassword": sum(phone["state"] in ("new", "revoked") for phone in own),
        "numbers": len(environment.lines),
        "ends": sorted({str(found.ends_on) for found in account.products if found.state is State.PENDING_TERMINATE}),
        "cost": cost(account, now),
    }


def _state(account: Account) -> str:
    if account.environment.suspended:
        return "suspended"
    if not account.environment.served:
        return "ended"
    if account.held_because and not any(found.state in RUNNING for found in account.products):
        return "held"
    return "served" if any(found.state in RUNNING for found in account.products) else "waiting"


def cost(account: Account, now: datetime) -> View:
    """What is paid a month now and from the first of the next, in cents, excluding VAT."""
    month = phones.first_of_next_month(local_day(now))
    return {"nowCents": account.monthly_cents, "nextCents": monthly_cents_on(account, month), "next": str(month)}


def monthly_cents_on(account: Account, day: date) -> int:
    """What the products cost a month from a day on, as far as is agreed today, in cents, excluding VAT."""
    leaving = sum(bool(phone.leaves_on and phone.leaves_on <= day) for phone in account.environment.phones)
    total = 0
    for found in account.products:
        if not found.served or (found.ends_on and found.ends_on <= day):
            continue
        quantity = found.quantity - leaving if found == account.srtp else found.quantity
        total += quantity * found.unit_cents
    return total


def product(found: Product) -> View:
    """One product with its life."""
    return {
        "id": found.id,
        "offeringId": found.offering_id,
        "name": found.name,
        "state": found.state.value,
        "unit": found.unit,
        "quantity": found.quantity,
        "unitCents": found.unit_cents,
        "monthlyCents": found.monthly_cents,
        "fees": [{"name": fee.name, "quantity": fee.quantity, "cents": fee.cents} for fee in found.fees],
        "startedOn": str(found.started_on) if found.started_on else "",
        "endsOn": str(found.ends_on) if found.ends_on else "",
        "noticeAt": to_iso(found.notice_at) if found.notice_at else "",
        "endedAt": to_iso(found.ended_at) if found.ended_at else "",
    }


def phone_list(account: Account, registered: Mapping[str, Registration]) -> list[View]:
    """All phones, by extension."""
    found = sorted(account.environment.phones, key=lambda phone: phone.extension)
    return [phone_view(account, phone, registered) for phone in found]


def phone_view(account: Account, phone: Phone, registered: Mapping[str, Registration]) -> View:
    """One phone, and whether it is there."""
    here = registered.get(phone.username)
    site = next((site for site in account.customer.sites if site.id == phone.site), None)
    return {
        "username": phone.username,
        "extension": phone.extension,
        "label": phone.label,
        "site": phone.site,
        "place": f"{site.street} {site.house_number}, {site.city}" if site else "",
        "number": phone.number,
        "state": _phone_state(phone, here),
        "leavesOn": str(phone.leaves_on) if phone.leaves_on else "",
        "previousUntil": to_iso(phone.previous_until) if phone.previous_until else "",
        "since": here.since if here else "",
        "lastSeenAt": here.last_seen_at if here else "",
        "make": here.user_agent if here else "",
        "network": here.network if here else "",
        "encrypted": here.encrypted if here else None,
    }


def _phone_state(phone: Phone, here: Registration | None) -> str:
    if not phone.ha1 and not phone.previous_ha1:
        return "revoked" if phone.generation else "new"
    return "registered" if here and here.is_there else "away"


def passwords(account: Account, made: Iterable[Any], sip_domain: str) -> View:
    """What phones are set up with; told once."""
    return {
        "phones": [
            {
                "extension": one.extension,
                "username": one.username,
                "password": one.password,
                "label": found.label if (found := account.environment.phone(one.username)) else "",
            }
            for one in made
        ],
        "server": name(account.id, sip_domain),
        "domain": sip_domain,
        "port": 5061,
        "encrypted": account.environment.encrypted,
    }


def site_list(account: Account) -> list[View]:
    """The places that a phone can stand at."""
    return [
        {"id": site.id, "name": f"{site.street} {site.house_number}, {site.postcode} {site.city}"}
        for site in account.customer.sites
    ]


def session_list(found: Sequence[Session], own: Session) -> list[View]:
    """The browsers in which somebody is signed in, this one first."""
    return [
        {
            "id": one.id,
            "browser": one.browser,
            "network": one.network,
            "startedAt": to_iso(one.started_at),
            "seenAt": to_iso(one.seen_at),
            "own": one.id == own.id,
        }
        for one in sorted(found, key=lambda one: one.id != own.id)
    ]


def line_view(account: Account, found: Line) -> View:
    """One number in service: whom it rings, and where calls go that nobody takes."""
    return {
        "number": found.number,
        "order": found.order.value,
        "ringSeconds": found.ring_seconds,
        "noAnswerSeconds": found.no_answer_seconds,
        "always": found.forward.always,
        "busy": found.forward.busy,
        "noAnswer": found.forward.no_answer,
        "phones": [
            {
                "username": phone.username,
                "extension": phone.extension,
                "label": phone.label,
                "rings": phone.username in found.rings,
            }
            for phone in sorted(account.environment.phones, key=lambda phone: phone.extension)
        ],
    }


def company(account: Account) -> View:
    """Who the customer is, as a document says it."""
    found = account.customer
    return {
        "company": found.company,
        "enterpriseNumber": found.enterprise_number,
        "vatId": found.vat_id,
        "id": found.id,
        "country": found.country,
        "kind": found.kind.value,
    }


_AGREED = {
    EventKind.PRODUCT_CREATED: "contract",
    EventKind.QUANTITY_CHANGED: "price",
    EventKind.NOTICE_GIVEN: "notice",
    EventKind.NOTICE_TAKEN_BACK: "noticeBack",
    EventKind.PRODUCT_WITHDRAWN: "withdrawal",
    EventKind.PRODUCT_ENDED: "end",
}


def documents(account: Account, history: Iterable[Event]) -> list[View]:
    """What was agreed, newest first: for each event that changed what is paid, what it said at that moment."""
    found = []
    for event in history:
        kind = _AGREED.get(event.kind)
        if kind is None:
            continue
        facts = event.facts
        offered = next((each for each in account.products if each.id == facts.get("productId")), None)
        found.append(
            {
                "id": f"{event.version}",
                "kind": kind,
                "at": to_iso(event.at),
                "orderId": str(facts.get("orderId", "")),
                "name": str(facts.get("name", "")),
                "quantity": _whole(facts.get("quantity")),
                "before": _whole(facts.get("before")),
                "unitCents": _whole(facts.get("unitCents")),
                "monthlyCents": _whole(facts.get("quantity")) * _whole(facts.get("unitCents")),
                "fees": [
                    {"name": fee.name, "quantity": fee.quantity, "cents": fee.cents}
                    for fee in (offered.fees if offered and kind == "contract" else ())
                ],
                "endsOn": str(facts.get("endsOn", "")),
                "owedCents": _whole(facts.get("owedCents")),
            }
        )
    return found[::-1]


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def numbers_lost(account: Account, ending: Sequence[Product]) -> list[str]:
    """The numbers that go back when these products end: all, when no other plan is left."""
    left = [each for each in account.products if each.served and each.unit == "number" and each not in ending]
    lost = any(each.unit == "number" for each in ending) and not left
    return [line.number for line in account.environment.lines] if lost else []
