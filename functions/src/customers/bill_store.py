"""Bills in DynamoDB, under the month and not under the customer: they stay seven years, also when the customer is gone."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

from customers import bill_items
from customers.billing import Bill
from shared import dynamodb

KEPT_YEARS = 7
"""Algemene wet inzake rijksbelastingen article 52; counted from the end of the year."""


class AnotherBillError(Exception):
    """There is a bill of this customer and month already, and it says something else: a bill is never changed."""


class BillStore:
    """The customers table, as far as it holds bills."""

    def __init__(self, table: str) -> None:
        self._table = table

    def of_month(self, month: date) -> Iterator[Bill]:
        """The bills of a month, by their numbers."""
        for item in dynamodb.partition(self._table, _partition(month), "BILL#"):
            yield bill_items.from_item(item)

    def freeze(self, bill: Bill) -> None:
        """Write a bill for good; the same again changes nothing. Raises AnotherBillError."""
        key = {"pk": _partition(bill.month), "sk": f"BILL#{bill.number}"}
        gone = datetime(bill.month.year + KEPT_YEARS + 1, 1, 1, tzinfo=UTC)
        item = {**key, **bill_items.to_item(bill), "expiresAt": int(gone.timestamp())}

        def refused(before: dynamodb.Item | None) -> Exception:
            return AnotherBillError(bill.number) if before != item else _SameError()

        try:
            dynamodb.transact(dynamodb.put(self._table, item, refused, "attribute_not_exists(pk)"))
        except _SameError:
            return


class _SameError(Exception):
    pass


def _partition(month: date) -> str:
    return f"BILLS#{month:%Y-%m}"
