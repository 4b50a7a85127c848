"""The OpenAPI document of what the handlers declare. That every answer is in it, tests.support.functions.Api asserts in each test."""

from openapi_spec_validator import validate

from shared import openapi


def test_the_document_is_valid_openapi() -> None:
    validate(openapi.document())
