"""Who buys, named as in TM Forum TMF629: company, numbers, contacts with roles, billing address, sites. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from customers.documents import Item, present
from customers.environment import Country, Limits, Site, limits_from_item, limits_to_item, site_from_item, site_to_item
from shared.clock import from_iso, to_iso


class ContactRole(StrEnum):
    """What a contact may do in Mijn omgeving, or is written to about."""

    OWNER = "owner"
    """Everything."""
    TECHNICAL = "technical"
    """Phones and numbers, nothing that costs money."""
    BILLING = "billing"
    """Is told of prices; sees products and documents."""


class Kind(StrEnum):
    """Whether the law protects the buyer as a consumer."""

    BUSINESS = "business"
    CONSUMER = "consumer"


@dataclass(frozen=True)
class Contact:
    """Somebody who speaks for the customer; `proven_at` is when a link proved that the mail address is theirs."""

    id: str
    name: str
    email: str
    telephone: str = ""
    roles: frozenset[ContactRole] = frozenset({ContactRole.OWNER})
    proven_at: datetime | None = None


@dataclass(frozen=True)
class Address:
    """Where mail for the bookkeeping goes; all parts may be empty until somebody fills them in."""

    street: str = ""
    house_number: str = ""
    postcode: str = ""
    city: str = ""
    country: Country = "NL"


@dataclass(frozen=True)
class Customer:
    """A customer. `enterprise_number` is a KvK number or a Belgian enterprise number (KBO), by `country`; `vat_id` may be empty.

    `look_alikes` are ids of customers that are probably the same, for sales to judge; `joined_into` is the customer that this one became
    part of. `given_extensions` holds all that ever were, `retain_until` is when everything but bills goes;
    `limits` are its own, in the place of what its products allow.
    """

    id: str
    company: str
    created_at: datetime
    country: Country = "NL"
    kind: Kind = Kind.BUSINESS
    enterprise_number: str = ""
    vat_id: str = ""
    language: str = "nl"
    contacts: tuple[Contact, ...] = ()
    billing_address: Address = field(default_factory=Address)
    sites: tuple[Site, ...] = ()
    look_alikes: frozenset[str] = frozenset()
    joined_into: str = ""
    given_extensions: frozenset[int] = frozenset()
    retain_until: datetime | None = None
    limits: Limits | None = None

    def contact(self, contact_id: str) -> Contact | None:
        """The contact with this id."""
        return next((contact for contact in self.contacts if contact.id == contact_id), None)

    def contact_by_email(self, email: str) -> Contact | None:
        """The contact with this mail address, whatever its capitals."""
        return next((contact for contact in self.contacts if contact.email.casefold() == email.casefold()), None)

    @property
    def owners(self) -> tuple[Contact, ...]:
        """Who may do everything, and hears of everything."""
        return tuple(contact for contact in self.contacts if ContactRole.OWNER in contact.roles)


class InvalidNumberError(ValueError):
    """An enterprise number or VAT id that cannot be one; `field` says which."""

    def __init__(self, field_name: str, value: str) -> None:
        super().__init__(f"{field_name}: {value!r} is no such number")
        self.field = field_name
        self.value = value


def clean_vat_id(value: str, country: Country) -> str:
    """A VAT id with its country in front (NL001234567B01, BE0123456749), checked by its check digits; raises InvalidNumberError."""
    if not value:
        return ""
    from stdnum.be import vat as be
    from stdnum.exceptions import ValidationError
    from stdnum.nl import btw

    try:
        return "BE" + be.validate(value) if country == "BE" else "NL" + btw.validate(value)
    except ValidationError:
        raise InvalidNumberError("vatId", value) from None


def to_item(customer: Customer) -> Item:
    """The attributes of a customer, without its keys."""
    address = customer.billing_address
    item: Item = {
        "id": customer.id,
        "company": customer.company,
        "createdAt": to_iso(customer.created_at),
        "country": customer.country,
        "kind": customer.kind.value,
        "enterpriseNumber": customer.enterprise_number,
        "vatId": customer.vat_id,
        "language": customer.language,
        "contacts": [_from_contact(contact) for contact in customer.contacts],
        "billingAddress": present(
            {
                "street": address.street,
                "houseNumber": address.house_number,
                "postcode": address.postcode,
                "city": address.city,
                "country": address.country,
            }
        ),
        "sites": [site_to_item(site) for site in customer.sites],
        "lookAlikes": sorted(customer.look_alikes),
        "joinedInto": customer.joined_into,
        "givenExtensions": sorted(customer.given_extensions),
        "retainUntil": to_iso(customer.retain_until) if customer.retain_until else "",
        "limits": limits_to_item(customer.limits) if customer.limits else "",
    }
    return present(item)


def from_item(item: Mapping[str, Any]) -> Customer:
    """The customer that `to_item` wrote; raises KeyError or ValueError when it is none."""
    address = item["billingAddress"]
    return Customer(
        id=item["id"],
        company=item.get("company", ""),
        created_at=from_iso(item["createdAt"]),
        country=item["country"],
        kind=Kind(item["kind"]),
        enterprise_number=item.get("enterpriseNumber", ""),
        vat_id=item.get("vatId", ""),
        language=item.get("language", "nl"),
        contacts=tuple(_to_contact(contact) for contact in item.get("contacts", [])),
        billing_address=Address(
            address.get("street", ""),
            address.get("houseNumber", ""),
            address.get("postcode", ""),
            address.get("city", ""),
            address["country"],
        ),
        sites=tuple(site_from_item(site) for site in item.get("sites", [])),
        look_alikes=frozenset(item.get("lookAlikes", [])),
        joined_into=item.get("joinedInto", ""),
        given_extensions=frozenset(item.get("givenExtensions", [])),
        retain_until=from_iso(item["retainUntil"]) if "retainUntil" in item else None,
        limits=limits_from_item(item["limits"]) if "limits" in item else None,
    )


def _from_contact(contact: Contact) -> Item:
    item: Item = {
        "id": contact.id,
        "name": contact.name,
        "email": contact.email,
        "telephone": contact.telephone,
        "roles": sorted(role.value for role in contact.roles),
        "provenAt": to_iso(contact.proven_at) if contact.proven_at else "",
    }
    return present(item)


def _to_contact(item: Mapping[str, Any]) -> Contact:
    return Contact(
        id=item["id"],
        name=item.get("name", ""),
        email=item["email"],
        telephone=item.get("telephone", ""),
        roles=frozenset(ContactRole(role) for role in item["roles"]),
        proven_at=from_iso(item["provenAt"]) if "provenAt" in item else None,
    )
