"""How bills stand in DynamoDB and in a table for Excel. Pure."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from customers import customer
from customers.billing import Bill, BillLine, LineKind
from customers.documents import Item, present
from customers.vat import Vat
from shared import spreadsheet
from shared.spreadsheet import Value, euros

_HEAD = (
    "Factuur", "Maand", "Klant", "Bedrijf", "Land", "Btw-nummer", "Product", "Omschrijving", "Soort", "Van", "Tot en met",
    "Aantal", "Stuksprijs", "Bedrag excl. btw", "Btw-code", "Btw %", "Btw over factuur", "Totaal factuur",
)  # fmt: skip


def to_item(bill: Bill) -> Item:
    """The attributes of a bill, without its keys: all of it, as it stays when the customer is gone."""
    return present(
        {
            "number": bill.number,
            "month": f"{bill.month:%Y-%m}",
            "customer": customer.to_item(bill.customer),
            "lines": [_from_line(line) for line in bill.lines],
            "vat": {"category": bill.vat.category, "percent": bill.vat.percent, "country": bill.vat.country},
            "before": bill.before,
            "netCents": bill.net_cents,
            "vatCents": bill.vat_cents,
            "totalCents": bill.total_cents,
        }
    )


def from_item(item: Mapping[str, Any]) -> Bill:
    """The bill that `to_item` wrote."""
    vat = item["vat"]
    return Bill(
        number=item["number"],
        month=date.fromisoformat(f"{item['month']}-01"),
        customer=customer.from_item(item["customer"]),
        lines=tuple(_to_line(line) for line in item["lines"]),
        vat=Vat(vat["category"], vat["percent"], vat["country"]),
        before=item.get("before", ""),
    )


def table(bills: Iterable[Bill]) -> str:
    """A row for each line, for the bookkeeping and for Dutch Excel."""
    return spreadsheet.table(_HEAD, (_cells(bill, line) for bill in bills for line in bill.lines))


def _cells(bill: Bill, line: BillLine) -> list[str]:
    found = bill.customer
    last = date.fromordinal(line.until.toordinal() - 1)
    return [
        bill.number, Value(f"{bill.month:%Y-%m}"), found.id, found.company, found.country, found.vat_id, line.offering_id, line.name,
        "per maand" if line.kind is LineKind.MONTHLY else "eenmalig", Value(line.first), Value(last), Value(line.quantity),
        euros(line.unit_cents), euros(line.cents), bill.vat.category, Value(bill.vat.percent), euros(bill.vat_cents),
        euros(bill.total_cents),
    ]  # fmt: skip


def _from_line(line: BillLine) -> Item:
    return {
        "productId": line.product_id,
        "offeringId": line.offering_id,
        "name": line.name,
        "kind": line.kind.value,
        "first": str(line.first),
        "until": str(line.until),
        "quantity": line.quantity,
        "unitCents": line.unit_cents,
        "cents": line.cents,
    }


def _to_line(item: Mapping[str, Any]) -> BillLine:
    return BillLine(
        item["productId"],
        item["offeringId"],
        item["name"],
        LineKind(item["kind"]),
        date.fromisoformat(item["first"]),
        date.fromisoformat(item["until"]),
        item["quantity"],
        item["unitCents"],
        item["cents"],
    )
