"""node.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from media_node.config import Config
from media_node.suites import Suite

DATA: dict[str, Any] = {
    "fleet": {"table": "fleet", "cdr_table": "cdr", "region": "eu-central-1"},
    "sip": {"domain": "sip.example.nl", "certificate_parameter": "/c"},
    "media": {},
    "state": {"directory": "/var/lib/media-node"},
}


def test_what_is_not_said_has_its_default() -> None:
    config = Config.parse(DATA)
    assert (config.port, config.srtp_port, config.rtp_ports, config.workers, config.timeout) == (
        5061,
        20000,
        (21000, 22999),
        1,
        60,
    )
    assert config.suites == tuple(Suite)
    assert (config.trunk_parameter, config.directory) == ("", Path("/var/lib/media-node"))


@pytest.mark.parametrize("section", list(DATA))
def test_a_missing_section_is_named(section: str) -> None:
    with pytest.raises(ValueError, match=section):
        Config.parse({name: value for name, value in DATA.items() if name != section})


@pytest.mark.parametrize(
    "media", [{"rtp_ports": 5}, {"workers": "many"}, {"rtp_ports": [1]}, {"suites": ["NULL_HMAC_SHA1_80"]}]
)
def test_a_wrong_value_is_an_error(media: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Config.parse(DATA | {"media": media})
