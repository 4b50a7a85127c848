"""What a cold start costs: each handler imports only what it needs."""

import json
import resource
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("processes")

ENVIRONMENT = {"POWERTOOLS_SERVICE_NAME": "test", "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}
HEAVY = {
    "boto3",
    "s3transfer",
    "jinja2",
    "phonenumbers",
    "pydantic",
    "requests",
    "aws_xray_sdk",
    "jsonschema",
    "cryptography",
    "OpenSSL",
    "acme",
}
# boto3 takes up pyOpenSSL where it is installed, as it is for acme; shared/aws.py does not.
WITHOUT_OPENSSL = "import sys; sys.modules['OpenSSL'] = None"
# How many modules, and how much time as a multiple of `import boto3` with one client, measured in the same run.
HANDLERS = {
    "ordering.prices_api": (520, 1.3),
    "ordering.orders_api": (570, 1.3),
    "ordering.sales_api": (545, 1.3),
    "ordering.catalogue_loader": (410, 1.2),
    "ordering.mailer": (410, 1.2),
    "customers.fulfilment": (430, 1.2),
    "customers.due": (430, 1.2),
    "customers.provisioning_api": (570, 1.3),
    "fleet.reconciler": (460, 1.2),
}


def run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=ENVIRONMENT
    ).stdout


def seconds(program: str, enough: float = 0.0) -> float:
    """Processor time of a new process, which a busy machine stretches less than time on the clock.

    The best of six, or the first that is no more than `enough`.
    """
    found = []
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(program)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if found[-1] <= enough:
            break
    return min(found)


@pytest.fixture(scope="module")
def nothing() -> float:
    return seconds("pass")


@pytest.fixture(scope="module")
def bare(nothing: float) -> float:
    return seconds(f"{WITHOUT_OPENSSL}; import boto3; boto3.client('dynamodb')") - nothing


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_imports_what_it_needs_and_no_more(handler: str) -> None:
    program = f"import sys, json, {handler}; print(json.dumps(sorted(sys.modules)))"
    modules = json.loads(run(program))
    assert HEAVY.isdisjoint(module.partition(".")[0] for module in modules)
    assert len(modules) <= HANDLERS[handler][0]


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_starts_within_its_budget(handler: str, nothing: float, bare: float) -> None:
    program = f"import {handler}; from shared import dynamodb; dynamodb.client()"
    budget = HANDLERS[handler][1] * bare
    assert seconds(program, enough=budget + nothing) - nothing <= budget
