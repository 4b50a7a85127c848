"""Who may sign in: the contacts of customers, and what each may see and do."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from customers.account import Account
from customers.customer import Contact, ContactRole, Customer
from customers.states import Actor, Role


class Right(StrEnum):
    """What the parts of Mijn omgeving ask for."""

    TECHNIQUE = "technique"
    """Phones, numbers and calls."""
    MONEY = "money"
    """Products, what they cost, and documents."""
    CONTRACT = "contract"
    """Whatever changes what is paid, who may sign in, or that there is a contract at all."""


RIGHTS: Mapping[ContactRole, frozenset[Right]] = {
    ContactRole.OWNER: frozenset(Right),
    ContactRole.TECHNICAL: frozenset({Right.TECHNIQUE}),
    ContactRole.BILLING: frozenset({Right.MONEY}),
}


@dataclass(frozen=True)
class Member:
    """A contact of a customer: the person who is signed in, and for whom."""

    account: Account
    contact: Contact

    @property
    def customer(self) -> Customer:
        """For whom the person speaks."""
        return self.account.customer

    @property
    def rights(self) -> frozenset[Right]:
        """What the roles of this contact allow together."""
        return frozenset().union(*(RIGHTS[role] for role in self.contact.roles))

    @property
    def actor(self) -> Actor:
        """Who an event says that did it."""
        return Actor(Role.CUSTOMER, self.contact.email)
