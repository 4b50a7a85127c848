"""An approved order becomes a customer with products and phones. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import islice

from customers import account as accounts
from customers import extensions, product
from customers.account import MOST_PHONES, Account, EventKind
from customers.customer import Address, Contact, ContactRole, Customer, Kind
from customers.environment import Country, Environment, Ha1, Phone, Site
from customers.product import SRTP, Fee, Product, State
from customers.states import Actor

PHONES_OF_A_PLAN = 3
"""A plan rings three devices."""


class CannotDeliverError(Exception):
    """The order cannot be delivered as it is; the text tells the customer why, and sales takes it from there."""


class TooLargeError(CannotDeliverError):
    """The environment would be larger than what one node carries."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"Een omgeving heeft hoogstens {most} telefoons. Voor meer richten wij een eigen omgeving in. "
            "Neem contact met ons op."
        )
        self.most = most


@dataclass(frozen=True)
class Item:
    """What an order asks for: so many of an offering, at what each costs after discounts, in cents, a month or once."""

    offering_id: str
    offering_version: int
    name: str
    unit: str
    monthly: bool
    quantity: int
    unit_cents: int


@dataclass(frozen=True)
class Delivery:
    """What is to be delivered because of an order that sales approved; `placed_at` is when its customer pressed the button.

    `at_once`: a consumer expressly asked to be served within the period of reflection; `billing_address` is empty where it is the
    registered one; `brings` is a number (E.164) to be ported in; `proven_at` is when the mail address was proven; `known` are user names
    and hashes of phones that exist already: they keep both, and get extensions that are allowed. `site` is where
    the phones stand, if the order says it.
    """

    order_id: str
    customer_id: str
    company: str
    enterprise_number: str
    contact_name: str
    email: str
    telephone: str
    language: str
    country: Country
    kind: Kind
    items: tuple[Item, ...]
    placed_at: datetime
    approved_at: datetime
    at_once: bool = False
    billing_address: Address = field(default_factory=Address)
    brings: str = ""
    proven_at: datetime | None = None
    site: Site | None = None
    known: tuple[tuple[str, Ha1 | None], ...] = ()


def begin(delivery: Delivery, who: Actor, now: datetime) -> Account:
    """A new customer without products."""
    contact = Contact(
        id="1",
        name=delivery.contact_name,
        email=delivery.email,
        telephone=delivery.telephone,
        roles=frozenset({ContactRole.OWNER}),
        proven_at=delivery.proven_at,
    )
    customer = Customer(
        id=delivery.customer_id,
        company=delivery.company,
        created_at=now,
        country=delivery.country,
        kind=delivery.kind,
        enterprise_number=delivery.enterprise_number,
        language=delivery.language,
        contacts=(contact,),
        billing_address=delivery.billing_address,
    )
    account = Account(customer, Environment(delivery.customer_id, version=0, country=delivery.country))
    return accounts.add_event(account, EventKind.CUSTOMER_CREATED, who, now, orderId=delivery.order_id)


def deliver(account: Account, delivery: Delivery, who: Actor, now: datetime) -> Account:
    """The account with the order's products; the same again changes nothing. Raises CannotDeliverError.

    SRTP is for all phones: there are as many phones as its quantity says, and more SRTP means as many more phones.
    """
    if account.of_order(delivery.order_id):
        return account
    if account.customer.retain_until:
        account = replace(account, customer=replace(account.customer, retain_until=None))
    if delivery.site and not account.customer.sites:
        account = replace(account, customer=replace(account.customer, sites=(replace(delivery.site, id="1"),)))
    recurring = [each for each in delivery.items if each.monthly]
    fees = tuple(
        Fee(each.offering_id, each.name, each.quantity, each.unit_cents) for each in delivery.items if not each.monthly
    )
    for item in recurring:
        account = _deliver_item(account, delivery, item, fees, who, now)
        fees = ()
    return account


def _deliver_item(
    account: Account, delivery: Delivery, item: Item, fees: tuple[Fee, ...], who: Actor, now: datetime
) -> Account:
    phones = len(account.environment.phones)
    encrypting = account.srtp
    if item.offering_id == SRTP and encrypting:
        return _more_srtp(account, encrypting, delivery, item, who, now)
    if item.offering_id == SRTP and item.quantity < phones:
        raise CannotDeliverError(
            f"U bestelde SRTP voor {item.quantity} telefoons en hebt er {phones}. SRTP geldt voor alle telefoons. "
            "Wij nemen contact met u op."
        )
    wanted = item.quantity if item.offering_id == SRTP else PHONES_OF_A_PLAN * item.quantity
    # Where SRTP counts the phones, a plan adds none: each would cost something that nobody agreed to.
    missing = 0 if encrypting else max(0, wanted - phones)
    account, brought = add_phones(account, missing, delivery.order_id, who, now, known=delivery.known)
    made = Product(
        id=f"{delivery.order_id}-{item.offering_id}",
        order_id=delivery.order_id,
        offering_id=item.offering_id,
        offering_version=item.offering_version,
        name=item.name,
        unit=item.unit,
        quantity=item.quantity,
        unit_cents=item.unit_cents,
        state=State.CREATED,
        created_at=now,
        approved_at=delivery.approved_at,
        since_version=account.environment.version + 1,
        fees=fees,
        at_once=delivery.at_once,
        brought=brought,
    )
    account = accounts.with_product(account, made)
    return accounts.add_event(account, EventKind.PRODUCT_CREATED, who, now, **accounts.product_facts(made))


def _more_srtp(account: Account, before: Product, delivery: Delivery, item: Item, who: Actor, now: datetime) -> Account:
    if item.unit_cents != before.unit_cents:
        raise CannotDeliverError(
            "De prijs van SRTP is veranderd sinds uw vorige bestelling. Wij nemen contact met u op over de prijs voor al uw telefoons."
        )
    account, _ = add_phones(account, item.quantity, delivery.order_id, who, now)
    account = change_quantity(account, before.quantity + item.quantity, delivery.order_id, who, now)
    return replace(account, untold_orders=account.untold_orders | {delivery.order_id})


def add_phones(
    account: Account,
    count: int,
    order_id: str,
    who: Actor,
    now: datetime,
    labels: Sequence[str] = (),
    known: Sequence[tuple[str, Ha1 | None]] = (),
) -> tuple[Account, tuple[str, ...]]:
    """The account with so many phones more, and their user names; raises CannotDeliverError when there would be too many."""
    if not count:
        return account, ()
    environment, customer = account.environment, account.customer
    if len(environment.phones) + count > MOST_PHONES:
        raise CannotDeliverError(
            f"Een omgeving heeft hoogstens {MOST_PHONES} telefoons. Voor meer richten wij een eigen omgeving in. "
            "Wij nemen contact met u op."
        )
    chosen = list(islice(extensions.free(customer.given_extensions), count))
    made = tuple(
        Phone(extensions.username(customer.id, extension), extension, label=labels[n] if n < len(labels) else "")
        for n, extension in enumerate(chosen)
    )
    made = tuple(
        replace(phone, username=known[n][0], ha1=known[n][1], generation=1) if n < len(known) else phone
        for n, phone in enumerate(made)
    )
    names = tuple(phone.username for phone in made)
    account = replace(
        account,
        customer=replace(customer, given_extensions=customer.given_extensions | set(chosen)),
        environment=replace(environment, phones=(*environment.phones, *made)),
    )
    return accounts.add_event(account, EventKind.PHONES_ADDED, who, now, phones=list(names), orderId=order_id), names


def change_quantity(
    account: Account, quantity: int, order_id: str, who: Actor, now: datetime, since: date | None = None
) -> Account:
    """The account with another number of phones under SRTP, from today or another day on; nothing where there is none."""
    encrypting = account.srtp
    if encrypting is None or encrypting.quantity == quantity:
        return account
    changed = replace(encrypting, quantity=quantity)
    facts = {
        **accounts.product_facts(changed),
        "before": encrypting.quantity,
        "orderId": order_id,
        "from": str(since or ""),
    }
    return accounts.add_event(accounts.with_product(account, changed), EventKind.QUANTITY_CHANGED, who, now, **facts)


def cancel(account: Account, order_id: str, who: Actor, now: datetime, why: str = "") -> Account:
    """The account without what an order brought, as far as it is not active yet; phones that nothing else needs go with it."""
    for found in account.of_order(order_id):
        if found.state is not State.CREATED:
            continue
        ended = replace(product.move(found, State.TERMINATED, who), ended_at=now)
        account = accounts.add_event(
            accounts.with_product(account, ended),
            EventKind.PRODUCT_CANCELLED,
            who,
            now,
            why,
            **accounts.product_facts(ended),
        )
        spare = len(account.environment.phones) - _needed(account)
        account = remove_phones(account, found.brought[max(0, len(found.brought) - max(0, spare)) :], who, now)
    return account


def _needed(account: Account) -> int:
    """How many phones the products count that are left: SRTP all of them, a plan its devices."""
    if account.srtp:
        return len(account.environment.phones)
    return PHONES_OF_A_PLAN * sum(found.quantity for found in account.products if found.served)


def remove_phones(account: Account, usernames: Sequence[str], who: Actor, now: datetime) -> Account:
    """The account without these phones; numbers ring them no more."""
    gone = {name for name in usernames if account.environment.phone(name)}
    if not gone:
        return account
    environment = account.environment
    environment = replace(
        environment,
        phones=tuple(phone for phone in environment.phones if phone.username not in gone),
        lines=tuple(
            replace(line, rings=tuple(name for name in line.rings if name not in gone)) for line in environment.lines
        ),
    )
    return accounts.add_event(
        replace(account, environment=environment), EventKind.PHONES_GONE, who, now, phones=sorted(gone)
    )
