"""The name server of the local system: what the zones of the emulated Route 53 say, to phones that ask by DNS."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import boto3
import pytest
from dnslib import RCODE, DNSRecord
from moto import mock_aws

from callvoip.nodes.names import NameServer, Server, locate

RECORDS = {
    ("abc234.sip.example.nl.", "A"): ["127.0.0.2"],
    ("_sips._tcp.abc234.sip.example.nl.", "SRV"): [
        "20 10 5061 node-n0002.sip.example.nl.",
        "10 10 5061 node-n0001.sip.example.nl.",
    ],
    ("node-n0001.sip.example.nl.", "A"): ["127.0.0.2"],
    ("node-n0002.sip.example.nl.", "A"): ["127.0.0.3"],
}


class MotoZone:
    """The emulated AWS of this process: one zone that does not change."""

    def client(self, service: str) -> object:
        return boto3.client("route53", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.fixture
def server() -> Iterator[NameServer]:
    with mock_aws():
        emulated = MotoZone()
        route53 = boto3.client("route53", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        zone = route53.create_hosted_zone(Name="sip.example.nl", CallerReference="x")["HostedZone"]["Id"]
        for (name, kind), values in RECORDS.items():
            record = {"Name": name, "Type": kind, "TTL": 30, "ResourceRecords": [{"Value": value} for value in values]}
            changes: Any = [{"Action": "UPSERT", "ResourceRecordSet": record}]
            route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
        made = NameServer(emulated)  # type: ignore[arg-type]
        made._zones, made._records = made._read()
        yield made


def ask(server: NameServer, name: str, kind: str) -> DNSRecord:
    answer = server.answer(DNSRecord.question(name, kind).pack())
    assert answer
    return DNSRecord.parse(answer)


def test_a_service_comes_with_the_addresses_of_its_servers(server: NameServer) -> None:
    answer = ask(server, "_sips._tcp.ABC234.sip.example.nl", "SRV")
    assert sorted(record.rdata.priority for record in answer.rr) == [10, 20]
    assert {str(record.rdata) for record in answer.ar} == {"127.0.0.2", "127.0.0.3"}


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("nobody.sip.example.nl", "A", RCODE.NXDOMAIN),
        ("abc234.sip.example.nl", "AAAA", RCODE.NOERROR),
        ("www.example.com", "A", RCODE.REFUSED),
    ],
)
def test_what_is_not_there_is_said_in_dns_own_words(server: NameServer, name: str, kind: str, code: int) -> None:
    answer = ask(server, name, kind)
    assert (answer.header.rcode, answer.rr) == (code, [])


@pytest.mark.parametrize("noise", [b"", b"x", b"\xff" * 600, DNSRecord.question("a.nl", "A").pack()[:-3]])
def test_what_is_no_query_is_not_answered_and_ends_nothing(server: NameServer, noise: bytes) -> None:
    server.answer(noise)
    assert ask(server, "abc234.sip.example.nl", "A").rr


async def test_a_phone_tries_the_primary_first(server: NameServer) -> None:
    loop = asyncio.get_running_loop()

    class Answering(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: object) -> None:
            self.transport.sendto(server.answer(data) or b"", address)  # type: ignore[attr-defined]

    transport, _ = await loop.create_datagram_endpoint(Answering, local_addr=("127.0.0.1", 0))
    try:
        host, port = transport.get_extra_info("sockname")[:2]
        found = await asyncio.to_thread(locate, f"{host}:{port}", "abc234.sip.example.nl")
        assert found == [Server("127.0.0.2", 5061), Server("127.0.0.3", 5061)]
        with pytest.raises(OSError, match="nobody"):
            await asyncio.to_thread(locate, f"{host}:{port}", "nobody.sip.example.nl")
    finally:
        transport.close()


async def test_a_reading_that_fails_is_done_again_though_no_other_change_comes(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: asyncio.Queue[int] = asyncio.Queue()

    class Changing(MotoZone):
        @asynccontextmanager
        async def changes(self, service: str) -> AsyncIterator[AsyncIterator[int]]:
            async def each() -> AsyncIterator[int]:
                yield 7
                await asyncio.Event().wait()

            yield each()

        async def followed(self, service: str, writes: int) -> None:
            told.put_nowait(writes)

    read, failures = server._read, iter([OSError("the zones are being written")])

    def reading() -> Any:
        for failure in failures:
            raise failure
        return read()

    server._emulated = Changing()  # type: ignore[assignment]
    monkeypatch.setattr(server, "_read", reading)
    server._records = {}
    async with server:
        assert await asyncio.wait_for(told.get(), 30) == 7
    assert ask(server, "abc234.sip.example.nl", "A").rr
