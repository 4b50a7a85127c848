"""`./dev fleet roll` replaces both nodes under running calls, none of which is lost; `./dev bench roll` does it under fifty."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from callvoip.client import Client
from callvoip.commands import failover
from callvoip.system import LocalSystem
from tests.support.roll import roll

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(500)]

CALLS = 8
PHONES = 40
"""They may have more calls than these at a time."""


def test_a_rolling_replacement_of_both_nodes_loses_no_call(system: LocalSystem, told: set[str], tmp_path: Path) -> None:
    sales = Client.signed_in(system.site, system.api, system.sales_user, system.sales_password)
    office = failover.another(system, sales, 120, company="Callcenter Voorbeeld", email="rol@example.nl", phones=PHONES)
    told |= {phone["password"] for phone in office[1]}
    rolled = asyncio.run(roll(system, [office], CALLS, tmp_path, (3, 6)))
    assert rolled.status == 0, rolled.said
    assert rolled.lost == {}, rolled
    assert rolled.whole >= CALLS
    assert rolled.said.count(" of ") >= 2, "two nodes were replaced"
