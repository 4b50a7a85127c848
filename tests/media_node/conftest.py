"""What the node's tests share: a certificate, an emulated AWS, and real node processes on loopback addresses of their
own.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from callvoip.process import die_with_parent, end
from media_node.call.directory import Directory
from media_node.call.exchange import Exchange
from media_node.call.record import CallRecord
from media_node.sip.listener import listen_tls, server_context
from media_node.suites import Suite
from tests.support.node import (
    DOMAIN,
    REGION,
    Aws,
    Certificates,
    NodeFactory,
    NodeUnderTest,
    answers,
    free_address,
    metadata_service,
    wait_until,
)
from tests.support.office import Office, RulefulMedia, environment

# The machine is shared with other tests: how long an example takes says nothing.

_instances = itertools.count(1)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def aws(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=log,
        stderr=log,
        env=os.environ | {"TZ": "UTC"},
        preexec_fn=die_with_parent,
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{endpoint}/moto-api/"), 30)
        yield Aws(endpoint)
    finally:
        process.terminate()
        process.wait(10)
        log.close()


@pytest.fixture
def new_node(aws: Aws, certificates: Certificates, tmp_path: Path) -> Iterator[NodeFactory]:
    """Makes nodes (`trunk` is the trunk parameter's object, `media_timeout` in seconds); ends them after the test."""
    nodes: list[NodeUnderTest] = []
    with contextlib.ExitStack() as services:

        def make(
            trunk: dict[str, Any] | None = None,
            media_timeout: float = 60,
            start: bool = True,
            state: str = "",
            workers: int = 1,
            suites: Iterable[str] = Suite,
        ) -> NodeUnderTest:
            number = next(_instances)
            name = f"{os.getpid()}-{number}"
            instance_id = f"i-{os.getpid():08x}{number:08x}"
            address = free_address()
            dynamodb, ssm = aws.client("dynamodb"), aws.client("ssm")
            for table in (f"fleet-{name}", f"cdr-{name}"):
                dynamodb.create_table(
                    TableName=table,
                    BillingMode="PAY_PER_REQUEST",
                    AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
                    KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                )
            for parameter, value, kind in (
                ("certificate", certificates.pem, "SecureString"),
                ("trunk", json.dumps(trunk or {}), "String"),
            ):
                ssm.put_parameter(Name=f"/{name}/sip/{parameter}", Value=value, Type=kind)
            metadata = services.enter_context(
                metadata_service(
                    {
                        "/latest/meta-data/instance-id": instance_id,
                        "/latest/meta-data/local-ipv4": address,
                        "/latest/dynamic/instance-identity/document": json.dumps(
                            {"instanceId": instance_id, "accountId": "123456789012", "region": REGION}
                        ),
                    }
                )
            )
            directory = tmp_path / f"node{number}"
            directory.mkdir()
            config = directory / "node.toml"
            config.write_text(f"""
[fleet]
table = "fleet-{name}"
cdr_table = "cdr-{name}"
region = "{REGION}"
[sip]
domain = "{DOMAIN}"
port = 5061
certificate_parameter = "/{name}/sip/certificate"
[media]
workers = {workers}
suites = {json.dumps(list(suites))}
srtp_port = 20000
rtp_ports = [21000, 21099]
timeout_s = {media_timeout}
[trunk]
parameter = "/{name}/sip/trunk"
[state]
directory = "{directory}/state"
{state}
""")
            node = NodeUnderTest(
                address=address,
                certificates=certificates,
                arn=f"arn:aws:ec2:{REGION}:123456789012:instance/{instance_id}",
                fleet_table=f"fleet-{name}",
                cdr_table=f"cdr-{name}",
                dynamodb=dynamodb,
                directory=directory,
                environment=os.environ
                | {
                    "AWS_ENDPOINT_URL": aws.endpoint,
                    "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata,
                    "AWS_ACCESS_KEY_ID": "test",
                    "AWS_SECRET_ACCESS_KEY": "test",
                },
                config=config,
                log=directory / "log",
                ssm=ssm,
            )
            nodes.append(node)
            if start:
                node.start()
            return node

        try:
            yield make
        finally:
            for node in nodes:
                if node.process is not None and node.process.poll() is None:
                    end(node.process, 10)


@pytest_asyncio.fixture
async def office(certificates: Certificates, tmp_path: Any) -> AsyncIterator[Office]:
    media, records = RulefulMedia(), list[CallRecord]()
    exchange = Exchange(
        domain=DOMAIN, media=lambda: media, records=records.append, directory=Directory((environment(),))
    )
    context = server_context()
    pem = tmp_path / "server.pem"
    pem.write_text(certificates.pem)
    context.load_cert_chain(pem)
    listener = await listen_tls(exchange.transactions, host="127.0.0.1", port=0, context=context)
    office = Office(exchange, media, records, listener.local.port, certificates)
    yield office
    for handset in office.handsets:
        await handset.close()
    await exchange.drain(0, 0)
    await listener.close()
