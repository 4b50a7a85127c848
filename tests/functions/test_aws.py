"""shared.aws: clients that start quickly call the same addresses, in the same way, as botocore's own."""

from typing import Any

import pytest
from botocore.exceptions import UnknownServiceError
from botocore.session import Session

from shared import aws
from tests.support.functions import forget

SERVICES = {
    "dynamodb": "DescribeTable",
    "ec2": "DescribeInstances",
    "secretsmanager": "GetSecretValue",
    "sesv2": "SendEmail",
}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)
    forget()


@pytest.fixture(scope="module")
def botocores_own() -> Session:
    """botocore's own way to a client; reading a service's model takes most of the time of one, and it keeps models."""
    return Session()


def address(client: Any, operation: str) -> str:
    """Where a request of this operation would go, as the service's own rules have it."""
    told = client._resolve_endpoint_ruleset(client.meta.service_model.operation_model(operation), {}, {})
    return str(told[0])


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("region", ["eu-central-1", "eu-west-1", "us-east-1", "ap-southeast-2"])
def test_a_client_calls_the_address_that_botocore_knows(
    service: str, region: str, botocores_own: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    ours = aws.client(service, connect_timeout_s=1, read_timeout_s=1, attempts=1)
    botocores = botocores_own.create_client(service, region)
    assert address(ours, SERVICES[service]) == address(botocores, SERVICES[service])
    assert ours.meta.endpoint_url == botocores.meta.endpoint_url
    assert ours.meta.service_model.signature_version == botocores.meta.service_model.signature_version
    assert ours.meta.service_model.signing_name == botocores.meta.service_model.signing_name


def test_a_service_that_we_do_not_call_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with pytest.raises(UnknownServiceError):
        aws.client("s3", connect_timeout_s=1, read_timeout_s=1, attempts=1)
