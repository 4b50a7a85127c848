"""What sales does for a customer, in the customer's name: one table of actions, each a change of the account. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from customers import account as accounts
from customers import contacts, contract, line, phone, preferences
from customers.account import Account, EventKind
from customers.customer import ContactRole
from customers.environment import Destination, Forwarding, Limits, Ringing, Site
from customers.states import Actor

Fields = Mapping[str, Any]
Action = Callable[[Account, Fields, Actor, datetime], Account]


class UnknownActionError(LookupError):
    """There is no such action."""


class FieldMissingError(ValueError):
    """An action needs a field that is not there, or not of its kind; `field` says which."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def carry_out(account: Account, action: str, sent: Fields, who: Actor, now: datetime, why: str) -> Account:
    """The account after an action; each event of it says who did it and why.

    Raises UnknownActionError, FieldMissingError, and what the action itself raises.
    """
    if action not in ACTIONS:
        raise UnknownActionError(action)
    return accounts.because(account, ACTIONS[action](account, sent, who, now), why)


def _ask_for_passwords(account: Account, sent: Fields, who: Actor, now: datetime) -> Account:
    """Passwords are seen by the customer only: sales has them asked to make new ones."""
    return accounts.add_event(account, EventKind.MAIL_SENT, who, now, what="passwords")


def _add_phones(account: Account, sent: Fields, who: Actor, now: datetime) -> Account:
    labels = [each for each in sent.get("labels") or () if isinstance(each, str)]
    cents = sent.get("monthlyTotalCents")
    if not labels:
        raise FieldMissingError("labels")
    if not isinstance(cents, int):
        raise FieldMissingError("monthlyTotalCents")
    return phone.add(account, labels, cents, f"sales-{account.version}", who, now)


def _add_contact(account: Account, sent: Fields, who: Actor, now: datetime) -> Account:
    return contacts.add(account, _text(sent, "name"), _text(sent, "email"), _roles(sent), who, now)


def _change_contact(account: Account, sent: Fields, who: Actor, now: datetime) -> Account:
    changed = contacts.change(account, _text(sent, "contact"), who, now, name=sent.get("name"), roles=_roles(sent))
    return (
        contacts.change_email(changed, _text(sent, "contact"), sent["email"], who, now)
        if sent.get("email")
        else changed
    )


def _change_number(account: Account, sent: Fields, who: Actor, now: datetime) -> Account:
    """What is not sent stays as it is; a forwarding that is sent empty ends."""
    number = _text(sent, "number")
    found = next((each for each in account.environment.lines if each.number == number), None)
    before = found.forward if found else Forwarding()
    forward = Forwarding(
        **{
            ours: sent[name].strip() if isinstance(sent.get(name), str) else getattr(before, ours)
            for name, ours in (("always", "always"), ("busy", "busy"), ("noAnswer", "no_answer"))
        }
    )
    rings = sent.get("rings")
    try:
        order = Ringing(sent["order"]) if sent.get("order") else None
    except ValueError:
        raise FieldMissingError("order") from None
    return line.change(
        account,
        number,
        who,
        now,
        rings=[each for each in rings if isinstance(each, str)] if isinstance(rings, list) else None,
        order=order,
        ring_seconds=_whole(sent, "ringSeconds") if "ringSeconds" in sent else None,
        forward=forward,
        no_answer_seconds=_whole(sent, "noAnswerSeconds") if "noAnswerSeconds" in sent else None,
    )


def _put_site(account: Account, sent: Fields, who: Actor, now: datetime) -> Account:
    street, house_number, postcode, city = (_text(sent, name) for name in ("street", "houseNumber", "postcode", "city"))
    site_id = sent["site"] if isinstance(sent.get("site"), str) else ""
    return contacts.put_site(
        account, Site(site_id, street, house_number, postcode, city, account.customer.country), who, now
    )


def _limit(account: Account, sent: Fields, who: Actor, now: datetime) -> Account:
    destinations = sent.get("destinations")
    try:
        allowed = tuple(each for each in Destination if each in [Destination(one) for one in destinations or ()])
    except (TypeError, ValueError):
        raise FieldMissingError("destinations") from None
    if not allowed:
        raise FieldMissingError("destinations")
    concurrent, forwarded, a_minute, a_day = (_whole(sent, name) for name in preferences.LIMITS)
    wanted = Limits(concurrent, forwarded, a_minute, a_day, allowed)
    return preferences.limit(account, wanted, who, now)


GIVE_NUMBER = "giveNumber"
"""No change of the account alone, and so none of the table: numbers.give."""

ACTIONS: Mapping[str, Action] = {
    "addPhones": _add_phones,
    "askForPasswords": _ask_for_passwords,
    "revokePhone": lambda one, sent, who, now: phone.revoke(one, _text(sent, "username"), who, now),
    "removePhone": lambda one, sent, who, now: phone.remove(
        one, _text(sent, "username"), f"sales-{one.version}", who, now
    ),
    "keepPhone": lambda one, sent, who, now: phone.keep(one, _text(sent, "username"), who, now),
    "giveNotice": lambda one, sent, who, now: contract.give_notice(one, _products(sent), who, now),
    "takeNoticeBack": lambda one, sent, who, now: contract.take_notice_back(one, _products(sent), who, now),
    "withdraw": lambda one, sent, who, now: contract.withdraw(one, _text(sent, "product"), who, now),
    "suspend": lambda one, sent, who, now: contract.suspend(one, who, now, ""),
    "resume": lambda one, sent, who, now: contract.resume(one, who, now),
    "dedicate": lambda one, sent, who, now: preferences.dedicate(one, True, who, now),
    "share": lambda one, sent, who, now: preferences.dedicate(one, False, who, now),
    "changeNumber": _change_number,
    "putSite": _put_site,
    "removeSite": lambda one, sent, who, now: contacts.remove_site(one, _text(sent, "site"), who, now),
    "limit": _limit,
    "unlimit": lambda one, sent, who, now: preferences.limit(one, None, who, now),
    "keepCalls": lambda one, sent, who, now: preferences.keep_calls(one, _whole(sent, "days"), who, now),
    "addContact": _add_contact,
    "changeContact": _change_contact,
    "removeContact": lambda one, sent, who, now: contacts.remove(one, _text(sent, "contact"), who, now),
}


def _text(sent: Fields, name: str) -> str:
    value = sent.get(name)
    if not isinstance(value, str) or not value.strip():
        raise FieldMissingError(name)
    return value.strip()


def _whole(sent: Fields, name: str) -> int:
    value = sent.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise FieldMissingError(name)
    return value


def _products(sent: Fields) -> list[str] | None:
    value = sent.get("products")
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else None


def _roles(sent: Fields) -> list[ContactRole]:
    try:
        return [ContactRole(each) for each in sent.get("roles") or ()]
    except ValueError:
        raise FieldMissingError("roles") from None
