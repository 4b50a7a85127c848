"""ffmpeg's own SRTP, written by others, as the judge of both legs: it sends a tone in, and plays what comes out."""

from __future__ import annotations

import asyncio
import base64
import math
import os
import random
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from media_node.media.port import open_pair
from media_node.suites import Suite
from media_node.worker_link.protocol import Crypto, LegDescription
from tests.support.media.call import running_worker
from tests.support.media.phone import CM32, CM80

pytestmark = pytest.mark.needs("ffmpeg")
NAMES = {CM80: "AES_CM_128_HMAC_SHA1_80", CM32: "SRTP_AES128_CM_HMAC_SHA1_32"}
"""Under the SDES name of CM32 ffmpeg shortens SRTCP's tag too, which RFC 4568 section 6.2 does not; under the DTLS name
it does right.
"""

TONE_HZ = 1000
SECONDS = 2.0
QUIET = ["-hide_banner", "-loglevel", "error", "-nostdin"]


@dataclass
class Side:
    """One ffmpeg's end of the call."""

    suite: Suite | None
    port: int
    key: str

    @classmethod
    def make(cls, suite: Suite | None) -> Side:
        rtp, rtcp = open_pair("127.0.0.1", range(random.randrange(42000, 59000, 2), 60000, 2))
        rtp.close()
        rtcp.close()
        return cls(suite, rtp.number, base64.b64encode(os.urandom(30)).decode())

    def leg(self, direction: str) -> LegDescription:
        """ffmpeg has one key for a stream whichever way it goes."""
        crypto = None if self.suite is None else Crypto(suite=self.suite, send_key=self.key, receive_key=self.key)
        return LegDescription(
            crypto=crypto,
            address="127.0.0.1",
            port=self.port,
            rtcp_port=self.port + 1,
            peer="127.0.0.1",
            direction=direction,
        )

    def sdp(self) -> str:
        profile = "RTP/AVP" if self.suite is None else "RTP/SAVP"
        crypto = "" if self.suite is None else f"a=crypto:1 {NAMES[self.suite]} inline:{self.key}\r\n"
        return (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.port} {profile} 8\r\na=rtpmap:8 PCMA/8000\r\n{crypto}"
        )

    def send_to(self, port: int) -> list[str]:
        where = f"127.0.0.1:{port}?localrtpport={self.port}&localrtcpport={self.port + 1}&pkt_size=172"
        tone = [
            "-re",
            "-f",
            "lavfi",
            "-i",
            f"sine=frequency={TONE_HZ}:sample_rate=8000",
            "-t",
            str(SECONDS + 2),
            "-c:a",
            "pcm_alaw",
        ]
        if self.suite is None:
            return [*QUIET, *tone, "-f", "rtp", f"rtp://{where}"]
        return [
            *QUIET,
            *tone,
            "-f",
            "rtp",
            "-srtp_out_suite",
            NAMES[self.suite],
            "-srtp_out_params",
            self.key,
            f"srtp://{where}",
        ]


def share_of_tone(samples: tuple[int, ...], hertz: int) -> float:
    """How much of the power lies at one frequency (Goertzel), 0 to 1."""
    coefficient = 2 * math.cos(2 * math.pi * hertz / 8000)
    one = two = 0.0
    for sample in samples:
        one, two = sample + coefficient * one - two, one
    power = one * one + two * two - coefficient * one * two
    return 2 * power / (len(samples) * sum(sample * sample for sample in samples) or 1)


@pytest.mark.parametrize(
    ("sending", "receiving"), [(CM80, CM80), (CM80, CM32), (CM32, CM80), (CM80, None), (None, CM80)]
)
async def test_ffmpeg_hears_through_the_relay_the_tone_another_ffmpeg_sends(
    tmp_path: Path, sending: Suite | None, receiving: Suite | None
) -> None:
    ffmpeg = shutil.which("ffmpeg")
    assert ffmpeg is not None
    a, b = Side.make(sending), Side.make(receiving)
    async with running_worker(tmp_path) as (worker, _):
        where = await worker.open("judged", secure={"a": sending is not None, "b": receiving is not None})
        await worker.set("judged", "a", a.leg("sendonly"))
        await worker.set("judged", "b", b.leg("recvonly"))
        description, heard = tmp_path / "b.sdp", tmp_path / "heard.raw"
        description.write_text(b.sdp())
        output = ["-t", str(SECONDS), "-f", "s16le", "-ar", "8000", str(heard)]
        listener = await asyncio.create_subprocess_exec(
            ffmpeg, *QUIET, "-protocol_whitelist", "file,crypto,udp,rtp,srtp", "-i", str(description), *output
        )
        await asyncio.sleep(0.3)
        sender = await asyncio.create_subprocess_exec(ffmpeg, *a.send_to(where["a"].rtp_port))
        try:
            assert await asyncio.wait_for(listener.wait(), 15) == 0
            stats = await worker.stats("judged")
        finally:
            for process in (sender, listener):
                if process.returncode is None:
                    process.kill()
                    await process.wait()
    samples = struct.unpack(f"<{heard.stat().st_size // 2}h", heard.read_bytes())
    assert len(samples) > SECONDS * 8000 * 0.9
    assert share_of_tone(samples[4000:12000], TONE_HZ) > 0.95
    assert share_of_tone(samples[4000:12000], TONE_HZ // 2) < 0.01
    assert stats["a"].lost == 0 and set(stats["a"].drops) <= {"unanswered"}
