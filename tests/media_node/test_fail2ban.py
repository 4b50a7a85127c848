"""The filter that is shipped for fail2ban finds strangers in the lines that the node really writes, and nobody else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from media_node.log import Event, log, mask_address

FILTER = Path(__file__).parents[2] / "media-node" / "boot" / "fail2ban" / "filter.d" / "media-node.conf"

pytestmark = [pytest.mark.needs("fail2ban-regex"), pytest.mark.usefixtures("processes")]


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:2::7", "2001:db8:1::/48"),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("x", ""),
    ],
)
def test_a_source_is_shown_as_its_network(host: str, network: str) -> None:
    assert mask_address(host) == network


def test_strangers_are_found_and_nobody_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bad, six = mask_address("203.0.113.7"), mask_address("2001:db8:1:2::7")
    log(Event.AUTHENTICATION_FAILED, verdict="wrong", source=bad)
    log(Event.LOCKED_OUT, source=bad, reason="source", seconds=10)
    for reason in ("no TLS", "no handshake", "not SIP", "malformed messages", "too many messages"):
        log(Event.CONNECTION_REFUSED, source=six, reason=reason)
    log(Event.CONNECTION_REFUSED, source=six, reason="a message without end", left_out=3)
    harmless = mask_address("198.51.100.1")
    log(Event.REGISTERED, customer="abc234")
    log(Event.AUTHENTICATED, algorithm="SHA-256", method="REGISTER", source=harmless)
    for reason in ("too many connections", "silent", "handshake failed", "every place is taken"):
        log(Event.CONNECTION_REFUSED, source=harmless, reason=reason)
    log(Event.CONNECTION_REFUSED, source="", reason="no room: Too many open files")
    file = tmp_path / "log"
    file.write_text(capfd.readouterr().err)
    done = subprocess.run(
        ["fail2ban-regex", "--print-all-matched", "--print-all-missed", str(file), str(FILTER)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Lines: (\d+) lines, (\d+) ignored, (\d+) matched, (\d+) missed", done.stdout)
    assert found, done.stdout
    assert (int(found[1]), int(found[3]), int(found[4])) == (15, 8, 7), done.stdout
    matched = done.stdout.partition("Matched line(s):")[2].partition("Missed line(s):")[0]
    assert "198.51.100" not in matched
    assert re.search(r"\[15\]", done.stdout), "every line's time is read"
    hosts = subprocess.run(
        ["fail2ban-regex", "-o", "id", str(file), str(FILTER)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(hosts) == {bad, six}
