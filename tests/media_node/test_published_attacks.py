"""What is published against media relays and registrars, done to the whole node as a process.

RTP bleed (CVE-2017-14099: audio goes to whoever sends to the port), RTP inject (what strangers send is heard), ES2025-01
(CVE-2025-53399: both despite SRTP, as the relay learns from and passes on what it has not authenticated, plain packets on
protected legs among it), the race for the DTLS handshake (ES2023-03), and SIPVicious: svmap, svwar and svcrack.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pylibsrtp
import pytest

from media_node.call.authentication import RequestAuthenticator
from media_node.call.directory import Directory
from media_node.probe.check import fall_silent
from media_node.probe.phone import Conversation, Phone
from media_node.probe.stream import Stream
from media_node.sip.digest import Algorithm, answer
from tests.support.node import DOMAIN, NodeFactory, NodeUnderTest, TestAccount, accounts
from tests.support.office import CUSTOMER, Office, environment, refused

pytestmark = pytest.mark.usefixtures("processes")
ELSEWHERE = ("127.0.0.77", "127.0.0.78")
"""Addresses of strangers."""


@dataclass
class Stranger:
    """A sender at an address of its own, who has overheard a call and knows all but its keys."""

    address: str
    sequence: int = 0
    socket: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.address, 0))
        self.socket.setblocking(False)

    def plain(self, ssrc: int, sequence: int) -> bytes:
        return struct.pack("!BBHII", 0x80, 8, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, ssrc) + os.urandom(160)

    def forgeries(self, overheard: Sequence[bytes], number: int) -> list[bytes]:
        """Plain packets and ones under a key of its own, of the call's streams and others, and what was overheard."""
        streams = [struct.unpack_from("!HII", packet, 2) for packet in overheard[-2:]] or [(7, 0, 0x11223344)]
        made: list[bytes] = []
        for turn in range(number):
            sequence, _, ssrc = streams[turn % len(streams)]
            plain = self.plain(ssrc if turn % 3 else turn, sequence + turn)
            own = pylibsrtp.Session(pylibsrtp.Policy(os.urandom(30), pylibsrtp.Policy.SSRC_ANY_OUTBOUND))
            made.append(plain if turn % 2 else own.protect(plain))
        goodbye = struct.pack("!BBHI", 0x81, 203, 1, streams[0][2])
        return [
            *made,
            *overheard,
            goodbye,
            b"\x16\xfe\xff" + bytes(60),
            b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),
        ]

    def heard(self) -> int:
        """How many packets came back."""
        found = 0
        with contextlib.suppress(BlockingIOError):
            while self.socket.recv(4096):
                found += 1
        return found


class OverheardStream(Stream):
    """A phone's stream whose packets strangers read; it can be told to begin silent."""

    silent = False
    overheard: list[bytes]

    def __init__(self, voice: int) -> None:
        super().__init__(voice)
        self.muted, self.overheard = self.silent, []

    def _send(self, packet: bytes) -> None:
        super()._send(packet)
        self.overheard.append(packet)
        del self.overheard[:-50]

    def spoof(self, packet: bytes) -> None:
        """What a stranger sends under this phone's own address and port."""
        assert self._transport is not None
        self._transport.sendto(packet, self._remote)


async def attacked(ours: Conversation, theirs: Conversation, strangers: list[Stranger], *, spoofed: bool) -> None:
    """Every forgery to every port of the call, from everywhere."""
    streams = [each.stream for each in (ours, theirs)]
    for turn, stranger in enumerate(strangers):
        for stream in streams:
            assert isinstance(stream, OverheardStream)
            assert stream._remote is not None
            host, port = stream._remote
            for number, packet in enumerate(stranger.forgeries(list(stream.overheard), 80)):
                for at in (port, port + 1):
                    stranger.socket.sendto(packet, (host, at))
                if spoofed and turn == 0:
                    stream.spoof(packet)
                if number % 30 == 0:
                    await asyncio.sleep(0.005)
    await asyncio.sleep(0.2)


async def phone(node: NodeUnderTest, account: TestAccount, **options: Any) -> Phone:
    made = Phone(account.username, account.password, DOMAIN, **options)
    await made.connect(node.address, 5061, node.certificates.client_context())
    await made.register()
    return made


async def test_rtp_bleed_and_rtp_inject_move_nothing_and_are_not_heard(
    new_node: NodeFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await asyncio.to_thread(new_node)
    protected, plain = accounts(CUSTOMER), accounts("xyz789")
    await asyncio.to_thread(node.assign, CUSTOMER, protected)
    await asyncio.to_thread(node.assign, "xyz789", plain, encrypted=False)
    monkeypatch.setattr("media_node.probe.phone.Stream", OverheardStream)
    monkeypatch.setattr(OverheardStream, "silent", True)
    strangers = [Stranger(node.address), *(Stranger(address) for address in ELSEWHERE)]
    for who, options, spoofed in ((protected, {}, True), (plain, {"suites": ()}, False)):
        callee, caller = await phone(node, who[1], **options), await phone(node, who[0], **options)
        ours = await caller.call(who[1].extension)
        theirs = await callee.answered()
        both = [ours.stream, theirs.stream]
        # Nobody has spoken yet: the moment in which a relay that learns can be taught.
        await attacked(ours, theirs, strangers, spoofed=spoofed)
        assert [each.tally.received + each.tally.unverified for each in both] == [0, 0], "nothing was relayed"
        for stream in both:
            stream.muted = False
        await asyncio.sleep(0.6)
        assert all(each.tally.received > 10 for each in both), "the phones' own audio passes"
        await attacked(ours, theirs, strangers, spoofed=spoofed)
        before = [each.tally.received for each in both]
        await asyncio.sleep(0.5)
        for stream, count in zip(both, before, strict=True):
            assert stream.tally.received > count + 5, "and the call goes on"
            assert (stream.tally.foreign, stream.tally.unverified) == (0, 0)
            assert stream.tally.in_order
        assert not ours.ended.is_set()
        await fall_silent(ours, theirs)
        await ours.hang_up()
        for each in (caller, callee):
            await each.close()
    assert [stranger.heard() for stranger in strangers] == [0, 0, 0], "no packet ever goes to a stranger"


# SIPVicious.


class Scanner:
    """One TLS connection of a scanner, from an address of its own."""

    def __init__(self, node: NodeUnderTest, source: str) -> None:
        raw = socket.create_connection((node.address, 5061), timeout=10, source_address=(source, 0))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(raw)
        self.sequence = 0

    def ask(self, method: str, user: str, *extra: str) -> str:
        """The head of the final answer."""
        self.sequence += 1
        uri = f"sip:{DOMAIN}" if method == "REGISTER" else f"sip:{user}@{DOMAIN}"
        lines = (
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/TLS 192.0.2.9;branch=z9hG4bK-{self.sequence};rport",
            f"From: <sip:{user}@{DOMAIN}>;tag={self.sequence}",
            f"To: <sip:{user}@{DOMAIN}>",
            f"Call-ID: {self.sequence}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:{user}@192.0.2.9>",
            "Max-Forwards: 70",
            "User-Agent: friendly-scanner",
            *extra,
            "Content-Length: 0",
        )
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while True:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                piece = self.socket.recv(1)
                if not piece:
                    raise ConnectionError("hung up on")
                head += piece
            if not head.startswith(b"SIP/2.0 1"):
                return head.decode()

    def guess(self, user: str, password: str) -> str:
        """One password, as svcrack tries it: a challenge, and the answer to it. What differs by itself is left out."""
        challenge = re.findall(r"WWW-Authenticate: (.*)\r\n", self.ask("REGISTER", user))[-1]
        shown = answer(challenge, username=user, password=password, method="REGISTER", uri=f"sip:{DOMAIN}")
        return plain(self.ask("REGISTER", user, f"Authorization: {shown}"))


def plain(head: str) -> str:
    """An answer without what differs by itself: whom it is to, tags and nonces; waits to the second."""
    lines = [re.sub(r'nonce="[^"]*"|^Retry-After: \d+$', "", line) for line in head.split("\r\n")]
    return "\n".join(line for line in lines if not line.startswith(("Via", "To", "From", "Call-ID", "CSeq")))


def test_sipvicious_learns_no_account_no_password_and_shuts_nobody_out(new_node: NodeFactory) -> None:
    node = new_node()
    owners = accounts(CUSTOMER)
    node.assign(CUSTOMER, owners)
    own = owners[0]

    def registers() -> None:
        async def once() -> None:
            await (await phone(node, own)).close()

        asyncio.run(once())

    registers()
    # svmap: what is it? It says what it can do, and no product's version.
    answered = Scanner(node, ELSEWHERE[0]).ask("OPTIONS", "100")
    assert answered.startswith("SIP/2.0 200")
    assert not re.search(r"(?im)^(Server|User-Agent):.*\d", answered)
    # svwar: which extensions are there? All are answered alike.
    users = [own.username, owners[1].username, f"{CUSTOMER}-999", "100", "1000", "admin"]
    for method in ("REGISTER", "OPTIONS", "INVITE"):
        scanner = Scanner(node, ELSEWHERE[0])
        assert len({plain(scanner.ask(method, user)) for user in users}) == 1, method
    # svcrack: a known account and one that does not exist, each from an address of its own, over a new connection whenever
    # it is hung up on: the same answers in the same order, and soon that it has to wait.
    told: list[list[str]] = []
    for source, user in zip(ELSEWHERE, (own.username, f"{CUSTOMER}-999"), strict=True):
        scanner, answers = Scanner(node, source), []
        for guess in (*map(str, range(1000, 1011)), own.password):
            answers.append(scanner.guess(user, guess))
        told.append([each.partition("\n")[0] for each in answers])
    assert told[0] == told[1]
    assert told[0][0] == "SIP/2.0 403 Forbidden"
    assert told[0][-1].startswith("SIP/2.0 503")
    # The right password, the last of the guesses, was not noticed any more, and the phone itself comes and goes as before.
    registers()
    deadline = time.monotonic() + 10
    while not node.events("locked out") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert node.events("locked out"), "fail2ban reads of it"


async def test_a_wrong_password_costs_as_many_hashes_whether_or_not_the_account_exists(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By time svwar tells accounts apart where a known one is computed with and an unknown one is not."""
    counts: list[int] = []
    judge, original = RequestAuthenticator._judge, Algorithm.hash

    def counted(self: RequestAuthenticator, *arguments: Any) -> Any:
        hashed = 0

        def hash_once(algorithm: Algorithm, text: str) -> str:
            nonlocal hashed
            hashed += 1
            return original(algorithm, text)

        with monkeypatch.context() as patch:
            patch.setattr(Algorithm, "hash", hash_once)
            verdict = judge(self, *arguments)
        counts.append(hashed)
        return verdict

    # One whose password has just been changed: the one before is tried as well.
    environment_ = environment()
    rotated = replace(
        environment_.phones[1], previous_ha1={"MD5": "0" * 32}, previous_until=datetime.now(UTC) + timedelta(hours=1)
    )
    phones = (environment_.phones[0], rotated)
    office.exchange.assign(Directory((replace(environment_, phones=phones),)))
    monkeypatch.setattr(RequestAuthenticator, "_judge", counted)
    for extension in ("101", "102", "999", "9999"):
        guesser = await office.handset(extension, register=False, password="guess")
        assert (await refused(guesser.register())).code == 403
    assert len(counts) == 4
    assert len(set(counts)) == 1
