"""For which customers a mail address may speak: asked of the customers themselves with each request, so that a contact who is taken off the
list is out at once.
"""

from customers.portal.people import Member
from customers.store import UnknownCustomerError, store


def of(customer_id: str, email: str) -> Member | None:
    """Who this address is with this customer; None when it is no contact, or there is no such customer any more."""
    try:
        account = store().get(customer_id)
    except UnknownCustomerError:
        return None
    contact = account.customer.contact_by_email(email)
    return Member(account, contact) if contact and not account.customer.joined_into else None


def all_of(email: str) -> list[Member]:
    """Who this address is with each customer that it belongs to, the oldest customer first."""
    found = [member for customer_id in store().with_contact(email) if (member := of(customer_id, email))]
    return sorted(found, key=lambda member: member.account.customer.created_at)
