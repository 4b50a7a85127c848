"""Two customers that turn out to be one are joined by a person: products, phones and numbers go over, and phones keep names and passwords.

Three changes that each may be done again: the other one is closed to orders, all it has is taken over, and what it had is let go. Who dies
in between finishes by asking again. Pure.
"""

from dataclasses import replace
from datetime import datetime
from itertools import islice

from customers import account as accounts
from customers import extensions
from customers.account import MOST_PHONES, Account, EventKind
from customers.customer import Contact
from customers.delivery import change_quantity
from customers.environment import Phone
from customers.product import RUNNING, SRTP, Product, State
from customers.states import Actor
from shared.clock import local_day


class CannotJoinError(Exception):
    """The two cannot be joined as they are; the text says why."""


def check(into: Account, other: Account) -> None:
    """Raise CannotJoinError unless `other` can become part of `into`."""
    if into.id == other.id:
        raise CannotJoinError("Dit is dezelfde klant.")
    if into.customer.joined_into or other.customer.joined_into not in ("", into.id):
        raise CannotJoinError("Een van beide is al met een andere klant samengevoegd.")
    if any(
        found.state in (State.CREATED, State.PENDING_TERMINATE) for each in (into, other) for found in each.products
    ):
        raise CannotJoinError("Een van beide heeft iets dat nog wordt geleverd of is opgezegd. Wacht tot dat klaar is.")
    if into.environment.suspended or other.environment.suspended:
        raise CannotJoinError("Een van beide is geblokkeerd wegens niet betalen.")
    if len(into.environment.phones) + len(other.environment.phones) > MOST_PHONES:
        raise CannotJoinError(f"Samen hebben zij meer dan {MOST_PHONES} telefoons.")
    ours, theirs = into.srtp, other.srtp
    both_served = into.environment.served and other.environment.served
    if both_served and bool(ours) != bool(theirs):
        raise CannotJoinError(
            "De een heeft SRTP en de ander niet. SRTP geldt voor alle telefoons: laat de klant eerst kiezen."
        )
    if ours and theirs and ours.unit_cents != theirs.unit_cents:
        raise CannotJoinError(
            "Zij betalen voor SRTP een verschillende prijs. Spreek met de klant af welke prijs geldt."
        )


def close(other: Account, into_id: str, who: Actor, now: datetime) -> Account:
    """The other one, whose orders go to `into_id` from now on."""
    if other.customer.joined_into:
        return other
    account = replace(other, customer=replace(other.customer, joined_into=into_id))
    return accounts.add_event(account, EventKind.JOINED, who, now, into=into_id)


def take_over(into: Account, other: Account, who: Actor, now: datetime) -> Account:
    """The account with all that the other one has; again changes nothing."""
    mark = f"JOIN#{other.id}"
    if mark in into.modified:
        return into
    account = _with_phones(into, other)
    account = _with_contacts(account, other)
    for found in other.products:
        if found.state not in RUNNING:
            continue
        if found.offering_id == SRTP and account.srtp:
            account = change_quantity(account, account.srtp.quantity + found.quantity, "", who, now)
        else:
            account = _with_product(account, found, who, now)
    account = replace(
        account, modified=account.modified | {mark}, customer=replace(account.customer, retain_until=None)
    )
    return accounts.add_event(
        account, EventKind.JOINED, who, now, customers=[other.id], phones=len(other.environment.phones)
    )


def let_go(other: Account, who: Actor, now: datetime) -> Account:
    """The other one without what was taken over: its products end today, and it has no phones and numbers any more."""
    if not other.environment.phones and not any(found.served for found in other.products):
        return other
    today = local_day(now)
    account = other
    for found in other.products:
        if found.state in RUNNING:
            # Not by the table: it is no notice of anybody's, and the other customer goes on with it.
            ended = replace(found, state=State.TERMINATED, ends_on=today, ended_at=now)
            account = accounts.with_product(account, ended)
            facts = {**accounts.product_facts(ended), "endsOn": str(today), "joinedInto": other.customer.joined_into}
            account = accounts.add_event(account, EventKind.PRODUCT_ENDED, who, now, **facts)
    return replace(account, environment=replace(account.environment, phones=(), lines=()))


def _with_phones(into: Account, other: Account) -> Account:
    """Phones keep user names, passwords and, where nobody has it, their extension; numbers ring them as before."""
    taken = set(into.customer.given_extensions)
    free = iter(extensions.free(taken | {phone.extension for phone in other.environment.phones}))
    moved: list[Phone] = []
    for phone in other.environment.phones:
        extension = phone.extension if phone.extension not in taken else next(islice(free, 1))
        taken.add(extension)
        moved.append(replace(phone, extension=extension, site=""))
    environment = into.environment
    environment = replace(
        environment,
        phones=(*environment.phones, *moved),
        lines=(*environment.lines, *other.environment.lines),
        aliases=tuple(sorted({*environment.aliases, other.id, *other.environment.aliases})),
    )
    return replace(into, environment=environment, customer=replace(into.customer, given_extensions=frozenset(taken)))


def _with_contacts(into: Account, other: Account) -> Account:
    customer = into.customer
    contacts: list[Contact] = list(customer.contacts)
    for contact in other.customer.contacts:
        if customer.contact_by_email(contact.email) is None:
            numbers = {int(each.id) for each in contacts if each.id.isdigit()}
            contacts.append(replace(contact, id=str(max(numbers, default=0) + 1)))
    look_alikes = customer.look_alikes - {other.id}
    return replace(into, customer=replace(customer, contacts=tuple(contacts), look_alikes=look_alikes))


def _with_product(account: Account, found: Product, who: Actor, now: datetime) -> Account:
    moved = replace(found, started_on=local_day(now), fees=(), since_version=0)
    return accounts.activated(accounts.with_product(account, moved), moved, who, now)
