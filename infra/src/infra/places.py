"""Where the deployables stand that this app uploads, and the facts about the provider it reads."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(os.environ.get("CALLVOIP_ROOT") or Path(__file__).resolve().parents[3])
BUILD = ROOT / "build"


@dataclass(frozen=True, kw_only=True)
class Brand:
    """The two names of the provider that infrastructure needs: of the site and of the SIP service (RFC 3263 domain)."""

    domain: str
    sip_domain: str


def read_brand() -> Brand:
    """The brand from site/data/brand.toml. Raises OSError, tomllib.TOMLDecodeError or KeyError when it is not usable."""
    data = tomllib.loads((ROOT / "site/data/brand.toml").read_text(encoding="utf-8"))
    return Brand(domain=data["domain"], sip_domain=data["sip_domain"])
