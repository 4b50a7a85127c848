"""baresip through the node to Kamailio as the provider's own exchange, and back: what the exchange does it goes on doing,
and every phone's leg is encrypted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from callvoip.phones.baresip import Baresip, talk, write_tone
from tests.support.capture import protocol_errors, recording
from tests.support.kamailio import Kamailio
from tests.support.node import DOMAIN, NodeFactory, NodeUnderTest, accounts, wait_until

pytestmark = pytest.mark.needs("baresip", "kamailio", "tshark")

MENU = "1233"
"""What a phone dials to hear its voicemail: a number of the exchange's own."""


@dataclass
class House:
    """A node with two phones, its exchange, and the exchange's voicemail."""

    node: NodeUnderTest
    exchange: Kamailio
    voicemail: Baresip
    phones: list[Baresip]


@pytest.fixture(params=["tcp"])
def house(new_node: NodeFactory, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    microphone = tmp_path / "tone.wav"
    write_tone(microphone, [round(8000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(8000 * 60)])
    answering = "<sip:voicemail@127.0.0.1;transport=udp>;regint=0;audio_codecs=pcma;answermode=auto"
    with Baresip(tmp_path / "voicemail", account=answering, microphone=microphone) as voicemail:
        uri = f"sip:voicemail@127.0.0.1:{voicemail.sip_port}"
        with Kamailio(tmp_path / "kamailio", domain=DOMAIN, voicemail=uri, voicemail_number=MENU) as exchange:
            node = new_node(trunk=exchange.trunk(request.param))
            known = accounts("abc234", 3)
            node.assign("abc234", known)
            phones: list[Baresip] = []
            try:
                for number, (account, answers) in enumerate(zip(known, ("auto", "manual"), strict=False)):
                    line = (
                        f"<sip:{account.username}@{DOMAIN};transport=tls>;auth_user={account.username};"
                        f"auth_pass={account.password};regint=60;mediaenc=srtp-mand;audio_codecs=pcma,pcmu;"
                        f'outbound="sip:{node.address}:5061;transport=tls";answermode={answers}'
                    )
                    directory, trusted = tmp_path / f"phone{number}", node.certificates.ca_file
                    phones.append(Baresip(directory, account=line, microphone=microphone, ca_file=trusted))
                for phone in phones:
                    phone.wait_for("REGISTER_OK")
                yield House(node, exchange, voicemail, phones)
            finally:
                for phone in phones:
                    phone.__exit__(None, None, None)


def suites(node: NodeUnderTest, calls: int) -> list[list[str]]:
    records = wait_until(lambda: found if len(found := node.records("abc234")) >= calls else None)
    return [[leg["suite"] for leg in record["legs"]] for record in records]


@pytest.mark.feature("exchange", "call", clients=("baresip", "kamailio"))
def test_the_exchange_knows_the_phones_by_a_path_and_connects_them(house: House, tmp_path: Path) -> None:
    wait_until(lambda: house.exchange.registered().count("AoR: abc234-") == 2)
    there = house.exchange.registered()
    assert len(re.findall(r"Path: <sip:[0-9a-f]{24}@\S+;lr>", there)) == 2, there
    second, first = house.phones
    file = tmp_path / "exchange.pcapng"
    with recording(f"udp or tcp port {house.exchange.port}", file):
        first.command("dial", "101")
        talk(first, second)
    counts, faults = protocol_errors(file, house.exchange.port)
    assert all(counts[name] > 3 for name in ("sip", "sdp", "rtp")), counts
    assert faults == []
    for phone in (first, second):
        assert all(count > 100 for count in phone.packets()), phone.text()
    # The call passes the node twice: from the phone to the exchange, and from the exchange to the other phone.
    secured = {"AES_CM_128_HMAC_SHA1_80", "none"}
    assert [set(legs) for legs in suites(house.node, 2)] == [secured] * 2
    assert "nobody at" not in house.exchange.text()


@pytest.mark.feature("voicemail", clients=("baresip", "kamailio"))
def test_its_voicemail_takes_what_nobody_answers_and_is_heard_by_its_number(house: House) -> None:
    first, second = house.phones
    first.command("dial", MENU)
    talk(first, house.voicemail)
    assert all(count > 100 for count in first.packets()), first.text()
    house.voicemail.events.clear()
    first.events.clear()
    first.command("dial", "103")  # nobody is registered there
    talk(first, house.voicemail)
    assert "nobody at abc234-103" in house.exchange.text()
    house.voicemail.events.clear()
    first.events.clear()
    first.command("dial", "102")  # rings, and nobody takes it
    second.wait_for("CALL_INCOMING")
    talk(first, house.voicemail)
    second.wait_for("CALL_CLOSED")
    assert all(count > 100 for count in first.packets()), first.text()
    assert "AES_CM_128_HMAC_SHA1_80" in suites(house.node, 4)[0]


@pytest.mark.parametrize("house", ["udp"], indirect=True)
def test_an_exchange_that_restarted_without_a_word_knows_the_phones_again(house: House) -> None:
    """Over UDP no connection tells; the node asks it whether it still knows them."""
    wait_until(lambda: house.exchange.registered().count("AoR: abc234-") == 2)
    house.exchange.restart()
    wait_until(lambda: house.node.events("exchange has forgotten the phones"), 60)
    wait_until(lambda: house.exchange.registered().count("AoR: abc234-") == 2)
    first, second = house.phones
    second.command("dial", "101")
    talk(second, first)
