"""A bill as UBL 2.1 in the form of Peppol BIS Billing 3.0, for the bookkeeping that the provider has. Pure.

https://docs.peppol.eu/poacc/billing/3.0/syntax/ubl-invoice/tree/. A bill below zero is a credit note with its amounts turned round. Who
has no enterprise number cannot be reached by Peppol; such a bill is in the form of EN 16931 alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from xml.etree import ElementTree  # nosec: it only writes
from xml.etree.ElementTree import Element, SubElement  # nosec: it only writes

from customers.billing import Bill, BillLine, LineKind, next_month
from customers.customer import Address, Customer, Kind
from customers.seller import Seller
from customers.vat import REVERSE_CHARGE

_UBL = "urn:oasis:names:specification:ubl:schema:xsd"
CBC = f"{_UBL}:CommonBasicComponents-2"
CAC = f"{_UBL}:CommonAggregateComponents-2"
CUSTOMIZATION = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
EN_16931 = "urn:cen.eu:en16931:2017"
PROFILE = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"
PAYMENT_DAYS = 14
_SCHEMES = {"NL": "0106", "BE": "0208"}
"""Electronic addresses (EAS) and enterprise numbers (ISO 6523): KvK and KBO."""


class IncompleteError(ValueError):
    """What the form demands and the customer has not told; `missing` names it."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__(f"missing: {', '.join(missing)}")
        self.missing = tuple(missing)


@dataclass(frozen=True)
class _Names:
    root: str
    line: str
    quantity: str


_INVOICE = _Names("Invoice", "InvoiceLine", "InvoicedQuantity")
_CREDIT_NOTE = _Names("CreditNote", "CreditNoteLine", "CreditedQuantity")


def document(bill: Bill, seller: Seller) -> bytes:
    """The document; raises IncompleteError."""
    check(bill)
    credit = bill.net_cents < 0
    if credit:
        turned = (replace(line, quantity=-line.quantity, cents=-line.cents) for line in bill.lines)
        bill = replace(bill, lines=tuple(turned))
    names = _CREDIT_NOTE if credit else _INVOICE
    issued = next_month(bill.month)
    ElementTree.register_namespace("cac", CAC)
    ElementTree.register_namespace("cbc", CBC)
    root = Element(f"{{{_UBL}:{names.root}-2}}{names.root}")
    peppol = bool(bill.customer.enterprise_number)
    _basic(root, "CustomizationID", CUSTOMIZATION if peppol else EN_16931)
    if peppol:
        _basic(root, "ProfileID", PROFILE)
    _basic(root, "ID", bill.number)
    _basic(root, "IssueDate", str(issued))
    if not credit:
        _basic(root, "DueDate", str(issued + timedelta(days=PAYMENT_DAYS)))
    _basic(root, "CreditNoteTypeCode" if credit else "InvoiceTypeCode", "381" if credit else "380")
    _basic(root, "DocumentCurrencyCode", "EUR")
    _basic(root, "BuyerReference", bill.customer.id)
    _period(root, bill.month, issued)
    if credit and bill.before:
        _basic(_aggregate(_aggregate(root, "BillingReference"), "InvoiceDocumentReference"), "ID", bill.before)
    _supplier(root, seller)
    _buyer(root, bill.customer)
    _payment(root, bill, seller)
    _tax(root, bill)
    totals = _aggregate(root, "LegalMonetaryTotal")
    for name, cents in (
        ("LineExtensionAmount", bill.net_cents),
        ("TaxExclusiveAmount", bill.net_cents),
        ("TaxInclusiveAmount", bill.total_cents),
        ("PayableAmount", bill.total_cents),
    ):
        _amount(totals, name, cents)
    for number, line in enumerate(bill.lines, 1):
        _line(root, names, number, line, bill)
    ElementTree.indent(root)
    made: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return made


def check(bill: Bill) -> None:
    """Raise IncompleteError unless the customer told all that the form demands (BR-10, NL-R-004, PEPPOL-EN16931-R010)."""
    customer, address = bill.customer, bill.customer.billing_address
    parts = {"street": address.street, "postcode": address.postcode, "city": address.city}
    missing = [f"billingAddress.{name}" for name, value in parts.items() if not value]
    if not customer.enterprise_number and not customer.contacts:
        missing.append("contacts")
    if missing:
        raise IncompleteError(missing)


def _supplier(root: Element, seller: Seller) -> None:
    party = _aggregate(_aggregate(root, "AccountingSupplierParty"), "Party")
    scheme = _SCHEMES[seller.country]
    _basic(party, "EndpointID", seller.enterprise_number, schemeID=scheme)
    _basic(_aggregate(party, "PartyName"), "Name", seller.legal_name)
    address = Address(seller.street, "", seller.postcode, seller.city, "BE" if seller.country == "BE" else "NL")
    _address(party, address)
    _tax_scheme(party, seller.vat_id)
    entity = _aggregate(party, "PartyLegalEntity")
    _basic(entity, "RegistrationName", seller.legal_name)
    _basic(entity, "CompanyID", seller.enterprise_number, schemeID=scheme)
    contact = _aggregate(party, "Contact")
    _basic(contact, "Telephone", seller.telephone)
    _basic(contact, "ElectronicMail", seller.email)


def _buyer(root: Element, customer: Customer) -> None:
    party = _aggregate(_aggregate(root, "AccountingCustomerParty"), "Party")
    if customer.enterprise_number:
        _basic(party, "EndpointID", customer.enterprise_number, schemeID=_SCHEMES[customer.country])
    else:
        _basic(party, "EndpointID", customer.contacts[0].email, schemeID="EM")
    _basic(_aggregate(party, "PartyName"), "Name", customer.company)
    _address(party, customer.billing_address)
    if customer.vat_id and customer.kind is Kind.BUSINESS:
        _tax_scheme(party, customer.vat_id)
    entity = _aggregate(party, "PartyLegalEntity")
    _basic(entity, "RegistrationName", customer.company)
    if customer.enterprise_number:
        _basic(entity, "CompanyID", customer.enterprise_number, schemeID=_SCHEMES[customer.country])


def _payment(root: Element, bill: Bill, seller: Seller) -> None:
    """UNTDID 4461: 30 is a transfer to an account, 57 what was agreed; NL-R-007 demands one where money is asked."""
    if bill.total_cents <= 0 or root.tag.endswith("CreditNote"):
        return
    means = _aggregate(root, "PaymentMeans")
    _basic(means, "PaymentMeansCode", "30" if seller.iban else "57")
    _basic(means, "PaymentID", bill.number)
    if seller.iban:
        _basic(_aggregate(means, "PayeeFinancialAccount"), "ID", seller.iban)


def _tax(root: Element, bill: Bill) -> None:
    total = _aggregate(root, "TaxTotal")
    _amount(total, "TaxAmount", bill.vat_cents)
    subtotal = _aggregate(total, "TaxSubtotal")
    _amount(subtotal, "TaxableAmount", bill.net_cents)
    _amount(subtotal, "TaxAmount", bill.vat_cents)
    _category(subtotal, "TaxCategory", bill, reason=True)


def _category(parent: Element, name: str, bill: Bill, *, reason: bool = False) -> None:
    category = _aggregate(parent, name)
    _basic(category, "ID", bill.vat.category)
    _basic(category, "Percent", str(bill.vat.percent))
    if reason and bill.vat.category == REVERSE_CHARGE:
        _basic(category, "TaxExemptionReasonCode", "VATEX-EU-AE")
        _basic(category, "TaxExemptionReason", "Reverse charge")
    _basic(_aggregate(category, "TaxScheme"), "ID", "VAT")


def _line(root: Element, names: _Names, number: int, line: BillLine, bill: Bill) -> None:
    """A part of a month is told in days of so many units, at the price of a month for as many days as it has (PEPPOL-EN16931-R120)."""
    whole = line.kind is LineKind.ONCE or line.days == line.share_of
    unit = "C62" if line.kind is LineKind.ONCE else "MON" if whole else "DAY"
    quantity = line.quantity if whole else line.quantity * line.days
    element = _aggregate(root, names.line)
    _basic(element, "ID", str(number))
    _basic(element, names.quantity, str(quantity), unitCode=unit)
    _amount(element, "LineExtensionAmount", line.cents)
    _period(element, line.first, line.until)
    item = _aggregate(element, "Item")
    _basic(item, "Name", line.name)
    _basic(_aggregate(item, "SellersItemIdentification"), "ID", line.offering_id)
    _category(item, "ClassifiedTaxCategory", bill)
    price = _aggregate(element, "Price")
    _amount(price, "PriceAmount", line.unit_cents)
    if not whole:
        _basic(price, "BaseQuantity", str(line.share_of), unitCode=unit)


def _period(parent: Element, first: date, until: date) -> None:
    period = _aggregate(parent, "InvoicePeriod")
    _basic(period, "StartDate", str(first))
    _basic(period, "EndDate", str(until - timedelta(days=1)))


def _address(party: Element, address: Address) -> None:
    element = _aggregate(party, "PostalAddress")
    _basic(element, "StreetName", f"{address.street} {address.house_number}".strip())
    _basic(element, "CityName", address.city)
    _basic(element, "PostalZone", address.postcode)
    _basic(_aggregate(element, "Country"), "IdentificationCode", address.country)


def _tax_scheme(party: Element, vat_id: str) -> None:
    element = _aggregate(party, "PartyTaxScheme")
    _basic(element, "CompanyID", vat_id)
    _basic(_aggregate(element, "TaxScheme"), "ID", "VAT")


def _amount(parent: Element, name: str, cents: int) -> None:
    sign = "-" if cents < 0 else ""
    _basic(parent, name, f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}", currencyID="EUR")


def _basic(parent: Element, name: str, text: str, **attributes: str) -> None:
    # XML 1.0 has no place for control characters, however they came into a name.
    SubElement(parent, f"{{{CBC}}}{name}", attributes).text = "".join(each for each in text if each.isprintable())


def _aggregate(parent: Element, name: str) -> Element:
    return SubElement(parent, f"{{{CAC}}}{name}")
