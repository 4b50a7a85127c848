"""docs/openapi.json is what the code says, and says every route.

That every answer is in it, tests.support.functions.Api asserts in each test.
"""

import json
import re
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from ordering import openapi, orders_api, prices_api, sales_api

COMMITTED = Path(__file__).parents[2] / "docs/openapi.json"


def test_the_committed_document_is_the_generated_one() -> None:
    assert json.loads(COMMITTED.read_text()) == openapi.document(), (
        "run: PYTHONPATH=functions/src .venv/bin/python -m ordering.openapi > docs/openapi.json"
    )


def test_the_document_is_valid_openapi() -> None:
    validate(openapi.document())


@pytest.mark.parametrize("module", [prices_api, orders_api, sales_api], ids=lambda module: module.__name__)
def test_every_route_is_documented_and_every_documented_route_exists(module) -> None:
    routes = {
        (route.method.lower(), re.sub("<.*?>", "{id}", route.path))
        for route in module.app._dynamic_routes + module.app._static_routes
    }
    documented = {(method, path) for path, methods in openapi.document()["paths"].items() for method in methods}
    assert routes <= documented
    others = {prices_api: 1, orders_api: 10, sales_api: 14}
    assert (len(routes), sum(others.values())) == (others[module], len(documented))
