"""A media worker that only keeps the rules of the protocol."""

from __future__ import annotations

import itertools
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any

from media_node.worker_link.client import MediaError
from media_node.worker_link.protocol import LegDescription, LegStats, LocalTransport

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)


@dataclass
class RulefulMedia:
    """Keeps the rules of worker_link/protocol.py and moves no packet: a call opens once, is set only while open, and closes once."""

    secure: dict[str, dict[str, bool]] = field(default_factory=dict)
    legs: dict[tuple[str, str], list[LegDescription]] = field(default_factory=dict)
    broken: bool = False
    full: bool = False
    """Whether there is no room for text."""
    _ports: Any = field(default_factory=lambda: itertools.count(30000, 2))

    async def open(self, call: str, *, secure: dict[str, bool], further: bool = False) -> dict[str, LocalTransport]:
        if self.broken or call in self.secure or (further and self.full):
            raise MediaError("no")
        assert set(secure) == {"a", "b"}
        assert further == call.endswith("/text"), "a stream beside the first has a name of its own"
        self.secure[call] = secure
        ports = {leg: self._port(call, secure[leg]) for leg in secure}
        return {
            leg: LocalTransport(
                address="127.0.0.1", rtp_port=port, rtcp_port=port + 1, fingerprint=FINGERPRINT if secure[leg] else ""
            )
            for leg, port in ports.items()
        }

    def _port(self, call: str, secure: bool) -> int:
        if secure:
            return 20002 if call.endswith("/text") else 20000
        return int(next(self._ports))

    async def set(self, call: str, leg: str, remote: LegDescription) -> None:
        if call not in self.secure:
            raise MediaError("unknown call")
        if leg not in self.secure[call] or (remote.crypto is not None) != self.secure[call][leg]:
            raise MediaError("a leg does not change its protection")
        if remote.crypto is not None:
            for key in (remote.crypto.send_key, remote.crypto.receive_key):
                assert len(b64decode(key)) == remote.crypto.suite.key_length
            assert remote.crypto.send_key != remote.crypto.receive_key
        self.legs.setdefault((call, leg), []).append(remote)

    async def reopen(self, call: str, leg: str, *, secure: bool) -> tuple[LocalTransport, LegStats]:
        if call not in self.secure:
            raise MediaError("unknown call")
        self.secure[call][leg] = secure
        port = self._port(call, secure)
        fingerprint = FINGERPRINT if secure else ""
        local = LocalTransport(address="127.0.0.1", rtp_port=port, rtcp_port=port + 1, fingerprint=fingerprint)
        return local, LegStats(suite=None)

    async def move(self, call: str, leg: str, *, to: str, to_leg: str) -> LegStats:
        known = call in self.secure and to in self.secure and leg in self.secure[call] and call != to
        if not known or call.endswith("/text") != to.endswith("/text"):
            raise MediaError("unknown call")
        self.secure[to][to_leg] = self.secure[call].pop(leg)
        self.legs[to, to_leg] = self.legs.pop((call, leg), [])
        return LegStats(suite=None)

    async def close(self, call: str) -> dict[str, LegStats]:
        if call not in self.secure:
            raise MediaError("unknown call")
        del self.secure[call]
        last = {leg: self.legs.get((call, leg), []) for leg in ("a", "b")}
        return {
            leg: LegStats(suite=said[-1].crypto.suite if said and said[-1].crypto else None)
            for leg, said in last.items()
        }
