"""sipp as a desk phone and as a trunk: what phones ask that baresip and linphone do not, through a real node, and what the wire
shows of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from callvoip.phones.baresip import Baresip, free_port
from tests.support.desk import CUSTOMER, Desks, desks
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
    went_well,
)
from tests.support.wire import read

pytestmark = pytest.mark.needs("baresip", "sipp", "stunnel4", "tshark", "ss")

NUMBER, OUTSIDE = "+31855550199", "+31301112233"
_NOTIFIED = ("-aa",)
"""sipp answers each NOTIFY by itself, as several may come at once."""
_VIDEO = "m=video 6002 RTP/SAVP 96\na=rtpmap:96 H264/90000\n"
_FAX = "v=0\no=sipp 1 2 IN IP4 [local_ip]\ns=-\nc=IN IP4 [local_ip]\nt=0 0\nm=image 6004 udptl t38\n"


@dataclass
class Office:
    """sipp is 101, and 104 where it is called; 102 is a baresip that is answered by hand, 103 one that answers, 105 one that
    sends early media. The trunk is sipp too.
    """

    desks: Desks
    port: int
    trunk: int
    line: int
    caller: TestAccount
    called: TestAccount
    manual: Baresip
    auto: Baresip
    early: Baresip
    files: int = field(default=0, init=False)
    seen: int = field(default=0, init=False)
    ours: list[Script] = field(default_factory=list, init=False)

    def request(
        self,
        method: str,
        sequence: int,
        more: str = "",
        body: str = "",
        *,
        to: str = "102",
        call: str = "",
        tag: bool | str = True,
        kind: str = "application/sdp",
        account: TestAccount | None = None,
    ) -> str:
        """One within a dialog of ours."""
        uri = f"sip:{self.desks.node.address}:5061;transport=tls"
        lines = head(method, sequence, uri=uri, extension=to, account=account or self.caller, to_tag=tag, call=call)
        return send(lines + more, body, kind)

    def call(
        self, to: str, sequence: int = 1, more: str = "", body: str = "", *, call: str = "", challenge: bool = True
    ) -> str:
        """The INVITE that begins one."""
        uri, account = f"sip:{to}@{DOMAIN}", self.caller
        if not challenge:
            lines = head("INVITE", sequence, uri=uri, extension=to, account=account, call=call)
            return send(lines + more, body) + receive(100, optional="true")
        return challenged("INVITE", sequence, uri=uri, extension=to, account=account, more=more, body=body, call=call)

    def start(self, text: str, *, to: str = "102", uri: str = "", more: Sequence[str] = ()) -> Script:
        """Begins a scenario of our phone, whose credentials are for `to` or another URI."""
        self.files += 1
        file = self.desks.directory / f"scenario{self.files}.xml"
        file.write_text(text)
        script = Script(sipp(file, self.port, called=uri or f"{to}@{DOMAIN}", more=more), file)
        self.ours.append(script)
        return script

    def records(self) -> list[dict[str, object]]:
        """Of the calls of this test."""
        node = self.desks.node
        wait_until(lambda: len(node.records(CUSTOMER)) > self.seen)
        return node.records(CUSTOMER)[self.seen :]

    def idle(self) -> None:
        """Ends what is left of the test before."""
        node = self.desks.node
        for script in self.ours:
            script.end()
        self.ours.clear()
        for phone in (self.manual, self.auto, self.early):
            phone.command("hangup")
        wait_until(lambda: len(node.events("call begins")) == len(node.events("call ended")), 30, node.log.read_text)
        for phone in (self.manual, self.auto, self.early):
            phone.hear()
            phone.events.clear()
        self.seen = len(node.records(CUSTOMER))


@pytest.fixture(scope="module")
def made(aws: Aws, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    trunk, line = free_port(), free_port()
    settings = {"host": "127.0.0.1", "port": trunk, "transport": "udp", "local_port": line}
    directory = tmp_path_factory.mktemp("sipp")
    with (
        desks(aws, certificates, directory, trunk=settings) as desk,
        front(desk.node.address, directory) as port,
    ):
        known = accounts(CUSTOMER, 5)
        number = {
            "number": NUMBER,
            "rings": [known[1].username, known[2].username, known[3].username],
            "order": "together",
            "ringSeconds": 20,
            "noAnswerSeconds": 20,
        }
        desk.node.assign(CUSTOMER, known, numbers=[number])
        manual = desk.baresip(known[1], answers="manual")
        auto, early = desk.baresip(known[2]), desk.baresip(known[4], answers="early")
        for phone in (manual, auto, early):
            phone.wait_for("REGISTER_OK")
        yield Office(desk, port, trunk, line, known[0], known[3], manual, auto, early)


@pytest.fixture
def office(made: Office) -> Office:
    made.idle()
    return made


@pytest.mark.feature("call", "100rel", "timer", "dtmf-info", "t38", "video", "hold", clients=("sipp",))
@pytest.mark.feature("dtmf-info", clients=("baresip",))
def test_100rel_timers_video_digits_fax_and_hold_in_one_call(office: Office) -> None:
    script = office.start(
        scenario(
            "office call",
            office.call(
                "102", more="Require: 100rel\nSupported: timer\nSession-Expires: 1800\n", body=audio(more=_VIDEO)
            ),
            receive(180, check("[0-9]+", "1", header="RSeq:"), rrs="true"),
            office.request("PRACK", 3, "RAck: [$1] 2 INVITE\n"),
            receive(200),
            receive(200, check("m=video 0 ", "2") + check("Session-Expires: *[0-9]+", "3"), rrs="true"),
            office.request("ACK", 2),
            pause(500),
            office.request("INFO", 4, body="Signal=5\nDuration=160\n", kind="application/dtmf-relay"),
            receive(200),
            office.request("INVITE", 5, body=_FAX),
            receive(100, optional="true"),
            receive(488),
            office.request("ACK", 5),
            office.request("INVITE", 6, body=audio("sendonly", 2, more=_VIDEO)),
            receive(100, optional="true"),
            receive(200, check("a=recvonly", "4")),
            office.request("ACK", 6),
            office.request("INVITE", 7, body=audio("sendrecv", 3, more=_VIDEO)),
            receive(100, optional="true"),
            receive(200, check("a=sendrecv", "5")),
            office.request("ACK", 7),
            pause(300),
            office.request("BYE", 8),
            receive(200),
            logged="2,3,4,5",
        )
    )
    office.manual.wait_for("CALL_INCOMING")
    time.sleep(1)  # by then the PRACK is answered: the scenario takes messages in order
    office.manual.command("accept")
    script.ended()
    office.manual.wait_for("CALL_CLOSED")
    assert [each["param"] for each in office.manual.events if each["type"] == "CALL_DTMF_START"] == ["5"]
    assert [each["reason"] for each in office.records()] == ["completed"]


@pytest.mark.feature("delayed-offer", clients=("sipp",))
def test_an_invite_without_an_offer(office: Office) -> None:
    script = office.start(
        scenario(
            "offerless call",
            office.call("103"),
            receive(180, optional="true"),
            receive(200, check("RTP/SAVP", "1"), rrs="true"),
            office.request("ACK", 2, body=audio(), to="103"),
            pause(700),
            office.request("BYE", 3, to="103"),
            receive(200),
            logged="1",
        ),
        to="103",
    )
    office.auto.wait_for("CALL_ESTABLISHED")
    script.ended()


@pytest.mark.feature("early-media", "blind", clients=("sipp",))
def test_early_media_and_a_blind_transfer(office: Office) -> None:
    script = office.start(
        scenario(
            "transferor",
            office.call("105", body=audio()),
            receive(180, optional="true"),
            receive(183, check("m=audio", "1"), rrs="true"),
            receive(200, rrs="true"),
            office.request("ACK", 2, to="105"),
            pause(500),
            office.request("REFER", 3, f"Refer-To: <sip:103@{DOMAIN}>\n", to="105"),
            receive(202),
            receive("BYE"),
            acknowledge_in_dialog(),
            logged="1",
        ),
        to="105",
        more=_NOTIFIED,
    )
    office.early.wait_for_text("SIP/2.0 183")
    time.sleep(0.5)
    office.early.command("accept")
    office.auto.wait_for("CALL_ESTABLISHED")
    told = [each for each in script.ended().split("NOTIFY sip:") if "message/sipfrag" in each]
    assert "SIP/2.0 100 Trying" in told[0] and "Subscription-State: active" in told[0]
    assert "SIP/2.0 200 OK" in told[-1] and "Subscription-State: terminated" in told[-1]
    time.sleep(1)
    office.early.command("hangup")
    office.auto.wait_for("CALL_CLOSED")
    assert all(count > 20 for count in office.auto.packets(20))


@pytest.mark.feature("two-calls", "attended", clients=("sipp",))
def test_it_consults_a_colleague_and_joins_the_two(office: Office) -> None:
    second = "b///"
    replaces = "b%2F%2F%2F[call_id]%3Bto-tag%3D[$2]%3Bfrom-tag%3D[call_number]"
    script = office.start(
        scenario(
            "two calls",
            # Registered over this connection it is not asked for a password again: sipp has one URI for its credentials.
            challenged(
                "REGISTER",
                1,
                uri=f"sip:{DOMAIN}",
                extension=office.caller.username,
                account=office.caller,
                code=401,
                call="r///",
            ),
            receive(200),
            office.call("102", 2, body=audio(), challenge=False),
            receive(180, optional="true"),
            receive(
                200, '<ereg regexp="tag=([0-9a-f]+)" search_in="hdr" header="To:" check_it="true" assign_to="1,3"/>'
            ),
            office.request("ACK", 2, tag="[$3]"),
            office.request("INVITE", 3, body=audio("sendonly", 2), tag="[$3]"),
            receive(100, optional="true"),
            receive(200, check("a=recvonly", "4")),
            office.request("ACK", 3, tag="[$3]"),
            office.call("103", 2, body=audio(), call=second, challenge=False),
            receive(180, optional="true"),
            receive(
                200, '<ereg regexp="tag=([0-9a-f]+)" search_in="hdr" header="To:" check_it="true" assign_to="5,2"/>'
            ),
            office.request("ACK", 2, tag="[$2]", call=second, to="103"),
            pause(500),
            office.request("REFER", 4, f"Refer-To: <sip:103@{DOMAIN}?Replaces={replaces}>\n", tag="[$3]"),
            receive(202),
            receive("BYE"),
            acknowledge_in_dialog(),
            pause(1500),
            logged="1,4,5",
        ),
        uri=DOMAIN,
        more=_NOTIFIED,
    )
    office.manual.wait_for("CALL_INCOMING")
    office.manual.command("accept")
    office.auto.wait_for("CALL_ESTABLISHED")
    wait_until(lambda: any(each["reason"] == "transferred" for each in office.records()), 30, script.ended)
    time.sleep(1)
    office.manual.command("hangup")
    office.auto.wait_for("CALL_CLOSED")
    assert all(count > 30 for count in office.auto.packets(30)), "they heard each other"


@pytest.mark.feature("pick-up", clients=("sipp",))
def test_it_picks_up_what_rings_at_a_colleagues(office: Office) -> None:
    office.auto.command("dial", "102")
    office.manual.wait_for("CALL_INCOMING")
    script = office.start(
        scenario(
            "pick-up",
            office.call("*8102", body=audio()),
            receive(180, optional="true"),
            receive(200, rrs="true"),
            office.request("ACK", 2, to="*8102"),
            pause(700),
            office.request("BYE", 3, to="*8102"),
            receive(200),
        ),
        to="*8102",
    )
    office.manual.wait_for("CALL_CLOSED")
    office.auto.wait_for("CALL_ESTABLISHED")
    script.ended()
    office.auto.wait_for("CALL_CLOSED")


@pytest.mark.feature("message", "lamps", clients=("sipp",))
def test_a_message_and_the_lamp_of_a_colleague(office: Office) -> None:
    def lamp(state: str, variable: str) -> str:
        return receive("NOTIFY", check(state, variable)) + acknowledge_in_dialog()

    script = office.start(
        scenario(
            "lamp",
            challenged(
                "MESSAGE",
                1,
                uri=f"sip:102@{DOMAIN}",
                extension="102",
                account=office.caller,
                body="dag collega",
                kind="text/plain",
            ),
            receive(200),
            challenged(
                "SUBSCRIBE",
                3,
                uri=f"sip:102@{DOMAIN}",
                extension="102",
                account=office.caller,
                more="Event: dialog\nAccept: application/dialog-info+xml\nExpires: 300\n",
            ),
            receive(200, check("[0-9]+", "1", header="Expires:"), rrs="true"),
            lamp('version="0"', "2"),
            lamp("<state>early</state>", "3"),
            lamp("<state>confirmed</state>", "4"),
            lamp("></dialog-info>", "5"),
            office.request("SUBSCRIBE", 5, "Event: dialog\nExpires: 0\n", tag=True),
            receive(200),
            lamp("terminated", "6"),
            logged="1,2,3,4,5,6",
        )
    )
    office.manual.wait_for_text("dag collega")
    office.manual.wait_for_text(r"SIP/2.0 200 OK\r?\n[^#]*CSeq: 1 MESSAGE")
    time.sleep(1)
    office.auto.command("dial", "102")
    office.manual.wait_for("CALL_INCOMING")
    time.sleep(0.5)
    office.manual.command("accept")
    office.auto.wait_for("CALL_ESTABLISHED")
    time.sleep(0.5)
    office.auto.command("hangup")
    script.ended()


@pytest.mark.feature("reconnect", clients=("sipp",))
def test_its_connection_is_lost_and_its_call_goes_on(office: Office) -> None:
    """The second process goes on with the first one's dialog, as a phone does whose connection broke."""
    call_id = ("-cid_str", f"reconnects-{office.files}")
    first = office.start(
        scenario(
            "loses its connection",
            office.call("103", body=audio()),
            receive(180, optional="true"),
            receive(200, rrs="true"),
            office.request("ACK", 2, to="103"),
            pause(60_000),
        ),
        to="103",
        more=call_id,
    )
    office.auto.wait_for("CALL_ESTABLISHED")
    wait_until(lambda: "CSeq: 2 ACK" in first.said())
    tag = re.findall(r"To: .*;tag=(\w+)", first.said())[-1]
    first.end()
    node = office.desks.node
    wait_until(lambda: node.events("flow lost"))
    credentials = f"[authentication username={office.caller.username} password={office.caller.password}]\n"
    second = office.start(
        scenario(
            "goes on",
            office.request("INVITE", 3, body=audio("sendonly", 2), to="103", tag=tag),
            receive(100, optional="true"),
            receive(407, auth="true"),
            office.request("ACK", 3, to="103", tag=tag),
            office.request("INVITE", 4, credentials, audio("sendonly", 2), to="103", tag=tag),
            receive(100, optional="true"),
            receive(200, check("a=recvonly", "1")),
            office.request("ACK", 4, to="103", tag=tag),
            pause(300),
            office.request("BYE", 5, to="103", tag=tag),
            receive(200),
            logged="1",
        ),
        uri=f"{node.address}:5061;transport=tls",
        more=call_id,
    )
    second.ended()
    office.auto.wait_for("CALL_CLOSED")
    assert node.events("flow resumed")
    assert [each["reason"] for each in office.records()] == ["completed"]


def registered(office: Office, on_invite: str) -> Script:
    """sipp as 104: registers, and does as the scenario says with a call that comes."""
    other = office.desks.directory / f"called{office.files}.xml"
    other.write_text(on_invite)
    name = office.called.username
    registers = challenged("REGISTER", 1, uri=f"sip:{DOMAIN}", extension=name, account=office.called, code=401)
    text = scenario("register", registers, receive(200), pause(60_000))
    script = office.start(text, uri=DOMAIN, more=("-oocsf", str(other)))
    wait_until(lambda: "CSeq: 2 REGISTER" in script.said() and "SIP/2.0 200" in script.said(), 20, script.said)
    return script


@pytest.mark.feature("fork", "incoming", clients=("sipp",))
def test_three_ring_and_what_another_answers_is_cancelled(office: Office) -> None:
    """The provider is sipp as well, and so is one of the three."""
    phone = registered(
        office,
        scenario("rings", receive("INVITE"), answer("180 Ringing"), receive("CANCEL"), answer("200 OK"), pause(1000)),
    )
    file = office.desks.directory / "provider.xml"

    def line(method: str, sequence: int, *, tag: bool = False, body: str = "") -> str:
        called, provider = f"sip:{NUMBER}@{office.desks.node.address}", TestAccount(OUTSIDE, "", "")
        return send(head(method, sequence, uri=called, extension=NUMBER, account=provider, to_tag=tag), body)

    file.write_text(
        scenario(
            "provider",
            line("INVITE", 1, body=audio(secure=False)),
            receive(100, optional="true"),
            receive(180, optional="true"),
            receive(200),
            line("ACK", 1, tag=True),
            pause(700),
            line("BYE", 2, tag=True),
            receive(200),
        )
    )
    more = ("-p", str(office.trunk), "-i", "127.0.0.1")
    running = sipp(file, office.line, host=office.desks.node.address, called="", transport="u1", more=more)
    office.auto.wait_for("CALL_ESTABLISHED")
    office.manual.wait_for("CALL_CLOSED")
    went_well(running, file)
    assert "CANCEL sip:" in phone.said() and "Call completed elsewhere" in phone.said()


@pytest.mark.feature("forward", clients=("sipp",))
def test_it_sends_a_call_on(office: Office) -> None:
    phone = registered(
        office,
        scenario(
            "moved",
            receive("INVITE"),
            answer("302 Moved Temporarily", contact=f"<sip:102@{DOMAIN}>"),
            receive("ACK"),
        ),
    )
    office.auto.command("dial", "104")
    office.manual.wait_for("CALL_INCOMING")
    assert "Diversion: <sip:104@" in office.manual.text()
    office.manual.command("accept")
    office.auto.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    office.auto.command("hangup")
    office.manual.wait_for("CALL_CLOSED")
    assert "SIP/2.0 302" in phone.said()


@pytest.mark.feature("emergency", clients=("sipp",))
def test_112_needs_no_password(office: Office) -> None:
    """Neither registered nor asked: a phone that is known. The emergency services are sipp too."""
    file = office.desks.directory / "emergency.xml"
    asked = '<nop next="end"/>\n<label id="asked"/>\n' + answer("200 OK") + '<label id="end"/>\n'
    file.write_text(
        scenario(
            "emergency",
            receive("OPTIONS", optional="true", next="asked"),
            receive("INVITE"),
            answer("200 OK", audio(secure=False)),
            receive("ACK"),
            receive("BYE"),
            acknowledge_in_dialog(),
            asked,
        )
    )
    more = ("-p", str(office.trunk), "-i", "127.0.0.1")
    services = Script(sipp(file, 9, called="", calls=1000, transport="u1", more=more), file)
    office.ours.append(services)
    call = scenario(
        "in need",
        office.call("112", body=audio(), challenge=False),
        receive(180, optional="true"),
        receive(200),
        office.request("ACK", 1, to="112"),
        pause(500),
        office.request("BYE", 2, to="112"),
        receive(200),
    )
    office.start(call, to="112").ended()
    assert "INVITE sip:112@" in services.said() and "Priority: emergency" in services.said()


def test_the_wire_shows_no_fault(made: Office) -> None:
    made.idle()
    reading = read(made.desks.captured(), made.desks.node.address, made.desks.keys)
    assert reading.counts["sip"] > 10, reading.counts
    assert reading.faults == []
