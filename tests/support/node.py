"""A real media node for tests: its certificate, the AWS it speaks with, its metadata, and the process itself."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import ipaddress
import json
import random
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from callvoip.process import die_with_parent
from media_node.sip.digest import Algorithm

DOMAIN = "sip.example.nl"
REGION = "eu-central-1"


@dataclass(frozen=True)
class Certificates:
    """A CA and a server certificate of it for DOMAIN."""

    ca_file: Path
    chain: str
    key: str

    def client_context(self) -> ssl.SSLContext:
        """What a phone trusts."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    @property
    def pem(self) -> str:
        """The one value that a node reads."""
        return self.key + self.chain

    @classmethod
    def make(cls, directory: Path, domain: str = DOMAIN) -> Certificates:
        """A new CA, its file in `directory`, and a certificate of it."""
        ca = certificate("Test CA", None)
        leaf, key = certificate(domain, ca)
        ca_file = directory / "ca.pem"
        ca_file.write_bytes(ca[0].public_bytes(serialization.Encoding.PEM))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return cls(ca_file, leaf.public_bytes(serialization.Encoding.PEM).decode(), pem.decode())


def certificate(
    name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        names = [x509.DNSName(name), *(x509.IPAddress(ipaddress.ip_address("127.0.0.1")) for _ in range(1))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


@dataclass(frozen=True)
class Aws:
    """The emulated AWS: an endpoint, and clients for what the test itself does."""

    endpoint: str

    def client(self, service: str) -> Any:
        session: Any = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
        return session.client(service, endpoint_url=self.endpoint)


def answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        urllib.request.urlopen(url, timeout=1).close()
        return True
    return False


def wait_until(
    condition: Callable[[], Any], seconds: float = 15, why: Callable[[], str] = lambda: "waited in vain"
) -> Any:
    """The first true value of `condition`; fails the test, saying `why`, when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


class _Metadata(http.server.BaseHTTPRequestHandler):
    """The instance metadata service, version 2 only."""

    answers: dict[str, str]

    def do_PUT(self) -> None:
        self._answer("token" if self.path == "/latest/api/token" else None)

    def do_GET(self) -> None:
        self._answer(self.answers.get(self.path) if self.headers.get("X-aws-ec2-metadata-token") == "token" else None)

    def _answer(self, text: str | None) -> None:
        self.send_response(404 if text is None else 200)
        body = (text or "").encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def metadata_service(answers: dict[str, str], host: str = "127.0.0.1") -> Iterator[str]:
    """Serves these paths and yields the endpoint."""
    handler = type("Handler", (_Metadata,), {"answers": answers})
    server = http.server.ThreadingHTTPServer((host, 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def free_address() -> str:
    """A loopback address on which the node's own ports are free."""
    while True:
        address = f"127.{random.randrange(64, 128)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        with (
            socket.socket() as tls,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as srtp,
            contextlib.suppress(OSError),
        ):
            tls.bind((address, 5061))
            srtp.bind((address, 20000))
            return address


@dataclass(frozen=True)
class TestAccount:
    """A phone of the customer under test."""

    __test__ = False
    username: str
    extension: str
    password: str

    def __str__(self) -> str:
        return f"{self.username}:{self.password}"


def accounts(customer: str, number: int = 2) -> list[TestAccount]:
    return [TestAccount(f"{customer}-{101 + n}", str(101 + n), secrets.token_urlsafe(12)) for n in range(number)]


def assignment(
    customer: str,
    phones: list[TestAccount],
    *,
    encrypted: bool = True,
    version: int = 1,
    credentials: bool = True,
    domain: str = DOMAIN,
    numbers: Sequence[dict[str, Any]] = (),
    country: str = "NL",
) -> dict[str, Any]:
    """An ASSIGNMENT as the reconciler writes it, or with its credentials handed out."""
    return {
        "environmentId": customer,
        "customerId": customer,
        "encrypted": encrypted,
        "country": country,
        "calls": 10,
        "version": version,
        "phones": [
            {
                "username": phone.username,
                "extension": phone.extension,
                **(
                    {"ha1": {name.value: name.ha1(phone.username, domain, phone.password) for name in Algorithm}}
                    if credentials
                    else {}
                ),
            }
            for phone in phones
        ],
        "assignedAt": "2026-11-21T12:00:00Z",
        **({"numbers": list(numbers)} if numbers else {}),
    }


@dataclass
class NodeUnderTest:
    """A real node process and the AWS partition it reads."""

    address: str
    certificates: Certificates
    arn: str
    fleet_table: str
    cdr_table: str
    dynamodb: Any
    directory: Path
    environment: dict[str, str]
    config: Path
    log: Path
    ssm: Any
    port: int = 5061
    process: subprocess.Popen[bytes] | None = None
    _versions: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Starts the process and waits until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "media_node", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                preexec_fn=die_with_parent,
            )
        seen = len(self.events("listening"))
        wait_until(lambda: self._alive() and len(self.events("listening")) > seen, 30)

    def _alive(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return True

    def stop(self, number: int = signal.SIGTERM, timeout: float = 20) -> int:
        """Stops the process; its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of one kind."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in found if event["event"] == name]

    def renew(self, pem: str) -> None:
        """Puts this as the node's certificate and has it look."""
        assert self.process is not None
        name = tomllib.loads(self.config.read_text())["sip"]["certificate_parameter"]
        self.ssm.put_parameter(Name=name, Value=pem, Type="SecureString", Overwrite=True)
        self.process.send_signal(signal.SIGHUP)

    def put(self, sk: str, item: dict[str, Any]) -> None:
        from media_node.control.aws import to_item

        self.dynamodb.put_item(TableName=self.fleet_table, Item=to_item({"pk": self.arn, "sk": sk, **item}))

    def item(self, sk: str) -> dict[str, Any]:
        from media_node.control.aws import from_item

        answer = self.dynamodb.get_item(
            TableName=self.fleet_table, Key={"pk": {"S": self.arn}, "sk": {"S": sk}}, ConsistentRead=True
        )
        return from_item(answer["Item"]) if "Item" in answer else {}

    def records(self, customer: str) -> list[dict[str, Any]]:
        from media_node.control.aws import from_item

        answer = self.dynamodb.query(
            TableName=self.cdr_table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"CUSTOMER#{customer}"}},
            ConsistentRead=True,
        )
        return [from_item(item) for item in answer["Items"]]

    def assign(self, customer: str, phones: list[TestAccount], *, probed: bool = False, **options: Any) -> None:
        """Assigns an environment and waits until the node has loaded this version of it (and, with `probed`, proved
        it).
        """
        item = assignment(customer, phones, **options)
        self.put(f"ASSIGNMENT#{item['environmentId']}", item)

        def loaded() -> bool:
            self._alive()
            report = self.item("REPORT").get("assignments", {}).get(item["environmentId"], {})
            return report.get("version") == item["version"] and (not probed or report.get("probe", {}).get("ok", False))

        wait_until(loaded, 30, lambda: self.log.read_text())


NodeFactory = Callable[..., NodeUnderTest]
