"""What the node's tests share: a certificate, an emulated AWS, and real node processes on loopback addresses of their
own.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from callvoip.process import die_with_parent
from media_node.call.directory import Directory
from media_node.call.exchange import Exchange
from media_node.call.record import CallRecord
from media_node.sip.listener import listen_tls, server_context
from tests.support.node import (
    DOMAIN,
    Aws,
    Certificates,
    NodeFactory,
    answers,
    wait_until,
)
from tests.support.node_factory import node_factory
from tests.support.office import Office, environment
from tests.support.ruleful_media import RulefulMedia

# The machine is shared with other tests: how long an example takes says nothing.


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
    """Makes nodes; ends them after the test."""
    with node_factory(aws, certificates, tmp_path) as make:
        yield make


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
