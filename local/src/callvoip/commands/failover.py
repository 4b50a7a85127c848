"""What becomes of a customer's calls when the node of its primary is ended without warning: for `./dev demo --kill-node`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import boto3

from callvoip.aws.endpoint import OPERATOR_KEY, SECRET_KEY
from callvoip.system import LocalSystem

LONGEST_SECONDS = 120.0
REGION = "eu-central-1"


class FailoverError(Exception):
    """Nobody took over in time; the text says what was seen."""


def measure(system: LocalSystem, environment_id: str, call: Callable[[], bool]) -> dict[str, Any]:
    """End the primary's instance; answers the seconds until the loss was written down, until the standby was primary and named first,
    and until `call` went through. Raises FailoverError.
    """
    fleet = _Fleet(system)
    primary, instance_id = fleet.primary(environment_id)
    fleet.client("ec2").terminate_instances(InstanceIds=[instance_id])
    began = time.monotonic()
    _until(lambda: fleet.state(primary) == "lost", began, f"{primary} is not known to be lost")
    detected = time.monotonic() - began
    _until(lambda: fleet.primary(environment_id)[0] not in ("", primary), began, f"nobody took over from {primary}")
    successor = fleet.primary(environment_id)[0]
    address = fleet.address(successor)
    domain = f"{environment_id}.{system.sip_domain}"
    _until(lambda: system.locate(domain)[0].host == address, began, f"{domain} does not lead to {successor}")
    served = time.monotonic() - began
    _until(call, began, "no call goes through")
    return {
        "from": primary,
        "to": successor,
        "detected_s": round(detected, 2),
        "served_s": round(served, 2),
        "call_s": [round(time.monotonic() - began, 2)],
    }


def _until(holds: Callable[[], bool], began: float, otherwise: str) -> None:
    while not _tried(holds):
        if time.monotonic() - began > LONGEST_SECONDS:
            raise FailoverError(f"{otherwise} after {LONGEST_SECONDS:.0f} s")
        time.sleep(0.1)


def _tried(holds: Callable[[], bool]) -> bool:
    try:
        return holds()
    except OSError:
        return False


class _Fleet:
    """The fleet table of a local system, read as its operator."""

    def __init__(self, system: LocalSystem) -> None:
        self._endpoint = system.aws_endpoint
        self._dynamodb = self.client("dynamodb")
        self._table = next(name for name in self._dynamodb.list_tables()["TableNames"] if "Fleet" in name)

    def client(self, service: str) -> Any:
        """A boto3 client of the emulated AWS, as the operator."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self._endpoint,
            region_name=REGION,
            aws_access_key_id=OPERATOR_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def primary(self, environment_id: str) -> tuple[str, str]:
        """The primary's node and instance; empty while there is none."""
        for shard in range(16):
            item = self._get(f"PLACEMENTS#{shard:02}", environment_id)
            for one in item.get("assignments", {}).get("L", []) if item else []:
                if one["M"]["role"]["S"] == "primary":
                    return one["M"]["nodeId"]["S"], one["M"]["instanceArn"]["S"].rpartition("/")[2]
        return "", ""

    def state(self, node_id: str) -> str:
        """The node's state in the ledger."""
        return str(self._get("NODES", node_id)["state"]["S"])

    def address(self, node_id: str) -> str:
        """Where the node listens."""
        return str(self._get("NODES", node_id)["address"]["S"])

    def _get(self, pk: str, sk: str) -> dict[str, Any]:
        found: dict[str, Any] = self._dynamodb.get_item(
            TableName=self._table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
        ).get("Item", {})
        return found
