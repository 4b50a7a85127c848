"""Phones through the node to Kamailio as the provider's own exchange, and back: what the exchange does it goes on doing, and
every phone's leg is encrypted. Behind it are its voicemail, an announcement, the provider's lines and a user of its own.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from callvoip.phones.baresip import Baresip, free_port, talk
from tests.support.desk import CUSTOMER, Desks, desks
from tests.support.kamailio import Kamailio
from tests.support.linphone import Linphone
from tests.support.node import DOMAIN, Aws, Certificates, TestAccount, accounts, wait_until
from tests.support.sipp import (
    Script,
    acknowledge_in_dialog,
    answer,
    audio,
    challenged,
    check,
    front,
    head,
    pause,
    receive,
    scenario,
    send,
    sipp,
)
from tests.support.wire import read

pytestmark = pytest.mark.needs("baresip", "kamailio", "linphonec", "sipp", "stunnel4", "tshark", "ss")

MENU, ANNOUNCEMENT = "1233", "1234"
"""What a phone dials to hear its voicemail, and an announcement that nobody answers: numbers of the exchange's own."""
NUMBER, OUTSIDE, DIALLED = "+31855550199", "+31301112233", "0301112233"
"""It is called by the first; the second is what the third is called by it: it is asked for what was dialled."""
FAX = "v=0\no=sipp 1 2 IN IP4 [local_ip]\ns=-\nc=IN IP4 [local_ip]\nt=0 0\nm=image 6004 udptl t38\n"


@dataclass
class House:
    """A node, its exchange, and who is behind that: `inside` is voicemail, announcement and the provider's lines. Phones:
    `auto` (101) answers, `manual` (102) is answered by hand and shares its account with `soft`, a linphone; nobody is at
    103; `other` (104) answers too and knows only DTLS; sipp is 105.
    """

    desks: Desks
    exchange: Kamailio
    inside: Baresip
    user: int
    """The UDP port of the exchange's own user."""
    mailbox: int
    auto: Baresip
    manual: Baresip
    other: Baresip
    soft: Linphone
    fifth: TestAccount
    scripts: list[Script] = field(default_factory=list)
    seen: int = 0

    def start(
        self, text: str, port: int, *, called: str = "", transport: str = "u1", more: tuple[str, ...] = ()
    ) -> Script:
        """Begins a scenario."""
        file = self.desks.directory / f"scenario{len(self.scripts)}.xml"
        file.write_text(text)
        script = Script(sipp(file, port, called=called, transport=transport, more=more), file)
        self.scripts.append(script)
        return script

    @property
    def baresips(self) -> tuple[Baresip, ...]:
        """All of them."""
        return self.inside, self.auto, self.manual, self.other

    def idle(self) -> None:
        """Ends what is left of the test before."""
        node = self.desks.node
        self.soft.command("terminate all")
        self.soft.forget()
        for phone in self.baresips:
            phone.command("hangup")
        for script in self.scripts:
            script.end()
        wait_until(lambda: len(node.events("call begins")) == len(node.events("call ended")), 30, node.log.read_text)
        for phone in self.baresips:
            phone.hear()
            phone.events.clear()
        self.seen = len(node.records(CUSTOMER))

    def suites(self, calls: int) -> list[list[str]]:
        """Of the legs of the calls of this test."""
        node = self.desks.node
        wait_until(lambda: len(node.records(CUSTOMER)) >= self.seen + calls)
        return [[leg["suite"] for leg in record["legs"]] for record in node.records(CUSTOMER)[self.seen :]]


@pytest.fixture(scope="module")
def made(aws: Aws, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("home")
    user, mailbox, port = free_port(), free_port(), free_port()
    reaches = {
        MENU: f"sip:voicemail@127.0.0.1:{port}",
        ANNOUNCEMENT: f"sip:announcement@127.0.0.1:{port}",
        "112": f"sip:112@127.0.0.1:{port}",
        DIALLED: f"sip:{OUTSIDE}@127.0.0.1:{port}",
        NUMBER: f"{CUSTOMER}-101",
    }
    exchange = Kamailio(
        directory / "kamailio",
        domain=DOMAIN,
        voicemail=reaches[MENU],
        reaches=reaches,
        mailbox=f"sip:mailbox@127.0.0.1:{mailbox}",
        trusted=[user, port, mailbox],
    )
    with exchange, desks(aws, certificates, directory, trunk=exchange.trunk()) as desk:
        lines = [
            f"<sip:{name}@127.0.0.1;transport=udp>;regint=0;audio_codecs=pcma;answermode={answers}"
            for name, answers in (("voicemail", "auto"), ("announcement", "early"), ("112", "auto"), (OUTSIDE, "auto"))
        ]
        inside = desk.keep(
            Baresip(directory / "inside", account="\n".join(lines), microphone=desk.microphone, sip_port=port)
        )
        known = accounts(CUSTOMER, 5)
        desk.node.assign(CUSTOMER, known)
        house = House(
            desk,
            exchange,
            inside,
            user,
            mailbox,
            desk.baresip(known[0], settings=["module_app contact.so"]),
            desk.baresip(known[1], answers="manual"),
            desk.baresip(known[3], media="dtls_srtp"),
            desk.linphone(known[1]),
            known[4],
        )
        for phone in (house.auto, house.manual, house.other):
            phone.wait_for("REGISTER_OK")
        house.soft.wait_for(r"to \[LinphoneRegistrationOk\]")
        wait_until(
            lambda: exchange.registered().count("AoR: abc234-") == 3 and exchange.registered().count("Path:") == 4,
            15,
            lambda: exchange.registered() + exchange.text()[-2000:] + desk.node.log.read_text()[-3000:],
        )
        yield house


@pytest.fixture
def house(made: House) -> House:
    made.idle()
    return made


def ended(phone: Baresip) -> bool:
    phone.hear()
    return any(event["type"] == "CALL_CLOSED" for event in phone.events)


@pytest.mark.feature("exchange", "call", clients=("baresip", "kamailio"))
@pytest.mark.feature("trunk-digest", "trunk-tcp", "trunk-options", clients=("kamailio",))
def test_the_exchange_knows_the_phones_by_a_path_and_connects_them(house: House) -> None:
    there = house.exchange.registered()
    assert len(re.findall(r"Path: <sip:[0-9a-f]{24}@\S+;lr>", there)) == 4, there
    house.manual.command("dial", "101")
    talk(house.manual, house.auto)
    for phone in (house.auto, house.manual):
        assert all(count > 100 for count in phone.packets(100)), phone.text()
    # The call passes the node twice: from the phone to the exchange, and from the exchange to the other phone.
    assert [set(legs) for legs in house.suites(2)] == [{"AES_CM_128_HMAC_SHA1_80", "none"}] * 2
    assert "nobody at" not in house.exchange.text()
    assert not house.desks.node.events("trunk unreachable"), "it answers each OPTIONS"


@pytest.mark.feature("voicemail", clients=("baresip", "kamailio"))
@pytest.mark.feature("forward", clients=("kamailio",))
def test_its_voicemail_takes_what_nobody_answers_and_is_heard_by_its_number(house: House) -> None:
    house.auto.command("dial", MENU)
    talk(house.auto, house.inside, 1)
    assert all(count > 20 for count in house.auto.packets(20)), house.auto.text()
    for dialled, ringing in (
        ("103", None),
        ("102", house.manual),
    ):  # nobody is registered there; rings, and nobody takes it
        for phone in house.baresips:
            phone.events.clear()
        house.auto.command("dial", dialled)
        if ringing is not None:
            ringing.wait_for("CALL_INCOMING")
        talk(house.auto, house.inside, 1)
        assert all(count > 20 for count in house.auto.packets(20)), house.auto.text()
    assert "nobody at abc234-103" in house.exchange.text()
    house.manual.wait_for("CALL_CLOSED")
    assert "AES_CM_128_HMAC_SHA1_80" in house.suites(3)[0]


@pytest.mark.feature("hold", "blind", "dtmf-events", "two-calls", "dtls", clients=("kamailio",))
def test_a_call_to_it_is_held_for_another_and_transferred(house: House) -> None:
    house.manual.command("dial", MENU)
    house.inside.wait_for("CALL_ESTABLISHED")
    house.manual.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    house.manual.command("sndcode", "7")
    assert house.inside.wait_for("CALL_DTMF_START")["param"] == "7"
    house.manual.command("hold")
    house.inside.wait_for_text(r"\na=(sendonly|inactive)")
    house.manual.command("dial", "104")
    house.other.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    house.other.command("hangup")
    house.manual.wait_for("CALL_CLOSED")
    house.manual.events.clear()
    house.manual.command("resume")
    time.sleep(1)
    house.manual.command("transfer", f"sip:101@{DOMAIN}")
    house.auto.wait_for("CALL_ESTABLISHED")
    wait_until(lambda: ended(house.manual))
    time.sleep(2)
    assert not ended(house.inside)
    house.auto.command("hangup")
    house.inside.wait_for("CALL_CLOSED")
    assert all(count > 50 for count in house.auto.packets(50))


@pytest.mark.feature("early-media", clients=("kamailio",))
def test_before_any_answer_an_announcement_is_connected(house: House) -> None:
    """baresip listens in its early media and says nothing itself."""
    house.auto.command("dial", ANNOUNCEMENT)
    house.auto.wait_for("CALL_PROGRESS")
    house.inside.wait_for("CALL_RTPESTAB")
    assert "CALL_ESTABLISHED" not in {event["type"] for phone in house.baresips for event in phone.events}


@pytest.mark.feature("trunk", "incoming", "emergency", clients=("kamailio",))
def test_numbers_outside_and_112_go_by_it_and_it_calls_in(house: House) -> None:
    for dialled, said in ((DIALLED, f"INVITE sip:{OUTSIDE}@"), ("112", "INVITE sip:112@")):
        house.inside.events.clear()
        house.auto.events.clear()
        house.auto.command("dial", dialled)
        talk(house.auto, house.inside, 1)
        assert said in house.inside.text()
    assert "\nPriority: emergency" in house.inside.text()
    for phone in (house.inside, house.auto):
        phone.events.clear()
    house.inside.command("dial", f"sip:{NUMBER}@127.0.0.1:{house.exchange.port}")
    talk(house.inside, house.auto, 1)
    assert all(count > 30 for count in house.auto.packets(30))


@pytest.mark.feature("exchange", "voicemail", clients=("linphone",))
@pytest.mark.feature("fork", "attended", "pick-up", clients=("kamailio",))
def test_it_rings_two_devices_and_one_consults_and_joins(house: House) -> None:
    house.auto.command("dial", "102")
    house.manual.wait_for("CALL_INCOMING")
    house.soft.says("incoming call")
    house.soft.command("answer")
    found = house.soft.says(r"Call (\d+) with sip:101@.* connected")
    house.manual.wait_for("CALL_CLOSED")
    time.sleep(1)
    house.soft.command("pause")
    house.auto.wait_for_text(r"\na=(sendonly|inactive)")
    house.soft.command(f"call sip:{MENU}@{DOMAIN}")
    again = house.soft.says(rf"Call (\d+) with sip:{MENU}@.* connected")
    house.inside.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    house.soft.command(f"transfer {found[1]} --to-call {again[1]}")
    house.soft.says("ended")
    time.sleep(2)
    assert not ended(house.auto) and not ended(house.inside)
    house.auto.command("hangup")
    house.inside.wait_for("CALL_CLOSED")
    assert all(count > 80 for count in house.auto.packets(80))
    for phone in house.baresips:
        phone.events.clear()
    house.auto.command("dial", "102")
    house.manual.wait_for("CALL_INCOMING")
    house.other.command("dial", "*8102")
    house.manual.wait_for("CALL_CLOSED")
    for phone in (house.auto, house.other):
        phone.wait_for("CALL_ESTABLISHED")


def line(method: str, sequence: int, *, more: str = "", body: str = "", kind: str = "application/sdp") -> str:
    """A request of the exchange's own user to 102: its INVITE, or one within that dialog."""
    begins = method == "INVITE" and sequence == 1
    to = f"{CUSTOMER}-102"
    uri = f"sip:{to}@{DOMAIN}" if begins else "[next_url]"
    lines = head(method, sequence, uri=uri, extension=to, account=TestAccount("inside", "", ""), to_tag=not begins)
    return send(lines + ("" if begins else "[routes]\n") + more, body, kind)


@pytest.mark.feature("delayed-offer", "100rel", "timer", "dtmf-info", "t38", "video", clients=("kamailio",))
def test_its_own_user_calls_with_and_without_an_offer(house: House) -> None:
    video = "m=video 6002 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    with_offer = scenario(
        "with an offer",
        line("INVITE", 1, more="Require: 100rel\nSupported: timer\nSession-Expires: 1800\n",
             body=audio(secure=False, more=video)),
        receive(100, optional="true"),
        receive(180, check("[0-9]+", "1", header="RSeq:"), rrs="true"),
        line("PRACK", 2, more="RAck: [$1] 1 INVITE\n"),
        receive(200),
        receive(200, check("m=video 0 ", "2") + check("Session-Expires: *[0-9]+", "3"), rrs="true"),
        line("ACK", 1),
        pause(500),
        line("INFO", 3, body="Signal=5\nDuration=160\n", kind="application/dtmf-relay"),
        receive(200),
        line("INVITE", 4, body=FAX),
        receive(100, optional="true"),
        receive(488),
        line("ACK", 4),
        pause(300),
        line("BYE", 5),
        receive(200),
        logged="2,3",
    )  # fmt: skip
    without = scenario(
        "without an offer",
        line("INVITE", 1),
        receive(100, optional="true"),
        receive(180, optional="true"),
        receive(200, check("RTP/AVP", "1"), rrs="true"),
        line("ACK", 1, body=audio(secure=False)),
        pause(700),
        line("BYE", 2),
        receive(200),
        logged="1",
    )
    house.soft.command("unregister")
    wait_until(lambda: house.exchange.registered().count("Path:") == 3, 20)
    for text in (with_offer, without):
        script = house.start(text, house.exchange.port, more=("-p", str(house.user), "-i", "127.0.0.1"))
        house.manual.wait_for("CALL_INCOMING")
        time.sleep(1)
        house.manual.command("accept")
        script.ended()
        house.manual.wait_for("CALL_CLOSED")
        digits = [event["param"] for event in house.manual.events if event["type"] == "CALL_DTMF_START"]
        assert digits == (["5"] if text is with_offer else [])
        house.manual.events.clear()


def told_of_messages(house: House, *until_ends: str) -> Script:
    """sipp as the voicemail: takes one subscription and tells of two new messages; `until_ends` is what it does further."""
    tells = send(
        "NOTIFY [next_url] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
        f"Max-Forwards: 70\n[routes]\nFrom: <sip:mailbox@{DOMAIN}>;tag=[call_number]\n"
        f"To: <sip:phone@{DOMAIN}>;tag=[$2]\n[last_Call-ID:]\nCSeq: 1 NOTIFY\n"
        "Contact: <sip:mailbox@[local_ip]:[local_port]>\nEvent: message-summary\n"
        "Subscription-State: active;expires=3000\n",
        "Messages-Waiting: yes\nVoice-Message: 2/8 (0/2)\n",
        "application/simple-message-summary",
    )
    tag = '<ereg regexp="tag=([0-9a-f]+)" search_in="hdr" header="From:" check_it="true" assign_to="1,2"/>'
    accepts = answer("200 OK", more="Expires: 3600\n")
    text = scenario(
        "mailbox", receive("SUBSCRIBE", tag, rrs="true"), accepts, tells, receive(200), *until_ends, logged="1"
    )
    return house.start(text, house.exchange.port, more=("-p", str(house.mailbox), "-i", "127.0.0.1"))


@pytest.mark.feature("mwi", clients=("sipp", "kamailio"))
@pytest.mark.feature("message", clients=("kamailio",))
@pytest.mark.feature("exchange", "voicemail", clients=("sipp",))
def test_new_messages_and_texts_come_through_it(house: House) -> None:
    """sipp is the voicemail that a phone subscribes to, and the phone."""
    # It stays until it hears that the phone has gone: said to nobody, that would be repeated to whoever comes in its place.
    told = told_of_messages(house, receive("SUBSCRIBE"), answer("200 OK", more="Expires: 0\n"))
    account = house.fifth
    asks = head("SUBSCRIBE", 1, uri=f"sip:{account.username}@{DOMAIN}", extension=account.username, account=account)
    registers = challenged(
        "REGISTER", 1, uri=f"sip:{DOMAIN}", extension=account.username, account=account, code=401, call="r///"
    )
    text = scenario(
        "subscribes",
        registers,
        receive(200),
        send(asks + "Event: message-summary\nAccept: application/simple-message-summary\nExpires: 3600\n"),
        receive(200),
        receive("NOTIFY", check("Messages-Waiting: yes", "1")),
        acknowledge_in_dialog(),
        pause(60_000),
        logged="1",
    )
    busy = house.desks.directory / "busy.xml"
    busy.write_text(scenario("busy", receive("INVITE"), answer("486 Busy Here"), receive("ACK")))
    with front(house.desks.node.address, house.desks.directory) as port:
        phone = house.start(text, port, called=DOMAIN, transport="t1", more=("-oocsf", str(busy)))
        wait_until(lambda: f"AoR: {account.username}" in house.exchange.registered())
        # Busy, and so the voicemail has it.
        house.auto.command("dial", account.extension)
        talk(house.auto, house.inside, 1)
        assert "SIP/2.0 486" in phone.said() and "Messages-Waiting: yes" in phone.said()
    told.ended()
    text = send(
        head("MESSAGE", 1, uri=f"sip:{CUSTOMER}-101@{DOMAIN}", extension="101", account=TestAccount(OUTSIDE, "", "")),
        "uw pakket is er",
        "text/plain",
    )
    more = ("-p", str(house.user), "-i", "127.0.0.1")
    house.start(scenario("text", text, receive(200)), house.exchange.port, more=more).ended()
    assert "uw pakket is er" in house.auto.text()


@pytest.mark.feature("mwi", clients=("baresip",))
def test_a_lamp_for_new_messages_lights(house: House) -> None:
    told = told_of_messages(house)
    phone = house.desks.baresip(house.fifth, settings=["module_app mwi.so"])
    phone.wait_for_text(r"MWI for [^\n]*\n(.*\n)*?.*Voice-Message: 2/8")
    told.ended()


@pytest.mark.feature("reconnect", clients=("kamailio",))
def test_a_phone_loses_its_connection_and_its_call_by_the_exchange_goes_on(house: House) -> None:
    node = house.desks.node
    house.auto.command("dial", MENU)
    house.inside.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    seen = len(node.events("flow resumed"))
    mine = re.findall(r"rport=(\d+)", house.auto.text())[-1]
    subprocess.run(["ss", "-K", "dst", node.address, "dport", "=", "5061", "sport", "=", mine], check=True)
    wait_until(lambda: node.events("flow lost"), 10)
    house.auto.command("hold")
    wait_until(lambda: len(node.events("flow resumed")) > seen, 60, lambda: house.auto.text()[-3000:])
    house.auto.command("resume")
    time.sleep(1)
    assert not ended(house.inside)
    house.auto.command("hangup")
    house.inside.wait_for("CALL_CLOSED")


def test_the_wire_shows_no_fault(made: House) -> None:
    made.idle()
    reading = read(made.desks.captured(), made.desks.node.address, made.desks.keys, (made.exchange.port,))
    assert reading.counts["sip"] > 10, reading.counts
    assert reading.faults == []
