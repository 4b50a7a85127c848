"""What the node says of itself in its own partition: HEARTBEAT every few seconds, REPORT when something changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from media_node.call.directory import Environment
from media_node.call.emergency_check import EmergencyCheck
from media_node.call.notices import Notices
from media_node.control.aws import to_item
from media_node.probe.probed import Probed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INTERVAL: Final = 5.0
"""Seconds between heartbeats."""


def report(
    environments: tuple[Environment, ...],
    probes: dict[str, Probed],
    checks: Mapping[str, EmergencyCheck],
    notices: Notices,
) -> dict[str, Any]:
    """The assignments part of a REPORT: what is loaded, what the probe and the check of 112 found where they have been, and what
    the customer is to be told.
    """
    return {
        environment.environment_id: {
            "version": environment.version,
            "epoch": environment.epoch,
            "phones": len(environment.phones),
            **({"probe": probes[environment.environment_id].item()} if environment.environment_id in probes else {}),
            **(
                {"emergency": checks[environment.environment_id].item()} if environment.environment_id in checks else {}
            ),
            **({"notices": told} if (told := notices.of(environment.customer_id)) else {}),
        }
        for environment in environments
    }


class StatusWriter:
    """Writes both items. Its methods block and raise aws.Unavailable."""

    def __init__(self, client: DynamoDBClient, table: str, arn: str, receipt_key: dict[str, str]) -> None:
        self._client = client
        self._table = table
        self._arn = arn
        self._receipt_key = receipt_key

    def beat(self, *, state: str, address: str, sip_port: int, calls: int, registrations: int) -> None:
        """The node lives and is this busy."""
        self._put(
            "HEARTBEAT",
            {
                "state": state,
                "address": address,
                "sipPort": sip_port,
                "calls": calls,
                "registrations": registrations,
                "receiptKey": self._receipt_key,
            },
        )

    def report(self, assignments: dict[str, Any]) -> None:
        """The node has loaded and probed this."""
        self._put("REPORT", {"assignments": assignments})

    def registrations(self, environment_id: str, phones: dict[str, Any]) -> None:
        """Which phones of an environment are registered here, and since when."""
        self._put(f"REGISTRATIONS#{environment_id}", {"phones": phones})

    def _put(self, kind: str, values: dict[str, Any]) -> None:
        item = {"pk": self._arn, "sk": kind, "at": time.time_ns() // 1_000_000, **values}
        self._client.put_item(TableName=self._table, Item=to_item(item))
