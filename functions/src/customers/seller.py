"""Who sends the bills: read from brand.toml, which alone knows the provider."""

import tomllib
from dataclasses import dataclass
from functools import cache

from shared import settings


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


@cache
def seller() -> Seller:
    """The provider that was deployed with this function."""
    brand = tomllib.loads((settings.data_directory() / "brand.toml").read_text())
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
