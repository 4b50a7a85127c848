"""A bakery that is our customer, a butcher beside it, the mail that both get, and a clock that moves."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from customers import account as accounts
from customers import delivery, environments, numbers
from customers.account import Account, EventKind
from customers.customer import Contact, Kind
from customers.environment import Site
from customers.states import Actor, Role
from customers.store import store
from tests.support.functions import Context
from tests.support.portal.browser import Browser

NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
OWNER = "eigenaar@bakkerij.example.nl"
TECHNICAL = "techniek@bakkerij.example.nl"
BILLING = "boekhouding@bakkerij.example.nl"
OTHER = "baas@slagerij.example.nl"
SALES = Actor(Role.SALES, "verkoop@example.nl")
OPERATOR = Actor(Role.OPERATOR, "beheer@example.nl")
NUMBER = "+31855550123"


@dataclass
class Clock:
    """The time in the functions."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def move(self, **by: int) -> None:
        """Let time pass."""
        self.at += timedelta(**by)


@dataclass
class Post:
    """The mailer on the customers table's stream, and what it sent."""

    sent: list[Any]
    handled: set[str] = field(default_factory=set)
    failed: list[Any] = field(default_factory=list)

    def deliver(self) -> list[Any]:
        """Hand what is new in the table to the mailer; the messages that it sent now."""
        from customers import mailer

        before = len(self.sent)
        self.failed += mailer.handler({"Records": self._new()}, Context())["batchItemFailures"]  # type: ignore[arg-type]
        return self.sent[before:]

    def again(self) -> list[Any]:
        """Hand what failed to the mailer once more, as Lambda does."""
        self.handled -= {failure["itemIdentifier"] for failure in self.failed}
        self.failed.clear()
        return self.deliver()

    def pass_over(self) -> None:
        """What is in the table now is never mailed."""
        self._new()

    def _new(self) -> list[dict[str, Any]]:
        from shared import dynamodb, settings

        records = []
        for page in dynamodb.client().get_paginator("scan").paginate(TableName=settings.customers_table()):
            for item in page["Items"]:
                sequence = f"{item['pk']['S']} {item['sk']['S']}"
                if sequence not in self.handled and item["sk"]["S"].startswith(("SIGN-IN", "EVENT#", "PROOF")):
                    self.handled.add(sequence)
                    records.append({"dynamodb": {"NewImage": item, "SequenceNumber": sequence}})
        return records

    def link(self, address: str) -> str:
        """The newest link that was mailed to an address, without its origin."""
        self.deliver()
        texts = [body(mail) for mail in self.sent if address in mail.destinations["ToAddresses"]]
        text = next(text for text in reversed(texts) if "/mijn/aanmelden/" in text or "/bewijs/" in text)
        found = re.search(r"""https://callvoip\.example\.nl(/mijn/(?:aanmelden|gegevens/bewijs)/[^\s"<>]+)""", text)
        assert found, text
        return found[1]


def body(mail: Any) -> str:
    """The text of a message that SES took."""
    return str(mail.body)


SignIn = Callable[..., Browser]


SRTP_ITEM = delivery.Item("srtp", 1, "SRTP", "phone", True, 2, 200)
PLAN_ITEM = delivery.Item("unlimited-nl", 1, "Onbeperkt Nederland", "number", True, 1, 995)


def order(customer_id: str, email: str, company: str, order_id: str, at: datetime) -> delivery.Delivery:
    """An order of SRTP for two phones, that sales approved."""
    return delivery.Delivery(
        order_id=order_id,
        customer_id=customer_id,
        company=company,
        enterprise_number="12345678",
        contact_name="Eigenaar",
        email=email,
        telephone="+31201234567",
        language="nl",
        country="NL",
        kind=Kind.BUSINESS,
        items=(SRTP_ITEM,),
        placed_at=at,
        approved_at=at,
        site=Site("", "Bakkersgang", "1", "3511 AA", "Utrecht", "NL"),
    )


def settle(told: delivery.Delivery, *contacts: Contact) -> Account:
    """A customer whose two phones are encrypted and served, step by step as it comes about."""
    at = told.placed_at

    def add(found: Account) -> Account:
        customer = replace(found.customer, contacts=(*found.customer.contacts, *contacts))
        return accounts.add_event(replace(found, customer=customer), EventKind.CONTACT_ADDED, SALES, at)

    store().create(delivery.begin(told, SALES, at))
    store().change(told.customer_id, lambda one: delivery.deliver(one, told, SALES, at))
    store().change(told.customer_id, lambda one: environments.prove(one, one.environment.version, "node-1", at))
    if contacts:
        store().change(told.customer_id, add)
    # What stands behind an order is told to ordering, which has none here.
    return store().change(told.customer_id, lambda one: accounts.told(one, told.order_id))


def with_number(found: Account) -> Account:
    """The customer with a plan, and its number in service."""
    plan = replace(order(found.id, OWNER, "", "PLAN123456", NOW), items=(PLAN_ITEM,))
    store().change(found.id, lambda one: accounts.told(delivery.deliver(one, plan, SALES, NOW), "PLAN123456"))
    numbers.load([NUMBER], "block", OPERATOR, NOW)
    numbers.reserve(NUMBER, found.id, OPERATOR, NOW)
    return numbers.activate(NUMBER, found.id, OPERATOR, NOW)
