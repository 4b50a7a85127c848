"""The zones of the emulated Route 53 as a name server on loopback, and how a client here asks it (RFC 3263 section 4)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError
from dnslib import QTYPE, RCODE, RR, SRV, A, DNSRecord

from callvoip.aws.endpoint import Emulated
from callvoip.data import write

_log = logging.getLogger(__name__)
_ASK_SECONDS = 2.0
_AGAIN_SECONDS = 0.5
_KINDS = {"A": A, "SRV": SRV}


@dataclass(frozen=True)
class Server:
    """Where to connect to."""

    host: str
    port: int


class NameServer:
    """Async context manager: answers on UDP what the zones say, and follows their changes."""

    def __init__(self, emulated: Emulated, kept: Path | None = None) -> None:
        """`kept` is the file that keeps the record sets, which moto forgets."""
        self._emulated = emulated
        self._kept = kept
        self._records: dict[tuple[str, str], list[RR]] = {}
        self._zones: tuple[str, ...] = ()
        self._transport: asyncio.DatagramTransport | None = None
        self._follower: asyncio.Task[None] | None = None
        self.address = ""
        """HOST:PORT once it is entered."""

    async def __aenter__(self) -> NameServer:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Asked(self), local_addr=("127.0.0.1", 0))
        host, port = self._transport.get_extra_info("sockname")[:2]
        self.address = f"{host}:{port}"
        if self._kept and self._kept.exists():
            await asyncio.to_thread(self._restore, json.loads(self._kept.read_text(encoding="utf-8")))
        self._follower = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._follower:
            self._follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follower
        if self._transport:
            self._transport.close()

    async def _follow(self) -> None:
        """Read the zones after each change. One reading that fails is done again: no other change may come for a long time."""
        while True:
            try:
                async with self._emulated.changes("route53") as changes:
                    async for writes in changes:
                        self._zones, self._records = await asyncio.to_thread(self._read)
                        await self._emulated.followed("route53", writes)
            except (aiohttp.ClientError, BotoCoreError, ClientError) as error:
                _log.warning("the zones could not be read, once more: %s", error)
                await asyncio.sleep(_AGAIN_SECONDS)
            except Exception:
                _log.exception("the zones could not be read")
                await asyncio.sleep(_AGAIN_SECONDS)

    def _read(self) -> tuple[tuple[str, ...], dict[tuple[str, str], list[RR]]]:
        route53 = self._emulated.client("route53")
        zones = route53.list_hosted_zones()["HostedZones"]
        found: dict[tuple[str, str], list[RR]] = {}
        sets: list[dict[str, Any]] = []
        for zone in zones:
            pages = route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone["Id"])
            for record in (record for page in pages for record in page["ResourceRecordSets"]):
                if record["Type"] in _KINDS:
                    sets.append(record)
                    name, kind = record["Name"].lower(), record["Type"]
                    found[name, kind] = [_answer(record, value["Value"]) for value in record["ResourceRecords"]]
        if self._kept:
            write(self._kept, json.dumps(sets, indent=1))
        return tuple(zone["Name"].lower() for zone in zones), found

    def _restore(self, sets: Sequence[dict[str, Any]]) -> None:
        """Put back what was kept, but for what has been written anew already."""
        route53 = self._emulated.client("route53")
        for zone in route53.list_hosted_zones()["HostedZones"]:
            there = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
            known = {(one["Name"], one["Type"]) for one in there}
            changes = [
                {"Action": "UPSERT", "ResourceRecordSet": one}
                for one in sets
                if one["Name"].endswith(f".{zone['Name']}") and (one["Name"], one["Type"]) not in known
            ]
            if changes:
                route53.change_resource_record_sets(HostedZoneId=zone["Id"], ChangeBatch={"Changes": changes})

    def answer(self, query: bytes) -> bytes | None:
        """The answer to one query; None for what is no query. A name outside the zones is refused."""
        try:
            asked = DNSRecord.parse(query)
        except Exception:  # dnslib raises many kinds for bytes that are no message
            return None
        reply = asked.reply()
        name, kind = str(asked.q.qname).lower(), str(QTYPE[asked.q.qtype])
        if not any(name == zone or name.endswith(f".{zone}") for zone in self._zones):
            reply.header.rcode = RCODE.REFUSED
        elif not any(known == name for known, _ in self._records):
            reply.header.rcode = RCODE.NXDOMAIN
        for record in self._records.get((name, kind), ()):
            reply.add_answer(record)
            if kind == "SRV":
                for address in self._records.get((str(record.rdata.target).lower(), "A"), ()):
                    reply.add_ar(address)
        packed: bytes = reply.pack()
        return packed


def _answer(record: dict[str, Any], value: str) -> RR:
    if record["Type"] == "A":
        data: Any = A(value)
    else:
        priority, weight, port, target = value.split(" ")
        data = SRV(int(priority), int(weight), int(port), target)
    return RR(record["Name"], getattr(QTYPE, record["Type"]), ttl=int(record["TTL"]), rdata=data)


class _Asked(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        if reply := self._server.answer(data):
            self._transport.sendto(reply, address)


def locate(nameserver: str, domain: str) -> list[Server]:
    """The servers for SIP over TLS of a domain, in the order in which a phone tries them. Raises OSError when there are none."""
    services = _ask(nameserver, f"_sips._tcp.{domain}", "SRV")
    found = []
    for record in sorted(services.rr, key=lambda record: record.rdata.priority):
        target = str(record.rdata.target)
        addresses = [str(one.rdata) for one in services.ar if str(one.rname) == target]
        addresses = addresses or [str(one.rdata) for one in _ask(nameserver, target, "A").rr]
        found += [Server(address, record.rdata.port) for address in addresses]
    if not found:
        raise OSError(f"{domain} has no servers for SIP over TLS")
    return found


def _ask(nameserver: str, name: str, kind: str) -> DNSRecord:
    host, _, port = nameserver.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_ASK_SECONDS)
        asking.sendto(DNSRecord.question(name, kind).pack(), (host, int(port)))
        return DNSRecord.parse(asking.recv(4096))
