"""Session timers (RFC 4028) and codecs in common, as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_node.call.description import Description, NotAcceptable, Stream, in_common
from media_node.call.session_timer import MIN_SE, SESSION_EXPIRES, IntervalTooSmall, SessionTimer
from media_node.sip.grammar import URI
from media_node.sip.headers import Request, Response
from media_node.sip.sdp import Session


def request(**headers: str) -> Request:
    made = Request("INVITE", URI("sip", "sip.example.nl", user="102"))
    for name, value in headers.items():
        made.headers.set(name.replace("_", "-"), value)
    return made


@pytest.mark.parametrize(
    ("headers", "interval", "ours"),
    [
        ({"Supported": "timer"}, SESSION_EXPIRES, True),
        ({"Session_Expires": "1200", "Supported": "timer"}, 1200, True),
        ({"Session_Expires": "1200;refresher=uac", "Supported": "timer"}, 1200, False),
        ({"Session_Expires": "1200;refresher=uas", "Supported": "timer"}, 1200, True),
        ({"Session_Expires": " 90 ; REFRESHER = UAC", "Supported": "100rel, Timer"}, 90, False),
        ({"Session_Expires": "1200;refresher=uac"}, 1200, True),
    ],
)
def test_who_refreshes_a_session_that_a_phone_asks_for(headers: dict[str, str], interval: int, ours: bool) -> None:
    timer = SessionTimer.as_server(request(**headers))
    assert timer is not None and (timer.interval, timer.ours) == (interval, ours)


def test_a_phone_without_timers_gets_none_and_one_that_hurries_is_told_the_least() -> None:
    assert SessionTimer.as_server(request()) is None
    with pytest.raises(IntervalTooSmall):
        SessionTimer.as_server(request(Session_Expires=str(MIN_SE - 1)))


@given(st.integers(0, 10**9), st.sampled_from(["", ";refresher=uac", ";refresher=uas", ";x=y", ";refresher="]))
def test_there_is_always_time_to_refresh_before_the_end(interval: int, refresher: str) -> None:
    response = Response(200, "OK")
    response.headers.set("Session-Expires", f"{interval}{refresher}")
    timer = SessionTimer.as_client(response)
    assert timer is not None and MIN_SE / 2 <= timer.due_in < timer.interval


@given(st.text(max_size=40))
def test_a_broken_header_is_as_if_absent_or_read(value: str) -> None:
    response = Response(200, "OK")
    response.headers.set("Session-Expires", value)
    SessionTimer.as_client(response)


def audio(formats: str, *rtpmaps: str) -> Description:
    lines = "".join(f"a=rtpmap:{each}\r\na=fmtp:{each.split()[0]} x=1\r\n" for each in rtpmaps)
    session = Session.parse(
        f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP {formats}\r\n{lines}"
    )
    return Description(Stream(session, 0, None))


def test_two_offers_agree_on_what_both_describe_alike() -> None:
    ours = audio("9 8 0 96 101", "96 opus/48000/2", "101 telephone-event/8000")
    theirs = audio("0 8 96 101", "0 PCMU/8000", "96 G726-32/8000", "101 telephone-event/8000")
    shared = in_common(ours, theirs)
    assert shared.audio.media.formats == ("8", "0", "101")
    assert shared.audio.media.values("rtpmap") == ["101 telephone-event/8000"]
    assert shared.audio.media.values("fmtp") == ["101 x=1"]


@pytest.mark.parametrize("theirs", [audio("18"), audio("101", "101 telephone-event/8000")])
def test_phones_without_a_common_codec_do_not_agree(theirs: Description) -> None:
    with pytest.raises(NotAcceptable):
        in_common(audio("8 101", "101 telephone-event/8000"), theirs)
