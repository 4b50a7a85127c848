"""Who sends the bills: read from brand.toml, which alone knows the provider. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Seller:
    """The provider as a bill names it; `iban` may be empty."""

    legal_name: str
    street: str
    postcode: str
    city: str
    country: str
    enterprise_number: str
    vat_id: str
    email: str
    telephone: str
    iban: str = ""


def parse(brand: Mapping[str, Any]) -> Seller:
    """The provider of brand.toml; raises KeyError for what a bill needs and it lacks."""
    address = brand["address"]
    return Seller(
        legal_name=brand["legal_name"],
        street=address["street"],
        postcode=address["postcode"],
        city=address["city"],
        country=address["country"],
        enterprise_number=brand["kvk"],
        vat_id=brand["btw_id"],
        email=brand["email"],
        telephone=brand["telephone"],
        iban=brand.get("iban", ""),
    )
