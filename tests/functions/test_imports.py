"""What a cold start costs: each handler imports only what it needs."""

import json
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
# How many modules, at most. What they cost in time, beside a bare boto3 client: `./dev bench api`.
HANDLERS = {
    "ordering.prices_api": 520,
    "ordering.orders_api": 570,
    "ordering.sales_api": 545,
    "ordering.catalogue_loader": 410,
    "ordering.mailer": 410,
    "customers.fulfilment": 433,
    "customers.due": 433,
    "customers.provisioning_api": 570,
    "fleet.reconciler": 460,
}


def run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=ENVIRONMENT
    ).stdout


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_imports_what_it_needs_and_no_more(handler: str) -> None:
    program = f"import sys, json, {handler}; print(json.dumps(sorted(sys.modules)))"
    modules = json.loads(run(program))
    assert HEAVY.isdisjoint(module.partition(".")[0] for module in modules)
    assert len(modules) <= HANDLERS[handler]
