"""Which phones are there, on the pages: as the node wrote it into the fleet's table, and without it when nobody can tell."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from customers.account import Account
from fleet import placement, whereabouts
from fleet.node import Node, NodeState
from fleet.placement import Placement, Role
from fleet.store import FleetStore
from shared import dynamodb, settings
from tests.support.portal.bakery import NOW, TECHNICAL, SignIn

pytestmark = pytest.mark.needs("java")

ARN = "arn:aws:ec2:eu-central-1:123456789012:instance/i-0001"
HERE = {
    "since": datetime(2026, 11, 26, 8, 5, tzinfo=UTC).isoformat(),
    "lastSeenAt": datetime(2026, 11, 26, 8, 50, tzinfo=UTC).isoformat(),
    "userAgent": "Desk phone 1.2 <b>",
    "network": "192.0.2.0/24",
    "encrypted": True,
}


def served_with(phones: Mapping[str, Any]) -> None:
    """The bakery on a node that says this of its phones."""
    store, before = FleetStore(settings.fleet_table()), Placement("bakker")
    node = Node("n0001", NodeState.READY, 1, 20, NOW, instance_arn=ARN)
    store.add(node)
    store.rearrange(before, placement.assign(before, node, Role.PRIMARY, 5, 1, NOW), {"environmentId": "bakker"}, NOW)
    item = {"pk": ARN, "sk": "REGISTRATIONS#bakker", "phones": dict(phones)}
    dynamodb.client().put_item(TableName=settings.fleet_table(), Item=dynamodb.marshal(item))


def test_a_phone_that_is_there_is_shown_with_its_make_and_its_network(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(TECHNICAL)
    for username in ("bakker-201", "bakker-202"):
        browser.send(browser.get(f"/mijn/telefoons/{username}").form(f"/mijn/telefoons/{username}/wachtwoord"))
    served_with({"bakker-201": HERE, "bakker-202": {**HERE, "encrypted": False}, "bakker-999": "odd"})
    found = browser.get("/mijn/telefoons")
    assert found.body.count('data-state="registered"') == 2
    assert "Desk phone 1.2 &lt;b&gt;" in found.body and "192.0.2.0/24" in found.text
    first, second = (browser.get(f"/mijn/telefoons/bakker-{number}").text for number in (201, 202))
    assert "Aangemeld, versleuteld" in first and "26 november 2026 om 09.05 uur" in first
    assert "niet versleuteld" in second
    assert "nu aangemeld: 2" in browser.get("/mijn/overzicht").text


def test_without_an_answer_of_the_fleet_the_pages_are_whole(
    bakery: Account, signed_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: str) -> Mapping[str, Any]:
        raise RuntimeError("no fleet")

    browser = signed_in(TECHNICAL)
    monkeypatch.setattr(whereabouts, "registrations", fails)
    assert browser.get("/mijn/telefoons").body.count('data-state="new"') == 2
    assert "nu aangemeld: 0" in browser.get("/mijn/overzicht").text
