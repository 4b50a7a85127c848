"""Who the provider is, as far as the functions must know."""

import tomllib
from dataclasses import dataclass
from functools import cache

from shared import settings


@dataclass(frozen=True)
class Brand:
    """The provider's name and how to reach it, and the SIP domain of its phones: the realm of their passwords (RFC 3261
    section 22.1).
    """

    name: str
    sip_domain: str
    email: str
    telephone: str


@cache
def brand() -> Brand:
    """The brand that was deployed with this function."""
    document = tomllib.loads((settings.data_directory() / "brand.toml").read_text())
    return Brand(document["name"], document["sip_domain"], document["sales_email"], document["telephone_display"])
