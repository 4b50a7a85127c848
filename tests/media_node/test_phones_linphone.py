"""linphone at three desks: what offices do with calls, through a real node, and what the wire shows of it."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from callvoip.phones.baresip import Baresip, free_port
from tests.support.desk import CUSTOMER, Desks, desks
from tests.support.linphone import Linphone
from tests.support.node import DOMAIN, Aws, Certificates, accounts, wait_until
from tests.support.wire import read

pytestmark = pytest.mark.needs("baresip", "linphonec", "tshark", "ss")

NUMBER, OUTSIDE = "+31855550199", "+31301112233"
TIMERS = {"session_expires_enabled": 1, "session_expires_value": 200}


@dataclass
class Office:
    """101 offers only in the ACK and sends digits by INFO; 102 knows only DTLS; 103 has a camera. The last two send early
    media and 103 wants each provisional response acknowledged. 104 is a baresip that answers by hand.
    """

    desks: Desks
    provider: Baresip
    line: str
    first: Linphone
    second: Linphone
    third: Linphone
    fourth: Baresip

    def call_in(self) -> None:
        """The provider calls the number."""
        self.provider.command("dial", f"sip:{NUMBER}@{self.line}")

    def records(self, number: int) -> list[dict[str, object]]:
        """The customer's call records, once there are so many."""
        return wait_until(lambda: found if len(found := self.desks.node.records(CUSTOMER)) >= number else None)  # type: ignore[no-any-return]

    def idle(self) -> None:
        """Ends what is left of the test before."""
        for phone in (self.first, self.second, self.third):
            phone.command("terminate all")
            phone.forget()
        for other in (self.provider, self.fourth):
            other.command("hangup")
        node = self.desks.node
        wait_until(lambda: len(node.events("call begins")) == len(node.events("call ended")), 30, node.log.read_text)
        for other in (self.provider, self.fourth):
            other.hear()
            other.events.clear()


@pytest.fixture(scope="module")
def made(aws: Aws, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    directory, port, line = tmp_path_factory.mktemp("linphone"), free_port(), free_port()
    trunk = {"host": "127.0.0.1", "port": port, "transport": "udp", "local_port": line}
    with desks(aws, certificates, directory, trunk=trunk) as desk:
        answering = "\n".join(
            f"<sip:{user}@127.0.0.1>;regint=0;audio_codecs=pcma;answermode=auto" for user in (OUTSIDE, "112")
        )
        provider = desk.keep(
            Baresip(directory / "provider", account=answering, microphone=desk.microphone, sip_port=port)
        )
        known = accounts(CUSTOMER, 4)
        number = {
            "number": NUMBER,
            "rings": [phone.username for phone in known[:3]],
            "order": "together",
            "ringSeconds": 20,
            "noAnswerSeconds": 20,
        }
        desk.node.assign(CUSTOMER, known, numbers=[number])
        early = {"incoming_calls_early_media": 1}
        phones = (
            desk.linphone(known[0], sip={"sdp_200_ack": 1, "use_info": 1, "use_rfc2833": 0}),
            desk.linphone(known[1], media="dtls", sip=early),
            desk.linphone(known[2], video=True, sip={**early, **TIMERS, "100rel_support_level": 2}),
        )
        fourth = desk.baresip(known[3], answers="manual")
        fourth.wait_for("REGISTER_OK")
        for phone in phones:
            phone.wait_for(r"to \[LinphoneRegistrationOk\]")
        yield Office(desk, provider, f"{desk.node.address}:{line}", *phones, fourth)


@pytest.fixture
def office(made: Office) -> Iterator[Office]:
    yield made
    made.idle()


@pytest.mark.feature(
    "dtls", "early-media", "100rel", "timer", "video", "hold", "dtmf-events", "message", clients=("linphone",)
)
def test_early_media_digits_hold_and_a_message_in_one_call(office: Office) -> None:
    caller, called = office.third, office.second
    caller.command(f"call sip:102@{DOMAIN}")
    called.says("incoming call")
    caller.says("early media")
    called.command("answer")
    caller.says("connected")
    caller.says("Media streams established")
    time.sleep(1)
    caller.command("8")
    called.says("Receiving tone 8")
    called.command("9")
    caller.says("Receiving tone 9")
    caller.command("pause")
    called.wait_for(r"\na=(sendonly|inactive)\r?\n")
    time.sleep(1)
    caller.command("resume")
    caller.says("Media streams established")
    called.command(f'chat sip:103@{DOMAIN} "dag collega"')
    caller.says('Message received from sip:102@.*: "dag collega"')
    caller.command(f'chat sip:102@{DOMAIN} "ook goedendag"')
    called.says('Message received from sip:103@.*: "ook goedendag"')
    time.sleep(1)
    called.command("terminate")
    caller.says("ended")
    spoken = caller.text()
    assert re.search(r"\nm=video 0 ", spoken), "its offer of video is refused, the call goes on with audio"
    assert re.search(r"\nRequire: 100rel\r?\nRSeq: ", spoken) and "\nPRACK sip:" in spoken
    assert re.search(r"\nSession-Expires: 200;refresher=uas\r?\n", spoken), "the node refreshes"
    (record,) = office.records(1)
    legs = record["legs"]
    assert isinstance(legs, list)
    assert [leg["keying"] for leg in legs] == ["SDES", "DTLS-SRTP"]
    assert all(leg["packets"] > 50 and leg["plaintextPackets"] == 0 for leg in legs)


@pytest.mark.feature("early-media", clients=("baresip", "linphone"))
def test_a_baresip_hears_its_early_media(office: Office) -> None:
    office.fourth.command("dial", "102")
    office.fourth.wait_for("CALL_PROGRESS")
    office.fourth.wait_for("CALL_RTPESTAB")
    assert "CALL_ESTABLISHED" not in [event["type"] for event in office.fourth.events]


@pytest.mark.feature("delayed-offer", "dtmf-info", "100rel", "timer", clients=("linphone",))
def test_an_offer_in_the_ack_and_digits_by_info(office: Office) -> None:
    caller, called = office.first, office.third
    caller.command(f"call sip:103@{DOMAIN}")
    called.says("incoming call")
    called.command("answer")
    caller.says("connected")
    called.says("Media streams established")
    time.sleep(1)
    caller.command("5")
    called.says("Receiving tone 5")
    time.sleep(1)
    called.command("terminate")
    caller.says("ended")
    spoken = called.text()
    assert re.search(r"\nSession-Expires: 200;refresher=uac\r?\n", spoken), "it asks the node to refresh"
    assert re.search(r"\nPRACK sip:[^\n]* SIP/2.0\r?\nVia: SIP/2.0/TLS 127\.", spoken), "the node acknowledges"
    assert re.search(r"\nACK sip:[^\n]*(\r?\n[^\n]+)*\r?\nContent-Type: application/sdp", caller.text())


@pytest.mark.feature("incoming", "fork", "blind", clients=("linphone",))
def test_three_ring_one_answers_and_transfers(office: Office) -> None:
    office.call_in()
    for phone in (office.first, office.second, office.third):
        phone.says("incoming call")
    office.provider.wait_for("CALL_RTPESTAB")  # early media of one of them is heard outside
    assert "CALL_ESTABLISHED" not in [event["type"] for event in office.provider.events]
    office.second.command("answer")
    office.second.says("connected")
    for phone in (office.first, office.third):
        phone.says("ended")
    assert "Call completed elsewhere" in office.first.text(), "no missed call is listed for what another answered"
    time.sleep(1)
    office.second.command(f"transfer sip:104@{DOMAIN}")
    office.fourth.wait_for("CALL_INCOMING")
    office.fourth.command("accept")
    office.fourth.wait_for("CALL_ESTABLISHED")
    office.second.says("ended")
    time.sleep(2)
    office.fourth.command("hangup")
    office.provider.wait_for("CALL_CLOSED")
    assert all(count > 50 for count in office.fourth.packets(50))


@pytest.mark.feature("trunk", "emergency", clients=("linphone",))
def test_a_number_outside_and_112(office: Office) -> None:
    for number in ("0301112233", "112"):
        office.provider.events.clear()
        office.third.command(f"call sip:{number}@{DOMAIN}")
        office.provider.wait_for("CALL_ESTABLISHED")
        office.third.says("Media streams established")
        time.sleep(1)
        office.third.command("terminate")
        office.provider.wait_for("CALL_CLOSED")
        assert all(count > 20 for count in office.provider.packets(20))
    assert f"\nINVITE sip:{OUTSIDE}@" in office.provider.text()
    assert "\nPriority: emergency" in office.provider.text()


@pytest.mark.feature("forward", "pick-up", clients=("linphone",))
def test_it_sends_a_call_on_and_another_picks_it_up(office: Office) -> None:
    office.third.command(f"call sip:101@{DOMAIN}")
    found = office.first.says(r"incoming call from sip:103@.*assigned id (\d+)")
    office.first.command(f"redirect {found[1]} sip:104@{DOMAIN}")
    office.fourth.wait_for("CALL_INCOMING")
    office.second.command(f"call sip:*8104@{DOMAIN}")
    office.second.says("connected")
    office.third.says("connected")
    office.fourth.wait_for("CALL_CLOSED")
    time.sleep(1)
    office.second.command("terminate")
    office.third.says("ended")
    assert "SIP/2.0 302" in office.first.text()


@pytest.mark.feature("two-calls", "attended", clients=("linphone",))
def test_it_consults_a_colleague_goes_back_and_joins_the_two(office: Office) -> None:
    office.third.command(f"call sip:102@{DOMAIN}")
    office.second.says("incoming call")
    office.second.command("answer")
    found = office.third.says(r"Call (\d+) with sip:102@.* connected")
    office.third.says("Media streams established")
    time.sleep(1)
    office.third.command("pause")
    office.second.wait_for(r"CallSession \[\w+\] moving from state \w+ to LinphoneCallPausedByRemote")
    office.third.command(f"call sip:104@{DOMAIN}")
    office.fourth.wait_for("CALL_INCOMING")
    office.fourth.command("accept")
    office.fourth.wait_for("CALL_ESTABLISHED")
    office.third.says("Media streams established")
    time.sleep(1)
    office.fourth.command("hangup")
    office.third.says("ended")
    office.third.command(f"resume {found[1]}")
    office.third.says("Media streams established")
    office.third.command("pause")
    office.fourth.hear()
    office.fourth.events.clear()
    office.third.command(f"call sip:104@{DOMAIN}")
    office.fourth.wait_for("CALL_INCOMING")
    office.fourth.command("accept")
    again = office.third.says(r"Call (\d+) with sip:104@.* connected")
    time.sleep(1)
    office.third.command(f"transfer {found[1]} --to-call {again[1]}")
    wait_until(lambda: any(each["reason"] == "transferred" for each in office.records(1)), 30)
    time.sleep(2)
    office.second.command("terminate")
    office.fourth.wait_for("CALL_CLOSED")
    assert all(count > 80 for count in office.fourth.packets(80)), "it went on after the transfer"


@pytest.mark.feature("reconnect", clients=("linphone",))
def test_its_connection_is_lost_and_its_call_goes_on(office: Office) -> None:
    office.third.command(f"call sip:102@{DOMAIN}")
    office.second.says("incoming call")
    office.second.command("answer")
    office.third.says("connected")
    time.sleep(1)
    node, seen = office.desks.node, len(office.desks.node.events("flow resumed"))
    port = re.findall(r"Channel has local address 127.0.0.1:(\d+)", office.third.text())[-1]
    subprocess.run(["ss", "-K", "dst", node.address, "dport", "=", "5061", "sport", "=", port], check=True)
    wait_until(lambda: len(node.events("flow resumed")) > seen, 60, lambda: office.third.text()[-4000:])
    time.sleep(1)
    office.second.command("terminate")
    office.third.says("ended")
    assert office.records(1)[-1]["reason"] == "completed"


def test_the_wire_shows_no_fault(made: Office) -> None:
    reading = read(made.desks.captured(), made.desks.node.address, made.desks.keys)
    assert reading.counts["sip"] > 10, reading.counts
    assert reading.faults == []
