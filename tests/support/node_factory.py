"""Real node processes for tests: each with tables, parameters and metadata of its own at an emulated AWS."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from callvoip.process import end
from media_node.suites import Suite
from tests.support.node import (
    DOMAIN,
    REGION,
    Aws,
    Certificates,
    NodeFactory,
    NodeUnderTest,
    free_address,
    metadata_service,
)

_instances = itertools.count(1)
_KEY_LOG: Final = """import os
import ssl


_make = ssl.SSLContext.__new__


def _logged(cls, *arguments, **options):
    context = _make(cls, *arguments, **options)
    context.keylog_filename = os.environ["TEST_KEYLOG"]
    return context


ssl.SSLContext.__new__ = staticmethod(_logged)
"""
"""The product itself has no way to give its keys away: Python loads this before it."""


def key_log(directory: Path, file: Path) -> dict[str, str]:
    """What a Python process needs in its environment to write its TLS keys into a file."""
    loaded = directory / "keylog"
    loaded.mkdir()
    (loaded / "sitecustomize.py").write_text(_KEY_LOG)
    return {"PYTHONPATH": str(loaded), "TEST_KEYLOG": str(file)}


@contextlib.contextmanager
def node_factory(aws: Aws, certificates: Certificates, directory: Path) -> Iterator[NodeFactory]:
    """Makes nodes (`trunk` is the trunk parameter's object or list, `media_timeout` in seconds); ends them in the end.

    With `keylog` the keys of all its TLS connections are written to that file, for tshark.
    """
    nodes: list[NodeUnderTest] = []
    with contextlib.ExitStack() as services:

        def make(
            trunk: dict[str, Any] | list[dict[str, Any]] | None = None,
            media_timeout: float = 60,
            start: bool = True,
            state: str = "",
            workers: int = 1,
            suites: Iterable[str] = Suite,
            keylog: Path | None = None,
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
            home = directory / f"node{number}"
            home.mkdir()
            config = home / "node.toml"
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
directory = "{home}/state"
{state}
""")
            node = NodeUnderTest(
                address=address,
                certificates=certificates,
                arn=f"arn:aws:ec2:{REGION}:123456789012:instance/{instance_id}",
                fleet_table=f"fleet-{name}",
                cdr_table=f"cdr-{name}",
                dynamodb=dynamodb,
                directory=home,
                environment=os.environ
                | {
                    "AWS_ENDPOINT_URL": aws.endpoint,
                    "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata,
                    "AWS_ACCESS_KEY_ID": "test",
                    "AWS_SECRET_ACCESS_KEY": "test",
                    "SSL_CERT_FILE": str(certificates.ca_file),  # whom it believes of trunks over TLS
                }
                | (key_log(home, keylog) if keylog is not None else {}),
                config=config,
                log=home / "log",
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
