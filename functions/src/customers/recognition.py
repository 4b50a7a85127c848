"""By what a customer is found again, or taken for one that is probably the same. Pure."""

import hashlib

from customers.account import Account
from customers.customer import ContactRole, Customer


def identities(found: Customer) -> frozenset[str]:
    """The keys under which a customer is recognised: hashed, so that no key tells an address or a number."""
    keys = {contact_key(contact.email) for contact in found.contacts}
    keys |= {_key("TELEPHONE", contact.telephone) for contact in found.contacts if contact.telephone}
    if found.enterprise_number:
        keys.add(_key("ENTERPRISE", f"{found.country}{found.enterprise_number}"))
    return frozenset(keys)


def orders_for(found: Customer, email: str, company: str, enterprise_number: str, country: str) -> bool:
    """Whether who reads the mail of this address may order for the customer: its owner, for the same company in the same country."""
    contact = found.contact_by_email(email)
    if (
        contact is None
        or ContactRole.OWNER not in contact.roles
        or found.joined_into
        or found.country != (country or "NL")
    ):
        return False
    if found.enterprise_number and enterprise_number:
        return found.enterprise_number == enterprise_number
    return " ".join(found.company.casefold().split()) == " ".join(company.casefold().split())


def search_text(account: Account) -> str:
    """What a search compares: company, numbers, addresses and id, folded, on a line each."""
    found = account.customer
    parts = [found.company, found.enterprise_number, found.id]
    parts += [part for contact in found.contacts for part in (contact.name, contact.email, contact.telephone)]
    parts += [line.number for line in account.environment.lines]
    return "\n".join(part.casefold() for part in parts if part)


def contact_key(email: str) -> str:
    """The key under which customers stand that have a contact with this mail address, whatever its capitals."""
    return _key("CONTACT", email.casefold())


def _key(kind: str, text: str) -> str:
    return f"{kind}#{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
