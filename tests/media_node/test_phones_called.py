"""baresip as an office that is called from outside: three phones ring, one answers and transfers, nobody answers and it is forwarded."""

from __future__ import annotations

from pathlib import Path

import pytest

from callvoip.phones.baresip import Baresip
from tests.media_node.test_phones import microphone as microphone
from tests.support.called_office import FORWARD_SECONDS, NUMBER, OUTSIDE, Office
from tests.support.node import DOMAIN, NodeFactory, accounts, wait_until

pytestmark = pytest.mark.needs("baresip")


@pytest.mark.feature("incoming", "fork", "blind", "forward", clients=("baresip",))
def test_three_phones_ring_one_transfers_and_what_nobody_takes_is_forwarded(
    new_node: NodeFactory, microphone: Path, tmp_path: Path
) -> None:
    account = f"<sip:{OUTSIDE}@127.0.0.1>;regint=0;audio_codecs=pcma;answermode=auto"
    with Baresip(tmp_path / "provider", account=account, microphone=microphone) as provider:
        node = new_node(trunk={"host": "127.0.0.1", "port": provider.sip_port, "transport": "udp"})
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
        phones: list[Baresip] = []
        try:
            for phone in known:
                line = (
                    f"<sip:{phone.username}@{DOMAIN};transport=tls>;auth_user={phone.username};auth_pass={phone.password};"
                    f'outbound="sip:{node.address}:5061;transport=tls";regint=60;mediaenc=srtp-mand;audio_codecs=pcma;'
                    "answermode=manual"
                )
                directory, trusted = tmp_path / phone.username, node.certificates.ca_file
                phones.append(Baresip(directory, account=line, microphone=microphone, ca_file=trusted))
            for handset in phones:
                handset.wait_for("REGISTER_OK")
            office = Office(provider, phones, node.address, third=f"sip:{known[2].extension}@{DOMAIN}")
            office.calls_in()
            office.rings()
            office.is_transferred()
            assert "Call completed elsewhere" in phones[0].text(), "no missed call is listed for what another answered"
            assert office.is_forwarded() >= FORWARD_SECONDS - 1
            assert any("Diversion: <sip:" in message.text for message in provider.messages())
        finally:
            for handset in phones:
                handset.__exit__(None, None, None)
    records = wait_until(lambda: found if len(found := node.records("abc234")) == 2 else None)
    assert [record["reason"] for record in records] == ["completed"] * 2
