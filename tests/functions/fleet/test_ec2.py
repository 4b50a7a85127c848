"""fleet.ec2 against moto: launch templates, tags and EC2's error codes."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from fleet import ec2
from fleet.ec2 import Cloud, LaunchRefusedError
from fleet.node import Offer, Refusal
from shared import settings

pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cloud, Offer]]:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-central-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    # Reading all of moto's images takes longer than all that is tested here.
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    settings.required.cache_clear()
    ec2.client.cache_clear()
    with mock_aws():
        client = boto3.client("ec2")
        subnet = client.describe_subnets()["Subnets"][0]["SubnetId"]
        data: Any = {
            "ImageId": "ami-0123456789abcdef0",
            "InstanceType": "c7g.medium",
            "UserData": "I2Nsb3VkLWNvbmZpZw==",
        }
        template = client.create_launch_template(LaunchTemplateName="node", LaunchTemplateData=data)
        yield Cloud("test", "eu-central-1", template["LaunchTemplate"]["LaunchTemplateId"]), Offer(subnet, "")
    ec2.client.cache_clear()


def refusing(code: str) -> Any:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "RunInstances")

    return refuse


def test_a_launched_instance_is_seen_by_its_tags(fleet) -> None:
    cloud, offer = fleet
    launched = cloud.launch("n0001", offer, "token")
    (seen,) = cloud.instances()
    assert (seen.id, seen.node_id, seen.alive) == (launched.id, "n0001", True)
    assert seen.arn == f"arn:aws:ec2:eu-central-1:123456789012:instance/{launched.id}"


def test_the_template_says_what_is_launched_unless_the_offer_does(fleet) -> None:
    cloud, offer = fleet
    launched = [cloud.launch("n0001", offer, "a"), cloud.launch("n0002", Offer(offer.subnet_id, "c8g.medium"), "b")]
    told = ec2.client().describe_instances(InstanceIds=[instance.id for instance in launched])
    types = {
        instance["InstanceId"]: instance["InstanceType"]
        for group in told["Reservations"]
        for instance in group["Instances"]
    }
    assert [types[instance.id] for instance in launched] == ["c7g.medium", "c8g.medium"]


def test_instances_of_others_are_not_ours(fleet) -> None:
    cloud, offer = fleet
    Cloud("other", "eu-central-1", cloud._launch_template_id).launch("n0001", offer, "token")
    assert cloud.instances() == ()


def test_an_ended_instance_is_told_of_and_can_be_ended_again(fleet) -> None:
    cloud, offer = fleet
    launched = cloud.launch("n0001", offer, "token")
    cloud.terminate(launched.id)
    cloud.terminate(launched.id)
    assert [instance.ended for instance in cloud.instances()] == [True]


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        ("InsufficientInstanceCapacity", Refusal.NO_CAPACITY),
        ("VcpuLimitExceeded", Refusal.QUOTA),
        ("IdempotentInstanceTerminated", Refusal.SPENT),
        ("IdempotentParameterMismatch", Refusal.SPENT),
    ],
)
def test_refusals_are_told_apart(fleet, code: str, refusal: Refusal) -> None:
    cloud, offer = fleet
    ec2.client().meta.events.register("before-call.ec2.RunInstances", refusing(code))
    with pytest.raises(LaunchRefusedError) as refused:
        cloud.launch("n0001", offer, "token")
    assert refused.value.refusal is refusal


def test_any_other_error_is_a_fault(fleet) -> None:
    cloud, offer = fleet
    ec2.client().meta.events.register("before-call.ec2.RunInstances", refusing("UnauthorizedOperation"))
    with pytest.raises(ClientError):
        cloud.launch("n0001", offer, "token")
