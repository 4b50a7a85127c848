"""A customer's phones: more, fewer, their passwords, what they show. Pure; passwords are made elsewhere and only their hashes come here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from customers import account as accounts
from customers import delivery
from customers.account import Account, EventKind
from customers.documents import present
from customers.environment import Ha1, Phone
from customers.product import State
from customers.states import CLOCK, Actor
from shared.clock import local_day

PREVIOUS_LASTS = timedelta(hours=1)
"""So long the password before the newest is accepted, so that nobody is cut off while phones are set up."""

LONGEST_LABEL = 40


class UnknownPhoneError(LookupError):
    """The customer has no phone with this user name; `username` is what was asked for."""

    def __init__(self, username: str) -> None:
        super().__init__(f"no phone {username!r}")
        self.username = username


class NotServedError(Exception):
    """The customer has no product in service, so its phones cannot get passwords."""


class UnknownSiteError(LookupError):
    """The customer has no site with this id."""


class NumberNotOursError(LookupError):
    """The number is not active for this customer, so a phone cannot show it."""


class LastPhoneError(Exception):
    """It would be the last phone: who wants none gives notice."""


class PriceNotAgreedError(Exception):
    """The price that was confirmed is not what it will cost a month; amounts in cents, excluding VAT."""

    def __init__(self, confirmed_cents: int, monthly_cents: int) -> None:
        super().__init__(f"confirmed {confirmed_cents}, is {monthly_cents}")
        self.confirmed_cents = confirmed_cents
        self.monthly_cents = monthly_cents


def monthly_cents_after(account: Account, more: int) -> int:
    """What the customer pays a month with so many phones more (or fewer, below 0), in cents, excluding VAT."""
    encrypting = account.srtp
    running = account.monthly_cents
    if encrypting is None:
        return running
    # What is being activated is agreed to already, so it counts here.
    before = 0 if encrypting.state is State.CREATED else encrypting.monthly_cents
    return running - before + (encrypting.quantity + more) * encrypting.unit_cents


def add(
    account: Account, labels: Sequence[str], confirmed_cents: int, order_id: str, who: Actor, now: datetime
) -> Account:
    """The account with a phone for each label, once; `confirmed_cents` is the monthly total that the customer agreed to.

    `order_id` is of this `modify` order: the same again changes nothing. Raises PriceNotAgreedError, NotServedError or CannotDeliverError.
    """
    if order_id in account.modified:
        return account
    if not account.environment.served:
        raise NotServedError
    expected = monthly_cents_after(account, len(labels))
    if confirmed_cents != expected:
        raise PriceNotAgreedError(confirmed_cents, expected)
    cleaned = [_label(label) for label in labels]
    account, _ = delivery.add_phones(account, len(cleaned), order_id, who, now, cleaned)
    encrypting = account.srtp
    if encrypting:
        account = delivery.change_quantity(account, encrypting.quantity + len(cleaned), order_id, who, now)
    return replace(account, modified=account.modified | {order_id})


def remove(account: Account, username: str, order_id: str, who: Actor, now: datetime) -> Account:
    """The account in which a phone leaves with the next month, as it is paid for until then; raises UnknownPhoneError or LastPhoneError."""
    found = _phone(account, username)
    if found.leaves_on:
        return account
    if all(each.leaves_on for each in account.environment.phones if each.username != username):
        raise LastPhoneError
    leaves_on = first_of_next_month(local_day(now))
    account = _with(account, replace(found, leaves_on=leaves_on))
    facts = {"username": username, "leavesOn": str(leaves_on), "orderId": order_id}
    return accounts.add_event(account, EventKind.PHONE_LEAVES, who, now, **facts)


def keep(account: Account, username: str, who: Actor, now: datetime) -> Account:
    """The account in which a phone stays that was about to leave; raises UnknownPhoneError."""
    found = _phone(account, username)
    if not found.leaves_on:
        return account
    account = _with(account, replace(found, leaves_on=None))
    return accounts.add_event(account, EventKind.PHONE_STAYS, who, now, username=username)


def carry_out(account: Account, now: datetime) -> Account:
    """The account without the phones whose day has come, and SRTP for so many fewer."""
    today = local_day(now)
    for day in sorted({phone.leaves_on for phone in account.environment.phones if phone.leaves_on}):
        if day > today:
            break
        gone = [phone.username for phone in account.environment.phones if phone.leaves_on == day]
        account = delivery.remove_phones(account, gone, CLOCK, now)
        encrypting = account.srtp
        if encrypting:
            account = delivery.change_quantity(account, encrypting.quantity - len(gone), "", CLOCK, now, day)
    return account


def hand_out(account: Account, made: Mapping[str, Ha1], who: Actor, now: datetime) -> Account:
    """The account whose phones have new passwords, of which these are the hashes; the ones before last an hour longer.

    Raises UnknownPhoneError or NotServedError.
    """
    if not account.environment.served:
        raise NotServedError
    for username, ha1 in made.items():
        before = _phone(account, username)
        after = replace(
            before,
            ha1=ha1,
            previous_ha1=before.ha1,
            previous_until=now + PREVIOUS_LASTS if before.ha1 else None,
            generation=before.generation + 1,
        )
        account = _with(account, after)
    return accounts.add_event(account, EventKind.PASSWORDS_HANDED_OUT, who, now, phones=sorted(made))


def revoke(account: Account, username: str, who: Actor, now: datetime, why: str = "") -> Account:
    """The account in which no password of this phone holds any more, from now on; raises UnknownPhoneError."""
    found = _phone(account, username)
    if not found.ha1 and not found.previous_ha1:
        return account
    account = _with(account, replace(found, ha1=None, previous_ha1=None, previous_until=None))
    return accounts.add_event(account, EventKind.PHONE_REVOKED, who, now, why, username=username)


def change(
    account: Account,
    username: str,
    who: Actor,
    now: datetime,
    *,
    label: str | None = None,
    site: str | None = None,
    number: str | None = None,
) -> Account:
    """The account with another label, site or shown number of a phone; what is None stays.

    Raises UnknownPhoneError, UnknownSiteError or NumberNotOursError.
    """
    before = _phone(account, username)
    if site and site not in {each.id for each in account.customer.sites}:
        raise UnknownSiteError(site)
    if number and number not in {line.number for line in account.environment.lines}:
        raise NumberNotOursError(number)
    after = replace(
        before,
        label=before.label if label is None else _label(label),
        site=before.site if site is None else site,
        number=before.number if number is None else number,
    )
    if after == before:
        return account
    account = _with(account, after)
    kind, changed = EventKind.PHONE_CHANGED, {"before": _shown(before), "after": _shown(after)}
    return accounts.add_event(account, kind, who, now, "", username=username, **changed)


def first_of_next_month(day: date) -> date:
    """The first day of the month after this day's."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def _shown(phone: Phone) -> dict[str, str]:
    return present({"label": phone.label, "site": phone.site, "number": phone.number})


def _label(text: str) -> str:
    return " ".join(text.split())[:LONGEST_LABEL]


def _phone(account: Account, username: str) -> Phone:
    found = account.environment.phone(username)
    if found is None:
        raise UnknownPhoneError(username)
    return found


def _with(account: Account, changed: Phone) -> Account:
    phones = tuple(changed if phone.username == changed.username else phone for phone in account.environment.phones)
    return replace(account, environment=replace(account.environment, phones=phones))
