"""baresip at four desks: what offices do with calls, through a real node, and what the wire shows of it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from OpenSSL import SSL

from callvoip.phones.baresip import Baresip, talk
from media_node.worker_link.protocol import LocalTransport
from tests.media_node.fuzzing_media import media_seeds
from tests.support.desk import CUSTOMER, Desks, desks
from tests.support.media.dtls_phone import DtlsPhone
from tests.support.media.phone import CM80, Phone
from tests.support.node import DOMAIN, Aws, Certificates, accounts, wait_until
from tests.support.wire import read

pytestmark = pytest.mark.needs("baresip", "tshark", "ss")

ELSEWHERE = "127.0.0.77"
"""Where strangers are."""
CONTACTS = ["module_app contact.so"]
CAMERA = ["module vp8.so", "module fakevideo.so", "video_source fakevideo,nil", "video_display fakevideo,nil"]


@dataclass
class Office:
    """`camera` (101) offers video; `manual` (102) is answered by hand; `dtls` (104) knows only DTLS; `plain` (105) has no SRTP."""

    desks: Desks
    camera: Baresip
    manual: Baresip
    dtls: Baresip
    plain: Baresip
    seen: int = 0
    """How many call records there were when the test began."""

    @property
    def phones(self) -> tuple[Baresip, ...]:
        """All of them."""
        return self.camera, self.manual, self.dtls, self.plain

    def idle(self) -> None:
        """Ends what is left of the test before."""
        node = self.desks.node
        for phone in self.phones:
            phone.command("hangup")
        wait_until(lambda: len(node.events("call begins")) == len(node.events("call ended")), 30, node.log.read_text)
        for phone in self.phones:
            phone.hear()
            phone.events.clear()
        self.seen = len(node.records(CUSTOMER))

    def last_record(self) -> dict[str, object]:
        """Of the call that ended last."""
        node = self.desks.node
        records = wait_until(lambda: found if len(found := node.records(CUSTOMER)) > self.seen else None)
        return records[-1]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def made(aws: Aws, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with desks(aws, certificates, tmp_path_factory.mktemp("baresip")) as desk:
        known = accounts(CUSTOMER, 5)
        desk.node.assign(CUSTOMER, known)
        office = Office(
            desk,
            desk.baresip(known[0], settings=[*CONTACTS, *CAMERA], contact=f'"collega" <sip:102@{DOMAIN}>'),
            desk.baresip(known[1], answers="manual", settings=CONTACTS, contact=f'"collega" <sip:101@{DOMAIN}>'),
            desk.baresip(known[3], media="dtls_srtp"),
            desk.baresip(known[4], media=""),
        )
        for phone in office.phones:
            phone.wait_for("REGISTER_OK")
        yield office


@pytest.fixture
def office(made: Office) -> Office:
    made.idle()
    return made


def answer(phone: Baresip) -> None:
    phone.wait_for("CALL_INCOMING")
    phone.command("accept")
    phone.wait_for("CALL_ESTABLISHED")


def ended(phone: Baresip) -> bool:
    phone.hear()
    return any(event["type"] == "CALL_CLOSED" for event in phone.events)


def digit(phone: Baresip) -> str:
    return str(phone.wait_for("CALL_DTMF_START")["param"])


@pytest.mark.feature("call", "message", "video", "dtmf-events", "hold", clients=("baresip",))
def test_messages_digits_and_hold_in_one_call(office: Office) -> None:
    caller, called = office.camera, office.manual
    caller.command("message", "dag collega")
    called.wait_for_text('\\nsip:101@[^\\n]*: "dag collega"|\\n\\r?\\ndag collega')
    called.command("message", "ook goedendag")
    caller.wait_for_text("\\n\\r?\\nook goedendag")
    caller.command("dial", "102")
    answer(called)
    caller.wait_for("CALL_ESTABLISHED")
    assert "m=video 0 " in caller.text(), "its offer of video is refused, the call goes on with audio"
    time.sleep(1)
    caller.command("sndcode", "8")
    assert digit(called) == "8"
    called.command("sndcode", "9")
    assert digit(caller) == "9"
    called.command("hold")
    caller.wait_for_text("\\na=(sendonly|inactive)")
    called.command("resume")
    time.sleep(1)
    assert not ended(caller)
    called.command("hangup")
    caller.wait_for("CALL_CLOSED")
    offers = [
        line
        for message in caller.messages()
        if message.text.startswith("INVITE sip:abc234-101")
        for line in message.text.splitlines()
        if line in ("a=sendonly", "a=inactive", "a=sendrecv")
    ]
    assert offers[-1] == "a=sendrecv" and len(offers) >= 2
    assert all(count > 50 for count in caller.packets(50))


@pytest.mark.feature("dtls", clients=("baresip",))
@pytest.mark.parametrize("dtls_calls", [True, False], ids=["it-calls", "it-is-called"])
def test_a_phone_that_knows_only_dtls_talks_to_one_that_knows_only_sdes(office: Office, dtls_calls: bool) -> None:
    caller, called = (office.dtls, office.camera) if dtls_calls else (office.camera, office.dtls)
    caller.command("dial", "101" if dtls_calls else "104")
    talk(caller, called)
    for phone in (caller, called):
        assert all(count > 100 for count in phone.packets(100)), phone.text()
    assert "DTLS-SRTP complete" in office.dtls.text()
    legs = office.last_record()["legs"]
    assert isinstance(legs, list)
    assert [leg["suite"] for leg in legs] == ["AES_CM_128_HMAC_SHA1_80"] * 2
    assert all(leg["packets"] > 100 and leg["plaintextPackets"] == 0 for leg in legs)


@pytest.mark.feature("blind", clients=("baresip",))
def test_it_transfers_blind_and_the_two_hear_each_other(office: Office) -> None:
    caller, transferor, target = office.dtls, office.manual, office.camera
    caller.command("dial", "102")
    answer(transferor)
    time.sleep(1)
    transferor.command("transfer", f"sip:101@{DOMAIN}")
    target.wait_for("CALL_ESTABLISHED")
    wait_until(lambda: ended(transferor))
    time.sleep(2)
    assert not ended(caller), caller.text()[-3000:]
    caller.command("hangup")
    target.wait_for("CALL_CLOSED")
    for phone in (caller, target):
        assert all(count > 70 for count in phone.packets(70)), phone.text()[-3000:]
    assert "SIP/2.0 200 OK" in "".join(each.text for each in transferor.messages() if "NOTIFY" in each.text)
    record = office.last_record()
    legs = record["legs"]
    assert isinstance(legs, list)
    assert record["reason"] == "completed"
    assert {leg["suite"] for leg in legs} <= {"AES_CM_128_HMAC_SHA1_80", "none"}
    assert all(leg["plaintextPackets"] == 0 for leg in legs)


@pytest.mark.feature("two-calls", clients=("baresip",))
def test_it_holds_one_call_for_another_and_goes_back(office: Office) -> None:
    phone, first, second = office.manual, office.camera, office.dtls
    phone.command("dial", "101")
    first.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    phone.command("hold")
    phone.command("dial", "104")
    second.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    second.command("hangup")
    phone.wait_for("CALL_CLOSED")
    phone.command("resume")
    time.sleep(1)
    assert not ended(first)
    phone.command("hangup")
    first.wait_for("CALL_CLOSED")
    assert all(count > 20 for count in second.packets(20))


@pytest.mark.feature("pick-up", clients=("baresip",))
def test_it_picks_up_what_rings_at_a_colleagues(office: Office) -> None:
    office.camera.command("dial", "102")
    office.manual.wait_for("CALL_INCOMING")
    office.dtls.command("dial", "*8102")
    office.manual.wait_for("CALL_CLOSED")
    for phone in (office.camera, office.dtls):
        phone.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    office.dtls.command("hangup")
    office.camera.wait_for("CALL_CLOSED")
    assert all(count > 30 for count in office.dtls.packets(30))


@pytest.mark.feature("reconnect", clients=("baresip",))
def test_its_connection_is_lost_and_its_call_goes_on(office: Office) -> None:
    # A phone that is not called in the tests below: baresip registers again only when its registration is half over.
    caller, called, node = office.manual, office.camera, office.desks.node
    caller.command("dial", "101")
    called.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    seen = len(node.events("flow resumed"))
    (mine, *_) = re.findall(r"rport=(\d+)", caller.text())
    subprocess.run(["ss", "-K", "dst", node.address, "dport", "=", "5061", "sport", "=", mine], check=True)
    wait_until(lambda: node.events("flow lost"), 10)
    caller.command("hold")  # over a new connection, on which it shows who it is; it registers again later
    wait_until(lambda: len(node.events("flow resumed")) > seen, 60, lambda: caller.text()[-3000:])
    caller.command("resume")
    time.sleep(1)
    assert not ended(called)
    called.command("hangup")
    caller.wait_for("CALL_CLOSED")
    assert all(count > 70 for count in called.packets(70))
    assert office.last_record()["reason"] == "completed"


def test_a_phone_that_offers_no_srtp_is_told_488(office: Office) -> None:
    office.plain.command("dial", "101")
    assert "488" in office.plain.wait_for("CALL_CLOSED")["param"]
    assert "SRTP is required: offer RTP/SAVP with a=crypto" in office.plain.text()


def test_the_wire_shows_no_fault(made: Office) -> None:
    reading = read(made.desks.captured(), made.desks.node.address, made.desks.keys)
    assert reading.counts["sip"] > 10, reading.counts
    assert reading.faults == []


def strangers(address: str, ended: threading.Event) -> int:
    """Try to be the phone until `ended`: handshakes with a certificate of their own, records that belong to none, RTP in clear and
    under a key of their own, from many ports. How much media came back.
    """
    hello, ports, media = media_seeds(), range(20000, 20004), 0
    with contextlib.ExitStack() as stack:
        impostors = [stack.enter_context(contextlib.closing(DtlsPhone(address=ELSEWHERE))) for _ in range(4)]
        liar = stack.enter_context(contextlib.closing(Phone(CM80, ELSEWHERE)))
        while not ended.is_set():
            for impostor in impostors:
                for port in ports:
                    at = LocalTransport(address=address, rtp_port=port, rtcp_port=port, fingerprint="")
                    with contextlib.suppress(TimeoutError, SSL.Error, AssertionError):
                        impostor.shake_hands(at, patience=0.05)
                    for datagram in (*hello, liar.protect(liar.next()), bytes(liar.next())):
                        impostor.send_raw(at, datagram)
                        liar.send_raw(at, datagram)
            for each in (*impostors, liar):
                each.rtp.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while datagram := each.rtp.recv(2048):
                        media += 128 <= datagram[0] <= 191
    return media


@pytest.mark.parametrize("dtls_calls", [True, False], ids=["it-calls", "it-is-called"])
def test_strangers_at_the_ports_of_a_phone_that_is_keyed_by_dtls_get_and_give_no_media(
    office: Office, dtls_calls: bool
) -> None:
    """ES2025-01 (CVE-2025-53399) and the race for the handshake (ES2023-03), with a phone that is not ours."""
    caller, called = (office.dtls, office.camera) if dtls_calls else (office.camera, office.dtls)
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(strangers, office.desks.node.address, ended)
        try:
            caller.command("dial", "101" if dtls_calls else "104")
            talk(caller, called)
        finally:
            ended.set()
    assert heard.result() == 0
    for phone in (caller, called):
        assert all(count > 50 for count in phone.packets(50)), phone.text()
    record = office.last_record()
    legs = record["legs"]
    assert isinstance(legs, list) and record["reason"] == "completed"
    assert all(leg["packets"] > 50 and leg["plaintextPackets"] == 0 for leg in legs)
