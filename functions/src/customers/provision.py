"""Addresses from which phones set themselves up: issued, used, revoked. A use is a hand-out of a new password, with its event and mail."""

import re
from datetime import datetime

from customers import account as accounts
from customers import contract, environment, phones, provisioning
from customers.account import Account, EventKind
from customers.phone import NotServedError, UnknownPhoneError
from customers.phone_templates import File, PhoneSettings, render
from customers.provisioning import Address, Issued, Make, RefusedError
from customers.provisioning_store import ProvisioningStore
from customers.states import Actor, Role
from customers.store import UnknownCustomerError, store
from shared.brand import brand
from shared.dynamodb import BusyError

_ATTEMPTS = 8
_USERNAME = re.compile(r"[a-z0-9]{6}-[0-9]{3,4}")
PHONE = Actor(Role.CUSTOMER, "telefoon")
"""A phone that sets itself up, for the customer who had its address issued."""


def issue(customer_id: str, username: str, make: Make, mac: str, by: Actor, now: datetime) -> Issued:
    """A new address for a phone; the one before is of no use any more. What it tells is told here only.

    Raises UnknownCustomerError, UnknownPhoneError, NotServedError or BadMacError.
    """
    issued = provisioning.issue(customer_id, username, make, mac, now)

    def change(found: Account) -> Account:
        if found.environment.phone(username) is None:
            raise UnknownPhoneError(username)
        if not found.environment.served:
            raise NotServedError
        kind = EventKind.PROVISIONING_ISSUED
        return accounts.add_event(found, kind, by, now, username=username, make=make.value, mac=issued.address.mac)

    # The item of the address goes with the event, or neither is written.
    store().change(
        customer_id,
        lambda found: change(contract.carry_out(found, now)),
        also=lambda _: [_addresses().put(issued.address)],
    )
    return issued


def revoke(customer_id: str, username: str, by: Actor, now: datetime) -> None:
    """The address of a phone is of no use from now on; nothing happens when it has none."""
    if _addresses().revoke(customer_id, username):

        def change(found: Account) -> Account:
            return accounts.add_event(found, EventKind.PROVISIONING_REVOKED, by, now, username=username)

        store().change(customer_id, change)


def addresses(customer_id: str) -> list[Address]:
    """The addresses of a customer's phones, used or not."""
    return _addresses().all_of(customer_id)


def fetch(username: str, secret: str, file: str, code: str, user_agent: str, now: datetime) -> File:
    """What a phone gets that asks at its address: its settings with a new password. Raises RefusedError, which is told to nobody."""
    if _USERNAME.fullmatch(username) is None:
        raise RefusedError("unknown")
    customer_id = username.partition("-")[0]
    for _ in range(_ATTEMPTS):
        before = _addresses().find(customer_id, username)
        if before is None:
            raise RefusedError("unknown")
        try:
            after = provisioning.use(before, secret, file, code, user_agent, now)
        except RefusedError as refused:
            if refused.reason == "binding":
                _addresses().write(before, provisioning.wrongly_used(before))
            raise
        # Counted before it is answered: a use that is lost is better than one that nobody counted.
        if _addresses().write(before, after):
            return _settings(after, now)
    raise BusyError


def _settings(address: Address, now: datetime) -> File:
    try:
        [made] = phones.hand_out(address.customer_id, [address.username], PHONE, now)
    except (UnknownCustomerError, UnknownPhoneError, NotServedError) as gone:
        raise RefusedError("no such phone any more") from gone
    account = store().get(address.customer_id)
    found = account.environment.phone(address.username)
    return render(
        address.make,
        PhoneSettings(
            extension=made.extension,
            username=made.username,
            password=made.password,
            domain=brand().sip_domain,
            server=environment.name(address.customer_id, brand().sip_domain),
            label=found.label if found else "",
            encrypted=account.environment.encrypted,
            language=account.customer.language,
        ),
    )


def qr_code(text: str) -> str:
    """A QR code as SVG, for a softphone's camera."""
    import segno

    made = segno.make(text, error="m", micro=False)
    svg: str = made.svg_inline(scale=5, border=4, omitsize=True)
    return svg


def _addresses() -> ProvisioningStore:
    return ProvisioningStore(store().table)
