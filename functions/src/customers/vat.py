"""Which VAT is due: by the customer's country and kind, and the day. Pure.

Telecommunication services are taxed where the customer is (Directive 2006/112/EC articles 44 and 58). A Belgian business with a valid VAT
id owes it itself (articles 196 and 44); from all others we collect it at the rate of their country, in Belgium by the one-stop shop. Rates
are data; the bookkeeper confirms them (docs/compliance.md).
"""

from dataclasses import dataclass
from datetime import date

from customers.customer import Customer, InvalidNumberError, Kind, clean_vat_id

RATES = {
    "NL": ((date(2012, 10, 1), 21),),
    "BE": ((date(1996, 1, 1), 21),),
}
"""(from which day, percent) by country, oldest first."""

STANDARD = "S"
REVERSE_CHARGE = "AE"
"""Codes of UNTDID 5305, as EN 16931 uses them."""


@dataclass(frozen=True)
class Vat:
    """What holds for one bill: the code of the category, the rate in percent, and the country whose tax it is."""

    category: str
    percent: int
    country: str

    def of(self, net_cents: int) -> int:
        """The tax on an amount, half a cent away from zero."""
        tax = (abs(net_cents) * self.percent + 50) // 100
        return tax if net_cents >= 0 else -tax


def vat_of(customer: Customer, seller_country: str, day: date) -> Vat:
    """What holds for this customer on a day; raises LookupError when the table does not reach back so far."""
    if customer.country != seller_country and customer.kind is Kind.BUSINESS and _valid(customer):
        return Vat(REVERSE_CHARGE, 0, customer.country)
    rates = [percent for since, percent in RATES[customer.country] if since <= day]
    if not rates:
        raise LookupError(f"no rate of VAT for {customer.country} on {day}")
    return Vat(STANDARD, rates[-1], customer.country)


def _valid(customer: Customer) -> bool:
    try:
        return bool(clean_vat_id(customer.vat_id, customer.country))
    except InvalidNumberError:
        return False
