"""The functions called as on AWS: DynamoDB Local with their tables, and events of the HTTP API."""

import base64
import copy
import importlib
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import boto3
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from callvoip.aws import dynamodb_local as local_dynamodb
from callvoip.process import die_with_parent

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tests" / "functions"

# The tables of infra/tables.py; tests/infra asserts that the template says the same.
KEYS: list[Any] = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
BY_STATE: dict[str, Any] = {
    "IndexName": "by-state",
    "KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}, {"AttributeName": "orderDate", "KeyType": "RANGE"}],
    "Projection": {
        "ProjectionType": "INCLUDE",
        "NonKeyAttributes": ["category", "search", "phones", "monthlyTotalCents"],
    },
}
BY_CHANGE: dict[str, Any] = {
    "IndexName": "by-change",
    "KeySchema": [{"AttributeName": "feed", "KeyType": "HASH"}, {"AttributeName": "changedAt", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "KEYS_ONLY"},
}
BY_LIST: dict[str, Any] = {
    "IndexName": "by-list",
    "KeySchema": [{"AttributeName": "list", "KeyType": "HASH"}, {"AttributeName": "listKey", "KeyType": "RANGE"}],
    "Projection": {
        "ProjectionType": "INCLUDE",
        "NonKeyAttributes": [
            "company",
            "dedicated",
            "endsOn",
            "environmentId",
            "monthlyCents",
            "number",
            "offeringId",
            "phoneCount",
            "quantity",
            "search",
            "startedOn",
            "unitCents",
            "version",
        ],
    },
}
TABLES: dict[str, dict[str, Any]] = {
    "ORDERS_TABLE": {"GlobalSecondaryIndexes": [BY_STATE, BY_CHANGE]},
    "CATALOGUE_TABLE": {},
    "FLEET_TABLE": {},
    "CDR_TABLE": {},
    "CUSTOMERS_TABLE": {"GlobalSecondaryIndexes": [BY_LIST]},
}
REGION = "eu-central-1"
_FEW = 100
HANDLERS = (
    "ordering.prices_api",
    "ordering.orders_api",
    "ordering.sales_api",
    "ordering.catalogue_loader",
    "fleet.reconciler",
)

# Read when Powertools is imported, as Lambda sets it before the process starts.
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "test")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "callvoip")


@contextmanager
def dynamodb_local_running() -> Iterator[str]:
    """The endpoint of a DynamoDB Local of its own; needs java. Raises RuntimeError when it does not start."""
    local_dynamodb.install()
    for _ in range(3):
        port = local_dynamodb.free_port()
        command = local_dynamodb.command(port, "-inMemory")
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent
        )
        try:
            if _answers(process, port):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            process.kill()
            process.wait()
    raise RuntimeError("DynamoDB Local does not start")


class Tables:
    """Tables in a DynamoDB Local, under a key of their own: it keeps the tables of each key apart.

    `names` are by the variables of the functions' environment.
    """

    def __init__(self, endpoint: str) -> None:
        self.key = uuid.uuid4().hex[:12]
        self.names = {name: f"{name.lower()}-{self.key}" for name in TABLES}
        self._client: Any = boto3.client(
            "dynamodb", REGION, endpoint_url=endpoint, aws_access_key_id=self.key, aws_secret_access_key="local"
        )
        create_tables(self._client, self.names)

    def empty(self) -> None:
        """Delete what a test left: its items, or with many of them the table, which takes as long as a hundred."""
        for variable, name in self.names.items():
            left = self._client.scan(TableName=name, ProjectionExpression="pk, sk", Limit=_FEW + 1)["Items"]
            if len(left) > _FEW:
                self._client.delete_table(TableName=name)
                create_tables(self._client, self.names, [variable])
                continue
            for begin in range(0, len(left), 25):
                wanted = [{"DeleteRequest": {"Key": item}} for item in left[begin : begin + 25]]
                assert not self._client.batch_write_item(RequestItems={name: wanted})["UnprocessedItems"]


def create_tables(client: Any, names: Mapping[str, str], wanted: Iterable[str] = TABLES) -> None:
    """Make the empty tables; `names` are by the variables of the functions' environment."""
    for variable in wanted:
        extra = TABLES[variable]
        attributes = {
            key["AttributeName"]
            for key in (
                *KEYS,
                *(key for index in extra.get("GlobalSecondaryIndexes", []) for key in index["KeySchema"]),
            )
        }
        client.create_table(
            TableName=names[variable],
            KeySchema=KEYS,
            AttributeDefinitions=[
                {"AttributeName": attribute, "AttributeType": "S"} for attribute in sorted(attributes)
            ],
            BillingMode="PAY_PER_REQUEST",
            **extra,
        )


@dataclass(frozen=True)
class Context:
    """What Lambda tells a handler of itself."""

    function_name: str = "test"
    memory_limit_in_mb: int = 1769
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:test"
    aws_request_id: str = "9b1c7e4e-0d1c-4c57-8f0e-2c8a3d1f5b6a"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@dataclass(frozen=True)
class Answer:
    """What API Gateway would send on."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@cache
def _api() -> dict[str, Any]:
    """The OpenAPI document of what the handlers declare."""
    from shared import openapi

    return json.loads(json.dumps(openapi.document()))  # type: ignore[no-any-return]


class Api:
    """The HTTP API: turns requests into events of API Gateway (payload 2.0) and calls the function that has the
    route.
    """

    def __init__(self) -> None:
        self._event = json.loads((HERE / "events/http_api.json").read_text())

    def get(self, target: str, **options: Any) -> Answer:
        return self.request("GET", target, **options)

    def post(self, target: str, **options: Any) -> Answer:
        return self.request("POST", target, **options)

    def request(
        self,
        method: str,
        target: str,
        *,
        json_body: object = None,
        form: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        claims: Mapping[str, object] | None = None,
    ) -> Answer:
        event = self.event(method, target, json_body, form, body, headers or {}, claims)
        answer = self._module(method, event["rawPath"]).handler(event, Context())
        got = Answer(
            answer["statusCode"], {name.lower(): value for name, value in answer["headers"].items()}, answer["body"]
        )
        self._assert_documented(method.lower(), event["rawPath"], got)
        return got

    def event(
        self,
        method: str,
        target: str,
        json_body: object,
        form: Mapping[str, str] | None,
        body: str | bytes | None,
        headers: Mapping[str, str],
        claims: Mapping[str, object] | None,
    ) -> dict[str, Any]:
        event: dict[str, Any] = copy.deepcopy(self._event)
        url = urlsplit(target)
        event["rawPath"] = event["requestContext"]["http"]["path"] = url.path
        event["rawQueryString"] = url.query
        if url.query:
            event["queryStringParameters"] = dict(pair.partition("=")[::2] for pair in url.query.split("&"))
        event["requestContext"]["http"]["method"] = method
        event["requestContext"]["requestId"] = uuid.uuid4().hex
        if json_body is not None:
            event["headers"]["content-type"] = "application/json"
            body = json.dumps(json_body)
        if form is not None:
            event["headers"]["content-type"] = "application/x-www-form-urlencoded"
            body = urlencode(form).encode()
        if isinstance(body, bytes):  # API Gateway does so with all that is not text or JSON
            event["isBase64Encoded"] = True
            body = base64.b64encode(body).decode()
        if body is not None:
            event["body"] = body
        event["headers"] |= {name.lower(): value for name, value in headers.items()}
        if claims is not None:
            event["requestContext"]["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
        return event

    def _assert_documented(self, method: str, path: str, answer: Answer) -> None:
        """Every answer to a route is one that the OpenAPI document tells of, in that shape."""
        api = _api()
        for template, operations in api["paths"].items():
            if method in operations and re.fullmatch(re.sub("{.*?}", "[^/]+", template), path):
                told = operations[method]["responses"][str(answer.status)]
                if "$ref" in told:
                    told = api["components"]["responses"][told["$ref"].rpartition("/")[2]]
                if "content" in told:
                    schema = told["content"][answer.headers["content-type"].partition(";")[0]]["schema"]
                    if "json" in answer.headers["content-type"]:
                        Draft202012Validator({**schema, "components": api["components"]}).validate(answer.json)
                return
        assert answer.status == HTTPStatus.NOT_FOUND

    def _module(self, method: str, path: str) -> Any:
        """The handler that declares the route, or the one that answers all else."""
        from shared.routes import handlers

        for handler, declared in handlers().items():
            if any(route.takes(method, path) for route in declared):
                return importlib.import_module(handler.removesuffix(".handler"))
        return importlib.import_module("ordering.orders_api")


def forget() -> None:
    """A new environment is a new process: nothing that was read from the old one is kept."""
    for name, module in list(sys.modules.items()):
        if re.match(r"(shared|ordering|customers|fleet)\.", name):
            for member in list(vars(module).values()):
                if hasattr(member, "cache_clear"):
                    member.cache_clear()


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + local_dynamodb.START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if local_dynamodb.answers(port):
            return True
        time.sleep(0.1)
    return False
