"""`./dev bench api`: what a start, a request and an order cost, and what visitors wait for.

init_ms: from the start of a process under AWS's runtime client until it asks for its first event, the best of several;
the baseline is a handler that only makes a boto3 client, started in turns with ours. cpu_ms: the processor time of
that, which other work on the machine hardly stretches. first_ms: until the first answer; the baseline's answer reads
one item. warm_ms: the median of further requests on DynamoDB Local. write_units_per_order: what AWS bills for one order
of a visitor with JavaScript, as tests/support/write_units.py has it. visitors: 50 at once on the local system, each
with an address of its own, who read the prices, get a challenge, order, and look at their order.
"""

import argparse
import json
import logging
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any, cast

import boto3
import requests
from moto.server import ThreadedMotoServer
from requests.adapters import HTTPAdapter

from callvoip.paths import ROOT
from callvoip.system import LocalSystem

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.support import functions as called

STARTS = 7
WARM = 40
VISITORS = 50
ROUNDS = 2
FIELDS = {"company": "Bakkerij Jansen", "name": "A. Jansen", "telephone": "085 123 45 67", "phones": "5"}
CLAIMS = {"sub": "1", "username": "anna@example.nl", "cognito:groups": "[sales]"}
BASELINE = """
import boto3, os
client = boto3.client("dynamodb")
def handler(event, context):
    client.get_item(TableName=os.environ["ORDERS_TABLE"], Key={"pk": {"S": "x"}, "sk": {"S": "x"}})
    return {"statusCode": 200}
"""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A process that is killed resets its connection."""


@dataclass
class Process:
    """One function under awslambdaric, and the Runtime API that it talks to."""

    handler: str
    environment: Mapping[str, str]
    cwd: str
    asked: threading.Event = field(default_factory=threading.Event)
    events: "queue.Queue[bytes]" = field(default_factory=queue.Queue)
    answers: "queue.Queue[tuple[str, bytes]]" = field(default_factory=queue.Queue)

    def __enter__(self) -> "Process":
        owner = self

        class RuntimeApi(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # header and body in one packet
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                owner.asked.set()
                event = owner.events.get()
                headers = {
                    "Lambda-Runtime-Aws-Request-Id": str(uuid.uuid4()),
                    "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 60_000),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:bench",
                    "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
                }
                self._answer(200, event, headers)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                self._answer(202, b"{}", {})
                owner.answers.put((self.path.rpartition("/")[2], body))

            def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                for name, value in {
                    **headers,
                    "Content-Type": "application/json",
                    "Content-Length": str(len(body)),
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = _QuietServer(("127.0.0.1", 0), RuntimeApi)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", self.handler],
            env={**self.environment, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}"},
            cwd=self.cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._server.shutdown()
        self._server.server_close()

    def started(self) -> float:
        """Milliseconds until it asked for its first event. Raises RuntimeError."""
        if not self.asked.wait(60):
            raise RuntimeError(f"{self.handler} does not start")
        return self.since_start

    def call(self, event: Mapping[str, Any]) -> float:
        """Milliseconds that a request takes. Raises RuntimeError for a fault, queue.Empty when no answer comes."""
        began = time.perf_counter()
        self.events.put(json.dumps(event).encode())
        kind, body = self.answers.get(timeout=60)
        took = (time.perf_counter() - began) * 1000
        answer = cast("dict[str, Any]", json.loads(body or b"{}"))
        if kind == "error" or answer.get("statusCode", 200) >= 400:
            raise RuntimeError(f"{self.handler}: {body[:500]!r}")
        return took

    @property
    def cpu(self) -> float:
        """Milliseconds of processor time so far; https://docs.kernel.org/scheduler/sched-stats.html."""
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6

    @property
    def since_start(self) -> float:
        return (time.perf_counter() - self._began) * 1000


def request(method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """API Gateway's event for a request of a colleague of sales."""
    headers = {"idempotency-key": str(uuid.uuid4())} if body else {}
    return called.Api().event(method, path, body, None, None, headers, CLAIMS)


def order() -> dict[str, Any]:
    """The event of a new order of a new customer."""
    return request("POST", "/api/orders", {**FIELDS, "email": f"{uuid.uuid4().hex}@example.nl"})


@contextmanager
def aws() -> Iterator[dict[str, str]]:
    """DynamoDB Local with our tables, moto for everything else; the functions' environment, which is ours too for so
    long.
    """
    before = dict(os.environ)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with called.dynamodb_local_running() as endpoint:
        moto.start()
        _, port = moto.get_host_and_port()
        tables = {name: name.lower() for name in called.TABLES}
        environment = {
            **tables,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "functions" / "src"),
            "DATA_DIR": str(ROOT / "site" / "data"),
            "VIEWS_DIR": str(ROOT / "tests" / "functions" / "views"),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "FLEET_NAME": "bench",
            "LAUNCH_TEMPLATE_ID": "lt-0123456789abcdef0",
            "SUBNET_IDS": "subnet-a",
            "NODE_CAPACITY_CALLS": "100",
            "MAX_NODES": "1",
            "ORDER_KEY": "bench",
            "ORDERS_PER_HOUR": "100000",
            "SITE_URL": "https://callvoip.example.nl",
            "MAIL_FROM": "bestellingen@callvoip.example.nl",
            "POWERTOOLS_METRICS_NAMESPACE": "callvoip",
            "POWERTOOLS_SERVICE_NAME": "bench",
            "LOG_LEVEL": "INFO",
        }
        os.environ.update(environment)
        try:
            called.create_tables(boto3.client("dynamodb"), tables)
            yield environment
        finally:
            moto.stop()
            os.environ.clear()
            os.environ.update(before)


def write_units_per_order() -> float:
    """Write units of one order; the catalogue is loaded by the way. Raises RuntimeError."""
    from ordering import catalogue_loader, challenge, orders_api
    from tests.functions.test_spam import solve
    from tests.support import write_units

    context: Any = called.Context()
    catalogue_loader.handler({}, context)
    given = challenge.Challenge(**json.loads(orders_api.handler(request("GET", "/api/challenge"), context)["body"]))
    event = request(
        "POST",
        "/api/orders",
        {**FIELDS, "email": "units@example.nl", "monthlyTotalCents": 1000, "altcha": solve(given)},
    )

    def place() -> None:
        answer = orders_api.handler(event, context)
        if answer["statusCode"] != 201:
            raise RuntimeError(answer["body"])

    return write_units.of(place)


def functions(environment: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Start and request times by function."""
    kinds: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
        "prices": ("ordering.prices_api.handler", lambda: request("GET", "/api/prices")),
        "orders": ("ordering.orders_api.handler", order),
        "sales": ("ordering.sales_api.handler", lambda: request("GET", "/api/sales/orders")),
        "catalogue_loader": ("ordering.catalogue_loader.handler", dict),
        "mailer": ("ordering.mailer.handler", lambda: {"Records": []}),
        "reconciler": ("fleet.reconciler.handler", dict),
    }
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "bare.py").write_text(BASELINE)
        # botocore takes up pyOpenSSL where it is installed, as it is here for the media node; the functions' layer has
        # none.
        Path(directory, "OpenSSL.py").write_text("raise ImportError")
        return {name: _function(handler, event, environment, directory) for name, (handler, event) in kinds.items()}


def _function(
    handler: str, event: Callable[[], dict[str, Any]], environment: Mapping[str, str], directory: str
) -> dict[str, float]:
    ours: list[tuple[float, float, float]] = []
    bare: list[tuple[float, float, float]] = []
    for _ in range(STARTS):
        # In turns, so that what else the machine does weighs on both.
        for kind, results in (("bare.handler", bare), (handler, ours)):
            with Process(kind, environment, directory) as process:
                init, cpu = process.started(), process.cpu
                process.call(event())
                results.append((init, cpu, process.since_start))
    with Process(handler, environment, directory) as process:
        process.started()
        process.call(event())
        warm = statistics.median(process.call(event()) for _ in range(WARM))
    best = ([min(column) for column in zip(*each, strict=True)] for each in (ours, bare))
    (init_ms, cpu_ms, first_ms), (baseline_ms, cpu_baseline_ms, first_baseline_ms) = best
    return {
        "init_ms": round(init_ms, 1),
        "baseline_ms": round(baseline_ms, 1),
        "ratio": round(init_ms / baseline_ms, 3),
        "cpu_ms": round(cpu_ms, 1),
        "cpu_baseline_ms": round(cpu_baseline_ms, 1),
        "cpu_ratio": round(cpu_ms / cpu_baseline_ms, 3),
        "first_ms": round(first_ms, 1),
        "first_baseline_ms": round(first_baseline_ms, 1),
        "warm_ms": round(warm, 2),
    }


def visitors() -> dict[str, float]:
    """What 50 visitors at once wait for, in milliseconds a request."""
    took: list[float] = []
    errors: list[str] = []

    def visit(number: int, api: str, barrier: threading.Barrier) -> None:
        session = requests.Session()
        adapter = HTTPAdapter()
        # An address of its own, as 50 visitors have: one source is slowed down after many orders.
        adapter.init_poolmanager(1, 1, source_address=(f"127.0.1.{number + 1}", 0))
        session.mount("http://", adapter)

        def timed(method: str, path: str, **options: Any) -> dict[str, Any]:
            began = time.perf_counter()
            try:
                answer = session.request(method, api + path, timeout=60, **options)
                answer.raise_for_status()
                return cast("dict[str, Any]", answer.json())
            except requests.RequestException as error:
                errors.append(f"{method} {path[:10]}: {type(error).__name__} {str(error)[:40]}")
                return {}
            finally:
                took.append((time.perf_counter() - began) * 1000)

        barrier.wait()
        for _ in range(ROUNDS):
            timed("GET", "/prices")
            timed("GET", "/challenge")
            fields = {**FIELDS, "email": f"{uuid.uuid4().hex}@example.nl"}
            placed = timed("POST", "/orders", json=fields, headers={"Idempotency-Key": str(uuid.uuid4())})
            if placed:
                timed("GET", f"/orders/{placed['id']}", headers={"Authorization": f"Bearer {placed['token']}"})

    with LocalSystem.start() as system:
        for path in ("/prices", "/challenge"):
            requests.get(system.api + path, timeout=60)
        barrier = threading.Barrier(VISITORS)
        threads = [threading.Thread(target=visit, args=(n, system.api, barrier)) for n in range(VISITORS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for error in sorted(set(errors)):
        print(f"{errors.count(error)} x {error}", file=sys.stderr)
    return {
        "p50_ms": round(statistics.median(took), 1),
        "p99_ms": round(statistics.quantiles(took, n=100)[98], 1),
        "errors": len(errors),
    }


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="dev bench api", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with aws() as environment:
        with redirect_stdout(StringIO()):  # the functions' own log
            units = write_units_per_order()
        figures: dict[str, Any] = {"functions": functions(environment), "write_units_per_order": units}
    figures["visitors"] = visitors()
    if options.json:
        print(json.dumps(figures))
        return 0
    columns = ("init", "bare", "ratio", "cpu", "bare", "ratio", "first", "bare", "warm")
    print(f"{'function (ms)':18} {' '.join(f'{column:>8}' for column in columns)}")
    for name, each in figures["functions"].items():
        print(
            f"{name:18} {each['init_ms']:8.0f} {each['baseline_ms']:8.0f} {each['ratio']:8.2f} "
            f"{each['cpu_ms']:8.0f} {each['cpu_baseline_ms']:8.0f} {each['cpu_ratio']:8.2f} "
            f"{each['first_ms']:8.0f} {each['first_baseline_ms']:8.0f} {each['warm_ms']:8.1f}"
        )
    print(f"write units per order: {units:g}")
    seen = figures["visitors"]
    print(
        f"{VISITORS} visitors at once: half within {seen['p50_ms']} ms, 99% within {seen['p99_ms']} ms; {seen['errors']} errors"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
