"""What an order costs: integer cents from the catalogue as it is on one day. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ordering.catalogue import Catalogue, Offering, Promotion


@dataclass(frozen=True)
class OrderItem:
    """A quantity of one version of an offering; `unit_price_cents` is the list price, `promotion` what is taken off
    it.
    """

    quantity: int
    offering: Offering
    promotion: Promotion | None = None

    @property
    def unit_price_cents(self) -> int:
        return self.offering.unit_price_cents

    @property
    def total_cents(self) -> int:
        return self.quantity * discounted(self.offering.unit_price_cents, self.promotion)


@dataclass(frozen=True)
class Amounts:
    """The two totals of an order in cents, excluding VAT; None is one that was not shown."""

    monthly_cents: int | None
    one_time_cents: int | None

    def agrees(self, price: "Amounts") -> bool:
        """Whether every amount that was shown is that of `price`."""
        return self.monthly_cents in (None, price.monthly_cents) and self.one_time_cents in (None, price.one_time_cents)


@dataclass(frozen=True)
class Price:
    """The snapshot that an order keeps; amounts exclude VAT unless they say otherwise."""

    items: tuple[OrderItem, ...]
    vat_rate_percent: int

    @property
    def amounts(self) -> Amounts:
        """What is agreed to."""
        return Amounts(self.monthly_total_cents, self.one_time_total_cents)

    @property
    def monthly_total_cents(self) -> int:
        return self._total("month")

    @property
    def one_time_total_cents(self) -> int:
        return self._total("once")

    @property
    def monthly_total_incl_vat_cents(self) -> int:
        return self._with_vat(self.monthly_total_cents)

    @property
    def one_time_total_incl_vat_cents(self) -> int:
        return self._with_vat(self.one_time_total_cents)

    def _with_vat(self, cents: int) -> int:
        return cents + percentage(cents, self.vat_rate_percent)

    def _total(self, period: str) -> int:
        return sum(item.total_cents for item in self.items if item.offering.period == period)


def price(catalogue: Catalogue, quantities: Iterable[tuple[str, int]], day: date) -> Price:
    """Price quantities of offerings on `day`; raises UnknownOfferingError, or ValueError for a quantity below 1."""
    items = []
    for offering_id, quantity in quantities:
        if quantity < 1:
            raise ValueError(f"a quantity of {quantity} cannot be priced")
        items.append(OrderItem(quantity, catalogue.offering(offering_id, day), catalogue.promotion(offering_id, day)))
    return Price(tuple(items), catalogue.vat_rate_percent(day))


def discounted(unit_price_cents: int, promotion: Promotion | None) -> int:
    """The unit price after the promotion; half a cent of discount is in the customer's favour."""
    if promotion is None:
        return unit_price_cents
    return unit_price_cents - percentage(unit_price_cents, promotion.discount_percent)


def percentage(cents: int, percent: int) -> int:
    """A percentage of an amount of 0 or more, half a cent rounded up."""
    return (cents * percent + 50) // 100
