"""Calls between phones that are text and sockets, so that hundreds a second cost little beside the node that is measured.

A phone says what a desk phone says and looks at nothing but what it has to copy: `calls.Load` has phones that check what they hear.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
from dataclasses import dataclass, field

from tests.bench.edge_wire import DOMAIN, credentials, request, username

_KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
_OFFER = (
    "v=0\r\no=- {session} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/SAVP 8 0 101\r\n"
    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{_KEY}\r\na=sendrecv\r\n"
)
_HEAD = re.compile(rb"(?s)(.*?\r\n)\r\n")
_LENGTH = re.compile(rb"(?i)\r\nContent-Length: *([0-9]+)")
_AGENT = "User-Agent: Desk phone 1.0"
_TIMEOUT = 20.0


@dataclass(eq=False)
class WirePhone(asyncio.Protocol):
    """One phone over TLS."""

    number: int
    _pending: bytes = b""
    _heard: dict[str, asyncio.Future[str]] = field(default_factory=dict)
    """What waits for a final response, by Call-ID and CSeq."""

    async def connect(self, port: int, context: ssl.SSLContext) -> None:
        """Connects and registers. Raises OSError, TimeoutError or RuntimeError."""
        self.user = username(self.number)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, "127.0.0.1", port, ssl=context, server_hostname="localhost")
        extra = [f"Contact: {self.contact}", "Expires: 300", _AGENT]
        challenge = await self._ask(request("REGISTER", self.user, 1, *extra).decode(), f"{self.user} 1 REGISTER")
        extra.append(f"Authorization: {credentials(challenge, self.user, 'REGISTER')}")
        answer = await self._ask(request("REGISTER", self.user, 2, *extra).decode(), f"{self.user} 2 REGISTER")
        _want(answer, 200)

    @property
    def contact(self) -> str:
        """Where it says that it is."""
        host, port = self._transport.get_extra_info("sockname")
        return f"<sip:{self.user}@{host}:{port};transport=tls>"

    async def call(self, other: WirePhone) -> None:
        """Calls, and hangs up once it is answered. Raises TimeoutError or RuntimeError."""
        identity, ours = secrets.token_hex(8), f"<sip:{self.user}@{DOMAIN}>;tag={secrets.token_hex(4)}"
        extension = other.user.rpartition("-")[2]
        uri = f"sip:{extension}@{DOMAIN}"
        invite = self._request("INVITE", 1, identity, uri, ours, f"<{uri}>", _OFFER.format(session=self.number))
        answer = await self._ask(invite, f"{identity} 1 INVITE")
        _want(answer, 200)
        (theirs,), (contact,) = _values(answer, "To"), _values(answer, "Contact")
        uri = contact.partition("<")[2].partition(">")[0]
        self._say(self._request("ACK", 1, identity, uri, ours, theirs))
        _want(await self._ask(self._request("BYE", 2, identity, uri, ours, theirs), f"{identity} 2 BYE"), 200)

    def close(self) -> None:
        """Hangs nothing up, and goes."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio: octets arrived."""
        self._pending += data
        while head := _HEAD.match(self._pending):
            length = _LENGTH.search(head[1])
            end = head.end() + (int(length[1]) if length else 0)
            if len(self._pending) < end:
                return
            self._heard_one(head[1].decode())
            self._pending = self._pending[end:]

    def _heard_one(self, head: str) -> None:
        method = head.partition(" ")[0]
        if method == "SIP/2.0":
            key = f"{_values(head, 'Call-ID')[0]} {_values(head, 'CSeq')[0]}"
            if head[8] != "1" and (waiting := self._heard.pop(key, None)) is not None and not waiting.done():
                waiting.set_result(head)
        elif method == "INVITE":
            self._say(self._response(head, "180 Ringing"))
            self._say(self._response(head, "200 OK", _OFFER.format(session=self.number)))
        elif method != "ACK":
            self._say(self._response(head, "200 OK"))

    async def _ask(self, message: str, key: str) -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._heard[key] = answer
        self._say(message)
        async with asyncio.timeout(_TIMEOUT):
            return await answer

    def _say(self, message: str) -> None:
        self._transport.write(message.encode())

    def _request(
        self, method: str, sequence: int, identity: str, uri: str, ours: str, theirs: str, body: str = ""
    ) -> str:
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK{secrets.token_hex(8)};rport",
            "Max-Forwards: 70",
            f"From: {ours}",
            f"To: {theirs}",
            f"Call-ID: {identity}",
            f"CSeq: {sequence} {method}",
            f"Contact: {self.contact}",
            _AGENT,
            *(("Content-Type: application/sdp",) if body else ()),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def _response(self, head: str, status: str, body: str = "") -> str:
        (theirs,), (identity,), (sequence,) = (_values(head, name) for name in ("To", "Call-ID", "CSeq"))
        lines = [
            f"SIP/2.0 {status}",
            *(f"Via: {value}" for value in _values(head, "Via")),
            f"From: {_values(head, 'From')[0]}",
            f"To: {theirs}" + ("" if ";tag=" in theirs else f";tag={identity[:8]}"),
            f"Call-ID: {identity}",
            f"CSeq: {sequence}",
            f"Contact: {self.contact}",
            _AGENT,
            *(("Content-Type: application/sdp",) if body else ()),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body


def _values(head: str, name: str) -> list[str]:
    return re.findall(rf"(?m)^{name}: (.*)\r$", head)


def _want(answer: str, status: int) -> None:
    if not answer.startswith(f"SIP/2.0 {status} "):
        raise RuntimeError(answer.partition("\r\n")[0])


async def call_for(phones: list[WirePhone], rate: float, seconds: float) -> tuple[int, list[str]]:
    """Pairs of phones call `rate` times a second in all: how many calls were well, and what went wrong with the others."""
    loop = asyncio.get_running_loop()
    began, calls = loop.time(), list[asyncio.Task[None]]()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        place = 2 * number % len(phones)
        calls.append(loop.create_task(phones[place].call(phones[place + 1])))
    ended = await asyncio.gather(*calls, return_exceptions=True)
    wrong = [str(each) or type(each).__name__ for each in ended if each is not None]
    return len(ended) - len(wrong), wrong
