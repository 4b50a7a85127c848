"""Trunks that others wrote: sipp and baresip, one list of five, each of which falls away in turn; who may call in, and who a
call says it is from.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from callvoip.phones.baresip import Baresip, free_port, talk
from media_node.sip.digest import parameters
from tests.support.desk import CUSTOMER, Desks, desks
from tests.support.node import DOMAIN, Aws, Certificates, TestAccount, accounts, wait_until
from tests.support.sipp import Script, answer, audio, challenged, front, head, pause, receive, scenario, send, sipp
from tests.support.wire import read

pytestmark = pytest.mark.needs("baresip", "sipp", "stunnel4", "tshark")

NUMBER, OUTSIDE = "+31855550199", "+31301112233"
DIALLED = "0301112233"
OURS = {"username": "callvoip", "password": "geheim-van-ons"}
THEIRS = {"username": "provider", "password": "geheim-van-hen"}
_OPTIONS = receive("OPTIONS", optional="true", next="asked")
_END = f'<nop next="end"/>\n<label id="asked"/>\n{answer("200 OK")}<label id="end"/>\n'


def _rfc2069(uri: str) -> str:
    """What an account shows that is asked by MD5 and no qop."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    account = md5(f"{OURS['username']}:trunk.example.nl:{OURS['password']}")
    return md5(f"{account}:c29tZSBub25jZQ:{md5('INVITE:' + uri)}")


@dataclass
class Ways:
    """The trunks in their order: one that says nothing to a call (UDP), one that asks for an account (UDP), one that takes SDES
    (TLS), one that takes DTLS (UDP), one without SRTP (TCP).
    """

    desks: Desks
    caller: Baresip
    belgian: Baresip
    silent: Script
    digest: Script
    sdes: Baresip
    dtls: Baresip
    plain: Baresip
    known: list[TestAccount]
    line: int
    gone: list[object] = field(default_factory=list)

    def call(self, *, dialled: str = DIALLED) -> None:
        """Our phone calls outside."""
        self.caller.events.clear()
        self.caller.command("dial", dialled)

    def goes(self, *ways: Script | Baresip) -> None:
        """These are there no more."""
        for way in ways:
            if way not in self.gone:
                self.gone.append(way)
                way.end() if isinstance(way, Script) else way.__exit__(None, None, None)

    def record(self, number: int) -> dict[str, Any]:
        """A call's, by when it began."""
        node = self.desks.node
        return wait_until(lambda: found[number] if len(found := node.records(CUSTOMER)) > number else None)  # type: ignore[no-any-return]


def as_trunk(desk: Desks, name: str, port: int, *steps: str, logged: str = "") -> Script:
    """sipp as a trunk, which also answers OPTIONS."""
    file = desk.directory / f"{name}.xml"
    file.write_text(scenario(name, _OPTIONS, *steps, _END, logged=logged))
    more = ("-p", str(port), "-i", "127.0.0.1")
    return Script(sipp(file, 9, called="", calls=1000, transport="u1", more=more), file)


@pytest.fixture(scope="module")
def made(aws: Aws, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    directory = tmp_path_factory.mktemp("trunks")
    ports, line = [free_port() for _ in range(5)], free_port()
    here = {"host": "127.0.0.1"}
    trunks = [
        {"name": "silent", **here, "port": ports[0], "transport": "udp"},
        {"name": "digest", **here, "port": ports[1], "transport": "udp", **OURS},
        {"name": "sdes", **here, "port": ports[2] + 1, "transport": "tls", "srtp": True},
        {"name": "dtls", **here, "port": ports[3], "transport": "udp", "srtp": True, "local_port": line},
        {"name": "plain", **here, "port": ports[4], "transport": "tcp", "calls_in": THEIRS},
    ]
    pem = directory / "trunk.pem"
    pem.write_text(certificates.pem)

    with desks(aws, certificates, directory, trunk=trunks, start=False) as desk:

        def provider(number: int, name: str, media: str, *settings: str) -> Baresip:
            account = f"<sip:{OUTSIDE}@127.0.0.1>;regint=0;{media}audio_codecs=pcma;answermode=auto\n"
            account += account.replace(OUTSIDE, "+3223456789")
            there = Baresip(
                directory / name, account=account, microphone=desk.microphone, sip_port=ports[number], settings=settings
            )
            return desk.keep(there)

        asks = 'WWW-Authenticate: Digest realm="trunk.example.nl", nonce="c29tZSBub25jZQ", algorithm=MD5\n'
        silent = as_trunk(desk, "silent", ports[0], receive("INVITE"), pause(3000))
        digest = as_trunk(
            desk,
            "digest",
            ports[1],
            receive("INVITE"),
            answer("401 Unauthorized", more=asks),
            receive("ACK"),
            receive("INVITE"),
            answer("200 OK", audio(secure=False)),
            receive("ACK"),
            receive("BYE"),
            answer("200 OK"),
        )
        sdes = provider(2, "sdes", "mediaenc=srtp-mand;", f"sip_certificate {pem}")
        dtls, plain = provider(3, "dtls", "mediaenc=dtls_srtp;"), provider(4, "plain", "")
        desk.node.start()
        known, belgians = accounts(CUSTOMER, 2), accounts("bel567", 1)
        number = {"number": NUMBER, "rings": [known[0].username], "order": "together", "ringSeconds": 20}
        desk.node.assign("bel567", belgians, country="BE")
        desk.node.assign(CUSTOMER, known, numbers=[number])
        caller, belgian = desk.baresip(known[0]), desk.baresip(belgians[0], name="belgian")
        for phone in (caller, belgian):
            phone.wait_for("REGISTER_OK")
        ways = Ways(desk, caller, belgian, silent, digest, sdes, dtls, plain, known, line)
        try:
            yield ways
        finally:
            ways.goes(silent, digest)


@pytest.fixture
def last(made: Ways) -> Ways:
    """Only the trunk without SRTP is left."""
    made.goes(made.silent, made.digest, made.sdes, made.dtls)
    for phone in (made.caller, made.plain):
        phone.command("hangup")
        phone.hear()
        phone.events.clear()
    return made


@pytest.mark.feature("trunk-several", "trunk-udp", "trunk-options", "trunk-silent", "trunk-digest", clients=("sipp",))
@pytest.mark.feature(
    "trunk-several",
    "trunk-udp",
    "trunk-tcp",
    "trunk-tls",
    "trunk-sdes",
    "trunk-dtls",
    "trunk-rtp",
    clients=("baresip",),
)
def test_each_trunk_is_used_and_falls_away_for_the_next(made: Ways) -> None:
    node = made.desks.node
    wait_until(lambda: "OPTIONS sip:" in made.silent.said() and "OPTIONS sip:" in made.digest.said(), 30)
    made.call()
    made.caller.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    made.caller.command("hangup")
    assert "INVITE sip:" in made.silent.said(), "the first was asked, and said nothing"
    shown = parameters(re.findall(r"\nAuthorization: (Digest .*)", made.digest.said())[-1])
    assert shown["response"] == _rfc2069(shown["uri"]), "as it asked without a qop"
    assert made.record(0)["beyond"] == "notSecured"
    made.goes(made.silent, made.digest)
    for number, (trunk, keying) in enumerate(((made.sdes, "SDES"), (made.dtls, "DTLS-SRTP"), (made.plain, "")), 1):
        made.call()
        for phone in (made.caller, trunk):
            phone.wait_for("CALL_ESTABLISHED", timeout=30)
        time.sleep(1)
        made.caller.command("hangup")
        trunk.wait_for("CALL_CLOSED")
        assert all(count > 20 for count in trunk.packets(20))
        record = made.record(number)
        assert record["beyond"] == ("secured" if keying else "notSecured")
        assert record["legs"][-1].get("keying", "") in (keying, "none")
        if trunk is not made.plain:
            made.goes(trunk)
    assert "TLS 127." in made.sdes.text() and "TCP 127." in made.plain.text()
    assert node.events("trunk unreachable")


@pytest.mark.feature("trunk-identity", "trunk-e164", clients=("baresip",))
def test_a_trunk_is_told_the_customers_number_and_numbers_in_e164(last: Ways) -> None:
    last.call()
    talk(last.caller, last.plain, 1)
    asked = (
        last.plain.messages()[-1:]
        and [each.text for each in last.plain.messages() if each.text.startswith("INVITE")][-1]
    )
    assert asked and asked.startswith(f"INVITE sip:{OUTSIDE}@")
    assert re.search(rf"\nFrom: <sip:{re.escape(NUMBER)}@", asked) and re.search(
        rf"\nP-Asserted-Identity: <sip:{re.escape(NUMBER)}@", asked
    )
    for phone in (last.caller, last.plain):
        phone.events.clear()
    last.call(dialled=f"#31#{DIALLED}")
    talk(last.caller, last.plain, 1)
    asked = [each.text for each in last.plain.messages() if each.text.startswith("INVITE")][-1]
    assert "\nPrivacy: id" in asked and "anonymous.invalid" in asked
    assert re.search(rf"\nP-Asserted-Identity: <sip:{re.escape(NUMBER)}@", asked)
    last.plain.events.clear()
    last.belgian.command("dial", "023456789")
    talk(last.belgian, last.plain, 1)
    asked = [each.text for each in last.plain.messages() if each.text.startswith("INVITE")][-1]
    assert asked.startswith("INVITE sip:+3223456789@"), "the same digits in another country"


@pytest.mark.feature("trunk-screening", "trunk", clients=("sipp",))
def test_a_phone_that_says_it_is_another_is_shown_as_its_customer(last: Ways) -> None:
    spoofing, false = last.known[1], "+31201234567"
    text = challenged(
        "INVITE",
        1,
        uri=f"sip:{DIALLED}@{DOMAIN}",
        extension=DIALLED,
        account=spoofing,
        more=f"P-Asserted-Identity: <sip:{false}@{DOMAIN}>\n",
        body=audio(),
    ).replace(f"From: <sip:{spoofing.username}@", f"From: <sip:{false}@")

    def within(method: str, sequence: int) -> str:
        uri = f"sip:{last.desks.node.address}:5061;transport=tls"
        lines = head(method, sequence, uri=uri, extension=DIALLED, account=spoofing, to_tag=True)
        return send(lines.replace(f"From: <sip:{spoofing.username}@", f"From: <sip:{false}@"))

    file = last.desks.directory / "spoofing.xml"
    file.write_text(
        scenario(
            "spoofing",
            text,
            receive(180, optional="true"),
            receive(200),
            within("ACK", 2),
            pause(500),
            within("BYE", 3),
            receive(200),
        )
    )
    with front(last.desks.node.address, last.desks.directory) as port:
        Script(sipp(file, port, called=f"{DIALLED}@{DOMAIN}"), file).ended()
    asked = [each.text for each in last.plain.messages() if each.text.startswith("INVITE")][-1]
    assert false not in asked and f"P-Asserted-Identity: <sip:{NUMBER}@" in asked


@pytest.mark.feature("trunk-unknown", "trunk-account", clients=("sipp",))
def test_only_a_trunk_that_is_known_calls_in(last: Ways) -> None:
    def calls(name: str, account: TestAccount, *answers: str) -> Script:
        file = last.desks.directory / f"{name}.xml"
        asks = challenged(
            "INVITE", 1, uri=f"sip:{NUMBER}@{DOMAIN}", extension=NUMBER, account=account, body=audio(secure=False)
        )
        file.write_text(scenario(name, asks, *answers))
        return Script(sipp(file, port, called=f"{NUMBER}@{DOMAIN}"), file)

    def line(method: str, sequence: int) -> str:
        uri = f"sip:{last.desks.node.address}:5061;transport=tls"
        account = TestAccount(THEIRS["username"], "", "")
        return send(head(method, sequence, uri=uri, extension=NUMBER, account=account, to_tag=True))

    with front(last.desks.node.address, last.desks.directory) as port:
        calls("stranger", TestAccount("provider", "", "geraden"), receive(403), line("ACK", 2)).ended()
        assert not any(event["type"] == "CALL_INCOMING" for event in last.caller.events)
        known = TestAccount(THEIRS["username"], "", THEIRS["password"])
        rings = receive(180, optional="true")
        calls("known", known, rings, receive(200), line("ACK", 2), pause(500), line("BYE", 3), receive(200)).ended()
    last.caller.wait_for("CALL_CLOSED")
    # A stranger who knows the port that a trunk calls in by: packets from elsewhere reach nobody.
    file = last.desks.directory / "elsewhere.xml"
    stranger = TestAccount(OUTSIDE, "", "")
    uri = f"sip:{NUMBER}@{last.desks.node.address}"
    begins = send(head("INVITE", 1, uri=uri, extension=NUMBER, account=stranger), audio(secure=False))
    file.write_text(scenario("elsewhere", begins, receive(200, timeout="1500")))
    elsewhere = Script(
        sipp(
            file,
            last.line,
            host=last.desks.node.address,
            called="",
            transport="u1",
            timeout=5,
            more=("-i", "127.0.0.1"),
        ),
        file,
    )
    assert elsewhere.process.wait(20) != 0
    assert "message received" not in elsewhere.said()


def test_the_wire_shows_no_fault(made: Ways) -> None:
    port = made.plain.sip_port
    reading = read(made.desks.captured(), made.desks.node.address, made.desks.keys, (port,))
    assert reading.counts["sip"] > 10, reading.counts
    # Whoever calls from elsewhere gets no answer, and is told by none that there is a trunk.
    assert [fault for fault in reading.faults if f"INVITE sip:{NUMBER}@{made.desks.node.address} " not in fault] == []
