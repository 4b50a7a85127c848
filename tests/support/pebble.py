"""pebble, a real ACME authority, over loopback, with the DNS server that it asks for the answers to its challenges."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from callvoip.process import die_with_parent
from fleet.certificate_run import Renewal
from tests.support.node import certificate as signed
from tests.support.node import wait_until

REFUSED = "refused.example.nl"
NO_OTHER = ("-http01", "", "-https01", "", "-tlsalpn01", "")
"""challtestsrv answers other kinds of challenges too, on all interfaces: not here."""


@dataclass(frozen=True)
class Pebble:
    """Where the authority and its DNS server are spoken to, and the root that phones have to trust."""

    directory: str
    dns: str
    root: str


@dataclass
class KeptValues:
    """Values in memory, and what was written in which order."""

    kept: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)

    def read(self, name: str) -> str:
        return self.kept.get(name, "")

    def write(self, name: str, value: str) -> None:
        self.kept[name] = value
        self.written.append(name)


@dataclass
class TestZone:
    """TXT records in pebble-challtestsrv, in the place of Route 53."""

    __test__ = False
    management: str
    names: set[str] = field(default_factory=set)
    silent: bool = False
    asked: int = 0

    def publish(self, name: str, values: Iterable[str]) -> None:
        self.asked += 1
        for value in () if self.silent else values:
            self._tell("set-txt", {"host": f"{name}.", "value": value})
            self.names.add(name)

    def withdraw(self, name: str, values: Iterable[str]) -> None:
        self._tell("clear-txt", {"host": f"{name}."})
        self.names.discard(name)

    def _tell(self, what: str, message: dict[str, str]) -> None:
        request = urllib.request.Request(f"{self.management}/{what}", json.dumps(message).encode())
        urllib.request.urlopen(request, timeout=10).close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_pebble(directory: Path) -> Iterator[Pebble]:
    """pebble and its DNS server on loopback, trusted by whoever orders of it here."""
    authority = signed("pebble's own", None)
    leaf, key = signed("localhost", authority)
    for name, content in {
        "ca.pem": authority[0].public_bytes(serialization.Encoding.PEM),
        "leaf.pem": leaf.public_bytes(serialization.Encoding.PEM),
        "key.pem": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ),
    }.items():
        (directory / name).write_bytes(content)
    acme, management, dns, tests = (free_port() for _ in range(4))
    config = {
        "listenAddress": f"127.0.0.1:{acme}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(directory / "leaf.pem"),
        "privateKey": str(directory / "key.pem"),
        "httpPort": 5002,
        "tlsPort": 5001,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        "domainBlocklist": [REFUSED],
        "retryAfter": {"authz": 1, "order": 1},
    }
    (directory / "config.json").write_text(json.dumps({"pebble": config}))
    commands = (
        ["pebble-challtestsrv", "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{tests}", *NO_OTHER],
        ["pebble", "-config", str(directory / "config.json"), "-dnsserver", f"127.0.0.1:{dns}"],
    )
    trusted = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    with (directory / "log").open("wb") as log:
        running = [
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": "/usr/bin:/bin", "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
                preexec_fn=die_with_parent,
            )
            for command in commands
        ]
        try:

            def root() -> str:
                try:
                    with urllib.request.urlopen(
                        f"https://127.0.0.1:{management}/roots/0", context=trusted, timeout=5
                    ) as answer:
                        text: str = answer.read().decode()
                        return text
                except OSError:
                    return ""

            why = (directory / "log").read_text
            found = wait_until(root, 30, why)
            wait_until(lambda: _listens(tests), 30, why)
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv("REQUESTS_CA_BUNDLE", str(directory / "ca.pem"))
                yield Pebble(f"https://127.0.0.1:{acme}/dir", f"http://127.0.0.1:{tests}", found)
        finally:
            for process in running:
                process.terminate()
                process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def renewal_by(pebble: Pebble, sip_domain: str) -> Renewal:
    """The function that renews, with pebble for its authority and values in memory."""
    return Renewal(
        sip_domain=sip_domain,
        directory=pebble.directory,
        certificate_name="certificate",
        account_name="account",
        values=KeptValues(),
        challenges=TestZone(pebble.dns),
    )
