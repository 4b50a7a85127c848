"""What the operator says of the ways out: the trunk parameter's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

import phonenumbers

from media_node.sip.digest import Algorithm
from media_node.sip.transport import Transport


@dataclass(frozen=True, kw_only=True)
class CallsIn:
    """How a trunk is known that calls in over a connection of its own: by where it comes from, which then no phone may
    share, or by an account (digest).
    """

    addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    username: str = ""
    password: str = field(default="", repr=False)

    def holds(self, host: str) -> bool:
        """Whether this address is one of the trunk's."""
        return bool(self.addresses) and any(ip_address(host.partition("%")[0]) in each for each in self.addresses)

    def account(self, realm: str) -> TrunkAccount:
        """What the trunk logs in with."""
        return TrunkAccount(
            self.username, {each.value: each.ha1(self.username, realm, self.password) for each in Algorithm}
        )


@dataclass(frozen=True)
class TrunkAccount:
    """An account that is a trunk's. `ha1` as a phone's has it."""

    username: str
    ha1: Mapping[str, str] = field(repr=False)
    previous_ha1: Mapping[str, str] = field(default_factory=dict)
    previous_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class TrunkSettings:
    """One trunk as the operator wrote it down: where it is, with which account, and what it can.

    `srtp` tells that it takes SRTP; `emergency` that it is tried first for 112; `local_port` is the UDP port that calls
    from it come in by (0: any). `home` tells that it is the provider's own exchange (call/home.py), with `domain` in its
    addresses where that is not the node's. `country` is the one in whose way it writes numbers that have no + (ISO 3166).
    """

    name: str
    host: str
    port: int
    transport: Transport
    username: str = ""
    password: str = field(default="", repr=False)
    srtp: bool = False
    emergency: bool = False
    local_port: int = 0
    home: bool = False
    domain: str = ""
    country: str = "NL"
    calls_in: CallsIn = CallsIn()


def parse_trunks(value: Any) -> tuple[TrunkSettings, ...]:
    """From the trunk parameter's JSON: one trunk or a list of them, in the order in which they are tried; `{}` or `[]`
    for none. Raises ValueError that names the trunk and what is wrong with it.
    """
    entries = value if isinstance(value, list) else [value] if value else []
    trunks = tuple(_parse(number, entry) for number, entry in enumerate(entries, 1))
    names = [trunk.name for trunk in trunks]
    if len(set(names)) < len(names):
        raise ValueError(f"two trunks have the same name: {', '.join(names)}")
    homes = [trunk.name for trunk in trunks if trunk.home]
    if len(homes) > 1:
        raise ValueError(f"more than one trunk is the home exchange: {', '.join(homes)}")
    return trunks


def _parse(number: int, value: Any) -> TrunkSettings:
    if not isinstance(value, dict):
        raise ValueError(f"trunk {number} is not an object")
    try:
        return TrunkSettings(
            name=str(value.get("name") or f"trunk-{number}"),
            host=str(value["host"]),
            port=int(value["port"]),
            transport=Transport(str(value.get("transport", "tls")).upper()),
            username=str(value.get("username", "")),
            password=str(value.get("password", "")),
            srtp=bool(value.get("srtp", False)),
            emergency=bool(value.get("emergency", False)),
            local_port=int(value.get("local_port", 0)),
            home=bool(value.get("home", False)),
            domain=str(value.get("domain", "")),
            country=_country(str(value.get("country", "NL"))),
            calls_in=_calls_in(value.get("calls_in") or {}),
        )
    except KeyError as error:
        raise ValueError(f"trunk {number} lacks {error.args[0]}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"trunk {number}: {error}") from error


def _calls_in(value: Any) -> CallsIn:
    if not isinstance(value, dict):
        raise TypeError("calls_in is not an object")
    addresses = value.get("addresses", [])
    if not isinstance(addresses, list):
        raise TypeError("calls_in.addresses is not a list")
    found = CallsIn(
        addresses=tuple(ip_network(str(each)) for each in addresses),
        username=str(value.get("username", "")),
        password=str(value.get("password", "")),
    )
    if bool(found.username) is not bool(found.password):
        raise ValueError("calls_in needs both username and password")
    return found


def _country(value: str) -> str:
    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{value} is no country, such as NL or BE")
    return value
