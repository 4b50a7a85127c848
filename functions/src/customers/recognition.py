"""By what a customer is found again, or taken for one that is probably the same. Pure."""

import hashlib

from customers.account import Account
from customers.customer import Customer


def identities(found: Customer) -> frozenset[str]:
    """The keys under which a customer is recognised: hashed, so that no key tells an address or a number."""
    keys = {contact_key(contact.email) for contact in found.contacts}
    keys |= {_key("TELEPHONE", contact.telephone) for contact in found.contacts if contact.telephone}
    if found.enterprise_number:
        keys.add(_key("ENTERPRISE", f"{found.country}{found.enterprise_number}"))
    return frozenset(keys)


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
