"""What the zones of the emulated Route 53 say of a name: nothing serves them to a resolver here.

https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListResourceRecordSets.html
"""

from __future__ import annotations

import ipaddress

from callvoip.aws.endpoint import Emulated


def resolve(emulated: Emulated, name: str) -> str:
    """The address of a host name; an address is its own. Raises LookupError when no zone has an A record of it."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        found = records(emulated, name, "A")
        if not found:
            raise LookupError(f"the zone has no address of {name}") from None
        return found[0]


def records(emulated: Emulated, name: str, kind: str) -> list[str]:
    """The values of a name's record set of a kind (A, SRV, ...); none when there is no such set."""
    client, wanted = emulated.client("route53"), f"{name.rstrip('.')}."
    for zone in client.list_hosted_zones()["HostedZones"]:
        if not wanted.endswith(f".{zone['Name']}"):
            continue
        pages = client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone["Id"])
        for one in (one for page in pages for one in page["ResourceRecordSets"]):
            if one["Name"] == wanted and one["Type"] == kind:
                return [record["Value"] for record in one["ResourceRecords"]]
    return []
