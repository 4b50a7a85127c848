"""What is sold, at which price, from when: offerings in versions, promotions and VAT rates."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

Unit = Literal["phone", "number"]
Period = Literal["month", "once"]


class UnknownOfferingError(LookupError):
    """Nothing is sold under this id on this day."""

    def __init__(self, offering_id: str, day: date) -> None:
        super().__init__(f"no offering {offering_id!r} is sold on {day}")
        self.offering_id = offering_id


@dataclass(frozen=True)
class Offering:
    """One version of what is sold; the price is in cents, excluding VAT, per unit and period."""

    id: str
    version: int
    valid_from: date
    name: str
    unit: Unit
    period: Period
    unit_price_cents: int


@dataclass(frozen=True)
class Promotion:
    """A discount on an offering, from the first to the last day, both included."""

    id: str
    offering: str
    discount_percent: int
    valid_from: date
    valid_until: date


@dataclass(frozen=True)
class VatRate:
    """The rate of VAT from a day on."""

    rate_percent: int
    valid_from: date


@dataclass(frozen=True)
class Catalogue:
    """All versions, past and future; what holds on a day is asked of its methods."""

    currency: str
    offerings: tuple[Offering, ...]
    promotions: tuple[Promotion, ...]
    vat: tuple[VatRate, ...]

    def on_sale(self, day: date) -> tuple[Offering, ...]:
        """The newest version that is valid on `day` of each offering, in the order of the catalogue."""
        newest: dict[str, Offering] = {}
        for offering in self.offerings:
            held = newest.get(offering.id)
            if offering.valid_from <= day and (
                held is None or (offering.valid_from, offering.version) > (held.valid_from, held.version)
            ):
                newest[offering.id] = offering
        return tuple(newest.values())

    def offering(self, offering_id: str, day: date) -> Offering:
        """The version valid on `day`; raises UnknownOfferingError."""
        for offering in self.on_sale(day):
            if offering.id == offering_id:
                return offering
        raise UnknownOfferingError(offering_id, day)

    def promotion(self, offering_id: str, day: date) -> Promotion | None:
        """The promotion with the largest discount on `day`, if there is one."""
        running = [p for p in self.promotions if p.offering == offering_id and p.valid_from <= day <= p.valid_until]
        return max(running, key=lambda promotion: promotion.discount_percent, default=None)

    def vat_rate_percent(self, day: date) -> int:
        """The rate of VAT on `day`; raises LookupError when the catalogue begins later."""
        rates = [rate for rate in self.vat if rate.valid_from <= day]
        if not rates:
            raise LookupError(f"the catalogue has no VAT rate for {day}")
        return max(rates, key=lambda rate: rate.valid_from).rate_percent


def parse(document: Mapping[str, Any]) -> Catalogue:
    """Make a Catalogue of data/catalogue.toml; raises ValueError or KeyError that names what is wrong."""
    catalogue = Catalogue(
        currency=document["currency"],
        offerings=tuple(Offering(**entry) for entry in document["offering"]),
        promotions=tuple(Promotion(**entry) for entry in document.get("promotion", [])),
        vat=tuple(VatRate(**entry) for entry in document["vat"]),
    )
    seen = set()
    for offering in catalogue.offerings:
        if (offering.id, offering.version) in seen:
            raise ValueError(f"offering {offering.id} has version {offering.version} twice")
        seen.add((offering.id, offering.version))
        if offering.unit_price_cents < 0:
            raise ValueError(f"offering {offering.id} version {offering.version} has a price below 0")
    for promotion in catalogue.promotions:
        if promotion.offering not in {offering.id for offering in catalogue.offerings}:
            raise ValueError(f"promotion {promotion.id} is on the unknown offering {promotion.offering!r}")
        if not 0 <= promotion.discount_percent <= 100 or promotion.valid_from > promotion.valid_until:
            raise ValueError(f"promotion {promotion.id} has an impossible discount or period")
    return catalogue
