"""sipp as the phone: what desk phones ask that baresip and linphone do not, with baresip as the colleague."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.media_node.test_phones import Handset
from tests.media_node.test_phones import handset as handset
from tests.media_node.test_phones import microphone as microphone
from tests.support.capture import protocol_errors, recording
from tests.support.node import DOMAIN, NodeFactory, TestAccount, accounts, wait_until
from tests.support.sipp import front, head, sipp

pytestmark = pytest.mark.needs("baresip", "sipp", "stunnel4", "tshark")

_KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
_AUDIO = f"""v=0
o=sipp 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio 6000 RTP/SAVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{_KEY}
"""
_VIDEO = """m=video 6002 RTP/SAVP 96
a=rtpmap:96 H264/90000
"""
_FAX = """v=0
o=sipp 1 2 IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=image 6004 udptl t38
"""
_CALLED = "102"


def send(text: str, body: str = "", kind: str = "application/sdp") -> str:
    described = f"Content-Type: {kind}\nContent-Length: [len]\n\n{body}" if body else "Content-Length: 0\n\n"
    return f"<send><![CDATA[\n\n{text}{described}\n]]></send>\n"


def receive(code: int, action: str = "", **attributes: str) -> str:
    more = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return (
        f'<recv response="{code}"{more}><action>{action}</action></recv>\n'
        if action
        else f'<recv response="{code}"{more}/>\n'
    )


def check(expression: str, variable: int, *, header: str = "") -> str:
    where = f'search_in="hdr" header="{header}"' if header else 'search_in="msg"'
    return f'<ereg regexp="{expression}" {where} check_it="true" assign_to="{variable}"/>'


def scenario(name: str, *steps: str, logged: str) -> str:
    used = f'<Reference variables="{logged}"/>\n' if logged else ""
    return (
        '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
        f'<scenario name="{name}">\n{"".join(steps)}{used}</scenario>\n'
    )


def office_call(caller: TestAccount) -> str:
    """An INVITE with audio and video that requires 100rel; PRACK; DTMF by INFO; a fax that is refused; the end."""
    uri = f"sip:{_CALLED}@{DOMAIN}"

    def first(sequence: int, credentials: str = "") -> str:
        lines = head("INVITE", sequence, uri=uri, extension=_CALLED, account=caller)
        return send(f"{lines}Require: 100rel\nSupported: timer\nSession-Expires: 1800\n{credentials}", _AUDIO + _VIDEO)

    def within(method: str, sequence: int, more: str = "", body: str = "", kind: str = "application/sdp") -> str:
        lines = head(method, sequence, uri="[next_url]", extension=_CALLED, account=caller, to_tag=True)
        return send(f"{lines}{more}", body, kind)

    return scenario(
        "office call",
        first(1),
        receive(100, optional="true"),
        receive(407, auth="true"),
        send(head("ACK", 1, uri=uri, extension=_CALLED, account=caller, to_tag=True)),
        first(2, f"[authentication username={caller.username} password={caller.password}]\n"),
        receive(100, optional="true"),
        receive(180, check("[0-9]+", 1, header="RSeq:"), rrs="true"),
        within("PRACK", 3, "RAck: [$1] 2 INVITE\n"),
        receive(200),
        receive(200, check("m=video 0 ", 2) + check("Session-Expires: *[0-9]+", 3), rrs="true"),
        within("ACK", 2),
        '<pause milliseconds="500"/>\n',
        within("INFO", 4, body="Signal=5\nDuration=160\n", kind="application/dtmf-relay"),
        receive(200),
        within("INVITE", 5, body=_FAX),
        receive(100, optional="true"),
        receive(488),
        within("ACK", 5),
        '<pause milliseconds="500"/>\n',
        within("BYE", 6),
        receive(200),
        logged="2,3",
    )


def offerless_call(caller: TestAccount) -> str:
    """An INVITE without an offer; the answer in the ACK."""
    uri = f"sip:{_CALLED}@{DOMAIN}"

    def first(sequence: int, credentials: str = "") -> str:
        return send(head("INVITE", sequence, uri=uri, extension=_CALLED, account=caller) + credentials)

    ack = head("ACK", 2, uri="[next_url]", extension=_CALLED, account=caller, to_tag=True)
    return scenario(
        "offerless call",
        first(1),
        receive(100, optional="true"),
        receive(407, auth="true"),
        send(head("ACK", 1, uri=uri, extension=_CALLED, account=caller, to_tag=True)),
        first(2, f"[authentication username={caller.username} password={caller.password}]\n"),
        receive(100, optional="true"),
        receive(180, optional="true"),
        receive(200, check("RTP/SAVP", 1), rrs="true"),
        send(ack, _AUDIO),
        '<pause milliseconds="1000"/>\n',
        send(head("BYE", 3, uri="[next_url]", extension=_CALLED, account=caller, to_tag=True)),
        receive(200),
        logged="1",
    )


@pytest.mark.feature("call", "100rel", "timer", "dtmf-info", "t38", "video", "delayed-offer", clients=("sipp",))
@pytest.mark.feature("dtmf-info", clients=("baresip",))
def test_sipp_calls_with_100rel_video_dtmf_and_fax_and_without_an_offer(
    new_node: NodeFactory, handset: Handset, tmp_path: Path
) -> None:
    node = new_node()
    caller, called = accounts("abc234")
    node.assign("abc234", [caller, called])
    colleague = handset(node, called, media="mediaenc=srtp-mand;answermode=manual;")
    colleague.wait_for("REGISTER_OK")
    file = tmp_path / "calls.pcapng"
    with front(node.address, tmp_path) as port, recording(f"tcp port {port}", file):
        for name, text in (("office", office_call(caller)), ("offerless", offerless_call(caller))):
            written = tmp_path / f"{name}.xml"
            written.write_text(text)
            running = sipp(written, port, called=_CALLED)
            colleague.wait_for("CALL_INCOMING")
            time.sleep(1)  # by then the PRACK is answered: the scenario takes messages in order
            colleague.command("accept")
            _, said = running.communicate(timeout=90)
            log = written.with_suffix(".log")
            assert running.returncode == 0, f"{said[-500:]}\n{log.read_text()[-6000:] if log.exists() else ''}"
            colleague.wait_for("CALL_CLOSED")
            digits = [event["param"] for event in colleague.events if event["type"] == "CALL_DTMF_START"]
            assert digits == (["5"] if name == "office" else [])
            colleague.events.clear()
    counts, faults = protocol_errors(file, port)
    assert counts["sip"] > 20 and counts["sdp"] > 3, counts
    assert faults == []
    records = wait_until(lambda: found if len(found := node.records("abc234")) == 2 else None)
    assert {record["reason"] for record in records} == {"completed"}
