"""baresip as an office that is called from outside: three phones ring, one answers and transfers, nobody answers and it is forwarded."""

from __future__ import annotations

from pathlib import Path

import pytest

from callvoip.phones.baresip import free_port
from callvoip.phones.called_office import FORWARD_SECONDS, NUMBER, OUTSIDE, called_office
from tests.support.node import DOMAIN, NodeFactory, accounts, wait_until

pytestmark = pytest.mark.needs("baresip")


@pytest.mark.feature("incoming", "fork", "blind", "forward", clients=("baresip",))
def test_three_phones_ring_one_transfers_and_what_nobody_takes_is_forwarded(
    new_node: NodeFactory, tmp_path: Path
) -> None:
    port = free_port()
    node = new_node(trunk={"host": "127.0.0.1", "port": port, "transport": "udp"})
    known = accounts("abc234", 3)
    number = {
        "number": NUMBER,
        "rings": [phone.username for phone in known],
        "order": "together",
        "ringSeconds": 20,
        "noAnswerSeconds": FORWARD_SECONDS,
        "forward": {"noAnswer": OUTSIDE},
    }
    node.assign("abc234", known, numbers=[number])
    told = [{"username": phone.username, "password": phone.password} for phone in known]
    with called_office(
        told,
        (node.address, 5061),
        tmp_path,
        domain=DOMAIN,
        ca_file=node.certificates.ca_file,
        trunk_port=port,
    ) as office:
        office.wait_registered()
        assert office.rings() == 3
        assert office.is_transferred() == 2, "no missed call is listed for what another answered"
        forwarded = office.is_forwarded()
        assert forwarded.after_seconds >= FORWARD_SECONDS - 1
        assert NUMBER in forwarded.diversion and NUMBER in forwarded.history_info and OUTSIDE in forwarded.history_info
    records = wait_until(lambda: found if len(found := node.records("abc234")) == 2 else None)
    assert [record["reason"] for record in records] == ["completed"] * 2
