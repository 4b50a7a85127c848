"""Who the provider is, as far as the functions must know."""

import tomllib
from dataclasses import dataclass
from functools import cache

from shared import settings


@dataclass(frozen=True)
class Brand:
    """The provider's name, how to reach it, what the law wants in a contract, and the SIP domain of its phones: the
    realm of their passwords (RFC 3261 section 22.1).
    """

    name: str
    sip_domain: str
    email: str
    telephone: str
    legal_name: str = ""
    address: str = ""
    kvk: str = ""
    vat_id: str = ""


@cache
def brand() -> Brand:
    """The brand that was deployed with this function."""
    document = tomllib.loads((settings.data_directory() / "brand.toml").read_text())
    where = document.get("address", {})
    return Brand(
        name=document["name"],
        sip_domain=document["sip_domain"],
        email=document["sales_email"],
        telephone=document["telephone_display"],
        legal_name=document.get("legal_name", document["name"]),
        address=", ".join(
            filter(None, (where.get("street"), " ".join(filter(None, (where.get("postcode"), where.get("city"))))))
        ),
        kvk=document.get("kvk", ""),
        vat_id=document.get("btw_id", ""),
    )
