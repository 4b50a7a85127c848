"""What the tests of the functions share: AWS's DynamoDB Local, tables, and handlers called with API Gateway's
events.
"""

import importlib
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from io import StringIO
from logging import StreamHandler
from pathlib import Path
from typing import Any

import pytest

from tests.support.functions import REGION, Api, Context, Tables, dynamodb_local_running, forget
from tests.support.own_data import DATA


@pytest.fixture(scope="session")
def dynamodb_local(processes: None) -> Iterator[str]:
    """The endpoint of a DynamoDB Local of this session's own."""
    with dynamodb_local_running() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def tables(dynamodb_local: str) -> Tables:
    """Empty tables, to be emptied after each test."""
    return Tables(dynamodb_local)


@pytest.fixture
def environment(dynamodb_local: str, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment that infra/ gives the functions, with empty tables."""
    values = {
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_local,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": tables.key,
        "AWS_SECRET_ACCESS_KEY": "local",
        "FLEET_NAME": "test",
        "LAUNCH_TEMPLATE_ID": "lt-0123456789abcdef0",
        "SUBNET_IDS": "subnet-a,subnet-b",
        "NODE_CAPACITY_CALLS": "100",
        "MAX_NODES": "4",
        "SALES_GROUP": "sales",
        "ORDER_KEY": "a key of these tests only",
        "SITE_URL": "https://callvoip.example.nl",
        "MAIL_FROM": "bestellingen@callvoip.example.nl",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "DATA_DIR": str(DATA),
        "VIEWS_DIR": str(Path(__file__).parent / "views"),
        **tables.names,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    forget()
    yield
    tables.empty()
    forget()


@pytest.fixture
def api(environment: None) -> Api:
    """The HTTP API with the catalogue loaded and no orders."""
    importlib.import_module("ordering.catalogue_loader").handler({}, Context())
    return Api()


@pytest.fixture
def side_by_side(processes: None) -> Iterator[Callable[[list[Callable[[], Any]]], list[Any]]]:
    """Make requests at the same time, in eight processes: a Lambda environment takes one request at a time."""
    with ProcessPoolExecutor(8, multiprocessing.get_context("fork"), initializer=forget) as pool:
        yield lambda requests: [future.result() for future in [pool.submit(request) for request in requests]]


@pytest.fixture
def log() -> Iterator[StringIO]:
    """What the functions write to their log during the test, as CloudWatch would get it."""
    from shared.telemetry import logger

    handler = logger.registered_handler
    assert isinstance(handler, StreamHandler)
    before = handler.setStream(StringIO())
    yield handler.stream
    handler.setStream(before or sys.stdout)


@pytest.fixture
def context() -> Context:
    return Context()
