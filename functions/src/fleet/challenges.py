"""Answers to an authority's DNS challenges (RFC 8555 section 8.4) in the SIP domain's zone in Route 53."""

import time
from collections.abc import Iterable
from typing import Any

from fleet import route53

TTL_SECONDS = 60
MOST_SECONDS = 120
"""How long Route 53 may take to bring a change to all of its servers; it says 60."""


class ChallengeZone:
    """One hosted zone."""

    def __init__(self, zone_id: str) -> None:
        self._zone_id = zone_id

    def publish(self, name: str, values: Iterable[str]) -> None:
        """Makes the TXT records of this name these, and waits until all servers have them. Raises ClientError, TimeoutError.

        https://docs.aws.amazon.com/Route53/latest/APIReference/API_GetChange.html
        """
        change = self._change("UPSERT", name, values)
        last = time.monotonic() + MOST_SECONDS
        while route53.client().get_change(Id=change)["ChangeInfo"]["Status"] != "INSYNC":
            if time.monotonic() > last:
                raise TimeoutError(f"Route 53 has not brought {name} to its servers within {MOST_SECONDS} s")
            time.sleep(3)

    def withdraw(self, name: str, values: Iterable[str]) -> None:
        """Deletes what `publish` has written. Raises ClientError."""
        self._change("DELETE", name, values)

    def _change(self, action: str, name: str, values: Iterable[str]) -> str:
        records = [{"Value": f'"{value}"'} for value in values]
        record_set = {"Name": f"{name}.", "Type": "TXT", "TTL": TTL_SECONDS, "ResourceRecords": records}
        batch: Any = {"Changes": [{"Action": action, "ResourceRecordSet": record_set}]}
        answer = route53.client().change_resource_record_sets(HostedZoneId=self._zone_id, ChangeBatch=batch)
        return answer["ChangeInfo"]["Id"]
