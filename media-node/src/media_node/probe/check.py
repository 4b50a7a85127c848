"""The probe itself: two phones, one call, and a verdict on the audio."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any, Final

from media_node.probe.phone import SUITES, Conversation, Phone
from media_node.probe.stream import INTERVAL, Tally

LATCHING: Final = 10
"""Packets that may be dropped while the node makes sure of a source."""


@dataclass(frozen=True)
class Account:
    """What a phone registers with."""

    username: str
    password: str

    @classmethod
    def parse(cls, value: str) -> Account:
        """From USER:PASSWORD. Raises ValueError without a colon."""
        username, colon, password = value.partition(":")
        if not colon or not username:
            raise ValueError("expected USER:PASSWORD")
        return cls(username, password)


@dataclass(frozen=True)
class LegResult:
    """What one phone saw: its suite (None for plain RTP), the packets that reached it and verified, and how many were
    said to it.
    """

    suite: str | None
    packets: int
    said: int


@dataclass(frozen=True)
class Result:
    """A probe call: caller's leg, called leg, packets in the clear, and whether each heard exactly what the other
    said.
    """

    legs: tuple[LegResult, LegResult]
    plaintext_packets: int
    audio_ok: bool

    @property
    def ok(self) -> bool:
        """Protected on both legs, heard, and never in the clear."""
        return self.audio_ok and self.plaintext_packets == 0 and all(leg.suite for leg in self.legs)

    def __str__(self) -> str:
        heard = ", ".join(
            f"{name} heard {leg.packets} of {leg.said} packets under {leg.suite or 'no suite'}"
            for name, leg in zip(("caller", "callee"), self.legs, strict=True)
        )
        return f"{heard}; {self.plaintext_packets} in the clear; audio {'as it was sent' if self.audio_ok else 'NOT as it was sent'}"

    def as_json(self) -> dict[str, Any]:
        """What the command prints."""
        return {
            "legs": [{"suite": leg.suite, "packets": leg.packets} for leg in self.legs],
            "plaintext_packets": self.plaintext_packets,
            "audio_ok": self.audio_ok,
        }


async def check(
    *,
    host: str,
    port: int,
    domain: str,
    context: ssl.SSLContext,
    caller: Account,
    callee: Account,
    seconds: float = 5.0,
    caller_suites: tuple[str, ...] = SUITES,
    callee_suites: tuple[str, ...] = SUITES,
    media_host: str | None = None,
) -> Result:
    """Registers both phones over TLS, calls, talks for `seconds` and hangs up.

    Raises RequestRefused, OSError or TimeoutError.
    """
    calling = Phone(caller.username, caller.password, domain, caller_suites, media_host)
    called = Phone(callee.username, callee.password, domain, callee_suites, media_host)
    try:
        for phone in (called, calling):
            await phone.connect(host, port, context, server_name=domain)
            await phone.register()
        ours = await calling.call(callee.username)
        theirs = await called.answered()
        await asyncio.sleep(seconds)
        await fall_silent(ours, theirs)
        await ours.hang_up()
        return verdict(ours, theirs)
    finally:
        await calling.close()
        await called.close()


async def fall_silent(*conversations: Conversation) -> None:
    """Stops talking and waits for what is still on its way, a second at most."""
    for conversation in conversations:
        conversation.stream.muted = True
    for _ in range(10):
        before = [conversation.stream.tally.received for conversation in conversations]
        await asyncio.sleep(5 * INTERVAL)
        if before == [conversation.stream.tally.received for conversation in conversations]:
            return


def verdict(caller: Conversation, callee: Conversation) -> Result:
    """What two phones that talked to each other make of it."""
    a, b = caller.stream.tally, callee.stream.tally
    return Result(
        legs=(LegResult(caller.suite, a.received, b.sent), LegResult(callee.suite, b.received, a.sent)),
        plaintext_packets=sum(side.stream.tally.clear for side in (caller, callee) if side.suite),
        audio_ok=understood(a, b.sent) and understood(b, a.sent),
    )


def understood(tally: Tally, said: int) -> bool:
    """Whether what was heard is what was said: nothing else, nothing twice, in order, and all but what latching and a
    busy host cost.
    """
    heard = len(tally.heard)
    return (
        heard > 0
        and tally.foreign == 0
        and tally.unverified == 0
        and tally.in_order
        and heard >= 0.95 * said - LATCHING
    )
