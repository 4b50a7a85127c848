"""schemathesis over the OpenAPI document against the running local system: no 5xx, and no answer that the document does
not tell of.
"""

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from callvoip.client import Client
from callvoip.system import LocalSystem
from shared import openapi

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("processes")]

# Each text of a person bears it, so that the logs can be searched for what the fuzzer made up.
MARK = "zwijgrecht"
TEXTS = {"company", "name", "note", "subject", "text", "reason", "question"}

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
schema = schemathesis.openapi.from_dict(json.loads(json.dumps(openapi.document())))


@pytest.fixture(scope="session")
def colleague(system: LocalSystem, told: set[str]) -> Client:
    told.add(MARK)
    return Client.signed_in(system.site, system.api, system.sales_user, system.sales_password)


@schema.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_every_answer_is_documented_and_none_is_a_fault(
    case: Case[Any], system: LocalSystem, colleague: Client
) -> None:
    if isinstance(case.body, dict):
        case.body |= {
            name: f"{text} {MARK}" for name, text in case.body.items() if name in TEXTS and isinstance(text, str)
        }
    headers = {"Authorization": f"Bearer {colleague.token}"} if case.operation.path.startswith("/api/sales/") else None
    answer = case.call(base_url=system.site, headers=headers, allow_redirects=False)
    case.validate_response(answer, checks=CHECKS)
