"""What Mijn omgeving, sales and the order's page do with phones: each is one change of the account, with its event."""

from collections.abc import Sequence
from datetime import datetime

from customers import phone, service
from customers.account import Account
from customers.provisioning_store import ProvisioningStore
from customers.states import Actor
from customers.store import store
from ordering.credentials import PhoneCredentials, new_password
from shared.brand import brand


def hand_out(customer_id: str, usernames: Sequence[str] | None, by: Actor, now: datetime) -> list[PhoneCredentials]:
    """New passwords for these phones, or for all; they are told here and nowhere else, and the ones before hold for one hour more.

    Raises UnknownCustomerError, UnknownPhoneError or NotServedError.
    """
    made: list[PhoneCredentials] = []

    def change(found: Account) -> Account:
        made.clear()
        for each in usernames if usernames is not None else [each.username for each in found.environment.phones]:
            known = found.environment.phone(each)
            if known is None:
                raise phone.UnknownPhoneError(each)
            made.append(PhoneCredentials(known.extension, known.username, new_password()))
        realm = brand().sip_domain
        return phone.hand_out(found, {each.username: each.ha1(realm) for each in made}, by, now)

    service.change(customer_id, change, now)
    return made


def add(
    customer_id: str, labels: Sequence[str], confirmed_cents: int, order_id: str, by: Actor, now: datetime
) -> Account:
    """A phone for each label, at the monthly total that was confirmed; see customers.phone.add."""
    return service.change(customer_id, lambda found: phone.add(found, labels, confirmed_cents, order_id, by, now), now)


def remove(customer_id: str, username: str, order_id: str, by: Actor, now: datetime) -> Account:
    """A phone leaves with the next month; see customers.phone.remove."""
    return service.change(customer_id, lambda found: phone.remove(found, username, order_id, by, now), now)


def keep(customer_id: str, username: str, by: Actor, now: datetime) -> Account:
    """A phone that was about to leave stays."""
    return service.change(customer_id, lambda found: phone.keep(found, username, by, now), now)


def revoke(customer_id: str, username: str, by: Actor, now: datetime, why: str = "") -> Account:
    """A phone's passwords hold no more, at once: its registration and its calls end, and it cannot set itself up again."""
    ProvisioningStore(store().table).revoke(customer_id, username)
    return service.change(customer_id, lambda found: phone.revoke(found, username, by, now, why), now)


def change(
    customer_id: str,
    username: str,
    by: Actor,
    now: datetime,
    *,
    label: str | None = None,
    site: str | None = None,
    number: str | None = None,
) -> Account:
    """Another label, site or shown number; see customers.phone.change."""
    return service.change(
        customer_id,
        lambda found: phone.change(found, username, by, now, label=label, site=site, number=number),
        now,
    )
