"""EC2 as the fleet needs it: launch one instance, see ours, end one."""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from fleet.node import Offer, Refusal
from fleet.observed import Instance
from shared import aws

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, RunInstancesRequestTypeDef

NODE_TAG = "callvoip:node"
FLEET_TAG = "callvoip:fleet"

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_REFUSALS = {
    "InsufficientInstanceCapacity": Refusal.NO_CAPACITY,
    "InsufficientHostCapacity": Refusal.NO_CAPACITY,
    "InsufficientFreeAddressesInSubnet": Refusal.NO_CAPACITY,
    "Unsupported": Refusal.NO_CAPACITY,
    "VcpuLimitExceeded": Refusal.QUOTA,
    "InstanceLimitExceeded": Refusal.QUOTA,
    "MaxSpotInstanceCountExceeded": Refusal.QUOTA,
    "IdempotentInstanceTerminated": Refusal.SPENT,
    "IdempotentParameterMismatch": Refusal.SPENT,
}


class LaunchRefusedError(Exception):
    """EC2 launched nothing, for a reason that the fleet knows how to go on from."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"launch refused: {refusal}")
        self.refusal = refusal


@cache
def client() -> "EC2Client":
    """The process' one client."""
    return cast("EC2Client", aws.client("ec2", connect_timeout_s=3, read_timeout_s=20, attempts=4))


class Cloud:
    """The instances of one fleet, known by its tag."""

    def __init__(self, fleet: str, region: str, launch_template_id: str) -> None:
        self._fleet = fleet
        self._region = region
        self._launch_template_id = launch_template_id

    def instances(self) -> tuple[Instance, ...]:
        """All instances with the fleet's tag that EC2 still tells of, ended ones too."""
        pages = (
            client()
            .get_paginator("describe_instances")
            .paginate(Filters=[{"Name": f"tag:{FLEET_TAG}", "Values": [self._fleet]}])
        )
        impaired = self._impaired()
        return tuple(
            self._instance(instance, reservation["OwnerId"], impaired)
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        )

    def _impaired(self) -> frozenset[str]:
        """Running instances of the account that fail EC2's own checks; ours or not."""
        filters = [{"Name": "instance-state-name", "Values": ["running"]}]
        found = set()
        for check in ("instance-status.status", "system-status.status"):
            pages = (
                client()
                .get_paginator("describe_instance_status")
                .paginate(
                    Filters=[*filters, {"Name": check, "Values": ["impaired"]}]  # type: ignore[list-item]
                )
            )
            found |= {
                status["InstanceId"]
                for page in pages
                for status in page["InstanceStatuses"]
                if "impaired" in (status["InstanceStatus"]["Status"], status["SystemStatus"]["Status"])
            }
        return frozenset(found)

    def launch(self, node_id: str, offer: Offer, client_token: str) -> Instance:
        """One instance for the node; the same token gives the same instance. Raises LaunchRefusedError.

        https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
        """
        tags: Any = [
            {"Key": NODE_TAG, "Value": node_id},
            {"Key": FLEET_TAG, "Value": self._fleet},
            {"Key": "Name", "Value": node_id},
        ]
        request: RunInstancesRequestTypeDef = {
            "LaunchTemplate": {"LaunchTemplateId": self._launch_template_id, "Version": "$Latest"},
            "MinCount": 1,
            "MaxCount": 1,
            "SubnetId": offer.subnet_id,
            "ClientToken": client_token,
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}, {"ResourceType": "volume", "Tags": tags}],
        }
        if offer.instance_type:
            request["InstanceType"] = offer.instance_type  # type: ignore[typeddict-item]
        try:
            reservation = client().run_instances(**request)
        except ClientError as error:
            refusal = _REFUSALS.get(error.response["Error"]["Code"])
            if refusal is None:
                raise
            raise LaunchRefusedError(refusal) from error
        return self._instance(reservation["Instances"][0], reservation["OwnerId"])

    def terminate(self, instance_id: str) -> None:
        """End an instance; ending it twice does no harm."""
        client().terminate_instances(InstanceIds=[instance_id])

    def _instance(self, instance: "InstanceTypeDef", account: str, impaired: Collection[str] = ()) -> Instance:
        tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
        launched_at: datetime = instance["LaunchTime"]
        return Instance(
            id=instance["InstanceId"],
            arn=f"arn:aws:ec2:{self._region}:{account}:instance/{instance['InstanceId']}",
            node_id=tags.get(NODE_TAG, ""),
            state=instance["State"]["Name"],
            launched_at=launched_at,
            subnet_id=instance.get("SubnetId", ""),
            instance_type=str(instance.get("InstanceType", "")),
            impaired=instance["InstanceId"] in impaired,
        )
