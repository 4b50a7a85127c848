"""RTP and RTCP octets: told apart, read and written back, and never more than a ValueError whatever comes in."""

from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.media.packet import (
    Kind,
    MalformedRtcp,
    Report,
    ReportBlock,
    SenderInfo,
    is_plain_rtcp,
    kind,
    looks_plain,
    middle_32,
    ntp_time,
    read_reports,
    ssrc_of,
    write_compound,
)

WORD = st.integers(0, 0xFFFFFFFF)
BLOCKS = st.builds(
    ReportBlock,
    ssrc=WORD,
    fraction_lost=st.integers(0, 255),
    lost=st.integers(-0x800000, 0x7FFFFF),
    highest=WORD,
    jitter=WORD,
    lsr=WORD,
    dlsr=WORD,
)
SENDERS = st.builds(SenderInfo, ntp=st.integers(0, (1 << 64) - 1), timestamp=WORD, packets=WORD, octets=WORD)
REPORTS = st.builds(Report, ssrc=WORD, sender=st.none() | SENDERS, blocks=st.lists(BLOCKS, max_size=31).map(tuple))


@pytest.mark.parametrize(
    ("first_octets", "expected"),
    [
        *[(octets, Kind.RTP) for octets in ("8008", "8088", "90e5", "80e0", "bf00")],
        *[(octets, Kind.RTCP) for octets in ("80c8", "81c9", "80c0", "80df")],
        *[(octets, Kind.DTLS) for octets in ("1400", "16fe", "3f00")],
        *[(octets, Kind.STUN) for octets in ("0001", "0101", "0300")],
        *[(octets, Kind.GARBAGE) for octets in ("0400", "4000", "7fff", "c008", "ffff")],
    ],
)
def test_first_octets_tell_what_a_datagram_is(first_octets: str, expected: Kind) -> None:
    assert kind(bytes.fromhex(first_octets) + bytes(20)) is expected


def test_a_stub_is_garbage() -> None:
    assert kind(b"\x80\x08\x00\x01\x00") is Kind.GARBAGE
    assert kind(b"\x80\x08" + bytes(8)) is Kind.GARBAGE
    assert kind(b"\x80\xc9" + bytes(6)) is Kind.RTCP


@given(st.binary(max_size=300))
def test_any_octets_are_some_kind_and_raise_nothing_unexpected(datagram: bytes) -> None:
    assert isinstance(kind(datagram), Kind)
    ssrc_of(datagram, True)
    looks_plain(datagram)
    is_plain_rtcp(datagram)
    with contextlib.suppress(MalformedRtcp):
        read_reports(datagram)


@given(REPORTS)
def test_a_report_is_read_as_it_was_written(report: Report) -> None:
    packet = write_compound(report, "cname")
    assert len(packet) % 4 == 0
    assert read_reports(packet) == [report]
    assert is_plain_rtcp(packet)
    assert ssrc_of(packet, True) == report.ssrc


@given(st.text("abcdefghijklmnop", min_size=1, max_size=40))
def test_a_source_description_ends_in_at_least_one_null_and_on_a_word(cname: str) -> None:
    packet = write_compound(Report(1, None), cname)
    assert packet.endswith(b"\0") and is_plain_rtcp(packet)


@given(REPORTS, st.data())
def test_a_report_cut_short_is_malformed(report: Report, data: st.DataObject) -> None:
    packet = write_compound(report, "cname")
    with pytest.raises(MalformedRtcp):
        read_reports(packet[: data.draw(st.integers(0, len(packet) - 1).filter(lambda n: n != len(packet) - 16))])


def test_ntp_time_is_seconds_since_1900_in_32_32_fixed_point() -> None:
    assert ntp_time(0.5) == 2208988800 << 32 | 1 << 31
    assert middle_32(0x1111_2222_3333_4444) == 0x2222_3333


@pytest.mark.parametrize(
    "payload",
    [b"Goedemiddag", "\N{EURO SIGN} 5\r\n".encode(), bytes.fromhex("e2096003 e204b003 62") + b"midda gdag"],
)
def test_typed_text_looks_plain_with_and_without_redundancy(payload: bytes) -> None:
    assert looks_plain(bytes(12) + payload)


def test_g711_looks_plain_and_cipher_text_does_not() -> None:
    tone = bytes(12) + bytes((0xD5, 0x54, 0x57, 0x51) * 40)
    assert looks_plain(tone)
    for size in (20, 40, 160):
        assert sum(looks_plain(bytes(12) + os.urandom(size)) for _ in range(2000)) <= 5
