"""The SIP domain's zone in Route 53: as few requests as its API allows, each safe to do twice."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, cast

from botocore.exceptions import ClientError

from fleet import names
from fleet.names import Record
from shared import aws

if TYPE_CHECKING:
    from mypy_boto3_route53 import Route53Client

MOST_RECORDS = 400
"""Records of one request: an UPSERT counts twice towards the limit of 1,000.

https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html
"""

MOST_CHARACTERS = 15_000
"""Of all values of one request: the limit is 32,000, and an UPSERT counts twice."""

Change = dict[str, Any]


@cache
def client() -> "Route53Client":
    """The process' one client. Route 53 takes five requests a second of an account: it is patient."""
    return cast("Route53Client", aws.client("route53", connect_timeout_s=3, read_timeout_s=10, attempts=6))


class Zone:
    """The records of the environments in one hosted zone. Without a zone (an empty id) phones have addresses only."""

    def __init__(self, zone_id: str, sip_domain: str) -> None:
        self._zone_id = zone_id
        self._sip_domain = sip_domain

    def publish(self, changes: Iterable[tuple[str, tuple[str, ...] | None]]) -> dict[str, tuple[str, ...]]:
        """Make each environment's names say these addresses, or nothing; answers the changes that have yet to spread by environment.

        Raises ClientError; then none, some or all have changed.
        """
        if not self._zone_id:
            return {}
        wanted: dict[tuple[str, str], Change] = {}
        of: dict[str, set[tuple[str, str]]] = {}
        for environment_id, said in changes:
            found = names.records(environment_id, self._sip_domain, said) if said else self._published(environment_id)
            action = "UPSERT" if said else "DELETE"
            for record in found:
                wanted[record.name, record.kind] = _change(action, record)
                of.setdefault(environment_id, set()).add((record.name, record.kind))
        made: dict[tuple[str, str], str] = {}
        for batch in _batches(list(wanted.values())):
            made |= self._request(batch)
        return {
            environment_id: tuple(sorted({made[key] for key in keys if key in made}))
            for environment_id, keys in of.items()
        }

    def spread(self, change: str) -> bool:
        """Whether all of Route 53's servers have it. Raises ClientError.

        https://docs.aws.amazon.com/Route53/latest/APIReference/API_GetChange.html
        """
        try:
            return client().get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC"
        except ClientError as error:
            # Changes are forgotten in time, long after they have spread.
            if error.response["Error"]["Code"] == "NoSuchChange":
                return True
            raise

    def _request(self, changes: Sequence[Change]) -> dict[tuple[str, str], str]:
        """Answers Route 53's change by record."""
        try:
            batch: Any = {"Changes": list(changes)}
            answer = client().change_resource_record_sets(HostedZoneId=self._zone_id, ChangeBatch=batch)
        except ClientError as error:
            # A batch is refused whole. A record that was deleted meanwhile must not keep the others from being written.
            if error.response["Error"]["Code"] != "InvalidChangeBatch":
                raise
            if len(changes) == 1:
                if changes[0]["Action"] == "DELETE" and "not found" in error.response["Error"]["Message"]:
                    return {}
                raise
            made: dict[tuple[str, str], str] = {}
            for change in changes:
                made |= self._request([change])
            return made
        record_sets = [change["ResourceRecordSet"] for change in changes]
        return {(one["Name"], one["Type"]): answer["ChangeInfo"]["Id"] for one in record_sets}

    def _published(self, environment_id: str) -> Iterator[Record]:
        """What the zone says of an environment: a record is deleted by its exact values."""
        wanted: tuple[tuple[str, Literal["A", "SRV"]], ...] = (
            (f"{environment_id}.{self._sip_domain}.", "A"),
            (names.service_name(environment_id, self._sip_domain), "SRV"),
        )
        for name, kind in wanted:
            answer = client().list_resource_record_sets(
                HostedZoneId=self._zone_id, StartRecordName=name, StartRecordType=kind, MaxItems="1"
            )
            for found in answer["ResourceRecordSets"]:
                if (found["Name"], found["Type"]) == (name, kind):
                    yield Record(name, kind, tuple(value["Value"] for value in found["ResourceRecords"]))


def _change(action: str, record: Record) -> Change:
    return {
        "Action": action,
        "ResourceRecordSet": {
            "Name": record.name,
            "Type": record.kind,
            "TTL": names.TTL_SECONDS,
            "ResourceRecords": [{"Value": value} for value in record.values],
        },
    }


def _batches(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    batch: list[Change] = []
    records = characters = 0
    for change in changes:
        values = [value["Value"] for value in change["ResourceRecordSet"]["ResourceRecords"]]
        if batch and (records + len(values) > MOST_RECORDS or characters + sum(map(len, values)) > MOST_CHARACTERS):
            yield batch
            batch, records, characters = [], 0, 0
        batch.append(change)
        records += len(values)
        characters += sum(map(len, values))
    if batch:
        yield batch
