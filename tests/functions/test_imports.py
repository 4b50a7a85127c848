"""What a cold start costs: each handler imports only what it needs. Time is measured by tests/bench; here modules are counted."""

import json
import subprocess
import sys

import pytest

HEAVY = {"jinja2", "phonenumbers", "pydantic", "requests", "aws_xray_sdk", "jsonschema", "fastjsonschema", "cryptography"}
HANDLERS = {
    "ordering.prices_api": 820,
    "ordering.orders_api": 830,
    "ordering.sales_api": 830,
    "ordering.catalogue_loader": 800,
    "fleet.reconciler": 830,
}


@pytest.mark.parametrize(("handler", "budget"), HANDLERS.items())
def test_a_handler_imports_what_it_needs_and_no_more(handler: str, budget: int) -> None:
    program = f"import sys, json, {handler}; print(json.dumps(sorted(sys.modules)))"
    environment = {"POWERTOOLS_SERVICE_NAME": "test", "POWERTOOLS_TRACE_DISABLED": "true"}
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    modules = json.loads(output.stdout)
    assert HEAVY.isdisjoint(module.partition(".")[0] for module in modules)
    assert len(modules) <= budget
