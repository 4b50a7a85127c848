"""The node that serves two customers is killed without warning: their phones, of two makers, go over by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from callvoip.client import Client
from callvoip.commands import failover
from callvoip.system import LocalSystem

pytestmark = [pytest.mark.e2e, pytest.mark.needs("baresip", "linphone-daemon"), pytest.mark.timeout(400)]

SERVED_SECONDS = 120


def test_phones_of_two_makers_call_again_encrypted_through_the_standby(
    system: LocalSystem, told: set[str], tmp_path: Path
) -> None:
    sales = Client.signed_in(system.site, system.api, system.sales_user, system.sales_password)
    first, second = (
        failover.another(system, sales, SERVED_SECONDS, company=company, email=email)
        for company, email in (("Kapsalon Voorbeeld", "kim@example.nl"), ("Fietsen Voorbeeld", "sam@example.nl"))
    )
    told |= {phone["password"] for _, phones in (first, second) for phone in phones}
    with failover.customers(system, first, second, tmp_path / "phones") as both:
        for customer in both:
            customer.office.wait_registered()
            assert customer.office.calls()
        measured = failover.measure(system, both)  # raises when somebody is not served, or not encrypted
    assert measured["phones"] == ["baresip", "linphone"]
    assert measured["from"] not in measured["to"]
    assert len(measured["call_s"]) == len(both)
    assert measured["broken_calls_recorded"] == 1
