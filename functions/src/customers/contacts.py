"""Who speaks for a customer, where its phones stand, and where bills go: changed by people, each with an event. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from customers import account as accounts
from customers.account import Account, EventKind
from customers.customer import Address, Contact, ContactRole, Customer, clean_vat_id
from customers.environment import Site
from customers.states import FLEET, Actor

MOST_CONTACTS = 20
MOST_SITES = 50
LONGEST = 100
"""Characters of a name, street or city."""


class ContactRefusedError(ValueError):
    """What was asked cannot be; `field` says which value, and `code` why."""

    def __init__(self, field: str, code: str) -> None:
        super().__init__(f"{field}: {code}")
        self.field = field
        self.code = code


class UnknownContactError(LookupError):
    """The customer has no contact, or no site, with this id."""


def add(account: Account, name: str, email: str, roles: Collection[ContactRole], who: Actor, now: datetime) -> Account:
    """The account with one more contact, who proves the mail address by signing in; raises ContactRefusedError."""
    customer = account.customer
    if customer.contact_by_email(email):
        raise ContactRefusedError("email", "known")
    if len(customer.contacts) >= MOST_CONTACTS:
        raise ContactRefusedError("email", "many")
    made = Contact(_next_id([each.id for each in customer.contacts]), _text(name), email, roles=_roles(roles))
    account = _with(account, replace(customer, contacts=(*customer.contacts, made)))
    return accounts.add_event(
        account, EventKind.CONTACT_ADDED, who, now, contact=made.id, email=email, roles=_names(made)
    )


def change(
    account: Account,
    contact_id: str,
    who: Actor,
    now: datetime,
    *,
    name: str | None = None,
    telephone: str | None = None,
    roles: Collection[ContactRole] | None = None,
) -> Account:
    """The account with another name, telephone or roles of a contact; raises UnknownContactError or ContactRefusedError."""
    before = _contact(account, contact_id)
    after = replace(
        before,
        name=before.name if name is None else _text(name),
        telephone=before.telephone if telephone is None else _text(telephone),
        roles=before.roles if roles is None else _roles(roles),
    )
    return _put(account, before, after, who, now)


def change_email(account: Account, contact_id: str, email: str, who: Actor, now: datetime) -> Account:
    """The account in which a contact has another mail address, that a link has proven; raises as `change` does."""
    before = _contact(account, contact_id)
    other = account.customer.contact_by_email(email)
    if other and other.id != contact_id:
        raise ContactRefusedError("email", "known")
    return _put(account, before, replace(before, email=email, proven_at=now), who, now)


def remove(account: Account, contact_id: str, who: Actor, now: datetime) -> Account:
    """The account without a contact, whose sessions end with it; raises UnknownContactError or ContactRefusedError."""
    gone = _contact(account, contact_id)
    kept = tuple(each for each in account.customer.contacts if each.id != contact_id)
    account = _with(account, replace(account.customer, contacts=kept))
    return accounts.add_event(account, EventKind.CONTACT_REMOVED, who, now, contact=gone.id, email=gone.email)


def change_billing(account: Account, address: Address, vat_id: str, who: Actor, now: datetime) -> Account:
    """The account with another billing address and VAT id; raises InvalidNumberError."""
    before = account.customer
    parts = (address.street, address.house_number, address.postcode, address.city)
    street, house_number, postcode, city = (_text(part, empty=True) for part in parts)
    cleaned = Address(street, house_number, postcode, city, address.country)
    after = replace(before, billing_address=cleaned, vat_id=clean_vat_id(vat_id, before.country))
    if after == before:
        return account
    told = {"billingAddress": _line(before.billing_address), "vatId": before.vat_id}
    return accounts.add_event(
        replace(account, customer=after),
        EventKind.CUSTOMER_CHANGED,
        who,
        now,
        before=_filled(told),
        after=_filled({"billingAddress": _line(cleaned), "vatId": after.vat_id}),
    )


def put_site(account: Account, site: Site, who: Actor, now: datetime) -> Account:
    """The account with a place of phones, new when its id is empty: what 112 is told. Raises UnknownContactError or ContactRefusedError."""
    customer = account.customer
    parts = (site.street, site.house_number, site.postcode, site.city)
    street, house_number, postcode, city = map(_text, parts, ("street", "houseNumber", "postcode", "city"))
    made = Site(site.id, street, house_number, postcode, city, site.country)
    if not site.id:
        if len(customer.sites) >= MOST_SITES:
            raise ContactRefusedError("street", "many")
        made = replace(made, id=_next_id([each.id for each in customer.sites]))
        sites: tuple[Site, ...] = (*customer.sites, made)
    elif all(each.id != site.id for each in customer.sites):
        raise UnknownContactError(site.id)
    else:
        sites = tuple(made if each.id == site.id else each for each in customer.sites)
    if sites == customer.sites:
        return account
    account = replace(account, customer=replace(customer, sites=sites))
    account = accounts.add_event(
        account, EventKind.CUSTOMER_CHANGED, who, now, site=made.id, after={"address": _line(made)}
    )
    return accounts.activate_ready(account, FLEET, now)  # it may have waited for nothing but this


def remove_site(account: Account, site_id: str, who: Actor, now: datetime) -> Account:
    """The account without a place; raises UnknownContactError, or ContactRefusedError when phones stand there."""
    customer = account.customer
    gone = next((each for each in customer.sites if each.id == site_id), None)
    if gone is None:
        raise UnknownContactError(site_id)
    if any(phone.site == site_id for phone in account.environment.phones):
        raise ContactRefusedError("site", "used")
    if len(customer.sites) == 1 and account.environment.served:
        raise ContactRefusedError("site", "last")
    kept = tuple(each for each in customer.sites if each.id != site_id)
    account = replace(account, customer=replace(customer, sites=kept))
    return accounts.add_event(
        account, EventKind.CUSTOMER_CHANGED, who, now, site=site_id, before={"address": _line(gone)}
    )


def _put(account: Account, before: Contact, after: Contact, who: Actor, now: datetime) -> Account:
    if after == before:
        return account
    contacts = tuple(after if each.id == after.id else each for each in account.customer.contacts)
    account = _with(account, replace(account.customer, contacts=contacts))
    kind, then, since = EventKind.CONTACT_CHANGED, _facts(before), _facts(after)
    return accounts.add_event(account, kind, who, now, contact=after.id, before=then, after=since)


def _with(account: Account, customer: Customer) -> Account:
    """The account with these contacts, of whom one at least may do everything."""
    if account.customer.owners and not customer.owners:
        raise ContactRefusedError("roles", "last_owner")
    return replace(account, customer=customer)


def _contact(account: Account, contact_id: str) -> Contact:
    found = account.customer.contact(contact_id)
    if found is None:
        raise UnknownContactError(contact_id)
    return found


def _roles(roles: Collection[ContactRole]) -> frozenset[ContactRole]:
    if not roles:
        raise ContactRefusedError("roles", "none")
    return frozenset(roles)


def _names(contact: Contact) -> list[str]:
    return sorted(role.value for role in contact.roles)


def _facts(contact: Contact) -> dict[str, object]:
    told = {"name": contact.name, "email": contact.email, "telephone": contact.telephone, "roles": _names(contact)}
    return _filled(told)


def _filled(told: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in told.items() if value}


def _line(place: Site | Address) -> str:
    return " ".join(part for part in (place.street, place.house_number, place.postcode, place.city) if part)


def _text(text: str, field: str = "name", *, empty: bool = False) -> str:
    cleaned = " ".join(text.split())[:LONGEST]
    if not cleaned and not empty and field != "name":
        raise ContactRefusedError(field, "empty")
    return cleaned


def _next_id(known: Collection[str]) -> str:
    return str(1 + max((int(each) for each in known if each.isdigit()), default=0))
