"""fleet.route53 and fleet.names against moto's Route 53: what phones will find, in requests that the API takes."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from fleet import names, route53
from fleet.challenges import ChallengeZone
from fleet.route53 import MOST_RECORDS, Zone
from ordering.credentials import new_customer_id

DOMAIN = "sip.example.nl"
FIRST = ("n0001 192.0.2.1 5061", "n0002 192.0.2.2 5061")


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    for name, value in {
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    route53.client.cache_clear()
    with mock_aws():
        made = route53.client().create_hosted_zone(Name=DOMAIN, CallerReference="x")
        yield Zone(made["HostedZone"]["Id"].rpartition("/")[2], DOMAIN)
    route53.client.cache_clear()


def said(zone: Zone) -> dict[tuple[str, str], list[str]]:
    pages = route53.client().get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone._zone_id)
    return {
        (record["Name"], record["Type"]): [value["Value"] for value in record["ResourceRecords"]]
        for page in pages
        for record in page["ResourceRecordSets"]
        if record["Type"] in ("A", "SRV")
    }


def test_a_phone_finds_the_primary_first_and_the_standby_next(zone: Zone) -> None:
    zone.publish([("abc234", FIRST)])
    assert said(zone) == {
        ("abc234.sip.example.nl.", "A"): ["192.0.2.1"],
        ("_sips._tcp.abc234.sip.example.nl.", "SRV"): [
            "10 10 5061 node-n0001.sip.example.nl.",
            "20 10 5061 node-n0002.sip.example.nl.",
        ],
        ("node-n0001.sip.example.nl.", "A"): ["192.0.2.1"],
        ("node-n0002.sip.example.nl.", "A"): ["192.0.2.2"],
    }


def test_publishing_again_and_deleting_again_does_no_harm(zone: Zone) -> None:
    for _ in range(2):
        zone.publish([("abc234", FIRST)])
    for _ in range(2):
        zone.publish([("abc234", None)])
    assert not any("abc234" in name for name, _ in said(zone))


def test_what_is_said_names_the_change_that_brings_it_to_all_servers(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = zone.publish([("abc234", FIRST), ("def567", FIRST[:1])])
    assert set(made) == {"abc234", "def567"}
    (change,) = made["abc234"]
    assert zone.spread(change)
    answers = iter(["PENDING", "INSYNC"])
    monkeypatch.setattr(route53.client(), "get_change", lambda Id: {"ChangeInfo": {"Status": next(answers)}})
    assert [zone.spread(change), zone.spread(change)] == [False, True]


def test_a_change_that_route_53_has_forgotten_has_spread_long_ago(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgotten(Id: str) -> None:
        raise ClientError({"Error": {"Code": "NoSuchChange", "Message": Id}}, "GetChange")

    monkeypatch.setattr(route53.client(), "get_change", forgotten)
    assert zone.spread("/change/C1")


def test_what_moved_is_said_anew(zone: Zone) -> None:
    zone.publish([("abc234", FIRST)])
    zone.publish([("abc234", FIRST[::-1])])
    assert said(zone)["abc234.sip.example.nl.", "A"] == ["192.0.2.2"]


def test_a_record_that_was_deleted_by_somebody_keeps_no_other_from_being_written(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone.publish([("abc234", FIRST)])
    gone = list(zone._published("abc234"))
    zone.publish([("abc234", None)])
    monkeypatch.setattr(zone, "_published", lambda _: iter(gone))
    zone.publish([("abc234", None), ("def567", FIRST)])
    assert ("def567.sip.example.nl.", "A") in said(zone)


def test_a_request_holds_no_more_than_the_api_takes(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def change(HostedZoneId: str, ChangeBatch: Any) -> Any:
        records = [one for each in ChangeBatch["Changes"] for one in each["ResourceRecordSet"]["ResourceRecords"]]
        assert 2 * sum(len(one["Value"]) for one in records) <= 32_000
        sizes.append(len(records))
        return {"ChangeInfo": {"Id": f"/change/C{len(sizes)}"}}

    monkeypatch.setattr(route53.client(), "change_resource_record_sets", change)
    made = zone.publish([(f"env{number:03}", FIRST) for number in range(1000)])
    assert {change for changes in made.values() for change in changes} == {
        f"/change/C{number + 1}" for number in range(len(sizes))
    }
    assert all(1 <= len(changes) <= 3 for changes in made.values()), "each waits for its own changes only"
    assert max(sizes) <= MOST_RECORDS
    assert sum(sizes) == 2 + 3 * 1000


def test_without_a_zone_nothing_is_published() -> None:
    assert Zone("", DOMAIN).publish([("abc234", FIRST)]) == {}


def test_the_name_of_a_node_is_never_one_of_an_environment() -> None:
    label, _, domain = names.node_name("n0001", DOMAIN).partition(".")
    assert domain == DOMAIN, "one label: the certificate's wildcard is for it"
    assert "-" in label and "-" not in new_customer_id()


def test_answers_to_challenges_stand_under_one_name_until_they_are_withdrawn(zone: Zone) -> None:
    challenges = ChallengeZone(zone._zone_id)

    def texts() -> list[list[str]]:
        found = route53.client().list_resource_record_sets(HostedZoneId=zone._zone_id)["ResourceRecordSets"]
        return [[value["Value"] for value in one["ResourceRecords"]] for one in found if one["Type"] == "TXT"]

    challenges.publish(f"_acme-challenge.{DOMAIN}", ["left by a run that was killed"])
    challenges.publish(f"_acme-challenge.{DOMAIN}", ["one", "two"])
    assert texts() == [['"one"', '"two"']]
    challenges.withdraw(f"_acme-challenge.{DOMAIN}", ["one", "two"])
    assert texts() == []
