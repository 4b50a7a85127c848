"""Customers in DynamoDB: each change is one transaction of what it changes, with its events, on the account as it was read.

A customer's partition holds all that one view of it needs, so that reading an account is one query; its events stand in another.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from customers import account as accounts
from customers import agenda, customer, environment, overview, product, recognition
from customers.account import Account, Event
from customers.delivery import TooLargeError
from customers.documents import present
from customers.environment import Environment
from fleet import sizes
from shared import dynamodb, settings
from shared.clock import to_iso
from shared.dynamodb import BusyError, Item, Write, marshal, unmarshal
from shared.shards import ALL, shard
from shared.telemetry import count, logger

BY_LIST = "by-list"
"""The index of what is listed: customers, environments that are to be served, what falls due, numbers by state."""
_ATTEMPTS = 8
_CUSTOMER_ID = re.compile(r"[a-z0-9]{6}")
_WHATEVER = "attribute_exists(pk) OR attribute_not_exists(pk)"


class UnknownCustomerError(LookupError):
    """There is no customer with this id."""


class TakenError(Exception):
    """There is a customer with this id already, or the order was fulfilled before."""


class _ChangedMeanwhileError(Exception):
    pass


@dataclass(frozen=True)
class Wanted:
    """An environment that is to be served, as far as the index tells."""

    environment_id: str
    version: int
    phones: int
    dedicated: bool = False


@dataclass(frozen=True)
class Entry:
    """A customer in the list; `search` is folded text."""

    customer_id: str
    company: str
    created_at: str
    search: str
    phones: int
    monthly_cents: int


class CustomerStore:
    """The customers table, as far as it holds customers."""

    def __init__(self, table: str) -> None:
        self.table = table

    def find(self, customer_id: str) -> Account | None:
        """The account of a customer, if there is one with this id."""
        if not _CUSTOMER_ID.fullmatch(customer_id):
            return None
        return _account(list(dynamodb.partition(self.table, _partition(customer_id))))

    def get(self, customer_id: str) -> Account:
        """The account of a customer; raises UnknownCustomerError."""
        found = self.find(customer_id)
        if found is None:
            raise UnknownCustomerError(customer_id)
        return found

    def history(self, customer_id: str, *, strict: bool = False) -> list[Event]:
        """All events of a customer, oldest first; one that cannot be read is left out, or raised when `strict`."""
        found = []
        for item in dynamodb.partition(self.table, f"HISTORY#{customer_id}"):
            for each in item.get("events", []):
                try:
                    found.append(accounts.event_from_item(each))
                except (KeyError, TypeError, ValueError):
                    if strict:
                        raise
                    _odd("event", f"{customer_id} {item.get('sk')}")
        return found

    def create(self, account: Account, *also: Write) -> None:
        """Write a new customer; raises TakenError, or what `also` raises."""
        account = accounts.settle(None, account)
        _refuse_too_large(None, account)
        first = dynamodb.put(
            self.table, self._customer_item(account), lambda _: TakenError(account.id), "attribute_not_exists(pk)"
        )
        dynamodb.transact(first, *self._rest(None, account), *also)

    def change(
        self,
        customer_id: str,
        change: Callable[[Account], Account],
        also: Callable[[Account], Sequence[Write]] | None = None,
    ) -> Account:
        """Apply `change` to the account as it is, and `also` with it; one that changes nothing writes nothing.

        Raises UnknownCustomerError, BusyError, what `change` raises and what a write of `also` raises.
        """
        for _ in range(_ATTEMPTS):
            before = self.get(customer_id)
            after = accounts.settle(before, change(before))
            if after.version == before.version:
                return after
            _refuse_too_large(before, after)
            put = dynamodb.put(
                self.table,
                self._customer_item(after),
                lambda _: _ChangedMeanwhileError(),
                "#version = :version",
                version=before.version,
            )
            with suppress(_ChangedMeanwhileError):
                dynamodb.transact(put, *self._rest(before, after), *(also(after) if also else ()))
                return after
        raise BusyError

    def _rest(self, before: Account | None, after: Account) -> list[Write]:
        """All but the customer's own item, whose condition guards them."""
        pk = _partition(after.id)
        writes = []
        if before is None or before.environment != after.environment:
            writes.append(self._put({"pk": pk, "sk": "ENVIRONMENT", **_environment_item(after.environment)}))
        known = {found.id: found for found in before.products} if before else {}
        for found in after.products:
            if known.get(found.id) != found:
                writes.append(
                    self._put(
                        {"pk": pk, "sk": f"PRODUCT#{found.id}", **product.to_item(found), **overview.listed(found)}
                    )
                )
        if after.news:  # those of one change in one item, as they are one write and cost one
            key = {"pk": f"HISTORY#{after.id}", "sk": f"EVENT#{after.news[0].version:08d}"}
            item = {**key, "events": [accounts.event_to_item(event) for event in after.news]}
            writes.append(
                dynamodb.put(self.table, item, lambda _: _ChangedMeanwhileError(), "attribute_not_exists(pk)")
            )
        writes += self._due(before, after)
        writes += self._identities(before, after)
        return writes

    def _due(self, before: Account | None, after: Account) -> list[Write]:
        then, now = before and agenda.next_due(before), agenda.next_due(after)
        if then == now:
            return []
        key = {"pk": _partition(after.id), "sk": "DUE"}
        if now is None:
            return [dynamodb.delete(self.table, key, lambda _: _ChangedMeanwhileError(), _WHATEVER)]
        return [self._put({**key, "list": "DUE", "listKey": f"{to_iso(now)}#{after.id}"})]

    def _identities(self, before: Account | None, after: Account) -> list[Write]:
        """By what this customer is found, or recognised as probably another one."""
        then, now = (
            recognition.identities(before.customer) if before else frozenset(),
            recognition.identities(after.customer),
        )
        sk = f"CUSTOMER#{after.id}"
        gone = [
            dynamodb.delete(self.table, {"pk": each, "sk": sk}, lambda _: _ChangedMeanwhileError(), _WHATEVER)
            for each in sorted(then - now)
        ]
        return [*gone, *(self._put({"pk": each, "sk": sk, "customerId": after.id}) for each in sorted(now - then))]

    def _put(self, item: Item) -> Write:
        return dynamodb.put(self.table, item, lambda _: _ChangedMeanwhileError(), _WHATEVER)

    def _customer_item(self, account: Account) -> Item:
        return {
            "pk": _partition(account.id),
            "sk": "CUSTOMER",
            **customer.to_item(account.customer),
            "version": account.version,
            "provenVersion": account.proven_version,
            **present(
                {
                    "heldBecause": account.held_because,
                    "notices": dict(account.notices),
                    "provenBy": account.proven_by,
                    "untoldOrders": sorted(account.untold_orders),
                    "modified": sorted(account.modified),
                }
            ),
            "list": "CUSTOMERS",
            "listKey": f"{to_iso(account.customer.created_at)}#{account.id}",
            "search": recognition.search_text(account),
            "phoneCount": len(account.environment.phones),
            "monthlyCents": account.monthly_cents,
        }

    def with_contact(self, email: str) -> list[str]:
        """The ids of the customers that have a contact with this mail address."""
        return self._identified(recognition.contact_key(email))

    def look_alikes(self, wanted: customer.Customer) -> frozenset[str]:
        """The ids of customers that share a mail address, telephone or enterprise number with this one."""
        found = {each for key in recognition.identities(wanted) for each in self._identified(key)}
        return frozenset(found - {wanted.id})

    def _identified(self, key: str) -> list[str]:
        return [item["customerId"] for item in dynamodb.partition(self.table, key, "CUSTOMER#")]

    def of_order(self, order_id: str) -> str | None:
        """The id of the customer to whom this order was delivered."""
        item = dynamodb.get(self.table, f"ORDER#{order_id}", "FULFILMENT")
        return item["customerId"] if item else None

    def fulfilled(self, order_id: str, customer_id: str) -> Write:
        """The write, for another transaction, that an order was delivered; its refusal is TakenError."""
        item = {"pk": f"ORDER#{order_id}", "sk": "FULFILMENT", "customerId": customer_id}
        return dynamodb.put(self.table, item, lambda _: TakenError(order_id), "attribute_not_exists(pk)")

    def environment(self, customer_id: str) -> Environment | None:
        """The environment of a customer, by one read."""
        if not _CUSTOMER_ID.fullmatch(customer_id):
            return None
        item = dynamodb.get(self.table, _partition(customer_id), "ENVIRONMENT")
        return environment.from_item(item) if item else None

    def wanted(self, shards: Collection[int] = ALL) -> Iterator[Wanted]:
        """The environments of these shards that are to be served; the index lags by less than a second.

        An odd one is logged, counted and left out.
        """
        for number in shards:
            for item in self.listed(f"WANTED#{number}"):
                try:
                    yield Wanted(
                        str(item["environmentId"]),
                        int(item["version"]),
                        int(item["phoneCount"]),
                        item.get("dedicated") is True,
                    )
                except (KeyError, TypeError, ValueError):
                    _odd("environment", item["pk"].removeprefix("CUSTOMER#"))

    def environments(self, ids: Sequence[str]) -> Iterator[Environment]:
        """The environments with these ids; one that cannot be read is logged, counted and left out."""
        for start in range(0, len(ids), 100):
            for item in dynamodb.batch_get(
                self.table, [(_partition(each), "ENVIRONMENT") for each in ids[start : start + 100]]
            ).values():
                try:
                    yield environment.from_item(item)
                except (KeyError, TypeError, ValueError):
                    _odd("environment", item["pk"].removeprefix("CUSTOMER#"))

    def due(self, until: str) -> Iterator[tuple[str, str]]:
        """(moment, id) of the customers for whom something falls due until this moment (ISO 8601), earliest first."""
        for item in self.listed("DUE", until=f"{until}#~"):
            moment, _, customer_id = item["listKey"].partition("#")
            yield moment, customer_id

    def entries(self) -> Iterator[Entry]:
        """All customers as the index has them, newest first."""
        for item in self.listed("CUSTOMERS", newest_first=True):
            created_at, _, customer_id = item["listKey"].partition("#")
            yield Entry(
                customer_id,
                item.get("company", ""),
                created_at,
                item["search"],
                item["phoneCount"],
                item["monthlyCents"],
            )

    def listed(self, name: str, *, until: str = "", since: str = "", newest_first: bool = False) -> Iterator[Item]:
        """What the index has in one of its lists, in the order of its keys, from `since` or as far as `until`."""
        condition, values = "#list = :list", {":list": name}
        if until:
            condition, values = "#list = :list AND listKey <= :until", {**values, ":until": until}
        elif since:
            condition, values = "#list = :list AND listKey >= :since", {**values, ":since": since}
        query: dict[str, Any] = {
            "TableName": self.table,
            "IndexName": BY_LIST,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": {"#list": "list"},
            "ExpressionAttributeValues": marshal(values),
            "ScanIndexForward": not newest_first,
        }
        for page in dynamodb.pages(**query):
            yield from map(unmarshal, page["Items"])

    def products(self, which: overview.List, since: str = "") -> Iterator[overview.Row]:
        """The products of a list as the index has them; of those that ended, from a day on (ISO 8601)."""
        for item in self.listed(which.value, since=since):
            yield overview.to_row(item)

    def purge(self, customer_id: str) -> None:
        """Delete all that is known of a customer but its bills, which stand under keys of their own."""
        account = self.find(customer_id)
        keys = [
            {"pk": item["pk"], "sk": item["sk"]}
            for pk in (f"HISTORY#{customer_id}", _partition(customer_id))
            for item in dynamodb.partition(self.table, pk)
        ]
        if account:
            keys = [
                {"pk": each, "sk": f"CUSTOMER#{customer_id}"}
                for each in sorted(recognition.identities(account.customer))
            ] + keys
        # The customer's own item last: who dies halfway begins anew.
        keys.sort(key=lambda key: key["sk"] == "CUSTOMER" or key["sk"] == "DUE")
        for key in keys:
            dynamodb.client().delete_item(TableName=self.table, Key=marshal(key))


@cache
def store() -> CustomerStore:
    """The customers of this deployment."""
    return CustomerStore(settings.customers_table())


def _account(items: Iterable[Item]) -> Account | None:
    by_key = {item["sk"]: item for item in items}
    if "CUSTOMER" not in by_key:
        return None
    own = by_key["CUSTOMER"]
    return Account(
        customer=customer.from_item(own),
        environment=environment.from_item(by_key["ENVIRONMENT"]),
        products=tuple(product.from_item(item) for sk, item in sorted(by_key.items()) if sk.startswith("PRODUCT#")),
        version=own["version"],
        proven_version=own["provenVersion"],
        proven_by=own.get("provenBy", ""),
        held_because=own.get("heldBecause", ""),
        notices=own.get("notices", {}),
        untold_orders=frozenset(own.get("untoldOrders", [])),
        modified=frozenset(own.get("modified", [])),
    )


def _refuse_too_large(before: Account | None, after: Account) -> None:
    """No environment grows beyond what one node carries; one that is that large already may shrink."""
    phones, most = len(after.environment.phones), sizes.largest_environment()
    if phones > most and (before is None or phones > len(before.environment.phones)):
        raise TooLargeError(most)


def _environment_item(found: Environment) -> Item:
    item: Item = {**environment.to_item(found), "phoneCount": len(found.phones)}
    if found.served:
        item |= {"list": f"WANTED#{shard(found.id)}", "listKey": found.id}
    return item


def _partition(customer_id: str) -> str:
    return f"CUSTOMER#{customer_id}"


def _odd(what: str, which: str) -> None:
    logger.error("unreadable", extra={"what": what, "which": which})
    count("UnreadableItem")
