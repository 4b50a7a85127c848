"""The trace file, as tshark reads it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.sip.message import parse
from media_node.sip.trace import Trace, masked
from tests.support.office import Office, talking

INVITE = (
    b"INVITE sip:+31612345678@sip.example.nl SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.77:5061;branch=z9hG4bKa\r\n"
    b'Max-Forwards: 70\r\nFrom: "Jansen, J." <sip:abc234-201@sip.example.nl>;tag=a\r\n'
    b"To: Piet <sip:+31612345678@sip.example.nl>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
    b"Contact: <sip:abc234-201@192.0.2.77;transport=tls>\r\nSubject: about Piet\r\n"
    b'Proxy-Authorization: Digest username="abc234-201", realm="sip.example.nl", nonce="n0nce", response="5ecret"\r\n'
    b"Refer-To: <sip:0201234567@sip.example.nl?Replaces=x>\r\n"
    b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s"
)
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.77\r\ns=-\r\nc=IN IP4 192.0.2.77\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 8\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n"
)


def test_nothing_that_tells_a_person_or_opens_a_call_is_written() -> None:
    shown = masked(parse(INVITE % (len(SDP), SDP))).decode()
    for secret in ("345678", "1234567", "-201", "Jansen", "Piet", "192.0.2.77", "5ecret", "n0nce", "WVNfX1", "Subject"):
        assert secret not in shown.replace("example", ""), secret
    for kept in ("INVITE sip:+31612345***@sip.example.nl", "abc234-***", "192.0.2.0", "AES_CM_128_HMAC_SHA1_80"):
        assert kept in shown
    parse(shown.encode())


@given(st.binary(max_size=200))
def test_a_body_that_is_no_description_is_written_as_its_length(body: bytes) -> None:
    message = parse(INVITE % (len(SDP), SDP))
    message.body = body
    message.headers.set("Content-Type", "application/dtmf-relay")
    assert masked(message).endswith(b"*" * len(body))


@pytest.mark.needs("tshark")
async def test_tshark_reads_a_call_from_the_trace(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    office.exchange.transactions.trace = trace = Trace(path)
    ours, _ = await talking(office)
    await ours.hang_up()
    await office.record()
    trace.close()
    rows = [line.split("\t") for line in await read(path, "-T", "fields", "-e", "sip.Method", "-e", "sip.Status-Code")]
    methods = [row[0] for row in rows]
    assert {"REGISTER", "INVITE", "ACK", "BYE"} <= set(methods)
    assert methods.count("INVITE") == 2, "one each way"
    assert {"100", "200", "401"} <= {row[1] for row in rows}
    assert await read(path, "-Y", "_ws.malformed || _ws.expert.severity == error") == []


async def read(path: Path, *options: str) -> list[str]:
    """What tshark says of a file."""
    process = await asyncio.create_subprocess_exec("tshark", "-r", path, *options, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    return output.decode().splitlines()


async def test_a_trace_that_grows_too_long_goes_on_in_a_second_file(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    office.exchange.transactions.trace = trace = Trace(path, max_file=2000)
    await talking(office)
    trace.close()
    files = {each.name: each.stat().st_size for each in tmp_path.glob("trace*")}  # noqa: ASYNC240 - a test
    assert set(files) == {"trace.pcapng", "trace.previous.pcapng"}
    assert max(files.values()) < 6000
