"""What sales does for a customer, in the customer's name: one table of actions, each a change of the account. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from customers import account as accounts
from customers import contacts, contract, phone, preferences
from customers.account import Account, EventKind
from customers.customer import ContactRole
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
    after = ACTIONS[action](account, sent, who, now)
    told = len(account.news)
    return replace(
        after, news=(*after.news[:told], *(replace(each, why=each.why or why) for each in after.news[told:]))
    )


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
    "addContact": _add_contact,
    "changeContact": _change_contact,
    "removeContact": lambda one, sent, who, now: contacts.remove(one, _text(sent, "contact"), who, now),
}


def _text(sent: Fields, name: str) -> str:
    value = sent.get(name)
    if not isinstance(value, str) or not value.strip():
        raise FieldMissingError(name)
    return value.strip()


def _products(sent: Fields) -> list[str] | None:
    value = sent.get("products")
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else None


def _roles(sent: Fields) -> list[ContactRole]:
    try:
        return [ContactRole(each) for each in sent.get("roles") or ()]
    except ValueError:
        raise FieldMissingError("roles") from None
