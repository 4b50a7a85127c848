"""Where the deployables stand that this app uploads, and what it reads of the provider and of how long data lives."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(os.environ.get("CALLVOIP_ROOT") or Path(__file__).resolve().parents[3])
BUILD = ROOT / "build"


@dataclass(frozen=True, kw_only=True)
class Brand:
    """What infrastructure needs of the provider: the names of the site and of the SIP service (RFC 3263 domain), and
    its operations.

    `alarm_email` is who hears of alarms; `trunk_networks` are where the trunk's RTP comes from, as
    CIDR blocks.
    """

    domain: str
    sip_domain: str
    alarm_email: str
    trunk_networks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How many days logs and call records live."""

    log_days: int
    call_record_days: int


def read_brand() -> Brand:
    """The brand from site/data/brand.toml.

    Raises OSError, KeyError, or ValueError for what is no TOML or no network.
    """
    data = _read("brand")
    operations = data.get("operations", {})
    return Brand(
        domain=data["domain"],
        sip_domain=data["sip_domain"],
        alarm_email=operations.get("alarm_email") or data["email"],
        trunk_networks=tuple(_network(text) for text in operations.get("trunk_networks", ())),
    )


def _network(text: str) -> str:
    try:
        return str(ipaddress.IPv4Network(text))
    except ValueError as error:
        raise ValueError(f"site/data/brand.toml: {text!r} is no IPv4 network: {error}") from error


def read_retention() -> Retention:
    """What the pages on privacy promise, from site/data/retention.toml.

    Raises OSError, KeyError, or ValueError for what is no TOML.
    """
    data = _read("retention")
    return Retention(log_days=data["technical"]["days"], call_record_days=data["calls"]["days"])


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / "site" / "data" / f"{name}.toml").read_text(encoding="utf-8"))
