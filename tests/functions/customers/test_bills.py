"""Bills: made once and for good, as a table, and as UBL whose sums agree.

No package ships Peppol's schematron, so its rules of arithmetic and the ones that our form can break are held here by hand.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers import bill_items, billing_run, environments, fulfilment, ubl
from customers.bill_store import AnotherBillError, BillStore
from customers.billing import Bill, BillLine, LineKind, next_month
from customers.billing_run import MonthNotOverError
from customers.customer import Address, Contact, Customer, Kind
from customers.seller import Seller
from customers.store import store
from customers.vat import vat_of
from ordering.order import Order
from shared import dynamodb
from tests.support.customers import NOW, prove

NOVEMBER = date(2026, 11, 1)
AFTER = datetime(2026, 12, 1, 3, tzinfo=UTC)
SELLER = Seller(
    "Voorbeeld",
    "Straat 1",
    "1000 AA",
    "Amsterdam",
    "NL",
    "12345678",
    "NL004495445B01",
    "info@example.nl",
    "+31855550100",
)
HOME = Address("Dorpsstraat", "1", "1234 AB", "Ons Dorp", "NL")
ABROAD = Address("Kerkstraat", "1", "2000", "Antwerpen", "BE")
CBC, CAC = f"{{{ubl.CBC}}}", f"{{{ubl.CAC}}}"


def customer(**changes: Any) -> Customer:
    contact = Contact("1", "A. Jansen", "a@example.nl")
    made = Customer(
        "abc234", "Bakkerij <&> Zn", NOW, enterprise_number="12345678", contacts=(contact,), billing_address=HOME
    )
    return replace(made, **changes)


BELGIAN = {"country": "BE", "enterprise_number": "0403019261", "vat_id": "BE0403019261", "billing_address": ABROAD}
ORDER = (
    *("CustomizationID", "ProfileID", "ID", "IssueDate", "DueDate", "InvoiceTypeCode", "CreditNoteTypeCode"),
    *("DocumentCurrencyCode", "BuyerReference", "InvoicePeriod", "BillingReference", "AccountingSupplierParty"),
    *("AccountingCustomerParty", "PaymentMeans", "TaxTotal", "LegalMonetaryTotal", "InvoiceLine", "CreditNoteLine"),
)
"""Of the children of Invoice and CreditNote, in UBL's schema."""
CUSTOMERS = st.sampled_from(
    [
        customer(),
        customer(**BELGIAN),
        customer(kind=Kind.CONSUMER, enterprise_number=""),
        customer(vat_id="NL004495445B01"),
    ]
)


@st.composite
def bill_lines(draw: st.DrawFn) -> BillLine:
    sign = draw(st.sampled_from([1, 1, -1]))
    quantity, unit_cents = draw(st.integers(1, 500)), draw(st.integers(1, 10_000))
    if draw(st.booleans()):
        first = NOVEMBER + timedelta(days=draw(st.integers(0, 29)))
        cents = sign * quantity * unit_cents
        return BillLine(
            "p", "x", "Eenmalig", LineKind.ONCE, first, first + timedelta(days=1), sign * quantity, unit_cents, cents
        )
    month = draw(st.sampled_from([NOVEMBER, date(2026, 10, 1), date(2028, 2, 1)]))
    size = (next_month(month) - month).days
    begin = draw(st.integers(0, size - 1))
    end = draw(st.integers(begin + 1, size))
    exact = quantity * unit_cents * (end - begin)
    off = draw(st.integers(-1, 0)) if exact % size else 0  # lines of a month are rounded together
    cents = sign * max(0, (2 * exact + size) // (2 * size) + off)
    first, until = month + timedelta(days=begin), month + timedelta(days=end)
    return BillLine("p", "x", "SRTP", LineKind.MONTHLY, first, until, sign * quantity, unit_cents, cents)


@st.composite
def bills(draw: st.DrawFn) -> Bill:
    who = draw(CUSTOMERS)
    found = tuple(draw(st.lists(bill_lines(), min_size=1, max_size=6)))
    return Bill(
        "202611-00001", NOVEMBER, who, found, vat_of(who, "NL", NOVEMBER), draw(st.sampled_from(["", "202610-00007"]))
    )


@given(bills())
def test_a_bill_comes_back_from_its_item(found: Bill) -> None:
    assert bill_items.from_item(dynamodb.unmarshal(dynamodb.marshal(bill_items.to_item(found)))) == found


@given(bills())
def test_the_sums_of_a_document_agree(found: Bill) -> None:
    root = ElementTree.fromstring(ubl.document(found, SELLER))
    credit = root.tag.endswith("CreditNote")
    assert credit == (found.net_cents < 0)

    def amount(path: str, parent: ElementTree.Element = root) -> Decimal:
        element = parent.find(path)
        assert element is not None and element.text and element.get("currencyID") == "EUR"
        return Decimal(element.text)

    net = Decimal(abs(found.net_cents)) / 100
    totals = f"{CAC}LegalMonetaryTotal/{CBC}"
    lines = root.findall(f"{CAC}{'CreditNoteLine' if credit else 'InvoiceLine'}")
    assert len(lines) == len(found.lines)
    # BR-CO-10, 13, 15 and BR-CO-17
    assert (
        sum(amount(f"{CBC}LineExtensionAmount", line) for line in lines)
        == net
        == amount(f"{totals}LineExtensionAmount")
    )
    tax = amount(f"{CAC}TaxTotal/{CBC}TaxAmount")
    assert amount(f"{totals}TaxInclusiveAmount") == amount(f"{totals}TaxExclusiveAmount") + tax
    percent = Decimal(found.vat.percent)
    assert abs(tax - net * percent / 100) <= Decimal("0.005")
    for line in lines:  # PEPPOL-EN16931-R120 with its tolerance; BR-27
        quantity = line.find(f"{CBC}{'CreditedQuantity' if credit else 'InvoicedQuantity'}")
        base = line.find(f"{CAC}Price/{CBC}BaseQuantity")
        price = amount(f"{CAC}Price/{CBC}PriceAmount", line)
        assert quantity is not None and quantity.text and price >= 0
        of = Decimal(base.text or 1) if base is not None else Decimal(1)
        assert base is None or base.get("unitCode") == quantity.get("unitCode")  # R130
        told = Decimal(quantity.text) * price / of
        assert abs(told - amount(f"{CBC}LineExtensionAmount", line)) <= Decimal("0.02")


@given(bills())
def test_a_document_has_its_elements_in_the_order_of_the_schema(found: Bill) -> None:
    root = ElementTree.fromstring(ubl.document(found, SELLER))
    names = [element.tag.partition("}")[2] for element in root]
    assert [ORDER.index(name) for name in names] == sorted(ORDER.index(name) for name in names)


def test_a_belgian_business_owes_the_tax_itself() -> None:
    line = BillLine("p", "srtp", "SRTP", LineKind.MONTHLY, NOVEMBER, date(2026, 12, 1), 3, 200, 600)
    who = customer(**BELGIAN)
    text = ubl.document(Bill("1", NOVEMBER, who, (line,), vat_of(who, "NL", NOVEMBER)), SELLER).decode()
    assert "VATEX-EU-AE" in text and ">AE<" in text and 'schemeID="0208">0403019261<' in text


def test_what_the_form_demands_is_named() -> None:
    line = BillLine("p", "srtp", "SRTP", LineKind.MONTHLY, NOVEMBER, date(2026, 12, 1), 3, 200, 600)
    who = customer(billing_address=Address())
    with pytest.raises(ubl.IncompleteError, match=r"billingAddress\.street"):
        ubl.document(Bill("1", NOVEMBER, who, (line,), vat_of(who, "NL", NOVEMBER)), SELLER)


def test_a_table_runs_no_formula_and_keeps_its_amounts() -> None:
    line = BillLine("p", "srtp", "=cmd()", LineKind.MONTHLY, NOVEMBER, date(2026, 12, 1), -3, 200, -600)
    text = bill_items.table([Bill("1", NOVEMBER, customer(), (line,), vat_of(customer(), "NL", NOVEMBER))])
    assert text.startswith("\ufeff")
    _, row = csv.reader(io.StringIO(text[1:]), delimiter=";")
    assert row[7] == "\u200b=cmd()" and row[13] == "-6,00" and row[11] == "-3"


def test_bills_are_made_once(approved: Callable[..., Order], tmp_path: Path, log: Any) -> None:
    for number, customer_id in enumerate(("abc234", "xyz789", "bcd345")):
        fulfilment.fulfil(approved(f"012345678{number}", customer_id, email=f"{customer_id}@example.nl"), NOW)
        if customer_id != "bcd345":
            prove(customer_id)
    with pytest.raises(MonthNotOverError):
        billing_run.run(NOVEMBER, NOW)
    outcome = billing_run.run(NOVEMBER, AFTER)
    assert (outcome.bills, outcome.made, outcome.net_cents, outcome.unreadable) == (2, 2, 200, [])  # five of 30 days
    first = list(BillStore(store().table).of_month(NOVEMBER))
    assert [(found.number, found.customer.id) for found in first] == [
        ("202611-00001", "abc234"),
        ("202611-00002", "xyz789"),
    ]
    again = billing_run.run(NOVEMBER, AFTER + timedelta(days=20))
    assert (again.made, again.net_cents) == (0, 200)
    assert list(BillStore(store().table).of_month(NOVEMBER)) == first
    with pytest.raises(AnotherBillError):
        BillStore(store().table).freeze(replace(first[0], lines=()))
    written, incomplete = billing_run.export(NOVEMBER, tmp_path)
    assert written == 2 and set(incomplete) == {"202611-00001", "202611-00002"}
    assert (tmp_path / "facturen-2026-11.csv").read_text().count("202611-") == 2


def test_a_run_that_is_cut_short_goes_on_with_the_same_numbers(approved: Callable[..., Order]) -> None:
    for number, customer_id in enumerate(("abc234", "bcd345", "xyz789")):
        fulfilment.fulfil(approved(f"012345678{number}", customer_id, email=f"{customer_id}@example.nl"), NOW)
        prove(customer_id)
    left = [1]

    def goes_on() -> bool:
        left[0] -= 1
        return left[0] >= 0

    assert not billing_run.run(NOVEMBER, AFTER, goes_on).done
    assert billing_run.run(NOVEMBER, AFTER).made == 2
    numbers = {found.customer.id: found.number for found in BillStore(store().table).of_month(NOVEMBER)}
    assert numbers == {"abc234": "202611-00001", "bcd345": "202611-00002", "xyz789": "202611-00003"}


def test_one_customer_that_cannot_be_read_is_named_and_billed_later(approved: Callable[..., Order]) -> None:
    for number, customer_id in enumerate(("abc234", "xyz789")):
        fulfilment.fulfil(approved(f"012345678{number}", customer_id, email=f"{customer_id}@example.nl"), NOW)
        prove(customer_id)
    [item] = (
        list(dynamodb.partition(store().table, "HISTORY#abc234", "EVENT#00000005"))
        or list(dynamodb.partition(store().table, "HISTORY#abc234"))[-1:]
    )
    dynamodb.client().put_item(TableName=store().table, Item=dynamodb.marshal({**item, "events": [{"kind": "odd"}]}))
    outcome = billing_run.run(NOVEMBER, AFTER)
    assert (outcome.bills, outcome.unreadable) == (1, ["abc234"])
    dynamodb.client().put_item(TableName=store().table, Item=dynamodb.marshal(item))
    assert billing_run.run(NOVEMBER, AFTER).bills == 2
    assert environments.get("abc234")
