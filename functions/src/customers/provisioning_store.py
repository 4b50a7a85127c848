"""Provisioning addresses in DynamoDB: one for each phone; a new one takes the place of the one before."""

from contextlib import suppress

from customers import provisioning
from customers.provisioning import Address
from shared import dynamodb
from shared.dynamodb import BusyError, Write

_ATTEMPTS = 8
_WHATEVER = "attribute_exists(pk) OR attribute_not_exists(pk)"


class _ChangedMeanwhileError(Exception):
    pass


class ProvisioningStore:
    """The customers table, as far as it holds provisioning addresses."""

    def __init__(self, table: str) -> None:
        self._table = table

    def find(self, customer_id: str, username: str) -> Address | None:
        """The address of a phone, if it has one."""
        item = dynamodb.get(self._table, f"CUSTOMER#{customer_id}", f"PROVISIONING#{username}")
        return provisioning.from_item(item) if item else None

    def all_of(self, customer_id: str) -> list[Address]:
        """The addresses of a customer's phones, by user name."""
        found = dynamodb.partition(self._table, f"CUSTOMER#{customer_id}", "PROVISIONING#")
        return [provisioning.from_item(item) for item in found]

    def put(self, address: Address) -> Write:
        """The write, for another transaction, of a new address in place of any before it."""
        return dynamodb.put(self._table, _item(address), lambda _: _ChangedMeanwhileError(), _WHATEVER)

    def revoke(self, customer_id: str, username: str) -> bool:
        """Make the address of a phone useless; whether it had one that was not. Raises BusyError."""
        for _ in range(_ATTEMPTS):
            before = self.find(customer_id, username)
            if before is None or before.revoked:
                return False
            if self.write(before, provisioning.revoked(before)):
                return True
        raise BusyError

    def write(self, before: Address, after: Address) -> bool:
        """Write an address' change; False when somebody else changed it meanwhile."""
        condition = "#version = :version AND secretSha256 = :secret"
        values = {"version": before.version, "secret": before.secret_sha256}
        with suppress(_ChangedMeanwhileError):
            dynamodb.transact(
                dynamodb.put(self._table, _item(after), lambda _: _ChangedMeanwhileError(), condition, **values)
            )
            return True
        return False


def _item(address: Address) -> dynamodb.Item:
    key = {"pk": f"CUSTOMER#{address.customer_id}", "sk": f"PROVISIONING#{address.username}"}
    return {**key, **provisioning.to_item(address)}
