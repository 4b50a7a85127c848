"""Which events of a customer somebody is written to about, who, and what the letter says besides its words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from customers import notices
from customers.account import Account, Event, EventKind
from customers.customer import Contact, ContactRole
from customers.states import Role
from shared import html

_MONEY = (ContactRole.OWNER, ContactRole.BILLING)
_TECHNIQUE = (ContactRole.OWNER, ContactRole.TECHNICAL)
_OWNER = (ContactRole.OWNER,)

TOLD: Mapping[EventKind, tuple[str, Sequence[ContactRole], str]] = {
    EventKind.QUANTITY_CHANGED: ("price", _MONEY, "/mijn/producten"),
    EventKind.PHONE_LEAVES: ("phone_leaves", _TECHNIQUE, "/mijn/telefoons"),
    EventKind.PHONE_STAYS: ("phone_stays", _TECHNIQUE, "/mijn/telefoons"),
    EventKind.PHONE_REVOKED: ("phone_revoked", _TECHNIQUE, "/mijn/telefoons"),
    EventKind.PASSWORDS_HANDED_OUT: ("passwords", _TECHNIQUE, "/mijn/telefoons"),
    EventKind.PROVISIONING_ISSUED: ("provisioning", _TECHNIQUE, "/mijn/telefoons"),
    EventKind.NUMBER_ASSIGNED: ("number", _TECHNIQUE, "/mijn/nummers"),
    EventKind.LINE_CHANGED: ("line", _TECHNIQUE, "/mijn/nummers"),
    EventKind.LIMITS_CHANGED: ("limits", _OWNER, "/mijn/overzicht"),
    EventKind.CALL_HISTORY_CHANGED: ("call_history", _OWNER, "/mijn/gesprekken"),
    EventKind.JOINED: ("joined", _OWNER, "/mijn/overzicht"),
    EventKind.NOTICE_GIVEN: ("notice", _MONEY, "/mijn/opzeggen"),
    EventKind.NOTICE_TAKEN_BACK: ("notice_back", _MONEY, "/mijn/producten"),
    EventKind.PRODUCT_WITHDRAWN: ("withdrawn", _MONEY, "/mijn/documenten"),
    EventKind.PRODUCT_ENDED: ("ended", _MONEY, "/mijn/documenten"),
    EventKind.PRODUCT_SUSPENDED: ("suspended", _MONEY, "/mijn/overzicht"),
    EventKind.PRODUCT_RESUMED: ("resumed", _MONEY, "/mijn/overzicht"),
    EventKind.LIMIT_REACHED: ("limit", _TECHNIQUE, "/mijn/overzicht"),
    EventKind.MAIL_SENT: ("passwords_asked", _TECHNIQUE, "/mijn/telefoons"),
    EventKind.CONTACT_ADDED: ("contact_added", _OWNER, "/mijn/gegevens"),
    EventKind.CONTACT_CHANGED: ("contact_changed", _OWNER, "/mijn/gegevens"),
    EventKind.CONTACT_REMOVED: ("contact_removed", _OWNER, "/mijn/gegevens"),
    EventKind.CUSTOMER_CHANGED: ("details", _OWNER, "/mijn/gegevens"),
}
"""The letter, who gets it, and the page that its link opens."""


@dataclass(frozen=True)
class News:
    """A letter that is due: its kind, the page, and what its words need."""

    kind: str
    path: str
    to: Sequence[tuple[str, str]]
    """Mail address and name of each who gets it."""
    facts: Mapping[str, str]


def news(event: Event, account: Account) -> News | None:
    """What is written about an event; None when it is told by another mail or on the pages only."""
    told = TOLD.get(event.kind)
    if told is None:
        return None
    kind, roles, path = told
    facts = _facts(event, account.customer.language)
    return News(kind, path, _readers(event, account.customer.contacts, roles), facts)


def _readers(event: Event, contacts: Sequence[Contact], roles: Sequence[ContactRole]) -> list[tuple[str, str]]:
    found = {each.email: each.name for each in contacts if each.roles & set(roles)}
    # Whose own address or access changed hears of it too, at the old address and at the new one.
    if event.kind in (EventKind.CONTACT_ADDED, EventKind.CONTACT_REMOVED, EventKind.CONTACT_CHANGED):
        parts = (event.facts, event.facts.get("before", {}), event.facts.get("after", {}))
        for part in parts:
            address = part.get("email") if isinstance(part, Mapping) else None
            if isinstance(address, str) and address:
                found.setdefault(address, "")
    return list(found.items())


def _facts(event: Event, language: str) -> dict[str, str]:
    told = event.facts
    after = told.get("after") if isinstance(told.get("after"), Mapping) else {}
    assert isinstance(after, Mapping)  # noqa: S101
    phones = told["phones"] if isinstance(told.get("phones"), list | tuple) else ()  # joining tells how many
    cents = _whole(told.get("quantity")) * _whole(told.get("unitCents"))
    return {
        "what": _text(told.get("name")),
        "phones": ", ".join(map(_text, phones)) or _text(told.get("username")),
        "number": _text(told.get("number")),
        "email": _text(told.get("email")) or _text(after.get("email")),
        "before": str(_whole(told.get("before"))) if isinstance(told.get("before"), int) else "",
        "quantity": str(_whole(told.get("quantity"))),
        "price": html.euro(cents),
        "owed": html.euro(_whole(told.get("owedCents"))),
        "days": str(_whole(told.get("after"))) if event.kind is EventKind.CALL_HISTORY_CHANGED else "",
        "day": _day(_text(told.get("endsOn")) or _text(told.get("leavesOn")), language),
        "limit": notices.words(language).get(_text(told.get("notice")), ""),
        "by": "sales" if event.who.role is Role.SALES else "",
        "forward": _text(after.get("always")) or _text(after.get("noAnswer")) or _text(after.get("busy")),
    }


def _day(date: str, language: str) -> str:
    if not date:
        return ""
    return html.day(date) if language == html.DUTCH else html.day(date, _ENGLISH)


_ENGLISH = {
    "date": "{day} {month} {year}",
    "months": "January February March April May June July August September October November December",
}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
